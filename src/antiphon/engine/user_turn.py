"""The caller's turn: speech and transcript -> when it is over, and what was said.

A turn is made of *parts*: an utterance of at most `max_utterance_ms` each, the text of a turn that
was reopened, typed text, or the keys of a telephone.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from antiphon.engine.commands import (
    BeginUtterance,
    Command,
    EndUtterance,
    FinalizeUtterance,
    PredictTurn,
)
from antiphon.engine.endpointing import Clues, wait_ms
from antiphon.engine.language import Language
from antiphon.engine.phrase import Expected
from antiphon.engine.policy import Endpointing

_PAUSES = 8
"""Pauses remembered: what a caller's habit is judged by."""
END_OF_KEYS = "#"


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
        "keys",
        "needed",
        "revision",
        "text",
        "utterance_id",
    )

    def __init__(self, utterance_id: int, begun_ms: int, text: str = "") -> None:
        self.utterance_id, self.begun_ms = utterance_id, begun_ms
        self.revision = 0  # of the newest FinalizeUtterance
        self.needed = 0  # without it the turn does not end; later ones only saw a blip
        self.answered = 0  # revision of the newest final transcript
        self.text = text
        self.confidence = 1.0
        self.ended = utterance_id == 0  # nothing is transcribed for it any more
        self.complete: float | None = None
        self.keys = False  # of a telephone

    @property
    def final(self) -> bool:
        return self.answered >= self.needed


class UserTurn:
    """The turn under way. `out` collects the commands; `predicts`: there is a turn detector."""

    __slots__ = (
        "_burst_ms",
        "_fallback_ms",
        "_keys_due_ms",
        "_language",
        "_next_utterance",
        "_parts",
        "_pauses",
        "_policy",
        "_predicts",
        "_signal",
        "_signal_old",
        "_sounds",
        "_turns",
        "_wait_ms",
        "expected",
        "out",
        "phase",
        "source",
        "speech_end_ms",
        "speech_start_ms",
        "text_at_ms",
        "turn_id",
    )

    def __init__(
        self,
        policy: Endpointing,
        language: Language,
        out: list[Command],
        *,
        predicts: bool,
        stts: int = 1,
    ) -> None:
        self._fallback_ms = policy.stt_fallback_ms if stts > 1 else 0
        self._policy, self._language, self.out = policy, language, out
        self._predicts = predicts
        self._next_utterance = 1
        self._turns = 0
        self._burst_ms = 0  # when the caller began to sound last
        self._parts: list[_Part] = []
        self._pauses: deque[int] = deque(maxlen=_PAUSES)  # inside turns, of this call
        self._sounds: float | None = None  # by the turn detector, for this pause
        self._signal = ""  # the recogniser's own
        self._signal_old = False  # it came before the sound under way
        self._wait_ms: int | None = None  # as long as nothing new is known
        self._keys_due_ms = 0
        self.expected = Expected.ANYTHING  # by the agent's last words
        self.turn_id = 0
        self.phase = Phase.IDLE
        self.source = "speech"
        self.speech_start_ms = 0
        self.speech_end_ms = 0
        self.text_at_ms = 0  # when the words changed last

    # ---- what happened ---------------------------------------------------------------------

    def speech_started(self, speech_at_ms: int) -> None:
        """Voice activity began: a new turn, or the one under way goes on."""
        if self.phase is Phase.IDLE:
            self._open(speech_at_ms)
        if not self._parts or self._parts[-1].utterance_id == 0:
            self._begin_part(speech_at_ms)
        self._burst_ms, self._signal_old = speech_at_ms, True
        self.phase = Phase.SPEAKING

    def speech_stopped(self, speech_at_ms: int) -> None:
        """Voice activity ended; the final transcript is asked for inside the pause."""
        self.phase = Phase.QUIET
        part = self._parts[-1]
        blip = part.needed > 0 and speech_at_ms - self._burst_ms < self._policy.blip_ms
        # One that sounds when the turn was due is the caller going on, for all that is known.
        blip = blip and speech_at_ms <= self.speech_end_ms + self._wait()
        self._finalize(part, needed=not blip)
        if blip:
            return
        if part.needed > 1 or len(self._parts) > 1:
            self._note_pause(self._burst_ms - self.speech_end_ms)
        self.speech_end_ms = max(speech_at_ms, self.speech_start_ms)
        self._sounds = self._wait_ms = None
        if self._signal_old:
            self._signal = ""  # of the pause before; a recogniser may be quicker than we are
        if self._predicts:
            self.out.append(PredictTurn(self.speech_end_ms))

    def partial(self, utterance_id: int, text: str, complete: float | None, at_ms: int) -> bool:
        """A partial transcript. False when it is stale, or says nothing new."""
        part = self._find(utterance_id)
        if part is None:
            return False
        going_on = self.phase is Phase.SPEAKING and part is self._parts[-1]
        if part.final and part.revision and not going_on:
            return False  # the final transcript of all that was said is in
        return self._understood(part, text, complete, at_ms)

    def completed(
        self,
        utterance_id: int,
        revision: int,
        text: str,
        confidence: float,
        complete: float | None,
        at_ms: int,
    ) -> bool:
        """A final transcript. False when it is stale, or says nothing new."""
        part = self._find(utterance_id)
        if part is None or revision <= part.answered or revision > part.revision:
            return False
        part.answered, part.confidence = revision, confidence
        if part is not self._parts[-1] and part.answered == part.revision:
            self._end_part(part)
        return self._understood(part, text, complete, at_ms)

    def predicted(self, speech_end_ms: int, complete: float) -> None:
        """The turn detector has judged the speech that ended then."""
        if speech_end_ms == self.speech_end_ms and self.phase is Phase.QUIET:
            self._sounds, self._wait_ms = complete, None

    def signalled(self, utterance_id: int, signal: str) -> None:
        """The recogniser says by itself that the turn is, may be, or is not over."""
        if self._find(utterance_id) is not None:
            self._signal, self._wait_ms = "" if signal == "resumed" else signal, None
            self._signal_old = False

    def typed(self, text: str, at_ms: int) -> None:
        """Typed text: final at once."""
        if self.phase is Phase.IDLE:
            self._open(at_ms)
            self.phase, self.speech_end_ms = Phase.QUIET, at_ms
        self.source = "text"
        self._add_final_part(text, at_ms)

    def pressed(self, key: str, at_ms: int) -> None:
        """A key of the telephone: the turn goes on until no other one follows, or with `#`."""
        if self.phase is Phase.IDLE:
            self._open(at_ms)
            self.phase = Phase.QUIET
        if self.source != "keys":
            self.source = "keys"
            self._add_final_part("", at_ms).keys = True
        self.speech_end_ms = at_ms
        ended = key == END_OF_KEYS
        self._keys_due_ms = at_ms if ended else at_ms + self._policy.keys_ms
        if not ended:
            part = next(p for p in reversed(self._parts) if p.keys)
            part.text += key

    def reopen(self, turn_id: int, text: str, end_ms: int) -> None:
        """The turn just answered, whose last sound was at `end_ms`, goes on: its words come before
        those under way."""
        self._note_pause(self.speech_start_ms - end_ms)
        self.turn_id = turn_id
        self._parts.insert(0, _Part(0, self.speech_start_ms, text))
        self._wait_ms = None

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
        self._sounds, self._signal, self._wait_ms = None, "", None

    def restart(self, at_ms: int) -> None:
        """Close the turn while the caller is still speaking; what follows is a new turn."""
        speaking = self.phase is Phase.SPEAKING
        self.close()
        if speaking:
            self.speech_started(at_ms)

    def restore(self, at_ms: int) -> None:
        """Recogniser and voice activity are gone: keep the words, as said up to now."""
        for part in self._parts:
            self._end_part(part)
        kept = [_Part(0, part.begun_ms, part.text) for part in self._parts]
        for part, before in zip(kept, self._parts, strict=True):
            part.keys = before.keys
        self._parts = kept or [_Part(0, self.speech_start_ms)]
        self.phase, self.speech_end_ms = Phase.QUIET, at_ms
        self._sounds, self._signal, self._wait_ms = None, "", None

    # ---- what is known ---------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The words so far."""
        parts = self._parts
        if len(parts) == 1:
            return parts[0].text
        return " ".join(p.text for p in parts if p.text)

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
        if self.source == "keys":
            return self._keys_due_ms
        if self._policy.mode == "stt" and self._signal == "final" and self.text:
            return self.text_at_ms  # whatever sounds in the room
        if self.phase is not Phase.QUIET:
            # Who types has finished, whatever sounds in the room.
            return self.speech_end_ms if self.source == "text" else None
        if not self.final:
            patience_ms = 0 if self.text else self._fallback_ms
            return self.speech_end_ms + self._policy.stt_deadline_ms + patience_ms
        if self.source == "text":
            return self.speech_end_ms
        return self.speech_end_ms + self._wait()

    def likely(self) -> bool:
        """Whether the pause under way probably ends the turn, by the words so far: the wait is
        nearer to that of a caller who is done than to that of one who is not, or the recogniser
        says so where it decides."""
        policy = self._policy
        if self.phase is not Phase.QUIET or not self.text:
            return False
        if policy.mode == "stt":
            return bool(self._signal)
        return self._wait() <= (policy.unknown_ms + policy.max_ms) // 2

    def roll_ms(self) -> int | None:
        """When the utterance under way has to be passed on."""
        if self.phase is not Phase.SPEAKING:
            return None
        return self._parts[-1].begun_ms + self._policy.max_utterance_ms

    def _wait(self) -> int:
        if self._wait_ms is None:
            self._wait_ms = self._graded()
        return self._wait_ms

    def _graded(self) -> int:
        """How long the pause must be."""
        policy, part = self._policy, self._parts[-1]
        if policy.mode == "manual":
            return 0
        if policy.mode == "stt" and not (part.utterance_id and self.text):
            return (
                policy.unknown_ms
            )  # words from before the call was restored, or none: nobody tells
        if policy.mode == "stt":
            # A recogniser that never tells must not leave the caller waiting for ever.
            return 0 if self._signal == "final" else policy.max_ms + policy.stt_deadline_ms
        clues = Clues(
            self.text,
            part.complete if part.text else None,
            self._sounds,
            self._signal,
            self.expected,
            tuple(self._pauses),
        )
        return wait_ms(clues, policy, self._language)

    # ---- parts -----------------------------------------------------------------------------

    def _open(self, at_ms: int) -> None:
        self._turns += 1
        self.turn_id = self._turns
        self.speech_start_ms = self.speech_end_ms = self.text_at_ms = at_ms
        self.source = "speech"

    def _understood(self, part: _Part, text: str, complete: float | None, at_ms: int) -> bool:
        part.complete, self._wait_ms = complete, None
        if part.text == text:
            return False
        part.text, self.text_at_ms = text, at_ms
        return True

    def _note_pause(self, pause_ms: int) -> None:
        # Who types or presses keys tells nothing of how they speak.
        if pause_ms > 0 and self.source == "speech":
            self._pauses.append(pause_ms)

    def _begin_part(self, at_ms: int) -> None:
        part = _Part(self._next_utterance, at_ms)
        self._next_utterance += 1
        self._parts.append(part)
        self.out.append(BeginUtterance(part.utterance_id, at_ms))

    def _add_final_part(self, text: str, at_ms: int) -> _Part:
        # The utterance under way stays the last part: it is the one that goes on.
        under_way = self.phase is Phase.SPEAKING
        part = _Part(0, at_ms, text)
        self._parts.insert(len(self._parts) - under_way, part)
        self.text_at_ms = at_ms
        return part

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
