"""Which worker takes what is new."""

from __future__ import annotations

import json

import pytest

from antiphon.server.board import SENT_S, Board, Report


def busy(calls: int, *, room: bool = True, ready: bool = True) -> Report:
    return Report(calls, room, ready)


def test_nobody_is_chosen_where_nobody_answers() -> None:
    board = Board(2)
    assert board.choose(0.0) is None
    board.told(1, Report())
    assert board.choose(0.0) == 1
    board.told(1, None)
    assert board.choose(0.0) is None


def test_the_fewest_calls() -> None:
    board = Board(3)
    for worker, calls in enumerate((4, 2, 3)):
        board.told(worker, busy(calls))
    assert board.choose(0.0) == 1


def test_a_full_one_is_left_alone_and_answers_when_all_are_full() -> None:
    board = Board(3)
    board.told(0, busy(1, room=False))
    board.told(1, busy(9))
    board.told(2, Report(ready=False))
    assert board.choose(0.0) == 1
    board.told(1, busy(10, room=False))
    assert board.choose(0.0) == 0
    board.told(0, None)
    board.told(1, None)
    assert board.choose(0.0) == 2


def test_a_rush_spreads_before_anybody_has_reported() -> None:
    board = Board(2)
    board.told(0, busy(0))
    board.told(1, busy(4))
    chosen = []
    for _ in range(8):
        worker = board.choose(0.0)
        assert worker is not None
        board.sent(worker, 0.0)
        chosen.append(worker)
    assert (chosen.count(0), chosen.count(1)) == (6, 2)
    # By then they are calls, and reported as such, or were something shorter.
    assert board.choose(SENT_S) == 0


def test_equals_take_turns() -> None:
    board = Board(3)
    for worker in range(3):
        board.told(worker, busy(1))
    assert [board.choose(float(10 * n)) for n in range(6)] == [0, 1, 2, 0, 1, 2]


def test_a_new_call_is_passed_on_where_that_is_clearly_better() -> None:
    board = Board(2)
    board.told(1, busy(3))
    assert board.better(0, 0.0, calls=4, room=True) is None
    assert board.better(0, 0.0, calls=5, room=True) == 1
    assert board.better(0, 0.0, calls=1, room=False) == 1
    board.sent(1, 0.0)
    assert board.better(0, 0.0, calls=5, room=True) is None
    board.told(1, busy(0, room=False))
    assert board.better(0, 9.0, calls=5, room=False) is None
    board.told(1, None)
    assert board.better(0, 9.0, calls=5, room=False) is None


def test_it_is_told_to_another_process() -> None:
    board, copy = Board(2), Board(2)
    board.started(0)
    board.told(0, busy(3, room=False))
    copy.told(1, busy(1))
    copy.read(json.loads(json.dumps(board.written())))
    assert copy.written() == board.written()
    assert (copy.ready, copy.count, copy.starts) == (1, 2, [1, 0])
    assert (copy.is_there(0), copy.is_there(1), copy.is_there(2)) == (True, False, False)


@pytest.mark.parametrize("rows", [[[0, None]], [[0], [0]], [["x", None]] * 2, [[0, 3]] * 2])
def test_what_is_no_board_is_refused(rows: list[list[object]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Board(2).read(rows)
