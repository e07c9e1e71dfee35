"""The clock of a line: a tick every 20 ms, without drift, by the event loop's timers and no task.

Lines that begin at different moments tick at different moments, so that their work is spread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from antiphon.types import FRAME_MS

STEP_S = FRAME_MS / 1000
MOST_AT_ONCE = 10
"""Frames that a late tick makes up for; beyond 200 ms the clock has jumped."""


class Pacer:
    """Calls `tick(frames)` every 20 ms: how many frames are due, 1 unless the loop was late.

    Args:
        tick: the line's work; what it raises ends the clock and goes to the loop's handler.
        late: told how late each tick is, in seconds.
    """

    def __init__(
        self, tick: Callable[[int], None], late: Callable[[float], None] | None = None
    ) -> None:
        self._tick, self._late = tick, late
        self._due_s = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Tick at once, and from then on."""
        loop = asyncio.get_running_loop()
        self._due_s = loop.time()
        self._handle = loop.call_soon(self._run, loop)  # type: ignore[assignment]

    def stop(self) -> None:
        """Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        late_s = now_s - self._due_s
        if self._late is not None:
            self._late(max(0.0, late_s))
        frames = 1 + int(max(0.0, late_s) / STEP_S)
        self._due_s += frames * STEP_S
        self._handle = loop.call_at(self._due_s, self._run, loop)
        self._tick(min(frames, MOST_AT_ONCE))
