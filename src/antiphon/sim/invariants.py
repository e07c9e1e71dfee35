"""The promises of the house, checked while a simulated call goes on.

Promise 9, the same seed gives the same trace in any process, is about two runs and is checked by
comparing the hashes of `run_seed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.floor import Deadline
from antiphon.sim.promise import Broken, Promise
from antiphon.sim.promises_budget import SpendingStops
from antiphon.sim.promises_line import RecordingIsAgreed, TheAbsentAreLeftAlone
from antiphon.sim.promises_order import (
    CommandsAreInOrder,
    EverythingCloses,
    LatencySums,
    ToolsRunOnce,
)
from antiphon.sim.promises_prepared import PreparedIsUnheard
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
_MUCH_MS = 1500
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
        "_protected",
        "_speaks",
        "_speech",
        "_ticking",
        "_tools",
        "_turns",
        "ending",
        "over",
        "table",
        "world",
    )

    def __init__(self, world: World) -> None:
        self.world = world
        self._air, self._speech = NoDeadAir(world), NoSpeechIsDropped(world)
        self._turns, self._tools = TurnsAreAnswered(world), ToolsRunOnce(world)
        self._speaks, self._protected = OneSpeaks(world), ProtectedIsHeard(world)
        self._closes = EverythingCloses(world)
        self._all = (
            CommandsAreInOrder(world),
            NothingAfterFlush(world),
            HistoryIsWhatWasHeard(world),
            self._turns,
            self._speaks,
            PreparedIsUnheard(world),
            self._tools,
            self._speech,
            self._air,
            self._closes,
            FailureIsHonest(world),
            self._protected,
            LatencySums(world),
            SpendingStops(world),
            RecordingIsAgreed(world),
            TheAbsentAreLeftAlone(world),
        )
        self.table: dict[type, list[Callable[[Any], None]]] = {c.EndCall: [self._on_end_call]}
        """What looks at which events, before they are handled, and at which commands."""
        for promise in self._all:
            for watched, check in promise.watches().items():
                self.table.setdefault(watched, []).append(check)
        self._ticking = [p.tick for p in self._all if type(p).tick is not Promise.tick]
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

    def is_under_way(self, response_id: int) -> bool:
        """Whether a response was reported and is not over; a prepared one was not."""
        return response_id in self._speaks.under_way

    @property
    def is_protected(self) -> bool:
        """Whether the response under way is heard to its end whatever the caller does."""
        return self._protected.live > 0

    def runs(self, tool_call_id: str) -> bool:
        """Whether the result of a tool is awaited."""
        return self._tools.runs(tool_call_id)

    def has_much_to_say(self) -> bool:
        """Whether of the response under way much is still to be heard."""
        world = self.world
        if world.llm.generating_id is not None:
            return True
        return any(
            track.available_ms - world.player.heard_ms(response_id) > _MUCH_MS
            for response_id, track in world.player.tracks.items()
            if response_id in self._speaks.under_way and not track.flushed
        )

    # ---- what the world tells ---------------------------------------------------------------

    def watch(self) -> None:
        """Begin to look at the clock."""
        self.world.after(_TICK_MS, self._tick, None)

    def _tick(self, _: None) -> None:
        if self.ending or self.over:
            return
        if not self.world.crash.down:
            for tick in self._ticking:
                tick()
        self.world.after(_TICK_MS, self._tick, None)

    def step(self, ms: int) -> None:
        """The clock has gone ahead."""
        for promise in self._all:
            promise.step(ms)

    def crashed(self) -> None:
        """The process died."""
        for promise in self._all:
            promise.crashed()

    def restored(self) -> None:
        """Another process has the call, and is about to be told."""
        for promise in self._all:
            promise.restored()

    def caller_finished(self, said: str) -> None:
        """The caller has said all of a turn."""
        self._air.caller_finished(said)

    def refuse(self, commands: list[c.Command]) -> None:
        """Commands were given after the end of the call."""
        self._fail(SILENT_AFTERWARDS, f"{commands[0]} after the end of the call")

    def _on_end_call(self, command: c.EndCall) -> None:
        self.ending = True

    def after_step(self, event: e.Event, deadline: Deadline | None) -> None:
        """An event was handled and its commands were carried out."""
        if self.over:
            return
        if type(event) is e.CallEnded:
            self.over = True
            self._closes.after_end()
            return
        if self.ending:
            return
        if deadline is None:
            self._fail(ALWAYS_A_WAY_OUT, "the call goes on and the engine waits for nothing")
        elif deadline.at_ms <= self.world.engine_ms:
            self._fail(DEADLINE_AHEAD, f"{deadline} at {self.world.engine_ms} ms")
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
