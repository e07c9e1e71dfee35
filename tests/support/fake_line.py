"""What telephone calls need of a supervisor and of a line, without either: sessions that say what
they are given and write down what they hear, and a caller's end of Twilio's Media Streams."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from antiphon.channels.base import Call, Telephone
from antiphon.errors import CapacityError, UserFacingError


@dataclass
class LineSession:
    """A session that plays `frames` and keeps what happens to it."""

    call: Call
    call_id: str
    agent: str = ""
    frames: deque[bytes] = field(default_factory=deque)
    audio: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    machine: list[str] = field(default_factory=list)
    read: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    @property
    def output_rate_hz(self) -> int:
        return self.call.output_rate_hz

    @property
    def line(self) -> Telephone:
        assert isinstance(self.call, Telephone)
        return self.call

    def say(self, frames: int) -> None:
        size = self.output_rate_hz // 50 * 2
        self.frames.extend(bytes([number % 100 + 1, 1]) * (size // 2) for number in range(frames))

    def on_audio(self, pcm: bytes) -> None:
        assert len(pcm) == 640
        self.audio.append(pcm)

    def read_frame(self) -> bytes | None:
        if not self.frames:
            return None
        self.read += 1
        return self.frames.popleft()

    def on_text(self, text: str) -> None:
        raise AssertionError("nobody types on a telephone")

    def on_key(self, key: str) -> None:
        self.keys.append(key)

    def on_talk_key(self, held: bool) -> None:
        raise AssertionError("a telephone has no such key")

    def on_heard(self, frames: int) -> None:
        self.heard.append(frames)

    def on_hold(self, held: bool) -> None: ...
    def on_return(self) -> None: ...

    def on_machine(self, message: str) -> None:
        self.machine.append(message)

    def hang_up(self, reason: str) -> None:
        self.hung_up.append(reason)
        if self._task is None:
            self._task = asyncio.create_task(self._close(reason))

    async def wait_closed(self) -> None:
        await self.closed.wait()

    async def _close(self, reason: str) -> None:
        await self.call.close(reason)
        self.closed.set()


class LineHost:
    """A supervisor of such sessions."""

    def __init__(self, greeting: int = 0, max_calls: int = 1000) -> None:
        known = {"name": "there"}
        self.agents: Mapping[str, Any] = {
            name: SimpleNamespace(
                config=SimpleNamespace(name=name, greeting="Hello.", variables=known)
            )
            for name in ("Cafe", "Clinic")
        }
        self.ready, self.max_calls, self.greeting = True, max_calls, greeting
        self.sessions: list[LineSession] = []

    @property
    def active_calls(self) -> int:
        return sum(not one.closed.is_set() for one in self.sessions)

    def check(self, agent: str | None) -> str:
        if self.active_calls >= self.max_calls:
            raise CapacityError("All lines are in use; try again in a few minutes.")
        if agent is not None and agent not in self.agents:
            raise UserFacingError("There is no such agent.")
        return agent or "Cafe"

    async def start_call(self, call: Call, agent: str | None) -> LineSession:
        session = LineSession(call, f"call_{len(self.sessions) + 1}", self.check(agent))
        session.say(self.greeting)
        self.sessions.append(session)
        return session

    async def start(self) -> None: ...

    async def drain(self, timeout_s: float) -> None: ...


def start_message(token: str, call_sid: str = "CA1", stream_sid: str = "MZ1") -> str:
    """The `start` of a stream of Twilio's."""
    start = {
        "streamSid": stream_sid,
        "accountSid": "AC1",
        "callSid": call_sid,
        "tracks": ["inbound"],
        "customParameters": {"token": token} if token else {},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    value = {"event": "start", "sequenceNumber": "1", "streamSid": stream_sid, "start": start}
    return json.dumps(value)


def media_message(payload: bytes, chunk: int = 1) -> str:
    """20 ms of the caller, or whatever."""
    media = {
        "track": "inbound",
        "chunk": str(chunk),
        "timestamp": str(chunk * 20),
        "payload": base64.b64encode(payload).decode(),
    }
    value = {"event": "media", "sequenceNumber": str(chunk + 1), "streamSid": "MZ1", "media": media}
    return json.dumps(value)


CONNECTED = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
STOP = json.dumps(
    {"event": "stop", "sequenceNumber": "9", "streamSid": "MZ1", "stop": {"callSid": "CA1"}}
)
