from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio.trim import SegmentTrimmer

RATE = 16_000


def silence(ms: int) -> bytes:
    return bytes(RATE * ms // 1000 * 2)


def sound(ms: int) -> bytes:
    return (np.arange(RATE * ms // 1000) % 50 * 200 + 1000).astype("<i2").tobytes()


def trim(pcm: bytes, sizes: list[int]) -> tuple[bytes, SegmentTrimmer]:
    trimmer = SegmentTrimmer(RATE)
    out, at = b"", 0
    while at < len(pcm):
        size = sizes[at % len(sizes)] * 2
        out += trimmer.push(pcm[at : at + size])
        at += size
    return out + trimmer.finish(), trimmer


@pytest.mark.parametrize("size", [7, 160, 100_000])
def test_both_ends_are_trimmed_and_counted(size: int) -> None:
    out, trimmer = trim(silence(175) + sound(300) + silence(600), [size])
    assert out == silence(30) + sound(300) + silence(250)
    assert trimmer.removed_lead_ms == 145
    assert trimmer.removed_tail_ms == 350
    assert (trimmer.kept_lead_ms, trimmer.kept_tail_ms) == (30, 250)


def test_what_is_left_is_counted_too() -> None:
    trimmer = trim(silence(10) + sound(100) + silence(20), [320])[1]
    assert (trimmer.kept_lead_ms, trimmer.kept_tail_ms) == (10, 20)


def test_pauses_inside_stay_whole() -> None:
    pcm = sound(100) + silence(700) + sound(100)
    assert trim(pcm, [320])[0] == pcm


def test_sound_is_never_held_back_by_more_than_a_block() -> None:
    trimmer = SegmentTrimmer(RATE)
    assert trimmer.push(silence(100)) == b""
    assert not trimmer.lead_known
    assert trimmer.push(sound(20)) == silence(30) + sound(20)
    assert trimmer.lead_known
    assert trimmer.push(sound(20)[:100]) == b""
    assert trimmer.push(sound(20)[100:]) == sound(20)


def test_soft_noise_before_the_voice_is_silence() -> None:
    noise = (np.random.default_rng(0).normal(0, 30, 3200)).astype("<i2").tobytes()
    out, trimmer = trim(noise + sound(100), [320])
    assert trimmer.removed_lead_ms == 170
    assert out.endswith(sound(100))


def test_silence_alone_leaves_a_moment() -> None:
    out, trimmer = trim(silence(500), [320])
    assert out == silence(30)
    assert trimmer.removed_lead_ms == 470


def test_nothing_is_nothing() -> None:
    trimmer = SegmentTrimmer(RATE)
    assert trimmer.push(b"") + trimmer.finish() == b""


@settings(deadline=None)
@given(
    runs=st.lists(st.tuples(st.booleans(), st.integers(1, 6000)), max_size=8),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=5),
)
def test_only_the_ends_are_lost_and_all_is_counted(
    runs: list[tuple[bool, int]], sizes: list[int]
) -> None:
    pcm = b"".join(np.full(count, 5000 if loud else 0, "<i2").tobytes() for loud, count in runs)
    out, trimmer = trim(pcm, sizes)
    if any(loud and count > 160 for loud, count in runs):
        start = pcm.find(out)
        assert start >= 0
        assert not any(pcm[:start])
        assert not any(pcm[start + len(out) :])
        assert trimmer.removed_lead_ms == start // 32
        assert trimmer.removed_tail_ms == (len(pcm) - start - len(out)) // 32
