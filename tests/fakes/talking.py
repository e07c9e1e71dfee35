"""What the fakes of speech-to-speech vendors share: a script, a voice and an ear."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LETTER_MS, PAUSE_MS = 60, 200


@dataclass
class Reply:
    """What the model answers: text, and tools as (name, arguments)."""

    text: str = ""
    tools: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass
class Pace:
    """How an answer comes: a pause after each piece, and none after `pieces` of them until the
    connection ends."""

    ms: int = 0
    pieces: int | None = None

    async def wait(self) -> None:
        """After a piece."""
        if self.pieces is not None:
            self.pieces -= 1
            if self.pieces <= 0:
                await asyncio.Event().wait()
        await asyncio.sleep(self.ms / 1000)


def voiced(text: str, rate_hz: int) -> bytes:
    """A tone for the letters of a text, and silence at its marks: mono s16 PCM."""
    parts: list[np.ndarray] = []
    for char in text:
        if char.isalnum():
            size = rate_hz * LETTER_MS // 1000
            phase = np.arange(size) * (2 * np.pi * 200 / rate_hz)
            parts.append((np.sin(phase) * 8000).astype("<i2"))
        elif char in ".!?,":
            parts.append(np.zeros(rate_hz * PAUSE_MS // 1000, "<i2"))
    return b"".join(part.tobytes() for part in parts)


def pieces(text: str, count: int = 8) -> list[str]:
    """A text as it is streamed: words, a few at a time."""
    words = text.split(" ")
    step = max(1, len(words) // count)
    parts = [" ".join(words[at : at + step]) for at in range(0, len(words), step)]
    return [part + (" " if n < len(parts) - 1 else "") for n, part in enumerate(parts)]


class Ear:
    """Hears by loudness when the caller begins and is done; 16 kHz mono s16 PCM."""

    def __init__(self, quiet_ms: int = 300) -> None:
        self._loud_ms = self._quiet_ms = 0
        self._limit_ms = quiet_ms
        self._rest = b""
        self.speaking = False

    def feed(self, pcm: bytes) -> list[str]:
        """`started` and `stopped`, as they are noticed."""
        told = []
        self._rest += pcm
        while len(self._rest) >= 640:
            frame, self._rest = self._rest[:640], self._rest[640:]
            samples = np.frombuffer(frame, "<i2").astype(np.float32)
            if np.sqrt(np.mean(samples**2)) > 300:
                self._loud_ms, self._quiet_ms = self._loud_ms + 20, 0
            else:
                self._quiet_ms += 20
            if not self.speaking and self._loud_ms >= 60:
                self.speaking = True
                told.append("started")
            elif self.speaking and self._quiet_ms >= self._limit_ms:
                self.speaking, self._loud_ms = False, 0
                told.append("stopped")
        return told
