"""What has reached the caller of what was read, where the far end of the line buffers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.heard import MOST_FRAMES, HeardLedger, Moved


def read(ledger: HeardLedger, response_id: int, frames: int, start_ms: int = 0) -> None:
    for number in range(1, frames + 1):
        assert ledger.read(response_id, start_ms + 20 * number) == []


def test_reading_is_not_hearing() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 10)
    assert ledger.heard(0) == []
    assert ledger.heard(5) == [Moved(1, 100)]
    assert ledger.heard(6) == []  # told of every 100 ms
    assert ledger.heard(10) == [Moved(1, 200)]


def test_what_is_on_the_way_last_is_told_although_it_is_little() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 2)
    assert ledger.heard(2) == [Moved(1, 40)]
    assert ledger.heard(9) == []


def test_a_response_ends_when_its_last_frame_was_heard() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 5)
    assert ledger.ended(1, 95) == []
    assert ledger.heard(4) == [Moved(1, 80)]
    assert ledger.heard(5) == [Moved(1, 100), Moved(1, 95, ended=True)]


def test_one_that_was_heard_already_ends_at_once() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 5)
    ledger.heard(5)
    assert ledger.ended(1, 100) == [Moved(1, 100, ended=True)]
    assert HeardLedger().ended(7, 0) == [Moved(7, 0, ended=True)]


def test_the_next_response_comes_after_the_end_of_the_first() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 3)
    ledger.ended(1, 60)
    read(ledger, 2, 8)
    assert ledger.heard(8) == [Moved(1, 60, ended=True), Moved(2, 100)]


def test_a_flush_says_what_was_heard_and_that_something_was_not() -> None:
    ledger = HeardLedger()
    read(ledger, 1, 10)
    ledger.heard(6)
    assert ledger.on_the_way(1)
    assert ledger.flush(1, 200) == 120
    assert ledger.heard(20) == []
    assert not ledger.on_the_way(1)
    assert ledger.flush(1, 200) == 200


def test_a_flush_before_anything_was_heard() -> None:
    ledger = HeardLedger()
    read(ledger, 3, 4)
    assert ledger.on_the_way(3)
    assert not ledger.on_the_way(2)
    assert ledger.flush(3, 80) == 0


def test_a_line_that_never_tells_does_not_hold_the_call() -> None:
    ledger = HeardLedger()
    moved: list[Moved] = []
    for number in range(1, MOST_FRAMES + 10):
        moved += ledger.read(1, 20 * number)
    assert moved


@given(st.lists(st.tuples(st.sampled_from(["read", "hear", "end"]), st.integers(1, 12))))
def test_positions_never_go_back_and_nothing_is_heard_that_was_not_read(
    steps: list[tuple[str, int]],
) -> None:
    ledger = HeardLedger()
    response, at_ms, total, heard = 1, 0, 0, 0
    last: dict[int, int] = {}
    ended: list[int] = []
    for what, count in steps:
        moved: list[Moved] = []
        if what == "read":
            for _ in range(count):
                at_ms, total = at_ms + 20, total + 1
                moved += ledger.read(response, at_ms)
        elif what == "hear":
            heard = min(total, heard + count)
            moved = ledger.heard(heard)
        else:
            moved = ledger.ended(response, at_ms)
            response, at_ms = response + 1, 0
        for one in moved:
            assert one.played_ms >= last.get(one.response_id, 0)
            assert one.response_id not in ended
            last[one.response_id] = one.played_ms
            if one.ended:
                ended.append(one.response_id)
    assert ended == sorted(ended)
