"""The callers of a load over WebRTC, in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from antiphon.bench.child import run_child, say
from antiphon.bench.impair import Fates, Network, Proxy
from antiphon.bench.rtc_figures import RtcCall, summarize
from antiphon.bench.rtc_heard import OpusSpeech, talking
from antiphon.bench.rtc_peer import Peer

CONNECT_TIMEOUT_S = 20.0
SETTLE_S = 3.0
"""After the last call has begun, before anything is measured."""
MOST_DECODING = 2
"""Calls whose sound is looked at to the end, to know how much of it is audible."""


@dataclass(frozen=True, slots=True)
class Job:
    """Calls that begin `spread_s` after each other and then go on for `seconds` all together.

    Attributes:
        urls: of the servers, by turns.
        events: callers have the data channel of a page.
        quiet: callers say nothing.
    """

    urls: tuple[str, ...]
    audio: tuple[str, ...]
    calls: int
    seconds: float
    seed: int = 0
    spread_s: float = 0.2031
    loss: float = 0.0
    jitter_ms: float = 0.0
    events: bool = True
    quiet: bool = False


class Callers:
    """All calls of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._silence = OpusSpeech.of(bytes(32_000))
        self._speeches: Sequence[OpusSpeech] = [
            OpusSpeech.read(Path(path)) for path in job.audio if not job.quiet
        ] or [self._silence]
        self._late_ms: list[float] = []
        self._proxies: list[Proxy] = []
        self._calls = [RtcCall() for _ in range(job.calls)]

    async def run(self) -> dict[str, Any]:
        """Make them; the figures."""
        import httpx

        async with httpx.AsyncClient(timeout=30, trust_env=False, verify=False) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, call in enumerate(self._calls):
                        group.create_task(self._begin(client, number, call))
                if not all(call.failed for call in self._calls):
                    await asyncio.sleep(SETTLE_S)
                return await self._measure()
            finally:
                await self._end()

    async def _begin(self, client: Any, number: int, call: RtcCall) -> None:
        await asyncio.sleep(number * self._job.spread_s)
        loop, job = asyncio.get_running_loop(), self._job
        packets = talking(self._speeches, self._silence, f"{job.seed}/{number}")
        call.peer = peer = Peer(
            packets, self._late_ms.append, decodes=number < MOST_DECODING, events=job.events
        )
        proxy = None
        if job.loss or job.jitter_ms:
            network = Network(loss=job.loss, jitter_ms=job.jitter_ms)
            proxy = Proxy(network, seed=f"{job.seed}/{number}")
            self._proxies.append(proxy)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                offer = await peer.offer()
                call.offered_s = loop.time()
                url = job.urls[number % len(job.urls)]
                answer = await ask(client, url, proxy.offer(offer) if proxy else offer)
                call.answered_s = loop.time()
                await peer.take(await proxy.answer(answer) if proxy else answer)
                await peer.connected.wait()
        except TimeoutError:
            call.failed = f"not connected within {CONNECT_TIMEOUT_S:.0f} s"
        except Refused as refusal:
            call.failed = str(refusal)

    async def _measure(self) -> dict[str, Any]:
        peers = [call.peer for call in self._calls if call.peer is not None]
        for peer in peers:
            peer.arrivals.begin_anew()
        del self._late_ms[:]
        cpu_s = time.process_time()
        say("steady")
        if not all(call.failed for call in self._calls):
            await asyncio.sleep(self._job.seconds)
        say("over")
        cpu_s = time.process_time() - cpu_s
        for call in self._calls:
            call.lost = not call.failed and call.peer is not None and call.peer.gone.is_set()
        fates = sum((proxy.fates for proxy in self._proxies), Fates())
        return {
            **summarize(self._calls, self._late_ms),
            "client_cpu_s": round(cpu_s, 3),
            "network": asdict(fates),
        }

    async def _end(self) -> None:
        peers = [call.peer for call in self._calls if call.peer is not None]
        for peer in peers:
            peer.hang_up()
        await asyncio.sleep(0.1)
        await asyncio.gather(*(peer.aclose() for peer in peers), return_exceptions=True)
        for proxy in self._proxies:
            await proxy.aclose()


class Refused(Exception):
    """The server does not take the call."""


async def ask(client: Any, url: str, offer_sdp: str) -> str:
    """The answer to an offer.

    Raises:
        Refused: with the server's reason.
    """
    import httpx

    try:
        answer = await client.post(
            f"{url}/api/voice/offer", json={"sdp": offer_sdp, "type": "offer"}
        )
    except httpx.HTTPError as error:
        raise Refused(f"no answer: {type(error).__name__}") from None
    if answer.status_code != 200:
        try:
            reason = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            reason = answer.text[:80]
        raise Refused(f"{answer.status_code}: {reason}")
    sdp: str = answer.json()["sdp"]
    return sdp


async def run_job(job: Job, on_stage: Callable[[str], None]) -> dict[str, Any]:
    """Run it in a process of its own.

    Raises:
        RuntimeError: that process broke down.
    """
    return await run_child(__name__, asdict(job), on_stage)


def main() -> None:
    """The process."""
    import uvloop

    fields = json.loads(sys.stdin.read())
    lists = {name: tuple(fields[name]) for name in ("urls", "audio")}
    print(json.dumps(uvloop.run(Callers(Job(**{**fields, **lists})).run())))
