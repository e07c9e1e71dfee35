"""The far end's buffer: it plays what it was sent in real time, and tells where it is by marks.

Time is exact, not in steps: what arrives is played when everything before it is over, or at once.
Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from antiphon.bench.phone_wire import sounds

PAUSE_MS = 600
"""Sound after a longer silence is another answer; a shorter silence was a gap in this one."""
STALL_MS = 200
_PER_MS = 8
_SILENCE = b"\xff"


@dataclass(slots=True)
class Answer:
    """Sound without a long pause. Times are in ms of the call, by arrival."""

    first_ms: float
    sound_ms: float = 0.0
    """How much sound of it has arrived."""
    ends_ms: float = 0.0
    """When the last of it is played."""
    gaps_ms: list[float] = field(default_factory=list)
    """Silences in it because nothing was there to be played."""
    late_ms: list[float] = field(default_factory=list)
    """Of each message: how much later it came than at the pace of the first; 0 when it was early.
    """
    cleared_ms: float | None = None

    def heard_ms(self, now_ms: float) -> float:
        """How much sound of it has been played."""
        return max(0.0, self.sound_ms - max(0.0, self.ends_ms - now_ms))


class Playout:
    """See the module. `track` gathers what was heard, mu-law from the beginning of the call, where
    it is wanted."""

    def __init__(self, *, record: bool = False) -> None:
        self.answers: list[Answer] = []
        self.max_buffered_ms = 0.0
        self.track = bytearray() if record else None
        self._ends_ms = 0.0
        self._pace_ms = 0.0
        self._marks: deque[tuple[float, str]] = deque()

    def push(self, payload: bytes, now_ms: float) -> bool:
        """Audio has arrived; whether it begins an answer."""
        length_ms = len(payload) / _PER_MS
        ran_dry_ms = now_ms - self._ends_ms
        begins_ms = max(self._ends_ms, now_ms)
        self._ends_ms = begins_ms + length_ms
        self.max_buffered_ms = max(self.max_buffered_ms, self._ends_ms - now_ms)
        self._write(payload, begins_ms)
        late_ms = now_ms - self._pace_ms
        # After a longer silence the pace is a new one.
        self._pace_ms = length_ms + (now_ms if late_ms >= STALL_MS else self._pace_ms)
        if not sounds(payload):
            return False
        answer = self.answers[-1] if self.answers else None
        new = (
            answer is None
            or answer.cleared_ms is not None
            or begins_ms - answer.ends_ms >= PAUSE_MS
        )
        if answer is None or new:
            answer = Answer(now_ms)
            self.answers.append(answer)
            self._pace_ms, late_ms = now_ms + length_ms, 0.0
        elif ran_dry_ms > 0.0:
            answer.gaps_ms.append(ran_dry_ms)
        answer.late_ms.append(max(0.0, late_ms))
        answer.sound_ms += length_ms
        answer.ends_ms = self._ends_ms
        return new

    def mark(self, name: str, now_ms: float) -> None:
        """A mark behind everything that has arrived."""
        self._marks.append((max(now_ms, self._ends_ms), name))

    def clear(self, now_ms: float) -> list[str]:
        """Drop what was not played; returns the marks that went with it, in order."""
        if self.track is not None:
            del self.track[int(now_ms * _PER_MS) :]
        self._ends_ms = min(self._ends_ms, now_ms)
        if self.answers and self.answers[-1].cleared_ms is None:
            answer = self.answers[-1]
            answer.sound_ms = answer.heard_ms(now_ms)
            answer.ends_ms = min(answer.ends_ms, now_ms)
            answer.cleared_ms = now_ms
        dropped = [name for _, name in self._marks]
        self._marks.clear()
        return dropped

    def passed(self, now_ms: float) -> list[str]:
        """Marks whose sound is over since the last time, in order."""
        names = []
        while self._marks and self._marks[0][0] <= now_ms:
            names.append(self._marks.popleft()[1])
        return names

    def speaks(self, now_ms: float) -> bool:
        """Whether the agent is audible."""
        return bool(self.answers) and self.answers[-1].ends_ms > now_ms

    def silent_ms(self, now_ms: float) -> float:
        """How long nothing was audible; since the call's beginning where nothing ever was."""
        return max(0.0, now_ms - (self.answers[-1].ends_ms if self.answers else 0.0))

    def _write(self, payload: bytes, begins_ms: float) -> None:
        if self.track is None:
            return
        missing = int(begins_ms * _PER_MS) - len(self.track)
        self.track += _SILENCE * max(0, missing)
        self.track += payload
