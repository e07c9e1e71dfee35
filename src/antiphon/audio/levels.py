"""Levels of s16 PCM: how loud, and ramps from one gain to another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_S16 = np.dtype("<i2")
FULL_SCALE = 32768.0
SILENCE_DBFS = -120.0
"""What digital silence is reported as, so that nobody has to compare with minus infinity."""


def rms_dbfs(pcm: bytes) -> float:
    """Root mean square level in dB relative to full scale; `SILENCE_DBFS` when there is nothing."""
    samples = np.frombuffer(pcm, _S16)
    if not len(samples):
        return SILENCE_DBFS
    # The squares do not fit into 16 bits; float32 dot products are exact enough for a level.
    scaled = samples.astype(np.float32)
    mean_square = float(np.dot(scaled, scaled)) / len(samples)
    if mean_square <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * math.log10(mean_square / FULL_SCALE**2))


def energies(pieces: Sequence[bytes]) -> list[float]:
    """Mean square of each piece, relative to full scale, and not below `SILENCE_DBFS`. The pieces
    have the same length; together they take little longer than one."""
    if not pieces:
        return []
    samples = np.frombuffer(b"".join(pieces), _S16).reshape(len(pieces), -1)
    scaled = samples.astype(np.float32)
    sums = np.einsum("ij,ij->i", scaled, scaled)
    least = 10 ** (SILENCE_DBFS / 10)
    found = np.maximum(least, sums / (samples.shape[1] * FULL_SCALE**2))
    return [float(one) for one in found]


def peak(pcm: bytes) -> int:
    """Largest magnitude of any sample, 0 to 32768."""
    samples = np.frombuffer(pcm, dtype="<i2")
    if not len(samples):
        return 0
    # The magnitude of -32768 does not fit into an int16: take it as a Python integer.
    return max(int(samples.max()), -int(samples.min()))


def gain_from_db(gain_db: float) -> float:
    """Amplitude factor of a gain in decibels."""
    return float(10.0 ** (gain_db / 20.0))


def ramp(pcm: bytes, start_gain: float, end_gain: float, ramp_samples: int) -> bytes:
    """Scale PCM linearly from `start_gain` to `end_gain` over its first `ramp_samples` samples and
    by `end_gain` after them. Clips instead of wrapping round."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    split = min(max(ramp_samples, 0), len(samples))
    if split:
        # The first sample has already moved, and sample number `ramp_samples` is at the end gain,
        # so two ramps in succession join without a step.
        step = (end_gain - start_gain) / ramp_samples
        samples[:split] *= start_gain + step * np.arange(1, split + 1, dtype=np.float32)
    samples[split:] *= end_gain
    np.rint(samples, out=samples)
    if start_gain > 1.0 or end_gain > 1.0:
        np.clip(samples, -32768, 32767, out=samples)
    return samples.astype("<i2").tobytes()


def fade_out(pcm: bytes, fade_samples: int, start_gain: float = 1.0) -> bytes:
    """Fade to silence over `fade_samples`; the rest is silent. Same length as the input."""
    return ramp(pcm, start_gain, 0.0, fade_samples)


def fade_in(pcm: bytes, fade_samples: int) -> bytes:
    """Fade from silence over `fade_samples`; the rest is unchanged."""
    return ramp(pcm, 0.0, 1.0, fade_samples)
