"""A thousand short calls over WebRTC to one server, most of them rude, and what is left of them.

    python -m bench.soak_webrtc --calls 1000 --at-once 10

Callers hang up politely, by the data channel or over HTTP; close without a word; vanish with the
call open; leave in mid-handshake, or after the offer; come back by another connection; send offers
that are none. The server runs in a process of its own, with scripted providers. Afterwards no call
may be left, memory may not have grown with the number of
calls, and as many files are open as before. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import uvloop
from bench.soak_phone import Soak

from antiphon.bench.rtc_heard import OpusSpeech, talking
from antiphon.bench.rtc_peer import Peer
from antiphon.bench.rtc_server import RtcServer, agent_file

RESUME_S = 3
LEFT_WAIT_S = 40.0
FILES_WAIT_S = 60.0
"""ICE notices after half a minute that nobody answers."""
SPARE_FILES = 5
PATIENCE_S = 30.0
MOST_MB_PER_1000 = 5.0
BEHAVIOURS = {
    "hangs up": 25,
    "hangs up over HTTP": 15,
    "closes": 15,
    "comes back": 10,
    "leaves in mid-handshake": 10,
    "only offers": 8,
    "no offer": 8,
    "garbage": 5,
    "vanishes": 4,
}
_SILENCE = OpusSpeech.of(bytes(32_000))
_TONE = OpusSpeech.of(b"\x00\x20\x00\xe0" * 160 * 50)


class Callers:
    """Makes the calls."""

    def __init__(
        self,
        server: RtcServer,
        options: argparse.Namespace,
        soak: Soak,
        client: httpx.AsyncClient,
    ) -> None:
        self._server, self._soak, self._client = server, soak, client
        self._seed, self._only = options.seed, options.only

    async def one(self, number: int) -> None:
        """A call, whatever becomes of it."""
        rng = random.Random(f"{self._seed}/{number}")
        how = self._only or rng.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))[0]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._behave(how, rng)
        except TimeoutError:
            self._soak.failed[f"{how}: stuck"] += 1
        except (httpx.HTTPError, ValueError) as error:
            self._soak.failed[f"{how}: {type(error).__name__} {str(error)[:80]}"] += 1
        self._soak.done[how] += 1

    async def _behave(self, how: str, rng: random.Random) -> None:
        if how == "no offer":
            await self._broken(rng)
            return
        peer = Peer(_words(rng))
        try:
            answer = await self._offer(peer)
            if how == "only offers":
                return
            await peer.take(answer["sdp"])
            if how == "leaves in mid-handshake":
                await asyncio.sleep(rng.random() * 0.05)
                return
            await peer.connected.wait()
            await asyncio.sleep(rng.random() * 1.5)
            self._soak.answered += peer.sounded.is_set()
            await self._end(how, rng, peer, answer)
        finally:
            await peer.aclose()

    async def _end(self, how: str, rng: random.Random, peer: Peer, answer: dict[str, Any]) -> None:
        ticket = {"session_id": answer["session_id"], "token": answer["token"]}
        if how == "hangs up":
            peer.hang_up()
            await asyncio.sleep(0.1)
        elif how == "hangs up over HTTP":
            await self._post("hangup", ticket)
        elif how == "vanishes":
            peer.vanish()
        elif how == "garbage":
            for _ in range(rng.randrange(1, 60)):
                peer.tell(rng.choice(_GARBAGE))
                peer.throw(rng.randbytes(rng.randrange(1, 300)))
        elif how == "comes back":
            second = Peer(_words(rng))
            try:
                again = await self._offer(second, resume=ticket)
                await second.take(again["sdp"])
                await second.connected.wait()
                await asyncio.sleep(rng.random() * 0.5)
                await self._post("hangup", ticket)
            finally:
                await second.aclose()

    async def _offer(self, peer: Peer, **more: Any) -> dict[str, Any]:
        body = {"sdp": await peer.offer(), "type": "offer", **more}
        answer = await self._post("offer", body)
        if answer.status_code != 200:
            raise ValueError(f"{answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    async def _broken(self, rng: random.Random) -> None:
        bodies: list[dict[str, Any]] = [
            {"sdp": "v=0", "type": "offer"},
            {"sdp": rng.randbytes(200).decode("latin-1"), "type": "offer"},
            {"type": "offer"},
            {"sdp": "v=0\r\nm=audio", "type": "answer"},
        ]
        answer = await self._post("offer", rng.choice(bodies))
        if answer.status_code != 400:
            raise ValueError(f"{answer.status_code} to what is no offer")

    async def _post(self, what: str, body: dict[str, Any]) -> httpx.Response:
        return await self._client.post(f"{self._server.url}/api/voice/{what}", json=body)


_GARBAGE = ("{", "[" * 500, '{"type": 1}', '{"type": "antiphon.key", "key": "x"}', "x" * 20_000)


def _words(rng: random.Random) -> Iterator[bytes]:
    if rng.random() < 0.5:
        return cycle(_SILENCE.packets)
    return talking([_TONE], _SILENCE, str(rng.random()))


async def soak(options: argparse.Namespace, server: RtcServer) -> tuple[Soak, list[str]]:
    """All calls; what was measured, and what was wrong."""
    result, numbers = Soak(), iter(range(options.calls))
    begun, before = time.monotonic(), server.cost()

    async def watch() -> None:
        while True:
            cost, calls = server.cost(), sum(result.done.values())
            result.samples.append((calls, cost.rss_mb, cost.files))
            if len(result.samples) % 10 == 1:
                print(f"{time.monotonic() - begun:5.0f} s  {calls:6} calls  {cost.rss_mb:.1f} MB  "
                      f"{cost.files} files", flush=True)  # fmt: skip
            await asyncio.sleep(1.0)

    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        callers = Callers(server, options, result, client)

        async def worker(place: int) -> None:
            await asyncio.sleep(place * 0.1)
            for number in numbers:
                await callers.one(number)

        watching = asyncio.create_task(watch())
        async with asyncio.TaskGroup() as group:
            for place in range(options.at_once):
                group.create_task(worker(place))
        watching.cancel()
    left = await server.calls_left(LEFT_WAIT_S)
    after, over_s = server.cost(), time.monotonic()
    while after.files > before.files + SPARE_FILES and time.monotonic() < over_s + FILES_WAIT_S:
        await asyncio.sleep(1.0)
        after = server.cost()
    print(f"files closed {time.monotonic() - over_s:.0f} s after the last call")
    wrong = [f"{count} x {what}" for what, count in result.failed.items()]
    if left:
        wrong.append(f"{left:.0f} calls are left")
    if after.files > before.files + SPARE_FILES:
        wrong.append(f"{after.files} open files, {before.files} before")
    if result.mb_per_1000 > MOST_MB_PER_1000 and options.calls >= 500:
        wrong.append(f"memory grows by {result.mb_per_1000:.2f} MB in 1000 calls")
    if complaints := server.complaints():
        wrong.append(f"the server said: {complaints}")
    print(f"server: {after.cpu_s - before.cpu_s:.0f} s CPU, {before.rss_mb:.1f} -> "
          f"{after.rss_mb:.1f} MB, {before.files} -> {after.files} files")  # fmt: skip
    return result, wrong


async def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="antiphon-soak-") as folder:
        # Who leaves without a word keeps the line for so long.
        rtc = Path(folder, "rtc.yaml")
        rtc.write_text(f"resume_s: {RESUME_S}\n", encoding="utf-8")  # noqa: ASYNC240 - the first thing
        more = ("--max-lag-ms", "0", "--max-busy", "0", "--rtc", str(rtc))
        server = RtcServer(Path(folder), agent_file(options.vad), options.at_once * 20, *more)
        await server.start()
        try:
            result, wrong = await soak(options, server)
        finally:
            await server.stop()
    print(f"{sum(result.done.values())} calls {dict(result.done)}")
    print(f"agent heard in {result.answered}; memory {result.mb_per_1000:+.2f} MB in 1000 calls")
    for one in wrong:
        print(f"WRONG {one}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vad", default="energy")
    parser.add_argument("--only", choices=list(BEHAVIOURS), help="all callers do this")
    return uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
