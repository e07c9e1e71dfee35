"""One caller on one stream: what to send in the next 20 ms, and what was measured. Pure: the time
comes in, messages go out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

from antiphon.bench.phone_impair import Impairments, Weather
from antiphon.bench.phone_playout import Playout
from antiphon.bench.phone_speech import SILENCE, Plan, Speech, Turn
from antiphon.bench.phone_wire import (
    MAX_BUFFERED_MS,
    Audio,
    ClearWanted,
    MarkWanted,
    Said,
    Unreadable,
)

FRAME_MS = 20
KEY_EVERY_MS = 160
GIVE_UP_MS = 1000
SILENT_MS = 240
LONGEST_LIST = 20
_MOST_FRAMES = 10


@dataclass(slots=True)
class Measured:
    """What one call gave, in ms."""

    first_audio_ms: list[float] = field(default_factory=list)
    """Of each turn that was answered: from the caller's last sound to the agent's first."""
    clear_ms: list[float] = field(default_factory=list)
    """Of each interruption: from the caller's first sound to `clear`."""
    silent_ms: list[float] = field(default_factory=list)
    """Of each of those: to the end of the agent's sound, which may have stopped before."""
    cleared: list[tuple[float, float]] = field(default_factory=list)
    """Of each `clear` that dropped an answer: when, and how much of the answer had been heard."""
    turns: int = 0
    unanswered: int = 0
    not_cleared: int = 0
    """The caller spoke over the agent, and no `clear` came until a second after."""
    audio_after_clear: int = 0
    """Messages of sound that came after a `clear` while the caller was still speaking."""
    marks: int = 0
    marks_dropped: int = 0
    marks_lost: int = 0
    late_marks_ms: list[float] = field(default_factory=list)
    protocol_errors: list[str] = field(default_factory=list)
    ended: str = ""

    def broke(self, complaint: str) -> None:
        """The server wrote what Twilio does not accept."""
        if len(self.protocol_errors) < LONGEST_LIST:
            self.protocol_errors.append(complaint)


class Writes(Protocol):
    """What a caller needs of a line; `phone_wire.Line` is one. One that does not `tells_clear` has
    interruptions measured to the silence alone."""

    @property
    def tells_clear(self) -> bool: ...
    def connected(self) -> str: ...
    def start(self) -> str: ...
    def media(self, payload: str, at_ms: int) -> str: ...
    def lost(self) -> None: ...
    def dtmf(self, digit: str) -> str: ...
    def mark(self, name: str) -> str: ...
    def stop(self) -> str: ...


class Reads(Protocol):
    """And of one that has messages to be read."""

    def read(self, message: str | bytes) -> Said: ...


class SimCall:
    """See the module.

    Args:
        line: writes the messages, and reads them where any come to `receive`.
        plan: what the caller does.
        impairments: how bad the line is, drawn by `seed` and the number of the call.
        record: keep what both sides heard; `said` and `playout.track`, both mu-law.
    """

    def __init__(
        self,
        line: Writes,
        plan: Plan,
        impairments: Impairments | None = None,
        *,
        seed: int = 0,
        number: int = 0,
        record: bool = False,
    ) -> None:
        self.measured = Measured()
        self.playout = Playout(record=record)
        self.said: list[str] | None = [] if record else None
        self._line, self._plan = line, plan
        self._weather = Weather(impairments or Impairments(), seed, number)
        self._turns = deque(plan.turns)
        self._speaking: Speech | None = None
        self._at = 0
        self._frames = 0
        self._keys = deque(plan.keys)
        self._keys_from_ms: float | None = None
        self._onset_ms: float | None = None  # over the agent's voice, until `clear`
        self._cleared_now = False
        self._waits_since_ms: float | None = None  # for an answer
        self._outgoing: deque[tuple[float, Literal["media", "lost", "key"], str]] = deque()
        self._marks: deque[tuple[float, str]] = deque()

    @property
    def over(self) -> bool:
        """Whether the caller has hung up."""
        return bool(self.measured.ended)

    def open(self) -> list[str]:
        """The first messages."""
        return [self._line.connected(), self._line.start()]

    def end(self, reason: str) -> list[str]:
        """Hang up; the last messages. What comes first is the reason."""
        if self.over:
            return []
        self.measured.ended = reason
        if self._waits_since_ms is not None:
            self.measured.unanswered += 1
        if self._onset_ms is not None:
            self.measured.not_cleared += 1
        return [self._line.stop()]

    # ---- what the server says --------------------------------------------------------------

    def receive(self, message: str | bytes, now_ms: float) -> None:
        """A message has arrived."""
        if self.over:
            return
        try:
            said = cast("Reads", self._line).read(message)
        except Unreadable as error:
            self.measured.broke(str(error))
            return
        match said:
            case Audio(payload):
                self.hear(payload, now_ms)
            case MarkWanted(name):
                self.playout.mark(name, now_ms)
            case ClearWanted():
                self._clear(now_ms)

    def hear(self, payload: bytes, now_ms: float) -> None:
        """Sound of the agent has arrived: mu-law at 8 kHz."""
        if self.over:
            return
        sounded = len(self.playout.answers) and self.playout.answers[-1].sound_ms
        new = self.playout.push(payload, now_ms)
        if self.playout.max_buffered_ms > MAX_BUFFERED_MS:
            self.measured.broke("more than ten minutes buffered")
        speech = self._speaking
        if self._cleared_now and speech is not None and self._at <= speech.last:
            more = new or self.playout.answers[-1].sound_ms > sounded
            self.measured.audio_after_clear += more
        if new and self._waits_since_ms is not None:
            self.measured.first_audio_ms.append(now_ms - self._waits_since_ms)
            self._waits_since_ms = None

    def _clear(self, now_ms: float) -> None:
        spoke = self.playout.speaks(now_ms)
        ended_ms = now_ms if spoke else now_ms - self.playout.silent_ms(now_ms)
        dropped = self.playout.clear(now_ms)
        self.measured.marks_dropped += len(dropped)
        for name in dropped:
            self._send_back(name, now_ms)
        if spoke:
            self.measured.cleared.append((now_ms, self.playout.answers[-1].sound_ms))
        if self._onset_ms is not None:
            self.measured.clear_ms.append(now_ms - self._onset_ms)
            self.measured.silent_ms.append(max(0.0, ended_ms - self._onset_ms))
            self._onset_ms = None
            self._cleared_now = True

    # ---- what the caller says --------------------------------------------------------------

    def tick(self, now_ms: float) -> list[str]:
        """What goes out now; call it every 20 ms, or later. Ends the call when it is time."""
        if self.over:
            return []
        due = min(_MOST_FRAMES, int(now_ms / FRAME_MS) - self._frames)
        for _ in range(due):
            self._step(now_ms)
        # A caller whose machine stood still speaks on from now.
        self._frames = max(self._frames, int(now_ms / FRAME_MS))
        messages = self._due(now_ms)
        if not self.over and self._finished(now_ms):
            messages += self.end("the caller was done")
        if not self.over and now_ms >= self._plan.limit_ms:
            messages += self.end("the caller hung up")
        return messages

    def _step(self, now_ms: float) -> None:
        self._press(now_ms)
        if self._speaking is None and self._turns and not self._keys and self._may_begin(now_ms):
            self._begin(self._turns.popleft())
        payload = self._next_frame(now_ms)
        if self.said is not None:
            self.said.append(payload)
        delay_ms = self._weather.frame_delay_ms()
        if delay_ms is None:
            self._outgoing.append((now_ms, "lost", ""))
        else:
            self._outgoing.append((now_ms + delay_ms, "media", payload))

    def _begin(self, turn: Turn) -> None:
        self._speaking, self._at = turn.speech, 0
        self._cleared_now = False
        self.measured.turns += 1
        if self._waits_since_ms is not None:
            self.measured.unanswered += 1
            self._waits_since_ms = None
        if self._plan.repeat:
            self._turns.append(turn)

    def _next_frame(self, now_ms: float) -> str:
        speech = self._speaking
        if speech is None:
            return SILENCE
        at = self._at
        self._at += 1
        # A frame holds the 20 ms before it is sent.
        if at == speech.first and self.playout.speaks(now_ms):
            self._onset_ms = now_ms - FRAME_MS
        if at == speech.last:
            self._waits_since_ms = now_ms
        if self._at == len(speech.frames):
            self._speaking = None
        return speech.frames[at]

    def _may_begin(self, now_ms: float) -> bool:
        barge_in_ms = self._turns[0].barge_in_ms
        answers = self.playout.answers
        answered = bool(answers) and self._waits_since_ms is None
        if answered and barge_in_ms is not None and self.playout.speaks(now_ms):
            return answers[-1].heard_ms(now_ms) >= barge_in_ms
        return self._waited(now_ms, self._plan.lead_ms)

    def _waited(self, now_ms: float, after_answer_ms: float) -> bool:
        silent_ms = self.playout.silent_ms(now_ms)
        if self._waits_since_ms is not None:
            return min(silent_ms, now_ms - self._waits_since_ms) >= self._plan.patience_ms
        return silent_ms >= (after_answer_ms if self.playout.answers else self._plan.patience_ms)

    def _press(self, now_ms: float) -> None:
        if not self._keys or self._speaking is not None:
            return
        if self._keys_from_ms is None:
            if not self._waited(now_ms, self._plan.lead_ms):
                return
            self._keys_from_ms = now_ms
        if now_ms >= self._keys_from_ms:
            self._keys_from_ms += KEY_EVERY_MS
            self._outgoing.append((now_ms, "key", self._keys.popleft()))

    def _finished(self, now_ms: float) -> bool:
        if self._turns or self._speaking is not None or self._keys or not self._plan.turns:
            return False
        return self._waited(now_ms, self._plan.linger_ms)

    # ---- sending ---------------------------------------------------------------------------

    def _due(self, now_ms: float) -> list[str]:
        for name in self.playout.passed(now_ms):
            self._send_back(name, now_ms)
        messages = []
        while self._outgoing and self._outgoing[0][0] <= now_ms:
            _, kind, what = self._outgoing.popleft()
            if kind == "media":
                messages.append(self._line.media(what, int(now_ms)))
            elif kind == "key":
                messages.append(self._line.dtmf(what))
            else:
                self._line.lost()
        while self._marks and self._marks[0][0] <= now_ms:
            messages.append(self._line.mark(self._marks.popleft()[1]))
            self.measured.marks += 1
        if self._onset_ms is not None:
            self._judge(self._onset_ms, now_ms)
        return messages

    def _judge(self, onset_ms: float, now_ms: float) -> None:
        """An interruption that no `clear` has come for."""
        silent_ms = self.playout.silent_ms(now_ms)
        if not self._line.tells_clear and silent_ms >= SILENT_MS:
            self.measured.silent_ms.append(max(0.0, now_ms - silent_ms - onset_ms))
            # What the agent says next is another answer.
            self.playout.clear(now_ms)
        elif self._is_past_clearing(now_ms):
            self.measured.not_cleared += 1
        else:
            return
        self._onset_ms = None

    def _is_past_clearing(self, now_ms: float) -> bool:
        since_ms = self._waits_since_ms
        return since_ms is not None and now_ms - since_ms > GIVE_UP_MS

    def _send_back(self, name: str, now_ms: float) -> None:
        delay_ms = self._weather.mark_delay_ms()
        if delay_ms is None:
            self.measured.marks_lost += 1
            return
        if delay_ms:
            self.measured.late_marks_ms.append(delay_ms)
        # They stay in order, as they share one connection.
        last_ms = self._marks[-1][0] if self._marks else 0.0
        self._marks.append((max(last_ms, now_ms + delay_ms), name))
