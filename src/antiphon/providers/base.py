"""What a provider is: one Protocol per kind, and the values that cross it.

A provider object is made once per process and agent, shared by all calls (`start`, `aclose`); a
stream belongs to one call or one response. Streams deliver by async iteration; whoever iterates
owns the task. Cancelling that task, or closing the iterator, must release everything at once.
Errors are raised as `ProviderError`. Nothing here blocks the event loop for more than 2 ms.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from antiphon.types import Message, ToolCall, ToolSpec, Word

# ---- how a provider is made ----------------------------------------------------------------


class ProviderOptions(BaseModel):
    """Base of a provider's options, as written beside its name in the agent's file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class FlowReply:
    """What the agent's flow answers: text to say, and tools to call (never both empty)."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()


class FlowBrain(Protocol):
    """The agent's flow as a pure function of the conversation so far: the same messages give the
    same reply, ids of tool calls included."""

    def reply(self, messages: Sequence[Message]) -> FlowReply: ...


@dataclass(frozen=True, slots=True)
class AgentHints:
    """What a provider may want to know of the agent that it serves.

    `sentences` are things a caller is likely to say, for language models and keyword boosting;
    `vocabulary` single words and names; `pronunciations` word -> ARPAbet phones;
    `interjections` what is said while somebody else speaks ("mm-hm", "wait"). `rate` is how fast
    the agent speaks, in words a minute.
    """

    language: str = "en"
    sentences: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    pronunciations: Mapping[str, str] = field(default_factory=dict)
    interjections: tuple[str, ...] = ()
    brain: FlowBrain | None = None
    rate: int = 150


@dataclass(frozen=True, slots=True)
class Traits:
    """What is told of a provider without making one; the class attribute `traits`.

    `where` it works: in this process, on a server of one's own, or in the cloud. `key` is the
    environment variable that its key is taken from. `can` lists what it offers beyond the least, in
    words such as `partials`, `word times`, `end of turn`, `keywords`, `languages`, `tools`, `ssml`,
    `speed`, `emotion`, `cloned voices`.
    """

    where: Literal["here", "server", "cloud"] = "here"
    key: str = ""
    can: tuple[str, ...] = ()


# A provider is a class named in the entry-point group `antiphon.<kind>`. It has a class attribute
# `Options` (a ProviderOptions), may have `traits` (a Traits), and is constructed as
# `Cls(options, hints)`; heavy libraries are imported in its own module, which is loaded only when
# an agent names it. One that is paid for has a property `model`: what the price book calls it.

# ---- voice activity ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VadEdge:
    """Speech began or ended. `position_ms` is where, counted from the first frame ever fed; it
    lies in the past by the detector's own delay."""

    speaking: bool
    position_ms: int


class VadStream(Protocol):
    """Voice activity of one call. Fed inline, on the event loop, for every frame."""

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        """Take 20 ms of 16 kHz mono s16 PCM; return the edges found, oldest first."""
        ...


class Vad(Protocol):
    """A voice activity detector; the model is shared, a stream holds one call's state."""

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...
    def open(self) -> VadStream: ...


# ---- speech to text ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PartialText:
    """What has been understood so far of an utterance. Replaces the previous partial.

    `complete` is the probability that the utterance ends after these words, where the provider
    knows one.
    """

    utterance_id: int
    text: str
    complete: float | None = None


@dataclass(frozen=True, slots=True)
class FinalText:
    """The transcript of all audio up to the `finalize` with the same `revision`.

    `text` is empty when nothing was understood. `confidence` is 0 to 1; `complete` as above. Times
    of `words` count from the beginning of the utterance, its pre-roll included. `language` is a BCP
    47 tag where the recogniser tells one.
    """

    utterance_id: int
    revision: int
    text: str
    confidence: float = 1.0
    complete: float | None = None
    words: tuple[Word, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The recogniser's own end-of-turn signal, where it has one: `eager` (the turn is probably
    over), `resumed` (it was not), `final`."""

    utterance_id: int
    signal: Literal["eager", "resumed", "final"]


SttEvent = PartialText | FinalText | EndOfTurn


class SttStream(Protocol):
    """One call's transcription.

    The session pushes every frame, speech or not; the stream keeps the pre-roll it needs (at
    least 400 ms) and begins an utterance with it. Between `end` and the next `begin` nothing is
    transcribed. `push` never blocks: an outbox that is full drops its oldest silence and then
    raises ProviderError.
    """

    def push(self, pcm: bytes) -> None:
        """Take 20 ms of 16 kHz mono s16 PCM."""
        ...

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        """Speech began `preroll_ms` before the newest frame pushed. `over_agent`: the agent is
        sounding, so that the first words decide whether it goes on; they should be sure."""
        ...

    def finalize(self, utterance_id: int, revision: int) -> None:
        """Ask for a FinalText of what has been pushed so far. Speech may go on afterwards in the
        same utterance; a later finalize has a higher revision and supersedes this one."""
        ...

    def end(self, utterance_id: int) -> None:
        """The utterance is over; its audio and pending results may be dropped."""
        ...

    def events(self) -> AsyncIterator[SttEvent]:
        """Results, until the stream is closed. Raises ProviderError when it fails for good."""
        ...

    async def aclose(self) -> None: ...


class Stt(Protocol):
    """A speech recogniser."""

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...
    async def open(self) -> SttStream: ...


# ---- end of turn ----------------------------------------------------------------------------


class TurnStream(Protocol):
    """What one call sounds like, for a turn detector. Keeps the audio that it needs (bounded)."""

    def feed(self, pcm: bytes) -> None:
        """Take 20 ms of 16 kHz mono s16 PCM, speech or not. Takes microseconds."""
        ...

    async def predict(self) -> float:
        """How likely the caller is done, 0 to 1, by the audio fed so far, which ends in a pause of
        about 100 ms or more. A model that takes longer than 2 ms runs in a thread.

        Raises:
            ProviderError: no prediction; the turn ends without it.
        """
        ...


class TurnDetector(Protocol):
    """An end-of-turn detector; its model is shared by all calls."""

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...
    def open(self) -> TurnStream: ...


# ---- language model ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as the provider counted them.

    `input_tokens` are all that were read, `cached_tokens` those of them that came from the
    provider's cache; `output_tokens` are all that were written, thoughts and tool calls included.
    `model` is the model that it was, where a provider has several; it then gives one for each.
    The last three are those of the others that stand for sound, which has a price of its own.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    model: str = ""
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    audio_cached_tokens: int = 0


LlmEvent = TextDelta | ToolCall | Usage


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One generation. `messages` begins with the system message, when there is one."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()


class Llm(Protocol):
    """A language model, or anything that answers like one."""

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate. The stream ends when the answer is whole; closing it cancels the request."""
        ...


# ---- text to speech ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TtsSegment:
    """A piece of text to speak, numbered within its response from 0."""

    segment_id: int
    text: str


@dataclass(frozen=True, slots=True)
class TtsAudio:
    """A chunk of mono s16 PCM at the provider's `sample_rate_hz`, any length."""

    segment_id: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class TtsWords:
    """Words of a segment with times from the start of that segment's audio."""

    segment_id: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class TtsSegmentDone:
    """All audio and words of a segment have been delivered."""

    segment_id: int


TtsEvent = TtsAudio | TtsWords | TtsSegmentDone


class Tts(Protocol):
    """A voice. One that reads SSML has the class attribute `takes_ssml = True`: its segments are
    then whole `<speak>` documents, and its words those of their text."""

    @property
    def sample_rate_hz(self) -> int: ...

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response: segments go in as they are written, audio comes out as it is made,
        segment after segment. Ends after the last segment's TtsSegmentDone."""
        ...


# ---- speech to speech ----------------------------------------------------------------------


class RealtimeCall(Protocol):
    """One call with a speech-to-speech model, which hears, thinks and speaks over one connection:
    to the session it is a recogniser, a brain and a voice that know of each other.

    Its brain's text is what the model says, and its voice gives the model's own sound for that
    text; any other text (a greeting, "one moment") the voice has the model say word for word. What
    the requests tell of the conversation (what was heard of an interrupted answer, results of
    tools) is passed on to the model before it answers. The connection's failure is raised by
    whichever of the three is in use.
    """

    @property
    def stt(self) -> SttStream: ...
    @property
    def llm(self) -> Llm: ...
    @property
    def tts(self) -> Tts: ...
    async def aclose(self) -> None: ...


class Realtime(Protocol):
    """A speech-to-speech model. `decides_turns`: it alone knows when the caller's turn is over, and
    tells with EndOfTurn; otherwise the engine tells it."""

    decides_turns: bool

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    async def open(self, request: LlmRequest) -> RealtimeCall:
        """Connect for one call. The request holds the system message and the tools.

        Raises:
            ProviderError: no connection.
        """
        ...
