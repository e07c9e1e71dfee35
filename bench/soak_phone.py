"""Thousands of short telephone calls to one server, most of them rude, and what is left of them.

    python bench/soak_phone.py --calls 10000 --at-once 100 --seconds 3

Callers hang up at any moment, with and without a word; send no `start`, `stop` before `start`,
garbage, somebody else's token; pull the plug; fall silent with the line open. The server runs in a
process of its own, with scripted providers. Afterwards no call may be left, memory may not have
grown with the number of calls, and as many files are open as before. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_line import Caller, NotConnected, ask_voice, incoming_form
from antiphon.bench.phone_server import Server, agent_file
from antiphon.bench.phone_speech import SILENCE, Plan, Speech, Turn
from antiphon.bench.phone_wire import Line, StreamPlace, sign

MOST_MB_PER_1000 = 1.0
LEFT_WAIT_S = 45.0
PATIENCE_S = 40.0
BEHAVIOURS = {
    "polite": 40,
    "hangs up": 20,
    "pulls the plug": 10,
    "garbage": 8,
    "only connected": 4,
    "stop without start": 4,
    "wrong token": 4,
    "never connects": 4,
    "start and gone": 3,
    "no start": 2,
    "falls silent": 1,
}
_TONE = Speech.of((array("h", [9000, 9000, -9000, -9000] * 40 * 40)).tobytes())


@dataclass
class Soak:
    """What came of it. `samples` has calls done, MB, and open files."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    samples: list[tuple[int, float, int]] = field(default_factory=list)
    answered: int = 0

    @property
    def mb_per_1000(self) -> float:
        """Slope of memory over calls, when all is warm: without the first third."""
        points = [(calls, mb) for calls, mb, _ in self.samples[len(self.samples) // 3 :]]
        if len(points) < 3:
            return 0.0
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        over = sum((x - mean_x) * (y - mean_y) for x, y in points)
        return 1000 * over / max(1.0, sum((x - mean_x) ** 2 for x, _ in points))


class Callers:
    """Makes the calls."""

    def __init__(self, server: Server, seconds: float, seed: int, soak: Soak) -> None:
        self._server, self._seconds, self._soak = server, seconds, soak
        self._seed = seed
        self._doing: dict[int, str] = {}

    async def one(self, number: int) -> None:
        """A call, whatever becomes of it."""
        rng = random.Random(f"{self._seed}/{number}")
        how = rng.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))[0]
        sid = secrets.token_hex(16)
        self._doing[number] = "asks where the stream is"
        try:
            async with asyncio.timeout(self._seconds + PATIENCE_S):
                form = incoming_form("CA" + sid, "AC" + "0" * 32, "+15550100100", "+15550100199")
                voice = self._server.url + "/twilio/voice"
                place = await ask_voice(voice, form, self._server.auth_token)
                self._doing[number] = "is on the line"
                await self._behave(how, rng, place, sid, number)
        except TimeoutError:
            self._soak.failed[f"{how}: stuck, {self._doing[number]}"] += 1
        except (NotConnected, WebSocketException, OSError) as error:
            # Those who misbehave may be shown the door in any way.
            if how in ("polite", "hangs up", "pulls the plug"):
                self._soak.failed[f"{how}: {str(error)[:80]}"] += 1
        finally:
            del self._doing[number]
        self._soak.done[how] += 1

    async def _behave(
        self, how: str, rng: random.Random, place: StreamPlace, sid: str, number: int
    ) -> None:
        if how == "never connects":
            return
        parameters = place.parameters
        if how == "wrong token":
            parameters = {name: "x" + value for name, value in parameters.items()}
        line = Line(sid, parameters)
        headers = {"X-Twilio-Signature": sign(self._server.auth_token, place.url)}
        if how in ("polite", "hangs up", "pulls the plug"):
            await self._talk(how, rng, line, place.url, headers, number)
            return
        async with connect(place.url, additional_headers=headers, compression=None) as socket:
            self._doing[number] = "has the line"
            await self._rude(how, rng, line, socket)
            self._doing[number] = "hangs up"

    async def _talk(
        self,
        how: str,
        rng: random.Random,
        line: Line,
        url: str,
        headers: dict[str, str],
        number: int,
    ) -> None:
        longest_ms = int(self._seconds * 1000)
        end_ms = longest_ms if how == "polite" else rng.randint(20, longest_ms)
        turn = Turn(_TONE, rng.choice((None, 300, 700)))
        plan = Plan([turn], lead_ms=200, linger_ms=300, hang_up_after_ms=end_ms,
                    keys=rng.choice(("", "", "1#")))  # fmt: skip
        call = SimCall(line, plan, Impairments.drawn(number), seed=number)
        calling = asyncio.ensure_future(Caller(call, url, headers).run())
        if how == "pulls the plug":
            await asyncio.wait([calling], timeout=end_ms / 1000 * rng.random())
            calling.cancel()
            await asyncio.wait([calling])
            return
        await calling
        self._soak.answered += len(call.playout.answers) > 0
        if call.measured.ended == "connection lost" or call.measured.protocol_errors:
            self._soak.failed[f"{how}: {call.measured.ended} {call.measured.protocol_errors}"] += 1

    async def _rude(
        self, how: str, rng: random.Random, line: Line, socket: ClientConnection
    ) -> None:
        await socket.send(line.connected())
        if how == "only connected":
            return
        if how == "stop without start":
            await socket.send(line.stop())
        elif how == "garbage":
            for at in range(rng.randrange(1, 60)):
                if at == 10:
                    await socket.send(line.start())
                await socket.send(rng.choice(_garbage(rng, line)))
            return
        elif how in ("wrong token", "start and gone", "falls silent"):
            await socket.send(line.start())
            if how == "start and gone":
                return
            for _ in range(rng.randrange(20)):
                await socket.send(line.media(SILENCE, 20))
        # The server has to end it.
        while True:
            await socket.recv()


def _garbage(rng: random.Random, line: Line) -> list[str | bytes]:
    return [
        rng.randbytes(rng.randrange(400)),
        "{",
        "[" * 500,
        json.dumps({"event": rng.choice(("media", "start", "mark", "dtmf", "x")), "media": 1}),
        line.media("!!!!", 20),
        line.media("A" * 20_000, 20),
        line.mark("nobody's"),
        line.dtmf("Z"),
        line.media(SILENCE, -1),
    ]


async def soak(options: argparse.Namespace, server: Server) -> tuple[Soak, list[str]]:
    """All calls; what was measured, and what was wrong."""
    result = Soak()
    callers = Callers(server, options.seconds, options.seed, result)
    numbers = iter(range(options.calls))
    begun, before = time.monotonic(), server.cost()

    async def worker(place: int) -> None:
        await asyncio.sleep(place * options.seconds / options.at_once)
        for number in numbers:
            await callers.one(number)

    async def watch() -> None:
        while True:
            cost = server.cost()
            calls = sum(result.done.values())
            result.samples.append((calls, cost.rss_mb, cost.files))
            if len(result.samples) % 10 == 1:
                print(f"{time.monotonic() - begun:5.0f} s  {calls:6} calls  {cost.rss_mb:.1f} MB  "
                      f"{cost.files} files", flush=True)  # fmt: skip
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    async with asyncio.TaskGroup() as group:
        for place in range(options.at_once):
            group.create_task(worker(place))
    watching.cancel()
    left = await _left(server)
    after = server.cost()
    wrong = [f"{count} x {what}" for what, count in result.failed.items()]
    if left:
        wrong.append(f"{left:.0f} calls are left")
    if after.files > before.files + 3:
        wrong.append(f"{after.files} open files, {before.files} before")
    if result.mb_per_1000 > MOST_MB_PER_1000 and options.calls >= 2000:
        wrong.append(f"memory grows by {result.mb_per_1000:.2f} MB in 1000 calls")
    if complaints := server.complaints():
        wrong.append(f"the server said: {complaints}")
    print(f"server: {after.cpu_s - before.cpu_s:.0f} s CPU, {before.rss_mb:.1f} -> "
          f"{after.rss_mb:.1f} MB, {before.files} -> {after.files} files")  # fmt: skip
    return result, wrong


async def _left(server: Server) -> float:
    """Calls that do not end, and streams that nobody closes."""
    end_s = time.monotonic() + LEFT_WAIT_S
    left = 1.0
    while left and time.monotonic() < end_s:
        left = (await server.metrics()).get("antiphon_calls_active", -1.0)
        await asyncio.sleep(0.5)
    return left


async def run(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="antiphon-soak-") as folder:
        server = Server(Path(folder), agent_file(options.vad), options.at_once * 2 + 10)
        await server.start()
        try:
            result, wrong = await soak(options, server)
        finally:
            with contextlib.suppress(ProcessLookupError):
                await server.stop()
    print(f"{sum(result.done.values())} calls {dict(result.done)}")
    print(f"agent heard in {result.answered}; memory {result.mb_per_1000:+.2f} MB in 1000 calls")
    for one in wrong:
        print(f"WRONG {one}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0, help="longest call")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vad", default="energy")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
