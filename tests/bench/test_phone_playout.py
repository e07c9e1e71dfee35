"""The far end's buffer on its own clock."""

from __future__ import annotations

from antiphon.bench.phone_playout import Playout

LOUD = bytes([0x90, 0x10] * 80)
QUIET = b"\xff" * 160


def test_sound_is_played_in_real_time() -> None:
    playout = Playout(record=True)
    assert playout.push(LOUD * 5, 1000)
    playout.mark("a", 1000)
    assert playout.passed(1099) == []
    assert playout.speaks(1099)
    assert playout.passed(1100) == ["a"]
    assert not playout.speaks(1100)
    assert playout.silent_ms(1300) == 200
    assert playout.max_buffered_ms == 100
    assert playout.track is not None
    assert len(playout.track) == 1100 * 8
    assert playout.answers[0].heard_ms(1040) == 40


def test_a_gap_is_a_silence_in_an_answer() -> None:
    playout = Playout()
    playout.push(LOUD, 0)
    assert not playout.push(LOUD, 50)
    assert playout.answers[0].gaps_ms == [30]
    assert playout.answers[0].late_ms == [0, 30]
    assert playout.push(LOUD, 50 + 20 + 600)
    assert len(playout.answers) == 2


def test_early_is_not_late_and_a_stall_counts_once() -> None:
    playout = Playout()
    for now_ms in (0, 0, 0, 45, 400, 420):
        playout.push(LOUD, now_ms)
    assert playout.answers[0].late_ms == [0, 0, 0, 0, 320, 0]
    assert playout.answers[0].gaps_ms == [320]


def test_silence_that_is_sent_is_no_answer() -> None:
    playout = Playout()
    assert not playout.push(QUIET * 100, 0)
    assert not playout.answers
    assert playout.push(LOUD, 2000)
    assert not playout.push(LOUD, 2020)


def test_clear_drops_what_was_not_played_and_gives_its_marks_back() -> None:
    playout = Playout(record=True)
    playout.push(LOUD * 50, 0)
    playout.mark("a", 0)
    playout.push(LOUD * 50, 10)
    playout.mark("b", 10)
    assert playout.clear(300) == ["a", "b"]
    answer = playout.answers[0]
    assert (answer.sound_ms, answer.cleared_ms, answer.ends_ms) == (300, 300, 300)
    assert playout.track is not None
    assert len(playout.track) == 300 * 8
    assert playout.passed(5000) == []
    assert playout.push(LOUD, 320), "what comes after a clear is another answer"
    assert playout.clear(5000) == []
    assert playout.answers[1].sound_ms == 20
