"""From 8 to 16 kHz."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.double import HALF_TAPS, Doubler


def tone(hz: float, level: float = 10_000) -> np.ndarray:
    return np.round(np.sin(2 * np.pi * hz * np.arange(8000) / 8000) * level).astype(np.int16)


def level(samples: np.ndarray, hz: float) -> float:
    """Of one frequency, in the middle second half, as an amplitude."""
    part = samples[4000:12000].astype(float) * np.hanning(8000)
    return float(4 * abs(np.sum(part * np.exp(-2j * np.pi * hz * np.arange(8000) / 16_000))) / 8000)


@pytest.mark.parametrize("hz", [300.0, 1000.0, 2000.0, 3000.0, 3400.0, 3600.0])
def test_tones_keep_their_level_and_have_no_image(hz: float) -> None:
    out = np.frombuffer(Doubler().push(tone(hz).tobytes()), np.int16)
    assert level(out, hz) == pytest.approx(10_000, rel=0.01)
    if hz <= 3600:
        assert level(out, 8000 - hz) < 10


def test_it_agrees_with_a_resampler_of_others() -> None:
    rng = np.random.default_rng(5)
    noise = soxr.resample(rng.normal(size=6000), 6000, 8000)  # nothing above 3 kHz
    samples = np.round(noise[:7900] * 3000).astype(np.int16)
    ours = np.frombuffer(Doubler().push(samples.tobytes()), np.int16).astype(float)
    theirs = soxr.resample(samples.astype(float), 8000, 16_000, quality="VHQ")
    delay = 2 * HALF_TAPS
    difference = ours[delay + 500 : 15_000] - theirs[500 : 15_000 - delay]
    assert np.std(difference) < np.std(theirs) / 500


@given(st.lists(st.integers(0, 300), max_size=20))
def test_it_does_not_matter_how_it_is_cut(sizes: list[int]) -> None:
    rng = np.random.default_rng(1)
    samples = rng.integers(-32768, 32768, sum(sizes)).astype(np.int16)
    doubler, at, parts = Doubler(), 0, []
    for size in sizes:
        parts.append(doubler.push(samples[at : at + size].tobytes()))
        at += size
    assert b"".join(parts) == Doubler().push(samples.tobytes())
    assert len(b"".join(parts)) == 4 * len(samples)


def test_the_loudest_sound_does_not_wrap_around() -> None:
    square = np.where(np.arange(800) // 4 % 2, 32767, -32768).astype(np.int16)
    out = np.frombuffer(Doubler().push(square.tobytes()), np.int16)
    assert out.max() == 32767
    assert out.min() == -32768
    assert abs(np.diff(out.astype(int))).max() <= 65535


def test_half_a_sample() -> None:
    with pytest.raises(ValueError, match="multiple"):
        Doubler().push(b"abc")
