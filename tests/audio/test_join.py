"""Pieces of speech are joined without clicks, and counted to the sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.join import FADE_MS, Joiner


def sound(samples: int, level: int = 10_000) -> bytes:
    return np.full(samples, level, dtype="<i2").tobytes()


def as_samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(int)


def test_a_piece_fades_in_and_out_and_is_otherwise_as_it_was() -> None:
    joiner = Joiner(16_000)
    heard = as_samples(joiner.push(sound(1600)) + joiner.end())
    assert len(heard) == 1600
    fade = 16 * FADE_MS
    assert heard[0] < 10
    assert heard[-1] < 10
    assert (heard[fade:-fade] == 10_000).all()
    assert np.abs(np.diff(heard)).max() < 200


def test_a_pause_lies_between_two_pieces() -> None:
    joiner = Joiner(8_000)
    heard = joiner.push(sound(800)) + joiner.end() + joiner.pause(250)
    assert joiner.ms == 350
    heard += joiner.push(sound(800)) + joiner.end()
    assert joiner.size == len(heard) == 2 * 3600
    assert (as_samples(heard)[800:2800] == 0).all()
    assert np.abs(np.diff(as_samples(heard))).max() < 400
    assert joiner.pause(-5) == b""


@pytest.mark.parametrize("samples", [0, 1, 100, 250])
def test_a_piece_shorter_than_its_fades_is_still_whole(samples: int) -> None:
    joiner = Joiner(16_000)
    heard = as_samples(joiner.push(sound(samples)) + joiner.end())
    assert len(heard) == samples
    assert (np.abs(heard) < 10_000).all()


@given(
    sizes=st.lists(st.integers(0, 700), max_size=12), rate=st.sampled_from([8000, 22_050, 48_000])
)
def test_it_sounds_the_same_whatever_the_chunks(sizes: list[int], rate: int) -> None:
    whole, parts = Joiner(rate), Joiner(rate)
    tone = (8000 * np.sin(np.arange(sum(sizes)) / 7)).astype("<i2")
    expected = whole.push(tone.tobytes()) + whole.end()
    heard, at = b"", 0
    for size in sizes:
        heard += parts.push(tone[at : at + size].tobytes())
        at += size
    assert heard + parts.end() == expected
    assert parts.size == len(expected) == 2 * sum(sizes)
