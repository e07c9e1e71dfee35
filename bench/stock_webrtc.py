"""Calls over WebRTC on this server and on stock aiortc, by turns in one run.

    python -m bench.stock_webrtc [--calls 10,20] [--alone 40,60] [--rounds 3] [--seconds 15]

The same callers (those of `antiphon bench load --channel webrtc`) call both. Ours is `antiphon
serve` with scripted providers and the voice detector; the stock server is the least that aiortc can
do: a track that plays 24 kHz mono by its own clock through aiortc's encoder, and its jitter buffer
and decoder, then a resampler to 16 kHz mono; no session, no detector, no data channel. Both sides
talk in every call. Printed are medians over the rounds. Both server processes live through the
whole run; the one that is not asked is idle. On a machine that others use, too, put `nice -n -15`
before it: then departures are late by what the server does, and not by what its neighbours do.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame
from av.audio.resampler import AudioResampler
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from antiphon.bench.rtc_client import Job
from antiphon.bench.rtc_load import run_on
from antiphon.bench.rtc_server import RtcServer, agent_file
from antiphon.bench.served import ServerProcess

RATE_HZ = 24_000
FRAME = RATE_HZ // 50
RECORDINGS = Path(__file__).parents[1] / "tests" / "data" / "speech"
NOISE = np.random.default_rng(0).normal(0, 2_300, RATE_HZ).astype("<i2")


class Voice(MediaStreamTrack):
    """Noise, 20 ms at a time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames = 0
        self._begun_s = 0.0

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        self._begun_s = self._begun_s or loop.time()
        await asyncio.sleep(max(0.0, self._begun_s + self._frames * 0.02 - loop.time()))
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        at = self._frames % 50 * FRAME
        frame.planes[0].update(NOISE[at : at + FRAME].tobytes())
        frame.sample_rate, frame.pts = RATE_HZ, self._frames * FRAME
        self._frames += 1
        return frame


class StockServer:
    """Takes calls; what they say is added to `heard`, 16 kHz mono."""

    def __init__(self, heard: bytearray | None = None) -> None:
        self.peers: set[RTCPeerConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._heard = heard

    async def answer(self, sdp: str) -> str:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.add(pc)
        pc.addTrack(Voice())

        @pc.on("track")
        def hear(track: MediaStreamTrack) -> None:
            self._later(self._listen(track))

        @pc.on("connectionstatechange")
        def gone() -> None:
            if pc.connectionState == "failed":
                self._later(pc.close())
            elif pc.connectionState == "closed":
                self.peers.discard(pc)

        await pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        answer: str = pc.localDescription.sdp
        return answer

    async def aclose(self) -> None:
        for pc in list(self.peers):
            await pc.close()
        for task in self.tasks:
            task.cancel()
        # aiortc closes in tasks of its own, too.
        await asyncio.sleep(0.05)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=16_000)
        try:
            while True:
                frame: Any = await track.recv()
                frame.pts = None
                for one in resampler.resample(frame):
                    pcm = bytes(one.planes[0])[: one.samples * 2]
                    if self._heard is not None:
                        self._heard += pcm
        except MediaStreamError:
            return


def app_of(server: StockServer) -> FastAPI:
    """Its HTTP interface, as the callers know it."""
    app = FastAPI()

    @app.post("/api/voice/offer")
    async def offer(request: Request) -> dict[str, str]:
        body = await request.json()
        return {"sdp": await server.answer(body["sdp"]), "type": "answer"}

    @app.get("/healthz", response_class=PlainTextResponse)
    @app.get("/readyz", response_class=PlainTextResponse)
    async def ready() -> str:
        return "ready\n"

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> str:
        return f"antiphon_calls_active {len(server.peers)}\n"

    return app


def stock_process(folder: Path) -> ServerProcess:
    """The stock server in a process of its own."""
    command = (sys.executable, "-m", "bench.stock_webrtc", "--serve", "{port}")
    return ServerProcess(folder, command)


# ---- by turns ------------------------------------------------------------------------------


async def compare(options: argparse.Namespace) -> None:
    audio = tuple(map(str, sorted(RECORDINGS.glob("s2i_*.flac"))))
    both = [int(count) for count in options.calls.split(",") if count]
    alone = [int(count) for count in options.alone.split(",") if count]
    rows: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        servers: dict[str, ServerProcess] = {
            "ours": RtcServer(
                Path(folder, "ours"),
                agent_file(options.vad),
                200,
                "--max-lag-ms",
                "0",
                "--max-busy",
                "0",
            ),
            "stock": stock_process(Path(folder, "stock")),
        }
        try:
            for server in servers.values():
                await server.start()
            for name, server in servers.items():
                await run_on([server], Job((server.url,), audio, 1, 2.0, events=name == "ours"))
            for count in (*both, *alone):
                for round_ in range(options.rounds):
                    for name, server in servers.items():
                        if name == "stock" and count not in both:
                            continue
                        events = name == "ours"
                        job = Job((server.url,), audio, count, options.seconds, round_,
                                  events=events)  # fmt: skip
                        figures = await run_on([server], job)
                        rows[count, name].append(figures)
                        print(line(count, name, [figures]), flush=True)
        finally:
            for server in servers.values():
                await server.stop()
    print(f"\nmedians of {options.rounds} rounds of {options.seconds:.0f} s, VAD {options.vad}")
    for (count, name), found in rows.items():
        print(line(count, name, found))


def line(count: int, name: str, found: list[dict[str, Any]]) -> str:
    """One line of the table."""

    def median(*path: str) -> float:
        values = []
        for value in found:
            at: Any = value
            for key in path:
                at = at[key]
            values.append(float(at if at is not None else "nan"))
        return statistics.median(values)

    return (
        f"{count:3} calls {name:5}  "
        f"CPU per call-second {1000 * median('server_cpu_per_call_s'):6.2f} ms"
        f"  {median('server_cores'):5.2f} cores"
        f"  gap p50 {median('gap_ms', 'p50'):5.1f}  p99 {median('gap_ms', 'p99'):6.1f}"
        f"  p99.9 {median('gap_ms', 'p99.9'):6.1f} ms"
        f"  connected {median('connected'):3.0f} in {median('connected_ms', 'p50'):4.0f} ms"
        f"  missing {median('missing'):.0f}  memory {median('rss_mb'):.0f} MB"
    )


def serve(port: int) -> None:
    """The stock server."""
    app = app_of(StockServer())
    uvicorn.run(app, port=port, loop="uvloop", log_level="warning", access_log=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", default="10,20", help="numbers of calls on both")
    parser.add_argument("--alone", default="", help="numbers of calls on ours only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--vad", default="silero")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    else:
        asyncio.run(compare(options))


if __name__ == "__main__":
    main()
