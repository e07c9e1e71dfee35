"""The call's clock: integer milliseconds since the call began, and a way to be woken.

`RealClock` follows the event loop. `StreamClock` follows the audio: a recording can be run through
a session faster than real time, and computing costs no time on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Time of one call, with one alarm."""

    def now_ms(self) -> int: ...

    def wake_at(self, at_ms: int | None, wake: Callable[[], None]) -> None:
        """Call `wake` once at or after `at_ms`; replaces the alarm set before. None: never."""
        ...


class RealClock:
    """The event loop's time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._start_s = loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms: int | None = None

    def now_ms(self) -> int:
        return int((self._loop.time() - self._start_s) * 1000)

    def wake_at(self, at_ms: int | None, wake: Callable[[], None]) -> None:
        if at_ms == self._alarm_ms and self._alarm is not None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_ms = at_ms
        if at_ms is not None:
            # Half a millisecond late, so that now_ms has reached at_ms when it wakes.
            when_s = self._start_s + (at_ms + 0.5) / 1000
            self._alarm = self._loop.call_at(when_s, self._ring, wake)

    def _ring(self, wake: Callable[[], None]) -> None:
        self._alarm = None
        wake()


class StreamClock:
    """Time that passes only by `advance`."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._alarm: tuple[int, Callable[[], None]] | None = None

    def now_ms(self) -> int:
        return self._now_ms

    def wake_at(self, at_ms: int | None, wake: Callable[[], None]) -> None:
        self._alarm = None if at_ms is None else (at_ms, wake)

    def advance(self, step_ms: int) -> None:
        """Let time pass, waking whoever is due on the way."""
        end_ms = self._now_ms + step_ms
        while self._alarm is not None and self._alarm[0] <= end_ms:
            at_ms, wake = self._alarm
            self._alarm = None
            self._now_ms = max(self._now_ms, at_ms)
            wake()
        self._now_ms = end_ms
