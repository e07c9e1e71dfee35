"""The upper half of the spectrum, where a telephone has none.

A recogniser of wideband speech takes its absence for part of the sound, and understands next to
nothing of a telephone's 300 to 3400 Hz. The lower half mirrored at 4 kHz, more softly, is near
enough to what speech has there: consonants are noise on both sides, and vowels, which are strong
below 1 kHz, come to lie above 7 kHz, where no recogniser listens.
"""

from __future__ import annotations

import numpy as np

from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

GAIN = 0.5
_LEAST_RMS = 250.0
"""Of s16; softer frames say nothing about the line."""
_MISSING = 10**-5.2
"""Power from 4.6 to 7.4 kHz of the whole, below which it is none."""
_SURE = 25
"""Frames that it takes at most to believe the opposite."""
_WIDE_COUNTS = 3
_SELDOM = 5

_BIN_HZ = INPUT_RATE_HZ / (FRAME_BYTES // 2)
_UPPER = slice(round(4600 / _BIN_HZ), round(7400 / _BIN_HZ))
_WINDOW = np.hanning(FRAME_BYTES // 2)
_MIRROR = np.where(np.arange(FRAME_BYTES // 2) % 2, -GAIN, GAIN)


class UpperBand:
    """Gives 20 ms frames of 16 kHz PCM their upper half, as long as they come without."""

    def __init__(self) -> None:
        self._missing = self._loud = 0

    @property
    def missing(self) -> bool:
        """Whether the line is a telephone's, by all that was heard."""
        return self._missing > 0

    def fill(self, pcm: bytes) -> bytes:
        """The frame as a recogniser should hear it. Of another length it is returned as it is."""
        if len(pcm) != FRAME_BYTES:
            return pcm
        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        if float(np.dot(samples, samples)) >= _LEAST_RMS**2 * len(samples):
            self._loud += 1
            # Once it is sure, a look now and then will do.
            if abs(self._missing) < _SURE or self._loud % _SELDOM == 0:
                self._judge(samples)
        if self._missing <= 0:
            return pcm
        # Every other sample negated is the spectrum turned round.
        filled = samples + samples * _MIRROR
        return bytes(np.clip(filled, -32768, 32767).astype("<i2").tobytes())

    def _judge(self, samples: np.ndarray) -> None:
        power = np.abs(np.fft.rfft(samples * _WINDOW)) ** 2
        if float(power[_UPPER].sum()) < _MISSING * float(power.sum()):
            self._missing = min(_SURE, self._missing + 1)
        else:
            self._missing = max(-_SURE, self._missing - _WIDE_COUNTS)
