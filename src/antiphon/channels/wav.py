"""Calls from recordings: one or more audio files play the caller, and both sides are recorded.

One loop owns the clock: each step hands 20 ms of the caller to the session, takes 20 ms of the
agent and writes both, so that the recording has them exactly as they overlapped. With a
`StreamClock` the loop runs as fast as the machine computes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.channels.base import CallIO
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

SETTLE_DEADLINE_S = 30.0
FASTEST = 10
"""Times real time: a recogniser that follows the words must be able to keep up."""
_SILENCE = bytes(FRAME_BYTES)


class Recording(Protocol):
    """Where both sides are written, 20 ms at a time."""

    def write(self, caller: bytes, agent: bytes) -> None: ...


class SteppedSession(CallIO, Protocol):
    """What this channel needs of a session beyond CallIO."""

    @property
    def busy(self) -> bool: ...


class WavCall:
    """The channel's side of a call from recordings."""

    channel = "wav"
    output_rate_hz = INPUT_RATE_HZ
    has_audio = True

    def __init__(self, on_notice: Callable[[dict[str, Any]], None]) -> None:
        self._on_notice = on_notice
        self.ended = asyncio.Event()
        self.agent_idle = True

    def notify(self, event: dict[str, Any]) -> None:
        """Keep what the loop needs to know, and pass it on."""
        if event["type"] == "antiphon.state":
            self.agent_idle = event["agent"] == "listening"
        self._on_notice(event)

    async def close(self, reason: str) -> None:
        self.ended.set()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played when.

    Each recording begins `lead_ms` after the agent has finished speaking (the first one: after the
    greeting), or, with `barge_in_ms`, so long after the agent's first sound, whatever it says. One
    that is not answered is waited for `linger_ms`, and so is the end of the call after the agent's
    last word.
    """

    recordings: Sequence[bytes]
    lead_ms: int = 400
    linger_ms: int = 2500
    barge_in_ms: int | None = None
    longest_ms: int | None = None

    @property
    def limit_ms(self) -> int:
        """`longest_ms`, else the length of the recordings and ten minutes for the agent."""
        if self.longest_ms is not None:
            return self.longest_ms
        return sum(map(len, self.recordings)) // FRAME_BYTES * FRAME_MS + 600_000


class WavDriver:
    """Plays a plan through a session.

    `reply` is asked for a further recording each time the agent has finished and nothing of the
    plan is left; None ends the call.
    """

    def __init__(
        self,
        plan: Plan,
        call: WavCall,
        recording: Recording | None,
        reply: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        self._plan, self._call, self._recording, self._reply = plan, call, recording, reply
        self._waiting = deque(plan.recordings)
        self._current = b""
        self._at = 0
        self._first = True
        self._patience_s = SETTLE_DEADLINE_S
        self._quiet_ms = 0
        self._sounding_ms = 0

    async def run(self, session: SteppedSession, advance: Callable[[int], None] | None) -> None:
        """Until the plan is played and answered, or the agent hangs up.

        Args:
            advance: moves the session's StreamClock; None runs in real time.
        """
        loop = asyncio.get_running_loop()
        start_s, steps, limit_ms = loop.time(), 0, self._plan.limit_ms
        while not self._call.ended.is_set() and steps * FRAME_MS < limit_ms:
            caller = self._next_frame()
            session.on_audio(caller)
            agent = session.read_frame()
            if self._recording is not None:
                self._recording.write(caller, agent or _SILENCE)
            self._note(agent)
            steps += 1
            if self._finished():
                break
            if advance is None:
                await asyncio.sleep(max(0.0, start_s + steps * FRAME_MS / 1000 - loop.time()))
            else:
                await self._settle(session)
                advance(FRAME_MS)
        session.hang_up("the recording is over")
        await session.wait_closed()

    async def _settle(self, session: SteppedSession) -> None:
        """Let everything that is being computed come to its end: it costs no stream time."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._patience_s
        await asyncio.sleep(FRAME_MS / 1000 / FASTEST)
        while session.busy and loop.time() < end_s:  # noqa: ASYNC110 (many sources)
            await asyncio.sleep(0.0005)
        # What hangs is waited for once; then time must go on, for its deadline to come.
        self._patience_s = 0.0 if session.busy else SETTLE_DEADLINE_S

    def _next_frame(self) -> bytes:
        if not self._current and not self._waiting and self._may_begin():
            more = self._reply()
            if more is not None:
                self._waiting.append(more)
        if not self._current and self._waiting and self._may_begin():
            self._current, self._at = self._waiting.popleft(), 0
            self._first = False
        if not self._current:
            return _SILENCE
        frame = self._current[self._at : self._at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0")
        self._at += FRAME_BYTES
        if self._at >= len(self._current):
            self._current = b""
            self._quiet_ms = self._sounding_ms = 0
        return frame

    def _may_begin(self) -> bool:
        barge_in_ms = self._plan.barge_in_ms
        if barge_in_ms is not None and self._sounding_ms >= barge_in_ms:
            return True
        # Between a recording and its answer nobody makes a sound either.
        answered = self._first or self._sounding_ms > 0
        return self._quiet_ms >= (self._plan.lead_ms if answered else self._plan.linger_ms)

    def _note(self, agent: bytes | None) -> None:
        if agent is not None:
            self._sounding_ms += FRAME_MS
        if agent is not None or self._current or not self._call.agent_idle:
            self._quiet_ms = 0
        else:
            self._quiet_ms += FRAME_MS

    def _finished(self) -> bool:
        played = not self._current and not self._waiting
        return played and self._quiet_ms >= self._plan.linger_ms
