"""A supervisor without an agent: it answers whatever it hears with a tone and a line of text, or
does not.

Enough of a conversation to prove channels, server and page without speech recognition.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from antiphon.audio.levels import rms_dbfs
from antiphon.channels.base import Call, DistantCall
from antiphon.errors import CapacityError, UserFacingError
from antiphon.session.screen import Screen
from antiphon.types import FRAME_MS

TONE_HZ = 440.0
SPEECH_DBFS = -45.0
PAUSE_FRAMES = 25
WORD_FRAMES = 12


@dataclass(frozen=True, slots=True)
class FakeConfig:
    name: str
    greeting: str


@dataclass(frozen=True, slots=True)
class FakeAgent:
    config: FakeConfig


@dataclass(slots=True)
class FakeSession:
    """One call: a level detector, and a voice that hums its words."""

    call: Call
    call_id: str
    agent: str
    talks: bool = True
    heard_frames: int = 0
    heard: bytearray = field(default_factory=bytearray)
    texts: list[str] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    words: deque[str] = field(default_factory=deque)
    frames: deque[bytes] = field(default_factory=deque)
    spoken: str = ""
    speaking: bool = False
    keys: list[str] = field(default_factory=list)
    talk_keys: list[bool] = field(default_factory=list)
    holds: list[bool] = field(default_factory=list)
    heard_by_caller: int = 0
    returns: int = 0
    quiet_frames: int = 0
    responses: int = 0
    items: int = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    screen: Screen = field(init=False)

    def __post_init__(self) -> None:
        self.screen = Screen(self.call.notify)

    @property
    def output_rate_hz(self) -> int:
        return self.call.output_rate_hz

    def begin(self, greeting: str) -> None:
        session = {
            "id": self.call_id,
            "agent": {"name": self.agent},
            "channel": self.call.channel,
            "turn_mode": "automatic",
        }
        self.screen.tell({"type": "session.created", "session": session})
        self._say(greeting)

    def on_audio(self, pcm: bytes) -> None:
        assert len(pcm) == 640
        self.heard_frames += 1
        self.heard += pcm
        if rms_dbfs(pcm) > SPEECH_DBFS:
            self.quiet_frames = 0
            if not self.speaking:
                self._speech_started()
        elif self.speaking:
            self.quiet_frames += 1
            if self.quiet_frames >= PAUSE_FRAMES:
                self._speech_stopped()

    def read_frame(self) -> bytes | None:
        if not self.frames:
            return None
        frame = self.frames.popleft()
        if len(self.frames) % WORD_FRAMES == 0 and self.words:
            self._heard_word()
        if not self.frames:
            self._finish("completed")
        return frame

    def on_text(self, text: str) -> None:
        self.texts.append(text)
        self.items += 1
        self.screen.tell(self._transcript(text))
        self._interrupt()
        self._say(f"You wrote {text}.")

    def on_key(self, key: str) -> None:
        self.keys.append(key)

    def on_talk_key(self, held: bool) -> None:
        self.talk_keys.append(held)

    def on_heard(self, frames: int) -> None:
        self.heard_by_caller = frames

    def on_hold(self, held: bool) -> None:
        self.holds.append(held)

    def on_return(self) -> None:
        self.returns += 1
        self.screen.again()

    def hang_up(self, reason: str) -> None:
        self.hung_up.append(reason)
        if len(self.hung_up) == 1:
            self.tasks.append(asyncio.create_task(self._close(reason)))

    async def wait_closed(self) -> None:
        await self.closed.wait()

    async def _close(self, reason: str) -> None:
        self.screen.tell({"type": "antiphon.session.ended", "reason": reason})
        await self.call.close(reason)
        self.closed.set()

    def _speech_started(self) -> None:
        self.speaking = True
        self.items += 1
        at_ms = self.heard_frames * FRAME_MS
        started = {"audio_start_ms": at_ms, "item_id": f"item_{self.items}"}
        self.screen.tell({"type": "input_audio_buffer.speech_started", **started})
        self._interrupt()
        self._state("speaking", "listening")

    def _speech_stopped(self) -> None:
        self.speaking = False
        at_ms = self.heard_frames * FRAME_MS
        stopped = {"audio_end_ms": at_ms, "item_id": f"item_{self.items}"}
        self.screen.tell({"type": "input_audio_buffer.speech_stopped", **stopped})
        self.screen.tell(self._transcript("something was said"))
        self._say("I heard that you said something, and I am happy to hum about it for a while.")

    def _transcript(self, text: str) -> dict[str, Any]:
        kind = "conversation.item.input_audio_transcription.completed"
        return {"type": kind, "item_id": f"item_{self.items}", "transcript": text}

    def _state(self, user: str, agent: str) -> None:
        self.screen.tell({"type": "antiphon.state", "user": user, "agent": agent})

    def _say(self, text: str) -> None:
        if not self.talks:
            return
        self.responses += 1
        self.spoken = ""
        response = {"id": f"resp_{self.responses}", "status": "in_progress"}
        self.screen.tell({"type": "response.created", "response": response})
        self._state("listening", "speaking")
        self.words = deque(text.split())
        if not self.call.has_audio:
            while self.words:
                self._heard_word()
            self._finish("completed")
            return
        samples = self.output_rate_hz * FRAME_MS // 1000
        count = len(self.words) * WORD_FRAMES
        phase = np.arange(samples * count) * (2 * math.pi * TONE_HZ / self.output_rate_hz)
        pcm = (np.sin(phase) * 8000).astype("<i2").tobytes()
        size = samples * 2
        self.frames = deque(pcm[i * size : (i + 1) * size] for i in range(count))

    def _heard_word(self) -> None:
        word = self.words.popleft() + (" " if self.words else "")
        self.spoken += word
        delta = {"response_id": f"resp_{self.responses}", "delta": word}
        self.screen.tell({"type": "response.output_audio_transcript.delta", **delta})

    def _interrupt(self) -> None:
        if self.frames:
            self.frames.clear()
            self.words.clear()
            if isinstance(self.call, DistantCall):
                self.call.clear()
            self._finish("cancelled")

    def _finish(self, status: str) -> None:
        ident = f"resp_{self.responses}"
        done = {"response_id": ident, "transcript": self.spoken.strip()}
        self.screen.tell({"type": "response.output_audio_transcript.done", **done})
        reason = "turn_detected" if status == "cancelled" else ""
        response = {"id": ident, "status": status, "status_details": {"reason": reason}}
        self.screen.tell({"type": "response.done", "response": response})
        self._state("listening", "listening")


class FakeHost:
    """What `antiphon.server` and the channels want of a supervisor."""

    def __init__(self, max_calls: int = 10, *, talks: bool = True) -> None:
        self.agents: Mapping[str, Any] = {
            "Cafe": FakeAgent(FakeConfig("Cafe", "Hello, this is the cafe.")),
            "Clinic": FakeAgent(FakeConfig("Clinic", "Good morning, this is the clinic.")),
        }
        self.max_calls = max_calls
        self.talks = talks
        self.ready = True
        self.sessions: list[FakeSession] = []
        self.started = 0
        self.drained: list[float] = []

    @property
    def active_calls(self) -> int:
        return sum(not session.closed.is_set() for session in self.sessions)

    @property
    def has_room(self) -> bool:
        return self.ready and self.active_calls < self.max_calls

    def check(self, agent: str | None) -> str:
        if not self.ready:
            raise CapacityError("The server is stopping; call again in a moment.")
        if agent is not None and agent not in self.agents:
            raise UserFacingError(f"There is no agent {agent!r}; there are Cafe and Clinic.")
        if self.active_calls >= self.max_calls:
            raise CapacityError(f"All {self.max_calls} lines are busy; try again shortly.")
        return agent or "Cafe"

    async def start_call(self, call: Call, agent: str | None) -> FakeSession:
        name = self.check(agent)
        session = FakeSession(call, f"call_{len(self.sessions) + 1}", name, talks=self.talks)
        self.sessions.append(session)
        session.begin(self.agents[name].config.greeting)
        return session

    async def start(self) -> None:
        self.started += 1

    async def drain(self, timeout_s: float) -> None:
        self.ready = False
        self.drained.append(timeout_s)
        for session in self.sessions:
            session.hang_up("server stopped")
        for session in self.sessions:
            await session.wait_closed()
