"""When the loop is too late for one more call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.admission import FEWEST, WINDOW_S, LagGate

TICK_S = 0.05


def fed(gate: LagGate, lags: list[float], from_s: float = 0.0) -> float:
    """When the last of them was measured."""
    now_s = from_s
    for lag_ms in lags:
        now_s += TICK_S + lag_ms / 1000
        gate.feed(lag_ms, now_s)
    return now_s


def test_a_loop_in_time_is_open() -> None:
    gate = LagGate(40)
    fed(gate, [1.0] * 200)
    assert (gate.closed, gate.lag_ms) == (False, 1.0)


def test_one_long_moment_closes_nothing() -> None:
    gate = LagGate(40)
    now_s = fed(gate, [1.0] * 100)
    fed(gate, [3000.0, *[1.0] * 10], now_s)
    assert not gate.closed


def test_a_loop_that_is_often_late_closes_and_opens_again() -> None:
    gate = LagGate(40)
    now_s = fed(gate, [1.0] * 100)
    now_s = fed(gate, [60.0, *[1.0] * 9] * 10, now_s)
    assert gate.closed
    assert gate.lag_ms == 60.0
    # Below the limit, but not below its half: still closed.
    now_s = fed(gate, [30.0] * 100, now_s)
    assert gate.closed
    fed(gate, [19.0] * 100, now_s)
    assert not gate.closed


def test_what_is_long_ago_does_not_count() -> None:
    gate = LagGate(40)
    now_s = fed(gate, [100.0] * FEWEST)
    assert gate.closed
    fed(gate, [1.0] * FEWEST, now_s + WINDOW_S)
    assert not gate.closed


def test_a_loop_that_hardly_runs_is_judged_by_what_it_managed() -> None:
    gate = LagGate(40)
    fed(gate, [2000.0] * FEWEST)
    assert gate.closed


def test_a_few_measurements_say_nothing() -> None:
    gate = LagGate(40)
    fed(gate, [500.0] * (FEWEST - 1))
    assert not gate.closed


def test_without_a_limit_it_only_measures() -> None:
    gate = LagGate(0)
    fed(gate, [500.0] * 50)
    assert (gate.closed, gate.lag_ms) == (False, 500.0)


@given(st.lists(st.floats(0, 10_000), min_size=FEWEST, max_size=90))
def test_never_closed_while_nothing_is_over_the_limit(lags: list[float]) -> None:
    gate = LagGate(40)
    now_s = 0.0
    for lag_ms in lags:
        now_s += 0.01
        gate.feed(lag_ms, now_s)
        assert gate.closed <= (max(lags) > 20)
    if sum(lag > 40 for lag in lags) > len(lags) * 0.05 + 1:
        assert gate.closed or gate.lag_ms > 40
