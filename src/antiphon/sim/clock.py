"""The session's clock in a simulated world, where it is not to be trusted.

A suspended laptop or a paused virtual machine: once or twice in a call the clock stands seconds
later than a moment before, and nothing has happened meanwhile, to anybody. And a clock that is set
right goes back a little: events come that are dated before those that came before them.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from antiphon.engine.events import Event
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

BACK_MS = 200
"""So far an event may be dated back."""
_SHORTEST_MS, _LONGEST_MS = 500, 20_000
_WITHIN_MS = 50_000
_APART_MS = 5000


class Clock:
    """Steps. `stepped_ms` is how much of the call's time nobody has lived through."""

    __slots__ = ("_rng", "_world", "newest_ms", "stepped_ms")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.stepped_ms = 0
        self.newest_ms = -1_000_000  # when it stepped last
        if world.faults.clock:
            first_ms = between(rng, 500, _WITHIN_MS)
            world.after(first_ms, self._step, None)
            if rng.random() < 0.5:
                world.after(first_ms + between(rng, _APART_MS, _WITHIN_MS), self._step, None)

    def _step(self, _: Any) -> None:
        if self._world.ended_ms is None:
            ms = between(self._rng, _SHORTEST_MS, _LONGEST_MS)
            self.stepped_ms += ms
            self._world.step(ms)
            self.newest_ms = self._world.now_ms

    def date(self, event: Event) -> Event:
        """The event as the session's clock dates it."""
        if self._rng.random() >= self._world.faults.clock:
            return event
        return replace(event, at_ms=max(0, event.at_ms - between(self._rng, 1, BACK_MS)))
