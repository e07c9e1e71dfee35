"""What to do. The session carries commands out in their order and has no opinion of its own.

The last group only tells: for the caller's screen, the record and the metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UserState(StrEnum):
    """What the caller is doing."""

    LISTENING = "listening"
    SPEAKING = "speaking"
    AWAY = "away"


class AgentState(StrEnum):
    """What the agent is doing."""

    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""


# ---- listen --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BeginUtterance(Command):
    """Transcribe from `speech_at_ms` on, pre-roll included."""

    utterance_id: int
    speech_at_ms: int


@dataclass(frozen=True, slots=True)
class FinalizeUtterance(Command):
    """Ask for the transcript of all audio so far."""

    utterance_id: int
    revision: int


@dataclass(frozen=True, slots=True)
class EndUtterance(Command):
    """The utterance is over; drop what is left of it."""

    utterance_id: int


@dataclass(frozen=True, slots=True)
class PredictTurn(Command):
    """Judge by the sound whether the caller is done; the speech ended at `speech_end_ms`. Given
    only where the agent has a turn detector, and answered by TurnPredicted."""

    speech_end_ms: int


# ---- think ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartGeneration(Command):
    """Ask the LLM with `Conversation.messages()` as it is now. A response with tools has several
    generations, one after the other. `attempt`: 0 is the agent's LLM, 1 its first fallback."""

    response_id: int
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class CancelGeneration(Command):
    """Close the LLM's stream of this response. Tools go on."""

    response_id: int


@dataclass(frozen=True, slots=True)
class CallTool(Command):
    """Run a tool, exactly once. The session answers with ToolCompleted, whatever happens."""

    tool_call_id: str
    name: str
    arguments: str
    deadline_ms: int


# ---- speak ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SynthesizeText(Command):
    """Speak this segment; segments of a response are numbered from 0. `voice`: 0 is the agent's
    own, 1 its first fallback; all of a response have the same."""

    response_id: int
    segment_id: int
    text: str
    voice: int = 0


@dataclass(frozen=True, slots=True)
class EndSynthesis(Command):
    """No more segments of this response will come."""

    response_id: int


@dataclass(frozen=True, slots=True)
class PlayAudio(Command):
    """The response's audio may be heard, what is there and what comes."""

    response_id: int


@dataclass(frozen=True, slots=True)
class DuckAudio(Command):
    """Lower the agent's voice."""

    gain_db: float


@dataclass(frozen=True, slots=True)
class PauseAudio(Command):
    """Fall silent and keep the place."""


@dataclass(frozen=True, slots=True)
class ResumeAudio(Command):
    """Go on where it was, at full voice."""


@dataclass(frozen=True, slots=True)
class FlushAudio(Command):
    """Close the synthesis of the response and drop its audio, played with a short fade. Answered by
    PlaybackFlushed at once."""

    response_id: int


@dataclass(frozen=True, slots=True)
class EndCall(Command):
    """Hang up."""

    reason: str


# ---- the line ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransferCall(Command):
    """Pass the caller to a person, as the tool's `arguments` (JSON) say. Answered by TransferEnded
    within `deadline_ms`."""

    tool_call_id: str
    arguments: str
    deadline_ms: int


@dataclass(frozen=True, slots=True)
class CollectDigits(Command):
    """From now on keys belong to this number; those of a `secret` one are told to nobody."""

    tool_call_id: str
    name: str
    secret: bool


@dataclass(frozen=True, slots=True)
class DigitsCollected(Command):
    """The number is over: `complete`, `nothing` (no or too few keys were pressed) or `abandoned`
    (the caller spoke instead). The session answers with ToolCompleted; for an abandoned number the
    answer comes too late and is dropped."""

    tool_call_id: str
    name: str
    outcome: str


@dataclass(frozen=True, slots=True)
class StartRecording(Command):
    """The call may be recorded from now on."""


@dataclass(frozen=True, slots=True)
class PauseRecording(Command):
    """Nothing of what follows may be recorded."""


@dataclass(frozen=True, slots=True)
class ResumeRecording(Command):
    """Go on with the recording."""


# ---- tell ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReportState(Command):
    """Who is doing what, when it changed."""

    user: UserState
    agent: AgentState


@dataclass(frozen=True, slots=True)
class ReportTranscript(Command):
    """The caller's words of the turn under way, as understood so far."""

    turn_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReportTurn(Command):
    """The caller's turn is over. `outcome`: `answered`, or why it is not: `noise`, `echo`,
    `backchannel`, `unclear`."""

    turn_id: int
    text: str
    outcome: str
    source: str = "speech"


@dataclass(frozen=True, slots=True)
class ReportResponse(Command):
    """A response began (`in_progress`) or is over: `completed`, `cancelled` or `failed`.
    `heard` is what the caller heard of it."""

    response_id: int
    status: str
    heard: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReportSpeculation(Command):
    """An answer that was begun before the caller's turn was over is `adopted` or `dropped`.
    `written` and `voiced` are characters of text generated and given to the voice."""

    response_id: int
    outcome: str
    written: int
    voiced: int


@dataclass(frozen=True, slots=True)
class ReportBudget(Command):
    """A level of a budget has been reached: `warn`, `cheaper` (from now on the cheaper LLM is
    asked, where there is one) or `end` (no generation begins any more, and the call ends)."""

    level: str
    scope: str


@dataclass(frozen=True, slots=True)
class ReportDisclosure(Command):
    """What the caller was told at the beginning, and whether it was heard to its end."""

    text: str
    complete: bool


@dataclass(frozen=True, slots=True)
class ReportConsent(Command):
    """Whether the caller agrees to be recorded; `by` is `voice`, `key` or `text`."""

    granted: bool
    by: str


@dataclass(frozen=True, slots=True)
class ReportHeard(Command):
    """More words of the response have been heard."""

    response_id: int
    text: str


@dataclass(frozen=True, slots=True)
class ReportLatency(Command):
    """From the end of the caller's speech to the first sound of the answer. The contributions, in
    order, are pairs of name and milliseconds and sum to `total_ms`."""

    turn_id: int
    response_id: int
    total_ms: int
    contributions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ReportOverlap(Command):
    """The caller spoke while the agent did: `duck`, `pause`, `stop`, `resume` or `ignore` (the
    voice is as it was although the sound goes on), and why."""

    decision: str
    why: str
