"""The caller's turn: speech and transcript -> when it is over, and what was said.

A turn is made of *parts*: an utterance of at most `max_utterance_ms` each, the text of a turn that
was reopened, or typed text.
"""

from __future__ import annotations

from enum import Enum

from antiphon.engine.commands import BeginUtterance, Command, EndUtterance, FinalizeUtterance
from antiphon.engine.policy import Endpointing


class Phase(Enum):
    """What the caller's turn is doing."""

    IDLE = "idle"  # no turn
    SPEAKING = "speaking"  # voice activity
    QUIET = "quiet"  # a pause, or the end


class _Part:
    __slots__ = (
        "answered",
        "begun_ms",
        "complete",
        "confidence",
        "ended",
        "needed",
        "revision",
        "text",
        "utterance_id",
    )

    def __init__(self, utterance_id: int, begun_ms: int) -> None:
        self.utterance_id, self.begun_ms = utterance_id, begun_ms
        self.revision = 0  # of the newest FinalizeUtterance
        self.needed = 0  # without it the turn does not end; later ones only saw a blip
        self.answered = 0  # revision of the newest final transcript
        self.text = ""
        self.confidence = 1.0
        self.ended = utterance_id == 0  # nothing is transcribed for it any more
        self.complete: float | None = None

    @property
    def final(self) -> bool:
        return self.answered >= self.needed


class UserTurn:
    """The turn under way. `out` collects the commands."""

    __slots__ = (
        "_burst_ms",
        "_next_utterance",
        "_parts",
        "_policy",
        "_turns",
        "out",
        "phase",
        "source",
        "speech_end_ms",
        "speech_start_ms",
        "turn_id",
    )

    def __init__(self, policy: Endpointing, out: list[Command]) -> None:
        self._policy, self.out = policy, out
        self._next_utterance = 1
        self._turns = 0
        self._burst_ms = 0  # when the caller began to sound last
        self._parts: list[_Part] = []
        self.turn_id = 0
        self.phase = Phase.IDLE
        self.source = "speech"
        self.speech_start_ms = 0
        self.speech_end_ms = 0

    # ---- what happened ---------------------------------------------------------------------

    def speech_started(self, speech_at_ms: int) -> None:
        """Voice activity began: a new turn, or the one under way goes on."""
        if self.phase is Phase.IDLE:
            self._open(speech_at_ms)
        if not self._parts or self._parts[-1].utterance_id == 0:
            self._begin_part(speech_at_ms)
        self._burst_ms = speech_at_ms
        self.phase = Phase.SPEAKING

    def speech_stopped(self, speech_at_ms: int) -> None:
        """Voice activity ended; the final transcript is asked for inside the pause."""
        self.phase = Phase.QUIET
        part = self._parts[-1]
        blip = part.needed > 0 and speech_at_ms - self._burst_ms < self._policy.blip_ms
        self._finalize(part, needed=not blip)
        if not blip:
            self.speech_end_ms = max(speech_at_ms, self.speech_start_ms)

    def partial(self, utterance_id: int, text: str, complete: float | None) -> bool:
        """A partial transcript. False when it is stale."""
        part = self._find(utterance_id)
        if part is None:
            return False
        going_on = self.phase is Phase.SPEAKING and part is self._parts[-1]
        if part.final and part.revision and not going_on:
            return False  # the final transcript of all that was said is in
        part.text, part.complete = text, complete
        return True

    def completed(
        self, utterance_id: int, revision: int, text: str, confidence: float, complete: float | None
    ) -> bool:
        """A final transcript. False when it is stale."""
        part = self._find(utterance_id)
        if part is None or revision <= part.answered or revision > part.revision:
            return False
        part.answered = revision
        part.text, part.confidence, part.complete = text, confidence, complete
        if part is not self._parts[-1] and part.answered == part.revision:
            self._end_part(part)
        return True

    def typed(self, text: str, at_ms: int) -> None:
        """Typed text: final at once."""
        if self.phase is Phase.IDLE:
            self._open(at_ms)
            self.phase, self.speech_end_ms = Phase.QUIET, at_ms
        self.source = "text"
        self._add_final_part(text, at_ms)

    def reopen(self, turn_id: int, text: str) -> None:
        """The turn just answered goes on: its words come before those under way."""
        self.turn_id = turn_id
        part = _Part(0, self.speech_start_ms)
        part.text = text
        self._parts.insert(0, part)

    def roll(self, at_ms: int) -> None:
        """The utterance is long: pass it on, and go on with a new one."""
        self._finalize(self._parts[-1])
        self._begin_part(at_ms)

    def close(self) -> None:
        """The turn is over. Speech that goes on belongs to a new turn, from now on."""
        for part in self._parts:
            self._end_part(part)
        self._parts = []
        self.source = "speech"
        self.phase = Phase.IDLE

    def restart(self, at_ms: int) -> None:
        """Close the turn while the caller is still speaking; what follows is a new turn."""
        speaking = self.phase is Phase.SPEAKING
        self.close()
        if speaking:
            self.speech_started(at_ms)

    # ---- what is known ---------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The words so far."""
        return " ".join(p.text for p in self._parts if p.text)

    def believed(self, least: float) -> str:
        """The words of the parts that are at least so certain."""
        return " ".join(p.text for p in self._parts if p.text and p.confidence >= least)

    @property
    def final(self) -> bool:
        """Whether the transcript of everything said so far is in."""
        return all(p.final for p in self._parts)

    def voiced_ms(self, now_ms: int) -> int:
        """From the turn's first sound to its last, or to now."""
        end_ms = now_ms if self.phase is Phase.SPEAKING else self.speech_end_ms
        return end_ms - self.speech_start_ms

    def due_ms(self) -> int | None:
        """When the turn is over, by what is known now; None while the caller speaks."""
        if self.phase is not Phase.QUIET:
            return None
        if not self.final:
            return self.speech_end_ms + self._policy.stt_deadline_ms
        if self.source == "text":
            return self.speech_end_ms
        return self.speech_end_ms + self.wait_ms()

    def wait_ms(self) -> int:
        """How long a pause must be to end the turn: continuous in the likelihood that the phrase
        is complete, between `max_ms` (0), `unknown_ms` (0.5) and `min_ms` (1)."""
        policy = self._policy
        complete = self._parts[-1].complete
        if complete is None or not self._parts[-1].text:
            return policy.unknown_ms
        if complete >= 0.5:
            share = (complete - 0.5) * 2
            return round(policy.unknown_ms + (policy.min_ms - policy.unknown_ms) * share)
        return round(policy.max_ms + (policy.unknown_ms - policy.max_ms) * complete * 2)

    def roll_ms(self) -> int | None:
        """When the utterance under way has to be passed on."""
        if self.phase is not Phase.SPEAKING:
            return None
        return self._parts[-1].begun_ms + self._policy.max_utterance_ms

    # ---- parts -----------------------------------------------------------------------------

    def _open(self, at_ms: int) -> None:
        self._turns += 1
        self.turn_id = self._turns
        self.speech_start_ms = self.speech_end_ms = at_ms
        self.source = "speech"

    def _begin_part(self, at_ms: int) -> None:
        part = _Part(self._next_utterance, at_ms)
        self._next_utterance += 1
        self._parts.append(part)
        self.out.append(BeginUtterance(part.utterance_id, at_ms))

    def _add_final_part(self, text: str, at_ms: int) -> None:
        part = _Part(0, at_ms)
        part.text = text
        # The utterance under way stays the last part: it is the one that goes on.
        under_way = self.phase is Phase.SPEAKING
        self._parts.insert(len(self._parts) - under_way, part)

    def _end_part(self, part: _Part) -> None:
        if not part.ended:
            part.ended = True
            self.out.append(EndUtterance(part.utterance_id))

    def _finalize(self, part: _Part, *, needed: bool = True) -> None:
        part.revision += 1
        if needed:
            part.needed = part.revision
        self.out.append(FinalizeUtterance(part.utterance_id, part.revision))

    def _find(self, utterance_id: int) -> _Part | None:
        for part in self._parts:
            if part.utterance_id == utterance_id and utterance_id:
                return part
        return None
