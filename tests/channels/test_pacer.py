"""The clock of a line, on a loop whose time the tests move."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.channels.pacer import MOST_AT_ONCE, SLOTS, STEP_S, Pacer


class Handle:
    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as a clock uses."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[Handle, Callable[..., None], tuple[Any, ...]]] = []
        self.failed: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, at_s: float, run: Callable[..., None], *args: Any) -> Handle:
        handle = Handle(at_s)
        self.timers.append((handle, run, args))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failed.append(context)

    @property
    def waiting(self) -> list[Handle]:
        return [handle for handle, _, _ in self.timers if not handle.cancelled]

    def fire(self, late_s: float = 0.0) -> None:
        """The only timer that there is."""
        assert len(self.waiting) == 1
        handle, run, args = next(one for one in self.timers if not one[0].cancelled)
        self.timers.clear()
        self.now_s = max(self.now_s, handle.at_s) + late_s
        run(*args)

    def fire_until(self, now_s: float) -> None:
        while self.waiting and self.waiting[0].at_s <= now_s + 1e-6:
            self.fire()
        self.now_s = now_s


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr("antiphon.channels.pacer.asyncio.get_running_loop", lambda: made)
    return made


def test_it_ticks_every_20_ms_without_drift(loop: Loop) -> None:
    ticks: list[tuple[float, int]] = []
    clock = Pacer(lambda frames: ticks.append((round(loop.now_s, 6), frames)))
    clock.start()
    for _ in range(4):
        loop.fire(0.003)
    assert ticks == [(100.003, 1), (100.023, 1), (100.043, 1), (100.063, 1)]


def test_a_late_tick_makes_up_for_what_was_missed(loop: Loop) -> None:
    ticks: list[int] = []
    late: list[float] = []
    clock = Pacer(ticks.append, late.append)
    clock.start()
    loop.fire()
    loop.fire(0.065)
    loop.fire()
    assert ticks == [1, 4, 1]
    assert late == pytest.approx([0.0, 0.065, 0.0])


def test_a_timer_that_is_early_by_less_than_a_millisecond_ticks(loop: Loop) -> None:
    ticks: list[int] = []
    clock = Pacer(ticks.append)
    clock.start()
    loop.fire()
    loop.fire(-0.0004)
    loop.fire()
    assert ticks == [1, 1, 1]
    assert loop.now_s == pytest.approx(100.04)


def test_after_a_long_halt_it_does_not_flood(loop: Loop) -> None:
    ticks: list[int] = []
    clock = Pacer(ticks.append)
    clock.start()
    loop.fire(5.0)
    loop.fire()
    assert ticks == [MOST_AT_ONCE, 1]


def test_it_stops_and_leaves_no_timer(loop: Loop) -> None:
    ticks: list[int] = []
    clock = Pacer(ticks.append)
    clock.start()
    clock.start()
    loop.fire()
    clock.stop()
    clock.stop()
    assert not loop.waiting
    assert ticks == [1]


def test_after_a_pause_of_everything_it_ticks_soon(loop: Loop) -> None:
    ticks: list[float] = []
    for began_s in (100.0, 107.777, 300.001):
        loop.now_s = began_s
        clock = Pacer(lambda _: ticks.append(loop.now_s))
        clock.start()
        loop.fire()
        clock.stop()
        assert 0 <= ticks[-1] - began_s <= STEP_S


def test_lines_are_spread_over_the_slots_and_share_one_timer(loop: Loop) -> None:
    ticks: list[tuple[int, float]] = []

    def tick(number: int, frames: int) -> None:
        ticks.append((number, round(loop.now_s, 4)))

    clocks = [Pacer(functools.partial(tick, number)) for number in range(SLOTS * 3)]
    for clock in clocks:
        clock.start()
    loop.fire_until(100.1)
    at_once = [moment for _, moment in ticks]
    assert max(at_once.count(moment) for moment in set(at_once)) == 3
    for number in range(len(clocks)):
        moments = [moment for one, moment in ticks if one == number]
        assert len(moments) in (5, 6)
        assert all(
            after - before == pytest.approx(STEP_S) for before, after in itertools.pairwise(moments)
        )
    for clock in clocks[::3]:
        clock.stop()
    for clock in clocks:
        clock.stop()
    assert not loop.waiting


def test_a_line_that_breaks_ends_alone(loop: Loop) -> None:
    ticks: list[int] = []

    def breaks(frames: int) -> None:
        raise RuntimeError("broken")

    broken = Pacer(breaks)
    # In every slot one, and one beside the broken one.
    others = [Pacer(ticks.append) for _ in range(SLOTS)]
    for clock in (broken, *others):
        clock.start()
    loop.fire_until(100.05)
    assert len(ticks) >= SLOTS * 2
    assert [str(one["exception"]) for one in loop.failed] == ["broken"]


def test_a_line_may_stop_another_that_is_due_at_the_same_moment(loop: Loop) -> None:
    ticks: list[int] = []
    clocks: list[Pacer] = []

    def tick(number: int) -> None:
        ticks.append(number)
        clocks[-1].stop()

    for number in range(SLOTS * 2):
        clocks.append(Pacer(functools.partial(lambda number, _: tick(number), number)))
        clocks[-1].start()
    loop.fire_until(100.1)
    assert SLOTS - 1 in ticks
    assert SLOTS * 2 - 1 not in ticks


def run_real(loop: asyncio.AbstractEventLoop) -> tuple[list[float], float]:
    """When each frame was due, and how long it all took; until there are eight of each line."""

    async def lines() -> tuple[list[float], float]:
        here = asyncio.get_running_loop()
        times: list[float] = []
        clocks = [Pacer(lambda frames: times.extend([here.time()] * frames)) for _ in range(8)]
        for clock in clocks:
            clock.start()
        began_s = here.time()
        async with asyncio.timeout(20):
            while len(times) < 8 * 8:  # noqa: ASYNC110 - a clock has no event
                await asyncio.sleep(0.01)
        for clock in clocks:
            clock.stop()
        return times, here.time() - began_s

    try:
        return loop.run_until_complete(lines())
    finally:
        loop.close()


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_on_a_real_loop(kind: str) -> None:
    if kind == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        loop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    times, took_s = run_real(loop)
    # Never more than are due; uvloop's time counts whole milliseconds.
    assert len(times) <= 8 * ((took_s + 0.01) / STEP_S + 2)
