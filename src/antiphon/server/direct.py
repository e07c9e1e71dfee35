"""Media streams without the detour through ASGI: 50 messages a second each way per call.

uvicorn puts every message of a WebSocket into a queue and wakes a task for it. A stream's messages
need no waiting, so its application takes them where they are parsed, and writes where they are
made. Everything else (handshake, pings, closing) stays uvicorn's. Where the server is another one,
`open_wire` gives the ordinary wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState, ProtocolError

from antiphon.channels.phone.wire import (
    NORMAL_CLOSURE,
    STUCK_S,
    Message,
    SocketWire,
    Wire,
)

EXTENSION = "antiphon.direct"
MAX_BUFFERED = 256 * 1024
"""Bytes that the other side has not taken; with more than that the wire is broken."""


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which gives its messages to whoever has taken it over."""

    taker: Callable[[Message], None] | None = None
    ponged: Callable[[bytes], None] | None = None

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            # The application's task, which was just made, has not begun.
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def send_receive_event_to_app(self) -> None:
        if self.taker is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        # Text that is not UTF-8 is no JSON either, and is judged by whoever reads it.
        text = self.curr_msg_data_type == "text"
        self.taker(data.decode("utf-8", "replace") if text else data)

    def handle_pong(self, event: Any) -> None:
        super().handle_pong(event)
        if self.ponged is not None:
            self.ponged(bytes(event.data))

    def ping(self, payload: bytes) -> None:
        """Beside uvicorn's own, which come too seldom to tell of a network that is away."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.conn.send_ping(payload)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def take(self, taker: Callable[[Message], None]) -> None:
        """Give what waits, and what comes from now on, to `taker`, on the event loop."""
        waiting: list[Any] = []
        while not self.queue.empty():
            waiting.append(self.queue.get_nowait())
        self.taker = taker
        for message in waiting:
            if message["type"] == "websocket.receive":
                text = message.get("text")
                taker(message.get("bytes") or b"" if text is None else text)
            else:
                self.queue.put_nowait(message)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def write(self, message: Message) -> bool:
        """Send at once; False where that is no longer possible."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return False
        try:
            if isinstance(message, str):
                self.conn.send_text(message.encode())
            else:
                self.conn.send_binary(message)
        except (InvalidState, ProtocolError):
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return self.transport.get_write_buffer_size() <= MAX_BUFFERED

    def abort(self) -> None:
        """Close without waiting for the other side."""
        self.transport.abort()


class DirectWire:
    """A wire over such a WebSocket, which has been accepted."""

    def __init__(self, websocket: WebSocket, protocol: DirectProtocol) -> None:
        self._websocket, self._protocol = websocket, protocol
        self._before = SocketWire(websocket)
        self.closed_with: int | None = None
        self.ponged: Callable[[bytes], None] | None = None
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._error: Exception | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def ping(self, payload: bytes) -> bool:
        self._protocol.ponged = self.ponged
        self._protocol.ping(payload)
        return True

    def send(self, message: Message) -> None:
        if self._closing is not None:
            return
        if not self._protocol.write(message):
            self._protocol.abort()
        elif self._stuck is None and not self._protocol.writable.is_set():
            loop = asyncio.get_running_loop()
            self._stuck = loop.call_later(STUCK_S, self._check)

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        if self._closing is None:
            self._closing = code, reason[:100]
            self._wake.set()

    async def first(self) -> Message | None:
        return await self._before.first()

    async def run(self, heard: Callable[[Message], None]) -> None:
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return

        def guarded(message: Message) -> None:
            try:
                heard(message)
            except Exception as error:  # noqa: BLE001 - outermost frame in the server's protocol
                self._error = error
                self._protocol.abort()

        self._protocol.take(guarded)
        closing = asyncio.ensure_future(self._closed_by_us())
        try:
            while True:
                # No deadline: only the end arrives here; the call watches over silence.
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    if self._closing is None:
                        self.closed_with = message.get("code")
                    break
            if self._error is not None:
                raise self._error
        finally:
            closing.cancel()
            if self._stuck is not None:
                self._stuck.cancel()

    async def _closed_by_us(self) -> None:
        # No deadline: `run` cancels it.
        await self._wake.wait()
        if (
            self._closing is None
            or self._websocket.application_state is not WebSocketState.CONNECTED
        ):
            return
        try:
            async with asyncio.timeout(1.0):
                await self._websocket.close(*self._closing)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            self._protocol.abort()

    def _check(self) -> None:
        self._stuck = None
        if not self._protocol.writable.is_set():
            self._protocol.abort()


def open_wire(websocket: WebSocket) -> Wire:
    """The fastest wire that the server has for an accepted WebSocket."""
    protocol = websocket.scope.get("extensions", {}).get(EXTENSION)
    if isinstance(protocol, DirectProtocol):
        return DirectWire(websocket, protocol)
    return SocketWire(websocket)
