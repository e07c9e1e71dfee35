"""When the loop is too late, or too busy, for one more call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.admission import FEWEST, FIRST_SHARE, WINDOW_S, BusyGate, LagGate

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


# ---- busy --------------------------------------------------------------------------------------


class Thread:
    """One thread with calls that cost the same, each of which costs more while it is made."""

    def __init__(self, gate: BusyGate, per_call: float, making_s: float = 0.0) -> None:
        self.gate, self.per_call, self.making_s = gate, per_call, making_s
        self.calls = 0
        self.now_s = self.cpu_s = 0.0

    def rings(self) -> bool:
        if self.gate.is_closed(self.now_s):
            return False
        self.calls += 1
        self.cpu_s += self.making_s
        self.gate.began(self.now_s)
        return True

    def goes_on(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            self.cpu_s += TICK_S * self.calls * self.per_call
            self.gate.feed(self.cpu_s, self.calls, self.now_s)

    @property
    def needed(self) -> float:
        return self.calls * self.per_call


@pytest.mark.parametrize("per_call", [0.01, 0.025, 0.04])
def test_calls_that_come_one_by_one_fill_the_thread_and_no_more(per_call: float) -> None:
    thread = Thread(BusyGate(0.9), per_call)
    for _ in range(150):
        thread.rings()
        thread.goes_on(3.0)
    assert 0.9 - 2 * per_call < thread.needed <= 0.9
    assert thread.gate.per_call == pytest.approx(per_call, rel=0.05)


@pytest.mark.parametrize("making_s", [0.0, 0.03])
def test_calls_that_come_all_at_once_are_counted_before_they_show(making_s: float) -> None:
    thread = Thread(BusyGate(0.9), 0.025, making_s)
    thread.goes_on(3.0)
    for _ in range(100):
        thread.rings()
        thread.goes_on(TICK_S)
    thread.goes_on(5.0)
    assert thread.needed <= 0.9
    for _ in range(100):
        thread.rings()
        thread.goes_on(0.5)
    assert 0.8 < thread.needed <= 0.9


@given(
    st.floats(0.003, 0.025),
    st.floats(0, 0.03),
    st.lists(st.sampled_from([0.05, 0.2, 1.0, 4.0]), min_size=50, max_size=300),
)
def test_cheaper_calls_never_fill_more_than_there_may_be(
    per_call: float, making_s: float, pauses: list[float]
) -> None:
    thread = Thread(BusyGate(0.9), per_call, making_s)
    for pause_s in pauses:
        thread.rings()
        thread.goes_on(pause_s)
        assert thread.needed <= 0.9 + per_call


def test_what_calls_cost_is_learned_only_from_calls_that_have_been_there() -> None:
    gate = BusyGate(0.9)
    thread = Thread(gate, 0.005, 0.03)
    for _ in range(20):
        thread.rings()
        thread.goes_on(0.5)
    assert gate.per_call == FIRST_SHARE
    thread.goes_on(10.0)
    assert gate.per_call == pytest.approx(0.005, rel=0.2)
    thread.calls = 0
    thread.goes_on(10.0)
    assert gate.per_call == pytest.approx(0.005, rel=0.2), "nobody is there who costs anything"
    assert gate.share == pytest.approx(0.0)


def test_something_else_that_was_busy_does_not_keep_callers_out() -> None:
    gate = BusyGate(0.8)
    thread = Thread(gate, 0.02)
    thread.rings()
    thread.goes_on(3.0)
    for _ in range(100):
        thread.cpu_s += TICK_S * 0.7
        thread.goes_on(TICK_S)
    thread.calls = 0
    thread.goes_on(5.0)
    assert all(thread.rings() for _ in range(5))


def test_it_opens_again() -> None:
    thread = Thread(BusyGate(0.9), 0.05)
    while thread.rings():
        thread.goes_on(3.0)
    assert thread.calls in (17, 18)
    thread.calls = 10
    thread.goes_on(3.0)
    assert thread.rings()


def test_without_a_limit_it_takes_any() -> None:
    thread = Thread(BusyGate(0), 0.5)
    for _ in range(20):
        assert thread.rings()
        thread.goes_on(1.0)
    assert thread.gate.share > 5
