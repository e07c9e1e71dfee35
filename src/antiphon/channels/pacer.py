"""The clock of all lines of a process: each gets a tick every 20 ms, without drift, by one timer of
the event loop and no task.

Lines tick in a few slots, 5 ms apart, a new one in the slot that has the fewest, so that the work
of many calls is spread and between two slots the sockets are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from antiphon.types import FRAME_MS

STEP_S = FRAME_MS / 1000
SLOTS = 4
MOST_AT_ONCE = 10
"""Frames that a late tick makes up for; beyond 200 ms the clock has jumped."""
_EARLY_S = 0.001
"""uvloop's timers and time count whole milliseconds."""


class Pacer:
    """Calls `tick(frames)` every 20 ms: how many frames are due, 1 unless the loop was late.

    Args:
        tick: the line's work; what it raises ends this clock, and no other, and goes to the loop's
            handler.
        late: told how late each tick is, in seconds.
    """

    def __init__(
        self, tick: Callable[[int], None], late: Callable[[float], None] | None = None
    ) -> None:
        self._tick, self._late = tick, late
        self._slot: _Slot | None = None

    def start(self) -> None:
        """Tick within 20 ms, and from then on."""
        if self._slot is None:
            self._slot = _clock(asyncio.get_running_loop()).add(self)

    def stop(self) -> None:
        """Idempotent."""
        if self._slot is not None:
            slot, self._slot = self._slot, None
            slot.lines.pop(self, None)
            slot.clock.rest()

    def run(self, loop: asyncio.AbstractEventLoop, due_s: float, frames: int) -> None:
        """For the clock: a tick that was due at `due_s`."""
        if self._slot is None:
            return
        try:
            if self._late is not None:
                self._late(max(0.0, loop.time() - due_s))
            self._tick(frames)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a line's clock
            self.stop()
            loop.call_exception_handler(
                {"message": "the clock of a line failed", "exception": error}
            )


class _Slot:
    """Lines that tick at the same moments."""

    def __init__(self, clock: _Clock, due_s: float) -> None:
        self.clock, self.due_s = clock, due_s
        self.lines: dict[Pacer, None] = {}

    def run(self, loop: asyncio.AbstractEventLoop, now_s: float) -> None:
        due_s = self.due_s
        frames = 1 + int(max(0.0, now_s - due_s) / STEP_S)
        self.due_s = due_s + frames * STEP_S
        for line in tuple(self.lines):
            line.run(loop, due_s, min(frames, MOST_AT_ONCE))


class _Clock:
    """Of one event loop. Stands still while it has no lines."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Not kept: the clocks are found by their loops, which may be thrown away.
        now_s = loop.time()
        self._slots = [_Slot(self, now_s + number * STEP_S / SLOTS) for number in range(SLOTS)]
        self._handle: asyncio.TimerHandle | None = None
        self._when_s = 0.0

    def add(self, line: Pacer) -> _Slot:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        slot = min(self._slots, key=lambda one: (len(one.lines), (one.due_s - now_s) % STEP_S))
        if not slot.lines:
            # It stood still.
            slot.due_s += max(0, -int((slot.due_s - now_s) // STEP_S)) * STEP_S
        slot.lines[line] = None
        self._wait(loop)
        return slot

    def rest(self) -> None:
        """A line is gone."""
        if self._handle is not None and not any(slot.lines for slot in self._slots):
            self._handle.cancel()
            self._handle = None

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = min(slot.due_s for slot in self._slots if slot.lines)
        if self._handle is not None:
            if self._when_s <= due_s:
                return
            self._handle.cancel()
        self._when_s = due_s
        self._handle = loop.call_at(due_s, self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = None
        now_s = loop.time()
        for slot in self._slots:
            if slot.lines and slot.due_s <= now_s + _EARLY_S:
                slot.run(loop, now_s)
        if any(slot.lines for slot in self._slots):
            self._wait(loop)


_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clock] = WeakKeyDictionary()


def _clock(loop: asyncio.AbstractEventLoop) -> _Clock:
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = _Clock(loop)
    return clock
