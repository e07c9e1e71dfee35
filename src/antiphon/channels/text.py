"""Calls by text: a WebSocket that carries the events of docs/events.md and no audio."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from antiphon.channels.base import Call, CallIO
from antiphon.channels.client_events import (
    ClientEventReader,
    Flooded,
    HangUp,
    KeyPressed,
    Playout,
    Rejected,
    TalkKey,
    Typed,
    error_event,
)
from antiphon.errors import CapacityError, UserFacingError
from antiphon.types import INPUT_RATE_HZ

MAX_UNSENT_EVENTS = 512
SEND_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
RECORD_TIMEOUT_S = 10.0
TRY_AGAIN_LATER = 1013
POLICY_VIOLATION = 1008
NORMAL_CLOSURE = 1000


class CallHost(Protocol):
    """Who takes calls: the supervisor."""

    async def start_call(self, call: Call, agent: str | None) -> CallIO: ...


class TextCall:
    """One WebSocket, already accepted."""

    channel = "text"
    output_rate_hz = INPUT_RATE_HZ
    has_audio = False

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._io: CallIO | None = None
        self._unsent: deque[str] = deque()
        self._wake = asyncio.Event()
        self._told = asyncio.Event()
        self._released = asyncio.Event()
        self._reason = ""
        self._reader = ClientEventReader()

    def notify(self, event: dict[str, Any]) -> None:
        if self._reason and event.get("type") != "antiphon.session.ended":
            return
        if len(self._unsent) >= MAX_UNSENT_EVENTS:
            self._unsent.clear()
            self.end("caller stopped reading events")
            return
        self._unsent.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
        self._wake.set()

    async def close(self, reason: str) -> None:
        self.end(reason)
        self._told.set()
        async with asyncio.timeout(SEND_TIMEOUT_S + CLOSE_TIMEOUT_S + 0.5):
            await self._released.wait()

    def end(self, reason: str) -> None:
        """Whatever comes first is the reason."""
        self._reason = self._reason or reason
        self._wake.set()

    async def run(self, io: CallIO) -> None:
        """Until the call is over."""
        self._io = io
        try:
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(self._receive(), name="text-receive")
                await self._send_until_ended()
                receiving.cancel()
        finally:
            self.end("internal error")
            io.hang_up(self._reason)
            await self._release()
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await io.wait_closed()

    async def _send_until_ended(self) -> None:
        while True:
            await self._flush()
            if self._reason:
                return
            self._wake.clear()
            # No deadline: `end` wakes it.
            await self._wake.wait()

    async def _flush(self) -> None:
        while self._unsent and self._is_open:
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self._websocket.send_text(self._unsent.popleft())
            except (TimeoutError, WebSocketDisconnect):
                self._unsent.clear()
                self.end("connection lost")

    async def _receive(self) -> None:
        assert self._io is not None
        loop = asyncio.get_running_loop()
        while not self._reason:
            # No deadline: a caller may think for as long as the session lets them, and the
            # server's pings find a dead connection.
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self.end("caller closed the connection")
                return
            raw = message.get("text") or message.get("bytes") or ""
            match self._reader.read(raw, loop.time()):
                case Typed(text):
                    self._io.on_text(text)
                case KeyPressed(key):
                    self._io.on_key(key)
                case TalkKey():
                    self.notify(error_event("There is nothing to hold a key for without a voice."))
                case Playout():
                    pass
                case HangUp():
                    self.end("caller hung up")
                case Rejected(complaint) if complaint:
                    self.notify(error_event(complaint))
                case Flooded():
                    self.end("caller sent too many broken events")

    @property
    def _is_open(self) -> bool:
        states = (self._websocket.client_state, self._websocket.application_state)
        return states == (WebSocketState.CONNECTED, WebSocketState.CONNECTED)

    async def _release(self) -> None:
        """Send the session's last word and close, if anybody still listens."""
        try:
            if self._is_open:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._told.wait()
                    await self._flush()
                    await self._websocket.close(NORMAL_CLOSURE, self._reason[:100])
        except (TimeoutError, WebSocketDisconnect):
            pass
        finally:
            self._released.set()


async def serve_text(websocket: WebSocket, host: CallHost, agent: str | None) -> None:
    """A whole call over a WebSocket that has not been accepted yet.

    A browser cannot read the status of a refused WebSocket, so a refusal is an `error` event.
    Raises what `host.start_call` refuses with, after having told the caller.
    """
    await websocket.accept()
    call = TextCall(websocket)
    try:
        io = await host.start_call(call, agent)
    except UserFacingError as error:
        full = isinstance(error, CapacityError)
        refusal = error_event(str(error), "capacity_error" if full else "invalid_request_error")
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await websocket.send_json(refusal)
                await websocket.close(TRY_AGAIN_LATER if full else POLICY_VIOLATION)
        except (TimeoutError, WebSocketDisconnect):
            pass
        raise
    await call.run(io)
