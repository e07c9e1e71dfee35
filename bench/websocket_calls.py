"""What calls over WebSockets cost and how fast they are, in each format.

    python -m bench.websocket_calls [--calls 10] [--seconds 4]

Cost: the server in a process of its own with sessions that cost nothing, both sides of every call
speaking without a pause; beside it, in the same run, a telephone company's media stream (Twilio's
messages, on the same kind of wire), which is sent two frames at a time. Times: client and server in
one process, over loopback; a network that is away is a proxy that carries nothing for 3 s.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import uvloop
from fastapi import WebSocket
from tests.support.fake_host import FakeHost, FakeSession
from tests.support.live import serving
from tests.support.socket_caller import SocketCaller, calling, eventually
from tests.support.tcp_proxy import through
from websockets.asyncio.client import connect

from antiphon.audio import g711
from antiphon.channels.base import Call, CallFacts, DistantCall
from antiphon.channels.phone.stream import StreamCall
from antiphon.channels.phone.twilio_stream import TwilioDialect
from antiphon.channels.rtp.opus import OpusEncoder
from antiphon.server.app import create_app
from antiphon.server.direct import open_wire
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

SETTLE_S = 2.0


def voice(rate_hz: int) -> bytes:
    """20 ms of something: a tone in noise, which no codec finds easy."""
    count = rate_hz // 50
    noise = np.random.default_rng(1).normal(0, 800, count)
    made = np.sin(np.arange(count) * (2 * np.pi * 450 / rate_hz)) * 6000 + noise
    return bytes(made.astype("<i2").tobytes())


class Talker(FakeSession):
    """Speaks for ever, and listens to nothing."""

    def begin(self, greeting: str) -> None:
        self.say = cycle([voice(self.output_rate_hz)] * 50)

    def on_audio(self, pcm: bytes) -> None:
        self.heard_frames += 1

    def read_frame(self) -> bytes | None:
        return next(self.say)


class Talkers(FakeHost):
    async def start_call(self, call: Call, agent: str | None) -> FakeSession:
        session = Talker(call, f"call_{len(self.sessions) + 1}", "Cafe")
        self.sessions.append(session)
        session.begin("")
        return session


class NoLine:
    can_transfer = False

    async def hang_up(self, call: StreamCall, *, streaming: bool) -> None: ...


async def serve() -> None:
    """The child: prints its port, then for each line its CPU seconds and resident kilobytes."""
    import uvicorn

    host = Talkers(max_calls=10_000)
    app = create_app(host, ServerSettings(port=0))

    @app.websocket("/twilio")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        call = StreamCall("twilio", CallFacts(), 8000, NoLine())  # type: ignore[arg-type]
        call.begin(await host.start_call(call, None))  # type: ignore[arg-type]
        dialect = TwilioDialect()
        dialect.read(json.dumps({"event": "start", "start": {"streamSid": "MZ1"}}))
        await call.run(open_wire(websocket), dialect)

    # Before the page, which takes every path.
    app.router.routes.insert(0, app.router.routes.pop())
    listener = listen(ServerSettings(port=0))
    server = uvicorn.Server(http_config(app))
    task = asyncio.create_task(server.serve([listener]))
    print(listener.getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(time.process_time(), resident_kb(), flush=True)
    task.cancel()
    os._exit(0)


def resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def cost(path: str, message: str | bytes, calls: int, seconds: float) -> str:
    command = [sys.executable, "-m", "bench.websocket_calls", "--serve"]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: ASYNC220
    assert child.stdin is not None
    assert child.stdout is not None
    stdin, stdout = child.stdin, child.stdout

    def ask() -> tuple[float, int]:
        stdin.write("\n")
        stdin.flush()
        cpu, kilobytes = stdout.readline().split()
        return float(cpu), int(kilobytes)

    address = f"ws://127.0.0.1:{int(stdout.readline())}{path}"
    tasks = []
    try:
        tasks.append(asyncio.create_task(_talk(address, message)))
        await asyncio.sleep(SETTLE_S)
        one_kb = ask()[1]
        for _ in range(calls - 1):
            tasks.append(asyncio.create_task(_talk(address, message)))
            await asyncio.sleep(0.033)
        await asyncio.sleep(SETTLE_S)
        before, began_s = ask()[0], time.monotonic()
        await asyncio.sleep(seconds)
        cpu, kilobytes = ask()
        share = (cpu - before) / (time.monotonic() - began_s) / calls
        each_kb = (kilobytes - one_kb) / max(1, calls - 1)
        return f"{share:.4f} core a call, {each_kb:.0f} kB for each further one"
    finally:
        for task in tasks:
            task.cancel()
        stdin.close()
        child.wait()


async def _talk(address: str, message: str | bytes) -> None:
    async with connect(address, proxy=None, compression=None) as socket:
        caller = SocketCaller(socket)
        try:
            await caller.speak([message] * 100_000)  # type: ignore[list-item]
        finally:
            caller.task.cancel()


async def costs(calls: int, seconds: float) -> None:
    payload = base64.b64encode(g711.encode(voice(8000), "mulaw")).decode()
    media = json.dumps({"event": "media", "media": {"track": "inbound", "payload": payload}})
    socket = "/api/voice/socket"
    for path, message in (
        (f"{socket}?up_rate=16000&down_rate=24000", voice(16_000)),
        ("/twilio", media),
        (f"{socket}?rate=16000", voice(16_000)),
        (f"{socket}?rate=48000", voice(48_000)),
        (f"{socket}?format=ulaw", g711.encode(voice(8000), "mulaw")),
        (f"{socket}?format=opus", OpusEncoder(48_000).encode(voice(48_000))),
        ("/twilio", media),
    ):
        print(f"{path:50}", await cost(path, message, calls, seconds), flush=True)


async def times(rounds: int) -> None:
    found: dict[str, list[float]] = {}

    def note(what: str, since_s: float) -> None:
        found.setdefault(what, []).append((time.perf_counter() - since_s) * 1000)

    host = FakeHost(max_calls=10_000)
    async with serving(host) as url:
        for _ in range(rounds):
            began_s = time.perf_counter()
            async with calling(url) as caller:
                opened = await caller.until("antiphon.socket.opened")
                note("connect -> antiphon.socket.opened", began_s)
                await eventually(lambda: len(caller.sound) > 2)
                host.sessions[-1].frames.extend([bytes(960)] * 500)
                caller.socket.transport.abort()
            began_s = time.perf_counter()
            async with calling(url, f"?session={opened['session_id']}") as caller:
                await caller.tell({"type": "antiphon.socket.resume", "token": opened["token"]})
                await eventually(lambda: caller.sound)
                note("come back -> first sound", began_s)
                call = host.sessions[-1].call
                assert isinstance(call, DistantCall)
                host.sessions[-1].frames.clear()
                began_s = time.perf_counter()
                call.clear()
                await caller.until("antiphon.playout.clear")
                note("flush -> antiphon.playout.clear", began_s)
                count = len(caller.sound)
                await asyncio.sleep(0.1)
                assert len(caller.sound) == count, "sound after the flush"
        for _ in range(rounds // 10):
            async with through(url) as proxy, calling(proxy.url) as caller:
                speaking = asyncio.create_task(caller.speak([bytes(640)] * 1000))
                await caller.until("response.done")
                session = host.sessions[-1]
                session.frames.extend([bytes(960)] * 1000)
                await asyncio.sleep(1.0)
                proxy.works.clear()
                began_s = time.perf_counter()
                await eventually(lambda: session.holds == [True])  # noqa: B023
                note("network away -> the agent waits", began_s)
                await asyncio.sleep(3.0 - (time.perf_counter() - began_s))
                proxy.works.set()
                began_s = time.perf_counter()
                await caller.until("antiphon.playout.clear")
                note("network back after 3 s -> new sound", began_s)
                speaking.cancel()
    for what, values in found.items():
        values.sort()
        print(f"{what:40} p50 {values[len(values) // 2]:5.0f} ms, most {values[-1]:5.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        uvloop.run(serve())
    else:
        uvloop.run(costs(given.calls, given.seconds))
        uvloop.run(times(30))
