"""The process dies in the middle of a call, and the call goes on in another one.

What the other one has is the trace: a new conversation is fed its events, must decide as the old
one did, and is told that it was restored. Whatever was under way outside is gone. The caller is
still there, and what they say meanwhile nobody hears.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from antiphon.engine.events import CallRestored
from antiphon.sim.plan import between
from antiphon.sim.promise import ENGINE_BUGS, Broken

if TYPE_CHECKING:
    from antiphon.sim.world import World

SAME_DECISIONS = "9 the same events, the same decisions"
_WITHIN_MS = 40_000
_EVENTS = 12


class Crash:
    """Draws when the process dies, and brings the call back."""

    __slots__ = ("_dies_at", "_rng", "_world", "down", "restored_ms")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self._dies_at = 0  # steps of the trace
        self.down = False
        self.restored_ms: int | None = None
        if rng.random() < world.faults.crash:
            # Anywhere within a burst of events, not only where it is calm.
            world.after(between(rng, 0, _WITHIN_MS), self._choose, None)

    def _choose(self, _: Any) -> None:
        self._dies_at = len(self._world.trace) + between(self._rng, 0, _EVENTS)
        self._look(None)

    def _look(self, _: Any) -> None:
        world = self._world
        if world.ended_ms is not None or world.promises.ending:
            return
        if len(world.trace) < self._dies_at:
            world.after(world.next_ms(), self._look, None)
            return
        world.die()
        self.down = True
        world.after(between(self._rng, 200, 3000), self._restore, None)

    def _restore(self, _: Any) -> None:
        world = self._world
        if world.ended_ms is not None:
            return
        self.down = False
        self.restored_ms = world.now_ms
        world.go_on(self._again())
        world.send(CallRestored(world.now_ms))
        world.vad.restored()
        world.caller.restored()

    def _again(self) -> Any:
        """A conversation that was told all that has happened so far."""
        world = self._world
        engine = world.new_engine()
        try:
            for event, before in world.trace:
                given = engine.handle(event)
                if given != before:
                    raise Broken(SAME_DECISIONS, world.now_ms, f"{given} and not {before}")
        except ENGINE_BUGS as error:
            raise Broken(SAME_DECISIONS, world.now_ms, repr(error)) from error
        if engine.deadline != world.deadline:
            told = f"{engine.deadline} and not {world.deadline}"
            raise Broken(SAME_DECISIONS, world.now_ms, told)
        return engine
