"""Joining the pieces of an answer, which a voice speaks one by one, without clicks.

Each piece fades in and out over 10 ms, and the fades meet in the pause that belongs between two of
them. Positions count bytes, so that they are those of the player to the sample; milliseconds are
made of them in one place, always rounded down.
"""

from __future__ import annotations

import numpy as np

FADE_MS = 10


class Joiner:
    """Joins mono s16 PCM at one rate.

    What `push` takes is handed on but for the last 10 ms, which `end` fades out.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self.size = 0
        """Bytes handed on so far."""
        self._bytes_per_s = sample_rate_hz * 2
        self._fade_samples = sample_rate_hz * FADE_MS // 1000
        self._tail = b""
        self._faded_in = 0  # samples of the piece under way that have been faded in

    @property
    def ms(self) -> int:
        """Audio handed on so far, as the player counts it."""
        return self.size * 1000 // self._bytes_per_s

    def pause(self, pause_ms: int) -> bytes:
        """Silence between two pieces."""
        return self._hand_on(bytes(self._bytes_per_s * max(0, pause_ms) // 2000 * 2))

    def push(self, pcm: bytes) -> bytes:
        """Take more of a piece, whole samples; return what can be heard now."""
        pcm = self._tail + self._fade_in(pcm)
        ready = max(0, len(pcm) - 2 * self._fade_samples)
        self._tail = pcm[ready:]
        return self._hand_on(pcm[:ready])

    def end(self) -> bytes:
        """The piece is over: return its end, faded out. What is pushed next fades in again."""
        samples = np.frombuffer(self._tail, "<i2")
        fade = _ramp(self._fade_samples)[::-1][self._fade_samples - len(samples) :]
        self._tail, self._faded_in = b"", 0
        return self._hand_on(_scaled(samples, fade))

    def _fade_in(self, pcm: bytes) -> bytes:
        left = self._fade_samples - self._faded_in
        if left <= 0 or not pcm:
            return pcm
        head = np.frombuffer(pcm[: 2 * left], "<i2")
        ramp = _ramp(self._fade_samples)[self._faded_in : self._faded_in + len(head)]
        self._faded_in += len(head)
        return _scaled(head, ramp) + pcm[2 * left :]

    def _hand_on(self, pcm: bytes) -> bytes:
        self.size += len(pcm)
        return pcm


def _ramp(samples: int) -> np.ndarray:
    """From nothing to full level, without a corner at either end."""
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)


def _scaled(samples: np.ndarray, gains: np.ndarray) -> bytes:
    scaled: bytes = np.rint(samples * gains).astype("<i2").tobytes()
    return scaled
