"""A caller without a telephone, whose way to the agent is lost for a while: a tunnel, another
network, a page that is loaded again.

Neither side hears the other at once; that the line is lost is noticed later. What was played
meanwhile was not heard.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.events import LineHeld
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 8
_NOTICED_MS = 1200
_AGAIN_MS = 500


class LostLine:
    """One call's line, lost once or several times."""

    __slots__ = ("_rng", "_world", "lost")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.lost = False
        if not world.phone.is_one and rng.random() < world.faults.outage:
            world.after(between(rng, 0, 40_000), self._lose, None)

    def _lose(self, _: None) -> None:
        world = self._world
        self.lost = True
        world.vad.lose()
        world.player.lose()
        # A page that is loaded again says so at once.
        noticed_ms = _NOTICED_MS if self._rng.random() < 0.7 else 0
        world.after(noticed_ms, self._tell, True)

    def _tell(self, held: bool) -> None:
        world, rng = self._world, self._rng
        if world.crash.down:
            world.after(_AGAIN_MS, self._tell, held)
            return
        world.phone.held = held
        world.phone.away_ms = world.now_ms
        if not held:
            self.lost = False
        world.send(LineHeld(world.now_ms, held), _SOURCE)
        if held:
            world.after(between(rng, 100, 20_000), self._tell, False)
            return
        world.vad.find()
        world.player.find()
        if rng.random() < 0.4:
            world.after(between(rng, 0, 20_000), self._lose, None)
