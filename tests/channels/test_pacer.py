"""The clock of a line, on a loop whose time the tests move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from antiphon.channels.pacer import MOST_AT_ONCE, Pacer


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as a pacer uses."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.next: tuple[float, Callable[..., None], tuple[Any, ...], Handle] | None = None

    def time(self) -> float:
        return self.now_s

    def call_soon(self, run: Callable[..., None], *args: Any) -> Handle:
        return self.call_at(self.now_s, run, *args)

    def call_at(self, at_s: float, run: Callable[..., None], *args: Any) -> Handle:
        handle = Handle()
        self.next = (at_s, run, args, handle)
        return handle

    def fire(self, late_s: float = 0.0) -> None:
        assert self.next is not None
        at_s, run, args, handle = self.next
        self.next = None
        self.now_s = at_s + late_s
        if not handle.cancelled:
            run(*args)


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


def test_after_a_long_halt_it_does_not_flood(loop: Loop) -> None:
    ticks: list[int] = []
    clock = Pacer(ticks.append)
    clock.start()
    loop.fire(5.0)
    loop.fire()
    assert ticks == [MOST_AT_ONCE, 1]


def test_it_stops(loop: Loop) -> None:
    ticks: list[int] = []
    clock = Pacer(ticks.append)
    clock.start()
    loop.fire()
    clock.stop()
    clock.stop()
    loop.fire()
    assert ticks == [1]
