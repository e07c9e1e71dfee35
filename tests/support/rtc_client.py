"""A caller made of aiortc: what a browser does, without the browser."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import numpy as np
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCBundlePolicy, RTCIceTransportPolicy


class RtcCaller:
    """One peer: sends silence, keeps the events and the audio that it receives.

    Args:
        relay: comes by this TURN server and in no other way.
    """

    def __init__(self, relay: RTCIceServer | None = None) -> None:
        config = RTCConfiguration(iceServers=[])
        if relay is not None:
            # One transport for all, so that what is offered is what is used.
            config = RTCConfiguration(
                iceServers=[relay],
                iceTransportPolicy=RTCIceTransportPolicy.RELAY,
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        self.pc = RTCPeerConnection(config)
        # The track first: what comes second is bundled with it.
        self.pc.addTrack(AudioStreamTrack())
        self.data: RTCDataChannel = self.pc.createDataChannel("oai-events")
        self.events: list[dict[str, Any]] = []
        self.pcm = bytearray()
        self.arrivals_s: list[float] = []
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()
        self.changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.pc.on("track", self._on_track)
        self.pc.on("connectionstatechange", self._on_state)
        self.data.on("message", self._on_message)
        self.data.on("close", self.closed.set)

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        sdp: str = self.pc.localDescription.sdp
        return sdp

    async def take(self, answer_sdp: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))

    async def until(self, kind: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The first event of this type."""
        async with asyncio.timeout(timeout_s):
            while True:
                for event in self.events:
                    if event["type"] == kind:
                        return event
                self.changed.clear()
                await self.changed.wait()

    def send(self, event: object) -> None:
        self.data.send(event if isinstance(event, (str, bytes)) else json.dumps(event))

    async def close(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()

    def _on_state(self) -> None:
        if self.pc.connectionState == "connected":
            self.connected.set()
        elif self.pc.connectionState in ("closed", "failed"):
            self.closed.set()

    def _on_message(self, raw: str) -> None:
        self.events.append(json.loads(raw))
        self.changed.set()

    def _on_track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._collect(track)))

    async def _collect(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                self.arrivals_s.append(time.monotonic())
                samples = np.asarray(frame.to_ndarray()).reshape(-1)[::2]  # type: ignore[union-attr]
                self.pcm += samples.astype("<i2").tobytes()
        except MediaStreamError:
            pass


def typed(text: str) -> dict[str, Any]:
    """The event for a message that the caller types."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return {"type": "conversation.item.create", "item": item}
