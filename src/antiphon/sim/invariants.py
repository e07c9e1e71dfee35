"""The promises of the house, checked while a simulated call goes on.

Promise 9, the same seed gives the same trace in any process, is about two runs and is checked by
comparing the hashes of `run_seed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.promise import Broken, Promise
from antiphon.sim.promises_order import (
    CommandsAreInOrder,
    EverythingCloses,
    LatencySums,
    ToolsRunOnce,
)
from antiphon.sim.promises_turn import NoDeadAir, NoSpeechIsDropped, TurnsAreAnswered
from antiphon.sim.promises_voice import (
    FailureIsHonest,
    HistoryIsWhatWasHeard,
    NothingAfterFlush,
    OneSpeaks,
    ProtectedIsHeard,
)

if TYPE_CHECKING:
    from antiphon.sim.world import World

_TICK_MS = 1000
ALWAYS_A_WAY_OUT = "3 always a way out"
"""An engine that is under way and wants no deadline may never do anything again."""
DEADLINE_AHEAD = "a deadline lies ahead"
"""A deadline that is due after it was handled makes a busy loop."""
SILENT_AFTERWARDS = "7 nothing after the end"


class Promises:
    """All promises of one world."""

    __slots__ = (
        "_air",
        "_all",
        "_closes",
        "_engine_ms",
        "_speech",
        "_table",
        "_ticking",
        "_tools",
        "_turns",
        "ending",
        "over",
        "world",
    )

    def __init__(self, world: World) -> None:
        self.world = world
        self._air, self._speech = NoDeadAir(world), NoSpeechIsDropped(world)
        self._turns, self._tools = TurnsAreAnswered(world), ToolsRunOnce(world)
        self._closes = EverythingCloses(world)
        self._all = (
            CommandsAreInOrder(world),
            NothingAfterFlush(world),
            HistoryIsWhatWasHeard(world),
            self._turns,
            OneSpeaks(world),
            self._tools,
            self._speech,
            self._air,
            self._closes,
            FailureIsHonest(world),
            ProtectedIsHeard(world),
            LatencySums(world),
        )
        self._table: dict[type, list[Callable[[Any], None]]] = {}
        self._table[c.EndCall] = [self._on_end_call]
        for promise in self._all:
            for watched, check in promise.watches().items():
                self._table.setdefault(watched, []).append(check)
        self._ticking = [p for p in self._all if type(p).tick is not Promise.tick]
        self._engine_ms = 0  # the engine's clock: the latest time that an event carried
        self.ending = False  # the agent has hung up
        self.over = False

    # ---- what a promise may want to know ----------------------------------------------------

    @property
    def caller_quiet_ms(self) -> int:
        """Since when the caller has made no sound; now while one is being made."""
        caller = self.world.caller
        return self.world.now_ms if caller.speaking else caller.quiet_from_ms

    @property
    def quiet_from_ms(self) -> int:
        """When the newest sound of either side ended, of those that have ended."""
        return max(self.world.caller.quiet_from_ms, self.world.player.quiet_from_ms)

    # ---- what the world tells ---------------------------------------------------------------

    def watch(self) -> None:
        """Begin to look at the clock."""
        self.world.after(_TICK_MS, self._tick, None)

    def _tick(self, _: None) -> None:
        if self.ending or self.over:
            return
        for promise in self._ticking:
            promise.tick()
        self.world.after(_TICK_MS, self._tick, None)

    def caller_finished(self, said: str) -> None:
        """The caller has said all of a turn."""
        self._air.caller_finished(said)

    def before(self, event: e.Event) -> None:
        """An event is about to be handled."""
        if event.at_ms > self._engine_ms:
            self._engine_ms = event.at_ms
        checks = self._table.get(type(event))
        if checks is not None:
            for check in checks:
                check(event)

    def command(self, command: c.Command) -> None:
        """A command is about to be carried out."""
        if self.over:
            self._fail(SILENT_AFTERWARDS, f"{command} after the end of the call")
        checks = self._table.get(type(command))
        if checks is not None:
            for check in checks:
                check(command)

    def _on_end_call(self, command: c.EndCall) -> None:
        self.ending = True

    def after_step(self, event: e.Event) -> None:
        """An event was handled and its commands were carried out."""
        if self.over:
            return
        if type(event) is e.CallEnded:
            self.over = True
            self._closes.after_end()
            return
        if self.ending:
            return
        deadline = self.world.deadline
        if deadline is None:
            self._fail(ALWAYS_A_WAY_OUT, "the call goes on and the engine waits for nothing")
        elif deadline.at_ms <= self._engine_ms:
            self._fail(DEADLINE_AHEAD, f"{deadline} at {self._engine_ms} ms")
        if self._speech.pending:
            self._speech.after_step()
        if self._turns.owed is not None or self._tools.wanted:
            self._turns.after_step()
            self._tools.after_step()

    def finish(self) -> None:
        """The call is over and all stragglers have arrived."""
        for promise in self._all:
            promise.finish()

    def _fail(self, promise: str, what: str) -> None:
        raise Broken(promise, self.world.now_ms, what)
