"""Times of words that a voice did not tell."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.align import Aligner
from antiphon.types import Word

RATE = 16_000
RNG = np.random.default_rng(7)


def noise(ms: int, level: float = 3000.0) -> bytes:
    return RNG.normal(0.0, level, RATE * ms // 1000).astype("<i2").tobytes()


def aligned(pcm: bytes, text: str, chunk: int = 3000) -> tuple[Word, ...]:
    aligner = Aligner(RATE)
    for at in range(0, len(pcm), chunk):
        aligner.push(pcm[at : at + chunk])
    return aligner.words(text.split(), text.split())


def test_a_pause_is_found_at_the_mark() -> None:
    # The first half is spoken slowly: by letters alone, "now" would begin too early.
    pcm = noise(0) + noise(1500) + noise(250, 2) + noise(600) + noise(40, 2)
    words = aligned(pcm, "Well, so now it is time")
    assert [w.text for w in words] == ["Well,", "so", "now", "it", "is", "time"]
    words = aligned(pcm, "I can do that, come in")
    assert words[3].end_ms == 1500
    assert words[4].start_ms == 1750
    assert words[-1].end_ms == 2350


def test_words_are_in_order_and_within_the_audio() -> None:
    for text in ("one", "one, two. three", "a " * 60, "— ok …"):
        words = aligned(noise(900), text)
        assert [w.text for w in words] == text.split()
        times = [t for w in words for t in (w.start_ms, w.end_ms)]
        assert times == sorted(times)
        assert 0 <= times[0] <= times[-1] <= 900
        assert words[-1].end_ms >= 890


def test_long_words_take_longer() -> None:
    short, long = aligned(noise(1000), "it international")
    assert short.end_ms - short.start_ms < 300
    assert long.start_ms == short.end_ms


def test_a_word_for_which_nothing_is_said_has_no_length() -> None:
    aligner = Aligner(RATE)
    aligner.push(noise(1000))
    time, half, today = aligner.words(["7:30", "p.m.", "today"], ["seven thirty p m", "", "today"])
    assert half == Word("p.m.", time.end_ms, time.end_ms)
    assert today.start_ms == time.end_ms


@pytest.mark.parametrize("pcm", [b"", bytes(6400), noise(5)])
def test_silence_and_nothing_have_words_too(pcm: bytes) -> None:
    words = aligned(pcm, "one two")
    assert [w.text for w in words] == ["one", "two"]
    assert all(0 <= w.start_ms <= w.end_ms <= 200 for w in words)
    assert aligned(pcm, "") == ()
    assert aligned(pcm, "– –")[1].end_ms <= 200


def test_stops_inside_words_are_not_taken_for_pauses() -> None:
    pcm = b"".join(noise(180) + noise(60, 1) for _ in range(8))
    words = aligned(pcm, "one two three four five six seven eight")
    lengths = [w.end_ms - w.start_ms for w in words]
    assert max(lengths) < 3 * min(lengths)
