"""From 8 to 16 kHz for live audio, at a quarter of the general resampler's cost.

Every second sample is one of the input, those between them come from a half-band filter: a
windowed sinc of 48 taps, flat to 3.6 kHz, which is all that a telephone line carries, and
70 dB down where its images would be. It withholds 3 ms.
"""

from __future__ import annotations

import numpy as np

HALF_TAPS = 24
BETA = 7.0


def _taps() -> np.ndarray:
    distance = np.arange(-HALF_TAPS, HALF_TAPS) + 0.5
    taps = np.sinc(distance) * np.kaiser(2 * HALF_TAPS, BETA)
    return np.asarray(taps / taps.sum(), dtype=np.float32)


_TAPS = _taps()
_LEAST, _MOST = np.float32(-32768), np.float32(32767)


class Doubler:
    """Doubles the sample rate of a stream of mono s16 PCM."""

    def __init__(self) -> None:
        self._past = np.zeros(2 * HALF_TAPS - 1, dtype=np.float32)

    def push(self, pcm: bytes) -> bytes:
        """Take samples, return twice as many.

        Raises:
            ValueError: half a sample.
        """
        if not pcm:
            return b""
        samples = np.concatenate((self._past, np.frombuffer(pcm, np.int16)), dtype=np.float32)
        count = len(samples) - len(self._past)
        # The taps are symmetric: correlating is convolving, without a detour.
        between = np.correlate(samples, _TAPS, "valid")
        out = np.empty(2 * count, dtype=np.int16)
        out[0::2] = samples[HALF_TAPS - 1 : HALF_TAPS - 1 + count]
        np.rint(between, out=between)
        # np.clip costs more than the filter.
        np.minimum(np.maximum(between, _LEAST, out=between), _MOST, out=between)
        out[1::2] = between
        self._past = samples[count:]
        return out.tobytes()
