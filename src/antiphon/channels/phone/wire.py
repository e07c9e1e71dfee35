"""A WebSocket as a media stream needs it: messages are handed over, and sending never waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

MAX_UNSENT = 256
"""Messages that wait to be sent: five seconds of sound and its marks."""
STUCK_S = 5.0
"""How long the other side may take nothing."""
NORMAL_CLOSURE = 1000
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

Message = str | bytes


class Wire(Protocol):
    """One accepted WebSocket."""

    closed_with: int | None
    """The code that the other side closed with; None while it has not."""
    ponged: Callable[[bytes], None] | None
    """Told of every pong; to be set by whoever pings."""

    def ping(self, payload: bytes) -> bool:
        """Ask whether the other side is there; False where the server cannot ask."""
        ...

    def send(self, message: Message) -> None:
        """Send in order, some time. When the other side takes nothing the wire breaks."""
        ...

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Close once what was given to `send` is out, or within a second. Idempotent."""
        ...

    async def first(self) -> Message | None:
        """The next message before `run`; None when the other side has closed. Set a deadline."""
        ...

    async def run(self, heard: Callable[[Message], None]) -> None:
        """Hand over what comes in until either side has closed, or the wire is broken."""
        ...


class SocketWire:
    """A wire over a Starlette WebSocket that was accepted; works on every ASGI server.

    A task reads beside the one that called `run`, which writes.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.closed_with: int | None = None
        self.ponged: Callable[[bytes], None] | None = None
        self._unsent: deque[Message] = deque()
        self._wake = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._gone = False

    def ping(self, payload: bytes) -> bool:
        """ASGI knows no pings."""
        return False

    def send(self, message: Message) -> None:
        if self._closing is not None or self._gone:
            return
        if len(self._unsent) >= MAX_UNSENT:
            self._unsent.clear()
            self._gone = True
        else:
            self._unsent.append(message)
        self._wake.set()

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._closing is None:
            self._closing = code, reason[:100]
            self._wake.set()

    async def first(self) -> Message | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._gone = True
            return None
        return _content(message)

    async def run(self, heard: Callable[[Message], None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._read(heard), name="media-read")
            try:
                await self._write()
            except (TimeoutError, WebSocketDisconnect, RuntimeError):
                # RuntimeError: Starlette's word for a socket that is closed already.
                self._gone = True
            finally:
                reading.cancel()

    async def _write(self) -> None:
        while not self._gone:
            while self._unsent:
                message = self._unsent.popleft()
                kind = "text" if isinstance(message, str) else "bytes"
                async with asyncio.timeout(STUCK_S if self._closing is None else 1.0):
                    await self._websocket.send({"type": "websocket.send", kind: message})
            if self._closing is not None:
                if self._websocket.application_state is WebSocketState.CONNECTED:
                    async with asyncio.timeout(1.0):
                        await self._websocket.close(*self._closing)
                return
            self._wake.clear()
            # No deadline: `send`, `close` and the end of reading wake it.
            await self._wake.wait()

    async def _read(self, heard: Callable[[Message], None]) -> None:
        while not self._gone:
            # No deadline: the call watches over silence, the server's pings over the connection.
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self.closed_with = message.get("code")
                self._gone = True
                self._wake.set()
                return
            heard(_content(message))


def _content(message: MutableMapping[str, Any]) -> Message:
    text: str | None = message.get("text")
    return message.get("bytes") or b"" if text is None else text
