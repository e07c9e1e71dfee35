"""A streaming recogniser's protocol, as what `live.LiveStream` needs to know of a vendor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from antiphon.types import Word

Frame = str | bytes | Any


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of an utterance. A final piece follows the final ones before it and does not change any
    more; one that is not final stands for all that comes after them, until the next piece.

    Times are milliseconds since the connection's first audio; `end_ms` is None where the vendor
    tells none.
    """

    text: str
    final: bool
    end_ms: int | None = None
    words: tuple[Word, ...] = ()
    confidence: float = 1.0
    language: str = ""


@dataclass(frozen=True, slots=True)
class Flushed:
    """The answer to a flush: all audio sent before it has been told. A vendor whose messages say
    how far they reach tells `end_ms`, and so answers every flush up to there; without it, the
    oldest one is answered."""

    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """The vendor's own end-of-turn signal."""

    signal: Literal["eager", "resumed", "final"]


Told = Piece | Flushed | Signal


class Link(Protocol):
    """A connection; a WebSocket of `net.ws` is one."""

    async def send(self, frame: Any, /) -> None: ...
    async def recv(self) -> Any: ...
    async def close(self) -> None: ...


@runtime_checkable
class Pings(Protocol):
    """A connection whose far end proves that it is there; a WebSocket does."""

    async def ping(self) -> Awaitable[float]:
        """Ask; what is returned is done when the answer has come."""
        ...


class Wire(Protocol):
    """A vendor's protocol on one connection. It waits for nothing, and may keep a state."""

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        """Frames that carry 16 kHz mono s16 PCM."""
        ...

    def flush(self) -> Sequence[Frame] | None:
        """Frames that ask for the text of all audio sent so far, to be answered with Flushed. None:
        there is nothing to ask for, all is told."""
        ...

    def keep_alive(self) -> Sequence[Frame]:
        """Frames that say that the caller is there but silent."""
        ...

    def close(self) -> Sequence[Frame]:
        """Frames that say goodbye."""
        ...

    def read(self, frame: Frame) -> Sequence[Told]:
        """What a frame tells; frames that mean nothing here tell nothing.

        Raises:
            ProviderError: it is an error, or not what the protocol allows.
            ValueError, TypeError, LookupError, AttributeError: the latter, too.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a stream has to know of its vendor.

    `connect` gives a connection that is ready for audio. Audio is sent in chunks of `chunk_ms`;
    after `keep_alive_ms` without any (0: never) a sign of life. A final text is waited for
    `final_ms`. A connection older than `max_session_ms` (0: any age) is replaced between two
    utterances. Audio that is late is sent at most at `speed` times real time (0: at any).
    `final_codes` are closing codes after which trying again is of no use.

    A vendor may leave a flush unanswered when nothing was said since its last final piece; then
    after `quiet_ms` (0: it always answers), or twice that when there is no text at all, that
    counts as the answer, provided that it has answered a ping sent after the flush, and that there
    were no `lull_ms` of audio (0: any) about which it said nothing whatever.
    """

    name: str
    connect: Callable[[], Awaitable[tuple[Link, Wire]]]
    chunk_ms: int = 20
    keep_alive_ms: int = 0
    final_ms: int = 700
    max_session_ms: int = 0
    speed: float = 0.0
    final_codes: frozenset[int] = frozenset()
    quiet_ms: int = 0
    lull_ms: int = 0
