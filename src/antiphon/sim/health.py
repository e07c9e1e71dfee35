"""What becomes known of the providers of a simulated world: some are lost, and most come back."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.events import ProviderChanged
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 8
_WORLDS = 0.4
"""Probability that anything is told, in a world where providers fail."""


class Health:
    """Tells of providers. What is told need not be so: whoever probes them may be wrong."""

    __slots__ = ("_rng", "_world")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        if not world.faults.errors or rng.random() >= _WORLDS:
            return
        for kind, count in (("llm", world.setup.llms), ("tts", world.setup.voices)):
            for number in range(count):
                if rng.random() < 0.5:
                    world.after(between(rng, 0, 20_000), self._change, (kind, number, False))

    def _change(self, item: tuple[str, int, bool]) -> None:
        world, (kind, number, works) = self._world, item
        if not world.crash.down:
            world.send(ProviderChanged(world.now_ms, kind, number, works), _SOURCE)
        if not works and self._rng.random() < 0.8:
            world.after(between(self._rng, 0, 15_000), self._change, (kind, number, True))
