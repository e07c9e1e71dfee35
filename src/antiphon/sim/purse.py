"""The money of a simulated call: in some worlds it gets short, and is spent."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.events import BudgetReached
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 7
_WORLDS = 0.15
"""Probability that a world has a budget that it reaches."""
_AGAIN_MS = 500


class Purse:
    """Draws when which level of the budget is reached, and tells."""

    __slots__ = ("_rng", "_world")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        if rng.random() >= _WORLDS:
            return
        at_ms = 0
        for level, chance in (("warn", 0.6), ("cheaper", 0.7), ("end", 0.7)):
            at_ms += between(rng, 0, 20_000)
            if rng.random() < chance:
                world.after(at_ms, self._reach, level)

    def _reach(self, level: str) -> None:
        world = self._world
        if world.crash.down:
            # Whoever counts has died with the process, and tells once it is back.
            world.after(_AGAIN_MS, self._reach, level)
            return
        world.send(BudgetReached(world.now_ms, level, "call"), _SOURCE)
        if self._rng.random() < world.faults.duplicates:
            world.after(between(self._rng, 0, 2000), self._reach, level)
