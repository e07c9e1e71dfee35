"""What fakes of streaming recognisers share: an ear that hears a word in every 300 ms of sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor

BYTES_PER_MS = 32
FRAME = 20 * BYTES_PER_MS
WORD_MS = 300
LEAST_WORD_MS = 100
"""So much of a word is enough when no more of it comes."""
SENTENCE = "I would like two large pizzas with olives and a bottle of water please"


@dataclass(frozen=True)
class Heard:
    text: str
    start_ms: int
    end_ms: int

    def times(self) -> dict[str, float]:
        return {"start": self.start_ms / 1000, "end": self.end_ms / 1000}


class Ear:
    """16 kHz mono s16 in, words out. Zeros are silence, anything else is speech."""

    def __init__(self, script: Sequence[str]) -> None:
        self._script = script
        self._rest = b""
        self._voiced_ms = 0
        self.now_ms = 0
        self.silent_ms = 0
        self.words: list[Heard] = []

    def hear(self, pcm: bytes) -> bool:
        """Whether there are more words than before."""
        count = len(self.words)
        self._rest += pcm
        while len(self._rest) >= FRAME:
            frame, self._rest = self._rest[:FRAME], self._rest[FRAME:]
            self._hear(any(frame))
        return len(self.words) > count

    def complete(self) -> None:
        """No more of this word will come."""
        if self._voiced_ms >= LEAST_WORD_MS:
            self._word()

    def _hear(self, loud: bool) -> None:
        self.now_ms += 20
        self.silent_ms = 0 if loud else self.silent_ms + 20
        self._voiced_ms += 20 if loud else 0
        if self._voiced_ms >= WORD_MS or (self.silent_ms == 60):
            self.complete()

    def _word(self) -> None:
        text = self._script[len(self.words) % len(self._script)]
        end_ms = self.now_ms - self.silent_ms
        self.words.append(Heard(text, end_ms - self._voiced_ms, end_ms))
        self._voiced_ms = 0


class ListeningVendor(FakeVendor):
    """Base of the fakes. A subclass gives `routes()`.

    Args:
        script: the words that are heard, again and again.
    """

    def __init__(self, script: str = SENTENCE, *, tls: Path | None = None) -> None:
        super().__init__(tls=tls)
        self.script = script.split()
        self.key: str | None = None
        """Another one is refused, as this vendor refuses."""
        self.error: dict[str, Any] | None = None
        """A message that comes after the first audio."""
        self.mute = False
        """Hears nothing, whatever comes."""

    def ear(self) -> Ear:
        return Ear(self.script)

    async def failed(self, socket: WebSocket, noted: Connection) -> bool:
        """Say `error`, if there is to be one."""
        if self.error is None:
            return False
        error, self.error = self.error, None
        await self.send(socket, noted, error)
        await self.bye(socket, noted, 1011)
        return True

    async def bye(self, socket: WebSocket, noted: Connection, code: int, reason: str = "") -> None:
        if not noted.closed:
            noted.closed = True
            await socket.close(code, reason)


def texts(words: Sequence[Heard]) -> str:
    return " ".join(word.text for word in words)
