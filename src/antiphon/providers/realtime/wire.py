"""A speech-to-speech vendor's protocol, as what `call.VendorCall` needs to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.net.ws import Socket
from antiphon.providers.base import LlmRequest, ProviderOptions, Usage
from antiphon.providers.realtime.answer import Answer
from antiphon.providers.secret import Secret
from antiphon.types import Message, ToolCall

Frame = str | bytes | dict[str, Any]


class RealtimeOptions(ProviderOptions):
    """What every speech-to-speech model has."""

    api_key: Secret | None = Field(
        default=None, description="The key, as `${VARIABLE}`; else the vendor's usual variable."
    )
    connect_ms: int = Field(default=4000, ge=10, le=60_000, description="Longest connecting.")
    first_ms: int = Field(
        default=6000, ge=10, le=600_000, description="Longest wait for the answer's beginning."
    )
    idle_ms: int = Field(
        default=5000, ge=10, le=600_000, description="Longest wait between two pieces of it."
    )


# ---- what a vendor tells -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """Words of the caller. `mark` is that of the `pause` that they came before, None where the
    vendor does not say; `more`: they follow those before, instead of replacing them."""

    text: str
    final: bool
    mark: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The vendor has decided that the caller is done."""


@dataclass(frozen=True, slots=True)
class Began:
    """An answer begins: to the request `ask`, or, 0, to the oldest one or to none."""

    key: str
    ask: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """More text of an answer."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Sounded:
    """More audio of an answer."""

    key: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer asks for a tool."""

    key: str
    call: ToolCall


@dataclass(frozen=True, slots=True)
class Written:
    """An answer's text and tools are whole; its sound may go on."""

    key: str


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer is whole, or failed. `cut`: the vendor dropped the rest, as the caller spoke."""

    key: str
    error: ProviderError | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The request `ask` will not be answered; 0: the oldest one."""

    ask: int
    error: ProviderError


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens, told at some time after an answer."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """Frames that the vendor waits for."""

    frames: tuple[Frame, ...]


Piece = Said | Sounded | Wanted | Written | Whole
Told = Piece | Heard | TurnOver | Began | Refused | Counted | Reply


# ---- what a vendor is told -----------------------------------------------------------------


@dataclass(slots=True)
class News:
    """What happened since the model was last asked, in the order in which it is told.

    `cuts`: answers of which only these words were heard, until this millisecond; `unheard` ones
    were not heard at all. `revised` are results of tools that replace what was said in their place.
    `past`: further messages. `marks` are those of the caller's speech that the turn is made of,
    `unused` those of sound that was no turn. `speech`: the turn was spoken, and its sound is with
    the model; `typed` what else is in it.
    """

    cuts: list[tuple[Answer, str, int]] = field(default_factory=list)
    unheard: list[Answer] = field(default_factory=list)
    revised: list[Message] = field(default_factory=list)
    past: list[Message] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    unused: list[int] = field(default_factory=list)
    speech: bool = False
    typed: str = ""

    @property
    def outputs(self) -> list[Message]:
        """Results of tools among what is new."""
        return [one for one in self.past if one.role == "tool"]


class Wire(Protocol):
    """A vendor's protocol on one connection. It waits for nothing, and keeps a state."""

    rate_hz: int
    """Of the model's voice."""

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        """Frames that carry 16 kHz mono s16 PCM of the caller."""
        ...

    def begin(self) -> Sequence[Frame]:
        """The caller begins to speak."""
        ...

    def pause(self, mark: int) -> Sequence[Frame] | None:
        """The caller pauses; their words are wanted. None: there is nothing new to ask for."""
        ...

    def rest(self) -> Sequence[Frame]:
        """The utterance is over."""
        ...

    def answer(self, news: News, ask: int) -> Sequence[Frame]:
        """Tell what is new, and ask for an answer."""
        ...

    def say(self, text: str, ask: int) -> Sequence[Frame]:
        """Have the model say exactly this."""
        ...

    def cancel(self, key: str) -> Sequence[Frame]:
        """Nobody wants the rest of this answer."""
        ...

    def over(self, key: str) -> bool:
        """Whether this answer, which has been silent for `Vendor.quiet_ms`, is over."""
        ...

    def read(self, frame: str | bytes) -> Sequence[Told]:
        """What a frame tells; those that mean nothing here tell nothing.

        Raises:
            ProviderError: the connection is of no use any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a call has to know of its vendor.

    `connect` gives a connection that is ready for audio, told of a conversation that was begun on
    another one. `decides`: the vendor ends the caller's turns and answers by itself. `says`: the
    model can be told what to say; `beside`: also while it answers. Transcripts are waited for
    `transcript_ms`; where a vendor does not mark the end of one (`marks`), it is over after
    `settled_ms` without news. An answer is over after `quiet_ms` without sound (0: the vendor
    tells).
    """

    name: str
    connect: Callable[[LlmRequest, Sequence[Message]], Awaitable[tuple[Socket, Wire]]]
    first_ms: int
    idle_ms: int
    connect_ms: int
    decides: bool = False
    says: bool = True
    beside: bool = False
    marks: bool = False
    transcript_ms: int = 500
    settled_ms: int = 150
    quiet_ms: int = 0
    final_codes: frozenset[int] = frozenset()
