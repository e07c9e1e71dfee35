"""What a live stream knows of the utterance under way, and of what it has asked its vendor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

from antiphon.providers.base import FinalText
from antiphon.providers.stt.wire import Piece
from antiphon.types import Word

_CLINGING = ("", *".,!?;:…")


@dataclass(slots=True)
class Utterance:
    """One utterance. Its audio is kept to its end, to be sent again over another connection."""

    utterance_id: int
    audio: bytearray
    sent: int = 0  # bytes of it on this connection
    origin_ms: int = 0  # where it begins on this connection
    finals: list[Piece] = field(default_factory=list)
    interim: Piece | None = None
    revision: int | None = None  # the newest one asked for and not answered
    told: str = ""
    replayed: bool = False  # sent more than once since its last final text

    def pieces(self) -> list[Piece]:
        return [*self.finals, *([self.interim] if self.interim else [])]

    def text(self) -> str:
        text = ""
        for piece in self.pieces():
            part = piece.text.strip()
            # Some vendors tell a word's comma with the next piece.
            text += part if not text or part[:1] in _CLINGING else f" {part}"
        return text

    def again(self) -> None:
        """A new connection knows nothing of it."""
        self.replayed = self.replayed or self.sent > 0
        self.sent, self.interim = 0, None
        self.finals.clear()

    def settled(self) -> bool:
        """There is text, and none of it may change any more."""
        return bool(self.finals) and self.interim is None

    def final(self, revision: int) -> FinalText:
        """What is known of it; times of words from its beginning."""
        pieces, origin_ms = self.pieces(), self.origin_ms
        words = tuple(
            Word(
                word.text,
                max(0, word.start_ms - origin_ms),
                max(0, word.end_ms - origin_ms),
                word.confidence,
            )
            for piece in pieces
            for word in piece.words
        )
        return FinalText(
            self.utterance_id,
            revision,
            self.text(),
            _confidence(pieces),
            words=words,
            language=next((piece.language for piece in pieces if piece.language), ""),
        )


@dataclass(slots=True)
class Ask:
    """A flush that is not answered."""

    revision: int | None  # None: of the past
    sent_ms: int  # what was sent before it
    at: float
    pong: Awaitable[float] | None = None  # the answer to a ping after it

    def is_read(self) -> bool:
        """The vendor has read what came before the ping, and so this flush."""
        pong = self.pong
        if not isinstance(pong, asyncio.Future) or not pong.done() or pong.cancelled():
            return False
        return pong.exception() is None


def _confidence(pieces: list[Piece]) -> float:
    """That of the pieces, by their lengths."""
    weights = [max(1, len(piece.text)) for piece in pieces]
    if not weights:
        return 1.0
    total = sum(p.confidence * w for p, w in zip(pieces, weights, strict=True)) / sum(weights)
    return min(1.0, max(0.0, total))
