"""Time of a call: the loop's, or that of the audio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from antiphon.session.clock import RealClock, StreamClock


class FakeLoop:
    """A loop whose time the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.alarms: list[FakeHandle] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, when_s: float, call: Callable[..., None], *args: Any) -> FakeHandle:
        self.alarms.append(FakeHandle(when_s, call, args))
        return self.alarms[-1]

    def move_to(self, now_s: float) -> None:
        self.now_s = now_s
        for alarm in list(self.alarms):
            if alarm.when_s <= now_s and not alarm.cancelled:
                self.alarms.remove(alarm)
                alarm.call(*alarm.args)


class FakeHandle:
    def __init__(self, when_s: float, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when_s, self.call, self.args = when_s, call, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def real_clock() -> tuple[RealClock, FakeLoop]:
    loop = FakeLoop()
    return RealClock(loop), loop  # type: ignore[arg-type]


def test_the_alarm_rings_when_its_millisecond_has_come() -> None:
    clock, loop = real_clock()
    rung: list[int] = []
    clock.wake_at(250, lambda: rung.append(clock.now_ms()))
    loop.move_to(100.2499)
    assert (rung, clock.now_ms()) == ([], 249)
    loop.move_to(100.2506)
    assert rung == [250]


def test_a_new_alarm_replaces_the_old_one() -> None:
    clock, loop = real_clock()
    rung: list[str] = []
    clock.wake_at(100, lambda: rung.append("old"))
    clock.wake_at(200, lambda: rung.append("new"))
    loop.move_to(101.0)
    assert rung == ["new"]


def test_the_same_alarm_is_not_set_twice() -> None:
    clock, loop = real_clock()
    clock.wake_at(100, lambda: None)
    clock.wake_at(100, lambda: None)
    assert len(loop.alarms) == 1


def test_an_alarm_can_be_set_again_for_the_same_moment_after_it_rang() -> None:
    clock, loop = real_clock()
    rung: list[int] = []
    clock.wake_at(100, lambda: rung.append(1))
    loop.move_to(101.0)
    clock.wake_at(100, lambda: rung.append(2))
    loop.move_to(102.0)
    assert rung == [1, 2]


def test_an_alarm_can_be_taken_back() -> None:
    clock, loop = real_clock()
    rung: list[int] = []
    clock.wake_at(100, lambda: rung.append(1))
    clock.wake_at(None, lambda: rung.append(2))
    clock.wake_at(None, lambda: rung.append(3))
    loop.move_to(101.0)
    assert rung == []


async def test_the_real_loop_rings_too() -> None:
    clock = RealClock(asyncio.get_running_loop())
    rung = asyncio.Event()
    clock.wake_at(0, rung.set)
    await asyncio.wait_for(rung.wait(), 20)
    assert clock.now_ms() >= 0


def test_stream_time_passes_by_the_audio_alone_and_rings_on_the_way() -> None:
    clock = StreamClock()
    rung: list[int] = []

    def wake() -> None:
        rung.append(clock.now_ms())
        if len(rung) < 3:
            clock.wake_at(clock.now_ms() + 5, wake)

    clock.wake_at(7, wake)
    clock.advance(20)
    assert (rung, clock.now_ms()) == ([7, 12, 17], 20)
    clock.advance(20)
    assert (rung, clock.now_ms()) == ([7, 12, 17], 40)


def test_an_alarm_in_the_past_rings_at_once_and_time_does_not_go_back() -> None:
    clock = StreamClock()
    clock.advance(100)
    rung: list[int] = []
    clock.wake_at(30, lambda: rung.append(clock.now_ms()))
    clock.advance(20)
    assert rung == [100]
    clock.wake_at(30, lambda: rung.append(-1))
    clock.wake_at(None, lambda: None)
    clock.advance(20)
    assert rung == [100]
