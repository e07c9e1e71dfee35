"""CPU of sound over WebRTC and of nothing else: no session, no voice detector, no page.

    python -m bench.media_path [--calls 20] [--seconds 10] [--rounds 3] [--kinds ...]

By turns in one run, in one process: ours on asyncio and on uvloop, with a caller who hears speech
and one who hears silence, and the least that stock aiortc can do (that of `bench.stock_webrtc`).
The callers are in a process of their own and talk all the time. Printed are the medians over the
rounds of the CPU time of this process per call and second, between two moments when all calls are
connected.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any, Protocol, cast

import uvloop
from bench.stock_webrtc import FRAME, NOISE, RECORDINGS, StockServer

from antiphon.bench.rtc_heard import OpusSpeech, talking
from antiphon.bench.rtc_peer import Peer
from antiphon.channels.pacer import Pacer
from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.webrtc.answer import finish
from antiphon.channels.webrtc.connection import WebRtcConnection
from antiphon.channels.webrtc.offer import check_offer

SETTLE_S = 1.0
KINDS = ("ours", "ours listening", "ours uvloop", "stock", "stock uvloop")


class Answers(Protocol):
    """A server without signalling."""

    async def answer(self, offer: str) -> str: ...

    async def aclose(self) -> None: ...


class QuietCall:
    """A call whose session does nothing: its clock plays noise, or silence."""

    call_id = "call_1"

    def __init__(self, *, speaks: bool) -> None:
        self.frames = 0
        self._speaks = speaks
        self._at = itertools.count()
        self._pacer = Pacer(self._tick)
        self._connection = WebRtcConnection(cast(VoiceCall, self), lambda gone: None)

    async def answer(self, offer: str) -> str:
        await self._connection.accept(check_offer(offer))
        return finish(await self._connection.answer())

    async def aclose(self) -> None:
        self._pacer.stop()
        await self._connection.aclose()

    def _tick(self, due: int) -> None:
        self._connection.poll(asyncio.get_running_loop().time())
        for _ in range(due):
            at = next(self._at) % 50 * FRAME
            self._connection.play(NOISE[at : at + FRAME].tobytes() if self._speaks else None)

    def expect(self, connection: object) -> None: ...

    def connected(self, connection: object) -> None:
        self._pacer.start()

    def lost(self, connection: object) -> None:
        self._pacer.stop()

    def on_frame(self, connection: object, pcm: bytes) -> None:
        self.frames += 1


class Ours:
    def __init__(self, *, speaks: bool) -> None:
        self._speaks = speaks
        self._calls: list[QuietCall] = []

    async def answer(self, offer: str) -> str:
        call = QuietCall(speaks=self._speaks)
        self._calls.append(call)
        return await call.answer(offer)

    async def aclose(self) -> None:
        await asyncio.gather(*(call.aclose() for call in self._calls))


class Stock:
    def __init__(self) -> None:
        self._server = StockServer()

    async def answer(self, offer: str) -> str:
        return await self._server.answer(offer)

    async def aclose(self) -> None:
        await asyncio.gather(*(peer.close() for peer in list(self._server.peers)))


def server_of(kind: str) -> Answers:
    return Stock() if kind.startswith("stock") else Ours(speaks="listening" not in kind)


# ---- the callers ---------------------------------------------------------------------------


async def call_all(pipe: Pipe) -> None:
    """For each number that comes: so many offers, answers, calls, until something comes again."""
    speeches = [OpusSpeech.read(file) for file in sorted(RECORDINGS.glob("s2i_*.flac"))]
    silence = OpusSpeech.of(bytes(64_000))
    while count := await asyncio.to_thread(pipe.recv):
        peers = [Peer(talking(speeches, silence, str(n)), events=False) for n in range(count)]
        for peer in peers:
            pipe.send(await peer.offer())
            await peer.take(await asyncio.to_thread(pipe.recv))
        async with asyncio.timeout(20):
            await asyncio.gather(*(peer.connected.wait() for peer in peers))
        pipe.send("connected")
        await asyncio.to_thread(pipe.recv)
        pipe.send(sum(peer.arrivals.packets for peer in peers))
        await asyncio.gather(*(peer.aclose() for peer in peers))
        pipe.send("closed")


def callers(pipe: Pipe) -> None:
    asyncio.run(call_all(pipe))


# ---- measuring -----------------------------------------------------------------------------


async def measure(kind: str, pipe: Pipe, count: int, seconds: float) -> float:
    """Milliseconds of CPU per call and second."""
    server = server_of(kind)
    receive: Callable[[], Any] = pipe.recv
    pipe.send(count)
    for _ in range(count):
        pipe.send(await server.answer(await asyncio.to_thread(receive)))
    await asyncio.to_thread(receive)
    await asyncio.sleep(SETTLE_S)
    begun_s, begun_cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took_s, cpu_s = time.monotonic() - begun_s, time.process_time() - begun_cpu_s
    pipe.send("enough")
    packets = await asyncio.to_thread(receive)
    await server.aclose()
    await asyncio.to_thread(receive)
    least = count * seconds * 50 * 0.9
    if packets < least:
        print(f"{kind}: only {packets} packets came to the callers, {least:.0f} should")
    return 1000 * cpu_s / took_s / count


def run(kind: str, pipe: Pipe, count: int, seconds: float) -> float:
    factory = uvloop.new_event_loop if kind.endswith("uvloop") else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(measure(kind, pipe, count, seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(KINDS))
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=callers, args=(there,))
    child.start()
    found: dict[str, list[float]] = defaultdict(list)
    try:
        for _ in range(options.rounds):
            for kind in options.kinds.split(","):
                found[kind].append(run(kind, here, options.calls, options.seconds))
                print(f"{kind:15} {found[kind][-1]:6.2f} ms", flush=True)
        here.send(0)
    finally:
        child.join(5)
        child.terminate()
    print(f"\n{options.calls} calls, medians of {options.rounds} rounds of {options.seconds:.0f} s")
    print(f"{'':15} {'CPU per call-second':>20} {'calls on a core':>16}")
    for kind, all_ms in found.items():
        ms = statistics.median(all_ms)
        print(f"{kind:15} {ms:17.2f} ms {1000 / ms:16.0f}")


if __name__ == "__main__":
    main()
