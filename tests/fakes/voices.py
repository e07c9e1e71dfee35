"""What fakes of voices share: sound of a known length, and the times of its words and letters."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor

MS_PER_WORD = 300


def sound(text: str, rate_hz: int) -> bytes:
    """300 ms for each word: a square wave, never silent."""
    return b"\x00\x08\x00\xf8" * (len(text.split()) * MS_PER_WORD * rate_hz // 2000)


def words(text: str) -> list[tuple[str, int, int]]:
    """Each word with its start and end in milliseconds."""
    spoken = text.split()
    return [(word, n * MS_PER_WORD, (n + 1) * MS_PER_WORD) for n, word in enumerate(spoken)]


def letters(text: str) -> Iterator[tuple[str, int, int]]:
    """Each character with its start in milliseconds and how long it takes; a space takes none."""
    for number, word in enumerate(text.split()):
        start, step = number * MS_PER_WORD, MS_PER_WORD // len(word)
        if number:
            yield " ", start, 0
        for place, letter in enumerate(word):
            last = place == len(word) - 1
            lasts = MS_PER_WORD - place * step if last else step
            yield letter, start + place * step, lasts


def written(data: bytes) -> str:
    return base64.b64encode(data).decode()


class VoiceFake(FakeVendor):
    """A vendor of voices.

    `chunk_ms` is the length of one piece of sound, `pace_s` the wait before each; after `cut_after`
    pieces on a socket it is closed with the faults' closing code. `spoken` are the texts made
    sound, `cancelled` counts those that were stopped.
    """

    def __init__(self, *, tls: Path | None = None) -> None:
        super().__init__(tls=tls)
        self.chunk_ms, self.pace_s = 200, 0.0
        self.cut_after: int | None = None
        self.spoken: list[str] = []
        self.cancelled: list[str] = []

    def pieces(self, pcm: bytes, rate_hz: int) -> Iterator[bytes]:
        size = rate_hz * self.chunk_ms // 1000 * 2
        for at in range(0, len(pcm), size):
            yield pcm[at : at + size]

    async def emit(self, socket: WebSocket, noted: Connection, data: Any) -> bool:
        """Send a piece of sound; False when there is nobody to send to."""
        if noted.closed:
            return False
        if self.pace_s:
            await asyncio.sleep(self.pace_s)
        if self.cut_after is not None:
            if self.cut_after == 0:
                noted.closed = True
                self.cut_after = None
                await socket.close(self.faults.close_code, self.faults.close_reason)
                return False
            self.cut_after -= 1
        await self.send(socket, noted, data)
        return not noted.closed
