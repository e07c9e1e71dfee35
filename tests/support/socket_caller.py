"""A caller over a WebSocket by the `websockets` library, which knows nothing of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


class SocketCaller:
    """Keeps the events and the sound that it receives."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.sound: list[bytes] = []
        self.order: list[str] = []
        """Types of events, and `sound`, as they came."""
        self.code: int | None = None
        self.reason = ""
        self.closed = asyncio.Event()
        self._changed = asyncio.Event()
        self._seen = 0
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                message = await self.socket.recv()
                if isinstance(message, bytes):
                    self.sound.append(message)
                    self.order.append("sound")
                else:
                    event = json.loads(message)
                    self.events.append(event)
                    self.order.append(event["type"])
                self._changed.set()
        except ConnectionClosed as error:
            if error.rcvd is not None:
                self.code, self.reason = error.rcvd.code, error.rcvd.reason
        finally:
            self.closed.set()
            self._changed.set()

    async def until(self, kind: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The next event of this type."""
        async with asyncio.timeout(timeout_s):
            while True:
                while self._seen < len(self.events):
                    self._seen += 1
                    if self.events[self._seen - 1]["type"] == kind:
                        return self.events[self._seen - 1]
                assert not self.closed.is_set(), f"closed, {self.code} {self.reason}"
                self._changed.clear()
                await self._changed.wait()

    async def tell(self, event: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(event))

    async def speak(self, messages: list[bytes], every_s: float = 0.02) -> None:
        """Send sound in real time."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for message in messages:
            await self.socket.send(message)
            due_s += every_s
            await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def gone(self) -> tuple[int | None, str]:
        async with asyncio.timeout(20):
            await self.closed.wait()
        return self.code, self.reason


@asynccontextmanager
async def calling(url: str, query: str = "", **options: Any) -> AsyncIterator[SocketCaller]:
    """`url` of the server, `query` with its question mark."""
    address = url.replace("http", "ws", 1) + "/api/voice/socket" + query
    async with connect(address, proxy=None, **options) as socket:
        caller = SocketCaller(socket)
        try:
            yield caller
        finally:
            caller.task.cancel()


def tone(hz: float, ms: int, rate_hz: int, level: int = 8000) -> bytes:
    """Mono s16 PCM."""
    phase = np.arange(rate_hz * ms // 1000) * (2 * np.pi * hz / rate_hz)
    return bytes((np.sin(phase) * level).astype("<i2").tobytes())


def cut(pcm: bytes, size: int) -> list[bytes]:
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def pitch_hz(pcm: bytes, rate_hz: int) -> float:
    """The strongest frequency."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


async def eventually(true: Callable[[], Any], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
