"""Times of what was spoken become times of what was written."""

from __future__ import annotations

import pytest

from antiphon.spoken.text import Spoken, verbalise
from antiphon.spoken.times import written_times
from antiphon.types import Word


def told(*texts: str) -> list[Word]:
    return [Word(text, 100 * n, 100 * n + 90) for n, text in enumerate(texts)]


WRITTEN = verbalise("at 7:30 p.m. – for $5", "en")


def spans(words: tuple[Word, ...]) -> list[tuple[str, int, int]]:
    return [(word.text, word.start_ms, word.end_ms) for word in words]


@pytest.mark.parametrize(
    "voice",
    [
        told("at", "seven", "thirty", "P", "M", "–", "for", "five", "dollars"),
        [
            w
            for w in told("at", "seven", "thirty", "P", "M", "–", "for", "five", "dollars")
            if w.text != "–"
        ],
    ],
)
def test_a_word_has_the_time_of_all_that_is_spoken_for_it(voice: list[Word]) -> None:
    found = [span for span in spans(written_times(WRITTEN, voice)) if span[0] != "–"]
    assert found == [
        ("at", 0, 90),
        ("7:30", 100, 490),
        ("p.m.", 490, 490),
        ("for", 600, 690),
        ("$5", 700, 890),
    ]


def test_a_voice_that_cuts_words_otherwise_is_followed_by_their_letters() -> None:
    written = [Spoken("ice-cream", "ice-cream"), Spoken("please", "please")]
    assert spans(written_times(written, told("ice", "cream", "please"))) == [
        ("ice-cream", 0, 190),
        ("please", 200, 290),
    ]
    one = spans(written_times(written, [Word("icecream please", 0, 1400)]))
    assert one == [("ice-cream", 0, 800), ("please", 800, 1400)]


def test_a_voice_that_tells_nothing_is_not_guessed_here() -> None:
    assert written_times(WRITTEN, []) == ()


def test_more_words_than_were_asked_for_are_spread() -> None:
    words = written_times([Spoken("a", "a"), Spoken("b", "")], told("x", "y", "z"))
    assert spans(words) == [("a", 0, 290), ("b", 290, 290)]
