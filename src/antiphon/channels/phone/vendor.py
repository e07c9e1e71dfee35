"""What a telephone company is to the server: how its requests are checked and answered, what it
writes on its media stream, and what can be asked of it. One file per company, found by the entry
points `antiphon.phone`.

Everything here is pure but the three requests at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from antiphon.audio.g711 import Law
from antiphon.channels.base import CallFacts, TransferResult
from antiphon.errors import AntiphonError

Refusal = Literal["unsigned", "forged", "stale", "replayed", "unknown"]
Can = Literal["dial", "transfer", "detect_machine", "hang_up"]
LineStatus = Literal[
    "queued", "ringing", "answered", "completed", "busy", "no_answer", "failed", "canceled"
]


class Forged(AntiphonError):
    """A request that did not come from whom it says, or came before: answered with 403."""

    def __init__(self, why: Refusal, detail: str = "") -> None:
        super().__init__(detail or why)
        self.why: Refusal = why


class BadMessage(AntiphonError):
    """Something on a media stream that the company would not write. The text says what."""


class VendorOptions(BaseModel):
    """Base of what `phone.yaml` says of a company."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    numbers: dict[str, str] = {}
    """Which agent answers which of our numbers; others get the first agent."""


# ---- webhooks ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request of the company. `url` is the public one, as the company called it, with its query;
    header names are in lower case; `form` is the decoded form body, in order."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    form: tuple[tuple[str, str], ...] = ()
    now_s: float = 0.0
    """Unix time at which it arrived."""

    def get(self, name: str, default: str = "") -> str:
        """The first value of a form field."""
        return next((value for key, value in self.form if key == name), default)


@dataclass(frozen=True, slots=True)
class Document:
    """How a webhook is answered."""

    body: str
    content_type: str = "text/xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Stream:
    """Where the company's media stream is to connect. `token` admits one connection, once."""

    url: str
    """`wss://host/twilio/media`, without a query."""
    token: str
    status_url: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """`from`, `to` and `call_id`, for who reads the stream beside us; we ourselves believe only
    what the token says."""


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a call. `answered_by` is what the detection of answering machines says."""

    line_call_id: str
    status: LineStatus
    answered_by: Literal["", "human", "machine", "unknown"] = ""
    machine_is_listening: bool = False
    """The machine's greeting is over: a message may be left."""
    duration_s: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DialOrder:
    """A call to make."""

    to: str
    sender: str
    stream: Stream
    status_url: str
    machine_url: str = ""
    """Where the detection of answering machines reports; empty: none is wanted."""
    ring_s: int = 30
    longest_s: int = 3600


@dataclass(frozen=True, slots=True)
class TransferOrder:
    """A caller to pass on. The company tells `result_url` what came of it, and is answered with
    where the stream goes on when nobody took the call."""

    line_call_id: str
    to: str
    sender: str
    result_url: str
    answered_url: str = ""
    """Told as soon as the person has answered."""
    whisper_url: str = ""
    """Warm: asked for the document that the person hears first."""
    ring_s: int = 25


# ---- the media stream ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The stream's first word."""

    stream_id: str
    line_call_id: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What our document gave the stream, the token among it."""
    caller: str = ""
    called: str = ""


@dataclass(frozen=True, slots=True)
class Sound:
    """Audio of the caller in the dialect's encoding, any length. `chunk` counts from 1 where the
    company numbers them (and may deliver them out of order), otherwise 0."""

    payload: bytes
    chunk: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """A telephone key: `0` to `9`, `*` or `#`."""

    key: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Everything before this mark has been played, or dropped by `clear`."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The far end has dropped what it had."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream is over."""


LineEvent = Started | Sound | Key | Marked | Cleared | Stopped
Encoding = Law | Literal["l16"]


class Dialect(Protocol):
    """What one stream of a company reads and writes. It remembers the stream's name."""

    encoding: Encoding
    """`l16` is s16 little-endian PCM."""
    rate_hz: int

    def read(self, message: str | bytes) -> LineEvent | None:
        """What a message says; None for one that says nothing to us.

        Raises:
            BadMessage: it is not of this dialect.
        """
        ...

    def sound(self, payload: bytes) -> str | bytes:
        """The message that plays this audio, whole milliseconds of it."""
        ...

    def mark(self, name: str) -> str | bytes:
        """The message that has `Marked(name)` come back."""
        ...

    def clear(self) -> str | bytes:
        """The message that drops what was not played yet."""
        ...


# ---- the company ---------------------------------------------------------------------------


class Vendor(Protocol):
    """A telephone company. Made with its options and the server's public URL, without a slash at
    its end."""

    name: ClassVar[str]
    Options: ClassVar[type[VendorOptions]]
    can: ClassVar[frozenset[Can]]

    def __init__(self, options: VendorOptions, public_url: str) -> None: ...

    def verify(self, request: Webhook) -> None:
        """Whether the company sent this, now. WebSocket handshakes are checked too, with method
        GET, where the company signs them.

        Raises:
            Forged: it did not.
        """
        ...

    def signs_handshake(self, request: Webhook) -> bool:
        """Whether this handshake carries a signature; then `verify` is asked."""
        ...

    def incoming(self, request: Webhook) -> CallFacts:
        """Who calls whom. Raises BadMessage where that is not said."""
        ...

    def answer(self, stream: Stream) -> Document:
        """Connect the call to our stream; also where a transfer came to nothing."""
        ...

    def refuse(self, message: str) -> Document:
        """Say a sentence, empty for none, and hang up."""
        ...

    def status(self, request: Webhook) -> Status:
        """What a status or machine-detection webhook tells. Raises BadMessage."""
        ...

    def transfer_result(self, request: Webhook) -> TransferResult:
        """What the webhook after a transfer tells. Raises BadMessage."""
        ...

    def whisper(self, message: str, accept_url: str) -> Document:
        """What the person hears before the caller is put through: the message, and that a key
        accepts; the company then asks `accept_url`. A person who does nothing declines."""
        ...

    def accept(self, request: Webhook) -> Document:
        """The answer to `accept_url`: put the caller through, or hang up on the person."""
        ...

    def dialect(self) -> Dialect:
        """A fresh one for a stream."""
        ...

    async def dial(self, order: DialOrder) -> str:
        """Make a call; returns the line's name of it.

        Raises:
            ProviderError: the company refused, or cannot be reached.
        """
        ...

    async def hang_up(self, line_call_id: str) -> None:
        """End a call that is under way; one that is over is no error."""
        ...

    async def transfer(self, order: TransferOrder) -> None:
        """Begin to pass a caller on."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
