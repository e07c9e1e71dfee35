"""A server for callers over WebRTC that is not ours: aiortc as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from av import AudioFrame


class Noise(AudioStreamTrack):
    """Something audible."""

    async def recv(self) -> AudioFrame:
        frame = cast("AudioFrame", await super().recv())
        samples = np.random.default_rng(1).normal(0, 3000, frame.samples).astype(np.int16)
        frame.planes[0].update(samples.tobytes())
        return frame


@dataclass
class Server:
    """Takes calls, and keeps how loud what it hears is."""

    url: str = ""
    levels: list[float] = field(default_factory=list)
    peers: list[RTCPeerConnection] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        if len(self.peers) == 2:
            return web.json_response({"error": {"message": "All lines are busy."}}, status=503)
        body = await request.json()
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peers.append(pc)
        pc.on("track", lambda track: self.tasks.append(asyncio.create_task(self._hear(track))))
        pc.on("datachannel", lambda data: data.on("message", self.messages.append))
        pc.addTrack(Noise())
        await pc.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        return web.json_response({"sdp": pc.localDescription.sdp, "type": "answer"})

    async def _hear(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                samples = np.asarray((await track.recv()).to_ndarray())  # type: ignore[union-attr]
                self.levels.append(float(np.abs(samples).mean()))
        except MediaStreamError:
            pass


@asynccontextmanager
async def stock_server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/api/voice/offer", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    for peer in made.peers:
        await peer.close()
    for task in made.tasks:
        task.cancel()
    await asyncio.wait(made.tasks or [asyncio.create_task(asyncio.sleep(0))])
    await runner.cleanup()
    # aiortc closes in tasks of its own, too.
    await asyncio.sleep(0.01)
