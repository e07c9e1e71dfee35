"""Sound on its way in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import g711
from antiphon.channels.phone.ear import MAX_BYTES, MAX_WAITING, WAIT_S, Ear
from antiphon.channels.phone.vendor import Sound

PCM_16K = "l16"


def plain(number: int) -> bytes:
    return bytes([number, 0]) * 320


def heard(ear: Ear, chunks: list[int], at_s: float = 0.0) -> list[int]:
    return [f[0] for n in chunks for f in ear.push(Sound(plain(n), n), at_s)]


def test_a_tone_at_8_khz_is_the_same_tone_at_16() -> None:
    at = np.arange(16_000) / 8000
    tone = (np.sin(2 * np.pi * 1000 * at) * 8000).astype("<i2").tobytes()
    code = g711.encode(tone, "mulaw")
    ear = Ear("mulaw", 8000)
    frames = [f for i in range(0, len(code), 160) for f in ear.push(Sound(code[i : i + 160]), 0)]
    assert {len(frame) for frame in frames} == {640}
    assert len(frames) >= 99
    spectrum = np.abs(np.fft.rfft(np.frombuffer(b"".join(frames), np.int16)[1600:17600]))
    assert int(np.argmax(spectrum)) == 1000
    assert spectrum[7000] < spectrum[1000] / 1000


def test_any_length_is_cut_into_frames() -> None:
    ear = Ear("l16", 16_000)
    lengths = [len(ear.push(Sound(bytes(size)), 0)) for size in (100, 540, 1280, 1279, 1, 0, 320)]
    assert lengths == [0, 1, 2, 1, 0, 0, 1]


def test_half_a_sample_is_dropped() -> None:
    assert len(Ear("l16", 16_000).push(Sound(bytes(641)), 0)) == 1


def test_a_huge_message_is_cut() -> None:
    assert len(Ear("mulaw", 8000).push(Sound(bytes(10 * MAX_BYTES)), 0)) <= MAX_BYTES // 160


def test_chunks_are_put_in_order() -> None:
    assert heard(Ear("l16", 16_000), [1, 2, 4, 3, 5]) == [1, 2, 3, 4, 5]
    assert heard(Ear("l16", 16_000), [7, 7, 6, 8]) == [7, 8]


def test_a_chunk_that_does_not_come_is_not_waited_for_long() -> None:
    ear = Ear("l16", 16_000)
    assert heard(ear, [1]) == [1]
    assert heard(ear, [3], 0.02) == []
    assert heard(ear, [4], 0.02 + WAIT_S) == []
    assert heard(ear, [5], 0.04 + WAIT_S) == [3, 4, 5]
    assert heard(ear, [2, 6], 0.2) == [6]


def test_what_waits_is_bounded() -> None:
    ear = Ear("l16", 16_000)
    assert heard(ear, [1]) == [1]
    assert heard(ear, list(range(3, 3 + MAX_WAITING))) == []
    assert heard(ear, [100]) == list(range(3, 3 + MAX_WAITING))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=60))
def test_whatever_comes_each_chunk_is_heard_once_and_in_order(
    story: list[tuple[int, int]],
) -> None:
    ear, now_s, got = Ear("l16", 16_000), 0.0, []
    for chunk, wait in story:
        now_s += wait / 1000
        frames = ear.push(Sound(plain(chunk), chunk), now_s)
        got += [frame[0] for frame in frames if chunk]
        assert len(ear._waiting) <= MAX_WAITING
    assert got == sorted(set(got))


@pytest.mark.parametrize("encoding", ["mulaw", "alaw", "l16"])
@given(st.lists(st.binary(max_size=700), max_size=10))
def test_any_bytes(encoding: g711.Law, payloads: list[bytes]) -> None:
    ear = Ear(encoding, 8000)
    frames = [frame for one in payloads for frame in ear.push(Sound(one), 0.0)]
    assert all(len(frame) == 640 for frame in frames)
