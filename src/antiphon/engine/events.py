"""What happened. Every event carries `at_ms`, integer milliseconds since the call began.

Results that can arrive late carry the id of what they belong to; the conversation drops those of
something that is over in one place.
"""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.types import Word


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    at_ms: int


# ---- the call ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallStarted(Event):
    """The line is open in both directions. Always the first event."""


@dataclass(frozen=True, slots=True)
class CallEnded(Event):
    """The line is closed. Always the last event that has an effect."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallRestored(Event):
    """The process died and the call goes on in another one, whose conversation was fed the trace up
    to here. Everything that was under way outside is gone: speech recognised, text generated, tools
    run, audio played. The line is open and silent."""


@dataclass(frozen=True, slots=True)
class DeadlineReached(Event):
    """The time that `Conversation.deadline` asked for has come."""


@dataclass(frozen=True, slots=True)
class BudgetReached(Event):
    """So much is spent that something is to be done. `level`: `warn`, `cheaper` or `end`; `scope`:
    whose budget it is, that of the `call`, of the agent's `day` or of the `server`'s."""

    level: str
    scope: str


@dataclass(frozen=True, slots=True)
class ProviderChanged(Event):
    """A provider that the agent has is known not to work, or works again. `kind`: `llm` or `tts`;
    `number` as in StartGeneration.attempt and SynthesizeText.voice."""

    kind: str
    number: int
    works: bool


# ---- the caller ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserSpeechStarted(Event):
    """Voice activity began at `speech_at_ms`, a little before `at_ms`."""

    speech_at_ms: int


@dataclass(frozen=True, slots=True)
class UserSpeechStopped(Event):
    """Voice activity ended at `speech_at_ms`, a little before `at_ms`."""

    speech_at_ms: int


@dataclass(frozen=True, slots=True)
class TranscriptUpdated(Event):
    """A partial transcript; replaces the one before. `complete`: how likely the caller is done."""

    utterance_id: int
    text: str
    complete: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptCompleted(Event):
    """The answer to a FinalizeUtterance with the same revision. Empty text: nothing understood."""

    utterance_id: int
    revision: int
    text: str
    confidence: float = 1.0
    complete: float | None = None


@dataclass(frozen=True, slots=True)
class TurnPredicted(Event):
    """The answer to PredictTurn: how likely the caller is done, by the sound of the speech that
    ended at `speech_end_ms`."""

    speech_end_ms: int
    complete: float


@dataclass(frozen=True, slots=True)
class TurnSignalled(Event):
    """The recogniser's own end-of-turn signal. `signal`: `eager` (probably over), `resumed` (it was
    not) or `final`."""

    utterance_id: int
    signal: str


@dataclass(frozen=True, slots=True)
class SpeechMeasured(Event):
    """How the caller's speech sounds, told every 60 ms while both sides sound, every 240 ms while
    the caller alone does: its level over its loudest 300 ms so far (dBFS, of a full-scale square
    wave) and which share of that is explained by the agent's own voice coming back, 0 to 1."""

    level_db: float
    echo: float


@dataclass(frozen=True, slots=True)
class TalkKeyMoved(Event):
    """Push to talk: the caller holds the key down, or lets it go."""

    held: bool


@dataclass(frozen=True, slots=True)
class KeyPressed(Event):
    """The caller pressed a key of the telephone: `0` to `9`, `*` or `#`; while secret digits are
    collected, `•` for a digit."""

    key: str


@dataclass(frozen=True, slots=True)
class LineHeld(Event):
    """The caller put the line on hold, and hears nothing of it, or is back."""

    held: bool


@dataclass(frozen=True, slots=True)
class MachineAnswered(Event):
    """The call was answered by a machine, which listens now. `message` is to be left; empty: none
    is."""

    message: str


@dataclass(frozen=True, slots=True)
class TransferEnded(Event):
    """The answer to TransferCall: `connected`, or why the caller is still here: `busy`, `failed`,
    `no_answer`, `refused` (`detail` says why, for the LLM)."""

    tool_call_id: str
    outcome: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptionFailed(Event):
    """Speech recognition is gone for the rest of the call."""

    reason: str


@dataclass(frozen=True, slots=True)
class TextReceived(Event):
    """The caller typed something: a whole turn."""

    text: str


# ---- the answer ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextGenerated(Event):
    """More text of an answer."""

    response_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolRequested(Event):
    """The LLM asks for a tool; `arguments` is JSON text."""

    response_id: int
    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class GenerationEnded(Event):
    """The generation is whole."""

    response_id: int


@dataclass(frozen=True, slots=True)
class GenerationFailed(Event):
    """The generation is over without being whole."""

    response_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ToolCompleted(Event):
    """A tool is done; `output` is JSON text for the LLM, an error included."""

    tool_call_id: str
    output: str


# ---- the voice -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioSynthesized(Event):
    """More audio of a segment: `duration_ms` of it in all so far."""

    response_id: int
    segment_id: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class SegmentSynthesized(Event):
    """A segment is whole. `words` have times from the segment's start; empty when unknown."""

    response_id: int
    segment_id: int
    duration_ms: int
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class SynthesisFailed(Event):
    """No more audio of this response will come."""

    response_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class PlaybackStarted(Event):
    """The first sample of a response has left."""

    response_id: int


@dataclass(frozen=True, slots=True)
class PlaybackProgressed(Event):
    """So much of a response's audio has been heard."""

    response_id: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class PlaybackEnded(Event):
    """All audio of a response has been heard (its synthesis had ended)."""

    response_id: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class PlaybackFlushed(Event):
    """The answer to FlushAudio: nothing more leaves, so much had been heard."""

    response_id: int
    played_ms: int
