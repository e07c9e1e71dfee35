"""What the far end has played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.channels.phone.played import FRAME_S, LOST_S, MAX_MARKS, PlaybackClock


def playing(frames: int, at_s: float = 0.0) -> tuple[PlaybackClock, list[str]]:
    """A clock whose frames went out at once, with their marks."""
    clock, names = PlaybackClock(), []
    for number in range(frames):
        clock.sent(1, at_s)
        if name := clock.mark(at_s, ends=number == frames - 1):
            names.append(name)
    return clock, names


def test_a_mark_follows_every_100_ms_and_the_end_of_a_run() -> None:
    _, names = playing(12)
    assert names == ["a1", "a2", "a3"]
    clock = PlaybackClock()
    assert clock.mark(0.0, ends=True) is None
    clock.sent(4, 0.0)
    assert clock.mark(0.0) is None
    assert clock.mark(0.0, ends=True) == "a1"
    assert clock.mark(0.0, ends=True) is None


def test_the_clock_moves_on_to_the_next_mark_and_no_further() -> None:
    clock, names = playing(10)
    assert [clock.heard(at) for at in (0.0, 0.019, 0.02, 0.05, 0.1, 0.3)] == [0, 0, 1, 2, 5, 5]
    clock.marked(names[0], 0.32)
    assert clock.heard(0.32) == 5
    assert clock.heard(0.38) == 8
    clock.marked(names[1], 0.39)
    assert clock.heard(0.39) == 10


def test_a_mark_before_its_time_is_believed() -> None:
    clock, names = playing(10)
    clock.marked(names[0], 0.05)
    assert clock.heard(0.05) == 5


def test_a_mark_that_is_lost_is_made_up_for_by_the_clock() -> None:
    clock, names = playing(10)
    assert clock.heard(0.1 + LOST_S) == 5
    assert clock.heard(0.11 + LOST_S) == 10
    clock.marked(names[0], 2.0)
    assert clock.heard(2.0) == 10


def test_a_line_without_marks_is_waited_for_once() -> None:
    clock, _ = playing(5)
    assert clock.heard(2.0) == 5
    clock.sent(10, 10.0)
    clock.mark(10.0)
    assert clock.heard(10.0) == 5
    clock.sent(10, 20.0)
    clock.mark(20.0)
    assert clock.heard(20.1) == 20


def test_a_later_mark_stands_for_those_before() -> None:
    clock, names = playing(15)
    clock.marked(names[2], 0.31)
    assert clock.heard(0.31) == 15
    clock.marked(names[0], 0.32)
    assert clock.heard(0.32) == 15


def test_what_was_cleared_was_not_heard() -> None:
    clock, names = playing(10)
    clock.marked(names[0], 0.1)
    clock.clear(0.13)
    assert clock.heard(0.13) == 6
    # The far end returns the marks that it has dropped.
    clock.marked(names[1], 0.18)
    assert clock.heard(5.0) == 6
    assert clock.ahead_s(0.13) == 0.0


def test_frames_after_a_clear_pass_over_what_it_dropped() -> None:
    clock, _ = playing(10)
    clock.clear(0.04)
    assert clock.heard(0.05) == 2
    clock.sent(5, 1.0)
    assert clock.mark(1.0) == "a3"
    assert clock.heard(1.0) == 2
    assert clock.heard(1.02) == 11
    clock.marked("a3", 1.1)
    assert clock.heard(1.1) == 15


def test_a_pause_between_two_runs_is_no_playback() -> None:
    clock, names = playing(5)
    clock.marked(names[0], 0.1)
    clock.sent(5, 9.0)
    assert clock.heard(9.0) == 5
    assert clock.heard(9.04) == 7


def test_how_much_is_ahead() -> None:
    clock, _ = playing(5)
    assert clock.ahead_s(0.0) == 5 * FRAME_S
    assert clock.ahead_s(0.04) == pytest.approx(3 * FRAME_S)
    assert clock.ahead_s(1.0) == 0.0


def test_tones_take_time_and_are_not_counted() -> None:
    clock = PlaybackClock()
    clock.sent(5, 0.0)
    clock.sent(5, 0.0, counted=False)
    clock.sent(5, 0.0)
    assert [clock.heard(at) for at in (0.1, 0.15, 0.2, 0.26)] == [5, 5, 5, 8]
    clock.clear(0.26)
    clock.sent(2, 1.0)
    assert clock.heard(1.021) == 11


def test_marks_on_their_way_are_bounded() -> None:
    clock, _ = playing(MAX_MARKS * 5 * 3)
    assert len(clock._marks) == MAX_MARKS


steps = st.lists(
    st.one_of(
        st.tuples(st.just("sent"), st.integers(1, 8)),
        st.tuples(st.just("tones"), st.integers(1, 8)),
        st.tuples(st.just("mark"), st.integers(0, 1)),
        st.tuples(st.just("back"), st.integers(0, 40)),
        st.tuples(st.just("clear"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 400)),
    ),
    max_size=60,
)


@given(steps)
def test_whatever_comes_back_and_whenever(story: list[tuple[str, int]]) -> None:
    clock, now_s, sent, before = PlaybackClock(), 0.0, 0, 0
    for what, number in story:
        match what:
            case "sent" | "tones":
                clock.sent(number, now_s, counted=what == "sent")
                sent += number if what == "sent" else 0
            case "mark":
                clock.mark(now_s, ends=bool(number))
            case "back":
                clock.marked(f"a{number}", now_s)
            case "clear":
                clock.clear(now_s)
            case "wait":
                now_s += number / 100
        heard = clock.heard(now_s)
        assert before <= heard <= sent
        assert clock.heard(now_s) == heard
        before = heard
    clock.sent(1, now_s)
    end_s = now_s + clock.ahead_s(now_s) + LOST_S + 1
    clock.mark(now_s, ends=True)
    clock.heard(end_s)
    assert clock.heard(end_s + 60) == sent + 1
