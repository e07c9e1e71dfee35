"""The figures of a turn benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.bench.items import Item
from antiphon.bench.score import barge_in, end_of_turn, in_ms, percentile, score

PAUSE = {"type": "pause", "label": "hold", "start": 1.0, "end": 1.5}
END = {"type": "end_of_turn", "time": 4.0}
ROW = {"id": "a", "kind": "complete", "events": [PAUSE, END]}


def turn(*times: float, row: dict[str, Any] = ROW, natural: bool = False) -> dict[str, Any]:
    return end_of_turn([row], {"a": {"end_of_turn": times}}, natural=natural)


def test_the_delay_is_from_the_true_end_to_the_first_decision() -> None:
    figures = turn(4.6, 4.5)
    assert (figures["delay_p50_ms"], figures["never"], figures["late"]) == (500, 0, 0)
    assert turn(3.95)["delay_p50_ms"] == 0
    assert turn(7.1)["late"] == 1
    assert turn()["never"] == 1
    assert turn()["delay_p50_ms"] is None


@pytest.mark.parametrize(
    ("at", "cut"), [(0.9, 0), (0.96, 1), (1.5, 1), (2.1, 1), (2.2, 0), (3.0, 0)]
)
def test_a_cut_in_is_in_the_pause_or_before_the_next_words_are_taken_in(
    at: float, cut: int
) -> None:
    figures = turn(at, 4.5)
    assert figures["cut_in"] == cut
    # Before the end it is wrong anywhere.
    assert figures["items_cut"] == 1
    assert figures["holds"] == 1


def test_what_follows_a_pause_at_once_ends_it() -> None:
    row = {"id": "a", "events": [PAUSE, {**PAUSE, "start": 1.8, "end": 2.0}, END]}
    assert turn(1.72, row=row)["cut_in"] == 0
    assert turn(1.76, row=row)["cut_in"] == 1


def test_a_natural_turn_is_over_when_the_other_one_speaks() -> None:
    row = {"id": "a", "events": [{"type": "end_of_turn", "time": 4.0, "end": 5.0}]}
    assert turn(5.1, row=row, natural=True)["never"] == 1
    assert turn(5.1, row=row)["never"] == 0
    assert turn(2.0, 4.5, row=row, natural=True)["items_cut"] == 0


def stops(category: str, expected: str, *times: float) -> dict[str, Any]:
    row = {
        "id": "a",
        "category": category,
        "expected": expected,
        "events": [{"onset": 2.0, "offset": 3.0}],
    }
    return barge_in([row], {"a": {"stop": times}})


def test_a_stop_is_right_early_or_missing() -> None:
    right = stops("interruption", "stop", 2.3)
    assert (right["precision"], right["recall"], right["stop_p50_ms"]) == (1.0, 1.0, 300)
    early = stops("interruption", "stop", 1.5, 2.3)
    assert (early["early"], early["precision"], early["recall"]) == (1, 0.0, 0.0)
    assert stops("interruption", "stop", 4.1)["missed"] == 1


def test_a_stop_for_nothing_is_false() -> None:
    assert stops("noise", "carry_on", 2.3, 2.9)["false_stops"] == 1
    assert stops("noise", "carry_on")["false_stops"] == 0
    figures = stops("dtmf", "stop_or_route", 2.3)
    assert (figures["false_stops"], figures["stops_by_category"]) == (0, {"dtmf": "0/1"})


def test_a_row_for_every_set_that_is_there() -> None:
    def item(kind: str, row: dict[str, Any]) -> Item:
        return Item(kind, row, Path("a"), None, ())

    barge = {"category": "noise+echo", "expected": "carry_on", "events": []}
    items = [
        item("eot", ROW),
        item("eot_natural", {**ROW, "id": "n"}),
        item("bargein", {**barge, "id": "b"}),
        item("echo_real", {"id": "e", "category": "residual_echo_real"}),
        item("echo_real", {"id": "d", "category": "doubletalk_real"}),
    ]
    decisions = {"b": {"stop": [1.0]}, "e": {"stop": [1.0]}, "d": {"stop": [1.0]}}
    table = score(items, decisions)
    assert list(table) == [
        "eot", "eot.complete", "eot_natural", "bargein", "bargein_without_echo", "echo_real",
    ]  # fmt: skip
    assert table["bargein"]["false_stops"] == 1
    assert table["bargein_without_echo"]["false_stops"] == 0
    assert table["echo_real"] == {"stops": 1, "items": 1}
    assert score([], {}) == {}


def test_percentiles_lie_between_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0, 2.0], 0.95) == pytest.approx(1.95)
    assert in_ms([0.1234], 1.0) == 123
    assert in_ms([], 0.5) is None
