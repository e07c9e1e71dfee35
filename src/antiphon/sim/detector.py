"""The turn detector of a simulated world: mostly right, sometimes late, sometimes never."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.commands import PredictTurn
from antiphon.engine.events import TurnPredicted
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 6


class Detector:
    """Judges a pause by its sound, within the pause."""

    __slots__ = ("_rng", "_world")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng

    def predict(self, command: PredictTurn) -> None:
        world, rng = self._world, self._rng
        delay_ms = between(rng, 15, 90)
        if rng.random() < world.faults.stalls:
            return
        if rng.random() < world.faults.slow:
            delay_ms *= between(rng, 3, 30)
        right = rng.random() < 0.85
        done = world.caller.act_done is right
        sure = between(rng, 55, 99) if done else between(rng, 1, 45)
        world.after(delay_ms, self._tell, (command.speech_end_ms, sure / 100))
        if rng.random() < world.faults.duplicates:
            world.after(delay_ms + between(rng, 0, 1500), self._tell, (command.speech_end_ms, 0.5))

    def _tell(self, item: tuple[int, float]) -> None:
        world = self._world
        world.send(TurnPredicted(world.now_ms, item[0], item[1]), _SOURCE)
