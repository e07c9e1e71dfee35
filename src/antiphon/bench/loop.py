"""An event loop on stream time: waiting takes no time, computing takes what it takes.

A recording is run through a session as fast as the machine computes, and the session cannot tell:
timers, time-outs and `asyncio.sleep` follow this loop's time. Where the loop would wait for a timer
it goes there at once; what is computed is charged, so that a decision comes as late as it would in
a call, and work that is not done when the next frame is due delays that frame.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")


class StreamLoop(asyncio.SelectorEventLoop):
    """The loop; see the module.

    Args:
        charged: what computing costs, seconds that only grow. The process's own processor time by
            default, which does not grow while others use the processor; `time.perf_counter` where
            other processes compute as well.
        fastest: waiting is shortened to a part of this, for those who must be able to follow; None
            skips it.
    """

    def __init__(
        self, charged: Callable[[], float] = time.process_time, fastest: float | None = None
    ) -> None:
        self.charged, self._fastest = charged, fastest
        self._skipped_s = 0.0
        self._outside = 0
        super().__init__(_Selector(self._idle))

    def time(self) -> float:
        return self.charged() + self._skipped_s

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Nothing is skipped meanwhile: something that the loop cannot see is computing."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """As ever; what a thread computes is charged as well."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self._outside -= 1

    def _idle(self, timeout: float | None, select: _Select) -> _Ready:
        """Nothing is to be done for `timeout` seconds."""
        if timeout is None or self._outside:
            return select(timeout)
        if self._fastest is None:
            self._skipped_s += timeout
            return []
        begun = time.perf_counter()
        ready = select(timeout / self._fastest)
        waited_s = time.perf_counter() - begun
        self._skipped_s += min(waited_s * (self._fastest - 1), timeout - waited_s)
        return ready


_Ready = list[tuple[selectors.SelectorKey, int]]
_Select = Callable[[float | None], _Ready]


class _Selector(selectors.DefaultSelector):
    """Asks what to do before it waits."""

    def __init__(self, idle: Callable[[float | None, _Select], _Ready]) -> None:
        super().__init__()
        self._idle = idle

    def select(self, timeout: float | None = None) -> _Ready:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        return self._idle(timeout, super().select)
