"""One response's books: what was played, which words of it were heard, where the time went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.response import Pace, Response, Segment
from antiphon.types import Word

TEXT = "one three five seven"
WORDS = tuple(Word(text, i * 300, i * 300 + 300) for i, text in enumerate(TEXT.split()))


def segment(
    *, whole: bool = True, words: tuple[Word, ...] = (), duration_ms: int = 1200
) -> Segment:
    made = Segment(TEXT, 0, Pace())
    made.finish(words)
    made.whole, made.duration_ms = whole, duration_ms
    return made


@pytest.mark.parametrize(
    ("played_ms", "count"),
    [(-5, 0), (0, 0), (149, 0), (150, 1), (449, 1), (450, 2), (1100, 4), (1200, 4), (5000, 4)],
)
def test_a_word_is_heard_when_half_of_it_was_played(played_ms: int, count: int) -> None:
    assert segment(words=WORDS).heard(played_ms) == TEXT.split()[:count]


def test_tags_for_the_voice_are_no_words() -> None:
    made = Segment('So <break time="1s"/> <emphasis>now</emphasis>?', 0, Pace())
    assert made.written == ["So", "now?"]
    assert made.text == "So now?"


def test_a_voice_that_counts_words_differently_is_scaled() -> None:
    assert segment(words=WORDS[:2], duration_ms=2000).heard(300) == ["one", "three"]


@pytest.mark.parametrize(("played_ms", "count"), [(60, 0), (300, 1), (600, 2), (1199, 4)])
def test_without_word_times_the_length_of_the_words_decides(played_ms: int, count: int) -> None:
    assert segment().heard(played_ms) == TEXT.split()[:count]


def test_while_its_length_is_unknown_a_usual_pace_is_assumed() -> None:
    assert segment(whole=False, duration_ms=500).heard(500) == ["one", "three"]
    assert segment(whole=False, duration_ms=9000).heard(500) == []


def test_the_pace_is_learned_from_segments_that_sounded() -> None:
    pace = Pace()
    usual_ms = pace.expected_ms(TEXT)
    pace.note("...", 0)
    assert pace.expected_ms(TEXT) == usual_ms
    pace.note(TEXT, 10_000)
    assert pace.expected_ms(TEXT) > usual_ms


@given(st.integers(0, 2000), st.integers(0, 2000), st.booleans(), st.booleans())
def test_hearing_more_never_takes_words_back(a: int, b: int, whole: bool, timed: bool) -> None:
    made = segment(whole=whole, words=WORDS if timed else ())
    assert len(made.heard(min(a, b))) <= len(made.heard(max(a, b)))


def response() -> Response:
    """Two segments of 1200 ms, the second one of a second step, the first one audible."""
    made = Response(1, 1, 1000, 800, Pace())
    made.step = 0
    made.add_segment("one two three four", 1100)
    made.step = 1
    made.add_segment("five six?", 1200)
    for number, words in enumerate(("one two three four", "five six?")):
        texts = words.split()
        each = 1200 // len(texts)
        made.add_audio(number, 1200, 1300)
        times = (Word(text, i * each, i * each + each) for i, text in enumerate(texts))
        made.finish_segment(number, 1200, tuple(times))
    made.started_ms = 1400
    return made


@pytest.mark.parametrize(
    ("played_ms", "steps", "unheard"),
    [
        (0, ["", ""], "one two three four five six?"),
        (600, ["one two", ""], "three four five six?"),
        (1200, ["one two three four", ""], "five six?"),
        (1800, ["one two three four", "five"], "six?"),
        (2400, ["one two three four", "five six?"], ""),
        (9999, ["one two three four", "five six?"], ""),
    ],
)
def test_what_was_heard_runs_through_the_segments(
    played_ms: int, steps: list[str], unheard: str
) -> None:
    made = response()
    made.played(played_ms, 5000)
    assert made.heard_steps() == steps
    assert made.heard() == " ".join(" ".join(steps).split())
    assert made.unheard() == unheard


def test_nothing_is_heard_before_the_first_sound() -> None:
    made = response()
    made.started_ms = None
    made.played_ms = 2400
    assert made.heard_steps() == ["", ""]
    assert not made.audible


def test_playback_never_goes_back_and_never_beyond_its_audio() -> None:
    made = response()
    made.played(500, 2000)
    made.played(300, 2100)
    assert (made.played_ms, made.quiet_from_ms) == (500, 2100)
    made.played(99_999, 2200)
    assert made.played_ms == made.audio_ms == 2400


def test_a_segment_under_way_hides_those_behind_it() -> None:
    made = response()
    made.segments[0].whole = False
    made.played(2400, 5000)
    assert made.heard_steps()[1] == ""


@pytest.mark.parametrize(("played_ms", "asked"), [(0, False), (1200, True), (2400, True)])
def test_a_question_was_asked_once_its_end_was_nearly_heard(played_ms: int, asked: bool) -> None:
    made = response()
    made.played(played_ms, 5000)
    assert made.asked() is asked


def test_nothing_was_asked_while_more_may_come_or_by_a_statement() -> None:
    made = response()
    made.played(2400, 5000)
    made.open_tools.add("t1")
    assert not made.asked()
    made.open_tools.clear()
    made.generating = True
    assert not made.asked()
    made.generating = False
    made.segments[-1].text = "five six."
    assert not made.asked()
    assert not Response(1, None, 0, 0, Pace()).asked()


def test_the_voice_has_as_long_for_a_segment_as_it_is_behind() -> None:
    made = Response(1, None, 0, 0, Pace())
    assert not made.voice_busy
    made.add_segment("one", 100)
    made.add_segment("two", 900)
    assert (made.voice_busy, made.voice_progress_ms, made.first_segment_ms) == (True, 100, 100)
    made.add_audio(0, 300, 1000)
    made.add_audio(0, 200, 1100)
    assert (made.audio_ms, made.voice_progress_ms, made.first_audio_ms) == (300, 1100, 1000)


def test_latency_parts_sum_to_the_whole() -> None:
    made = response()
    made.first_text_ms = 1050
    assert made.latency() == (
        ("endpointing", 200),
        ("generation", 50),
        ("segmentation", 50),
        ("synthesis", 200),
        ("playback", 100),
    )


@given(
    marks=st.tuples(*(st.one_of(st.none(), st.integers(0, 5000)) for _ in range(3))),
    committed_ms=st.integers(0, 3000),
    started_ms=st.integers(3000, 6000),
)
def test_latency_parts_sum_to_the_whole_even_with_a_filler_first(
    marks: tuple[int | None, ...], committed_ms: int, started_ms: int
) -> None:
    made = Response(1, 1, committed_ms, 0, Pace())
    made.first_text_ms, made.first_segment_ms, made.first_audio_ms = marks
    made.started_ms = started_ms
    parts = made.latency()
    assert sum(ms for _, ms in parts) == started_ms
    assert all(ms >= 0 for _, ms in parts)


def test_a_segment_that_is_whole_twice_is_one_segment() -> None:
    made = Response(1, 1, 1000, 800, Pace())
    made.add_segment("one two", 1100)
    made.add_segment("three", 1100)
    made.finish_segment(0, 600, ())
    made.finish_segment(0, 600, ())
    assert made.voice_busy
    made.finish_segment(1, 300, ())
    assert not made.voice_busy
