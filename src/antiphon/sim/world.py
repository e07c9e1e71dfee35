"""A seeded world around the engine: a clock that jumps from event to event, and everybody in it.

Whoever is in the world acts only from `after`, at the top of the loop, and answers commands only by
planning; so no event is handled inside another. Each member has a random stream of its own, made
from the world's seed: nothing depends on hashes, on the process or on the machine's clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from antiphon.engine import commands as c
from antiphon.engine.conversation import Conversation
from antiphon.engine.events import CallEnded, CallStarted, DeadlineReached, Event
from antiphon.engine.floor import Deadline
from antiphon.engine.policy import Setup
from antiphon.sim.caller import Caller
from antiphon.sim.clock import Clock
from antiphon.sim.crash import Crash
from antiphon.sim.detector import Detector
from antiphon.sim.faults import Faults, draw_faults
from antiphon.sim.health import Health
from antiphon.sim.invariants import Promises
from antiphon.sim.llm import Llm, Tools
from antiphon.sim.lost_line import LostLine
from antiphon.sim.plan import Plan, between, draw_plan
from antiphon.sim.player import Player
from antiphon.sim.promise import ENGINE_BUGS, Broken
from antiphon.sim.purse import Purse
from antiphon.sim.setup import draw_setup
from antiphon.sim.stt import Stt
from antiphon.sim.telephone import Telephone, on_telephone
from antiphon.sim.tts import Tts
from antiphon.sim.vad import Vad

Engine = Callable[[Setup], Conversation]
Trace = list[tuple[Event, list[c.Command]]]

HORIZON_MS = 240_000
"""A world that has not ended by then is ended by its caller."""
_AFTERWARDS_MS = 6000
"""For so long after the call stragglers may arrive."""
_STREAMS = 16
_SOURCES = 10


class World:
    """One simulated call.

    Args:
        seed: any integer; everything is drawn from it.
        allowed: names of the faults that the world may have.
        engine: makes the conversation; tests put broken ones here.
        plan: what the caller does, instead of what the seed says.
        setup: the agent, instead of what the seed says.
    """

    __slots__ = (
        "_carry_out",
        "_deadline_ms",
        "_late_rng",
        "_make_engine",
        "_order",
        "_queue",
        "_source_ms",
        "_until_ms",
        "broken",
        "caller",
        "clock",
        "crash",
        "deadline",
        "detector",
        "ended_ms",
        "engine",
        "engine_ms",
        "faults",
        "health",
        "llm",
        "lost_line",
        "now_ms",
        "phone",
        "player",
        "promises",
        "purse",
        "seed",
        "send",
        "setup",
        "stt",
        "tools",
        "trace",
        "tts",
        "vad",
    )

    def __init__(
        self,
        seed: int,
        allowed: tuple[str, ...] = (),
        engine: Engine = Conversation,
        plan: Plan | None = None,
        setup: Setup | None = None,
    ) -> None:
        rngs = [Random(seed * _STREAMS + stream) for stream in range(16)]
        self.seed = seed
        self.faults: Faults = draw_faults(rngs[0], allowed, rngs[15])
        drawn, telephone = (setup, False) if setup else on_telephone(draw_setup(rngs[1]), rngs[14])
        self.setup = drawn
        self._late_rng = rngs[0]
        self._queue: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0
        self._source_ms = [0] * _SOURCES
        self._deadline_ms: int | None = None  # None while a late timer is on its way, too
        self.deadline: Deadline | None = None  # the engine's, after the newest event
        self.now_ms = 0
        self.engine_ms = 0  # the engine's clock: the latest time that an event carried
        self.ended_ms: int | None = None
        self._until_ms = HORIZON_MS  # nothing happens later
        self.broken: Broken | None = None
        self.trace: Trace = []
        self.send = self._sender()
        """Gives an event to the engine. Events of one source stay in order; where the world
        reorders, those of different sources need not."""
        self._make_engine = engine
        self.engine = engine(self.setup)
        self.clock = Clock(self, rngs[2])
        self.caller = Caller(self, rngs[3], draw_plan(rngs[3]) if plan is None else plan)
        self.vad = Vad(self, rngs[4])
        self.stt = Stt(self, rngs[5])
        self.detector = Detector(self, rngs[6])
        self.llm = Llm(self, rngs[7])
        self.tools = Tools(self, rngs[8])
        self.tts = Tts(self, rngs[9])
        self.player = Player(self, rngs[10])
        self.crash = Crash(self, rngs[11])
        self.purse = Purse(self, rngs[12])
        self.health = Health(self, rngs[13])
        self.phone = Telephone(self, rngs[14], telephone)
        self.lost_line = LostLine(self, rngs[15])
        self.promises = Promises(self)
        self._carry_out = self._tell_members(self.promises.table)

    def _tell_members(
        self, table: dict[type, list[Callable[[Any], None]]]
    ) -> dict[type, list[Callable[[Any], None]]]:
        """A command is looked at by the promises, then carried out."""
        for kind, act in (
            (c.BeginUtterance, self.stt.begin),
            (c.FinalizeUtterance, self.stt.finalize),
            (c.EndUtterance, self.stt.end),
            (c.PredictTurn, self.detector.predict),
            (c.StartGeneration, self.llm.start),
            (c.CancelGeneration, self.llm.cancel),
            (c.CallTool, self.tools.call),
            (c.SynthesizeText, self.tts.synthesize),
            (c.EndSynthesis, self.tts.end),
            (c.PlayAudio, self.player.play),
            (c.DuckAudio, self.player.duck),
            (c.PauseAudio, self.player.pause),
            (c.ResumeAudio, self.player.resume),
            (c.FlushAudio, self._flush),
            (c.EndCall, self._end_call),
            *self.phone.performs(),
        ):
            table.setdefault(kind, []).append(act)
        return table

    def new_engine(self) -> Conversation:
        """A conversation that knows nothing yet."""
        return self._make_engine(self.setup)

    # ---- what its members use ---------------------------------------------------------------

    def after(self, delay_ms: int, action: Callable[[Any], None], argument: Any) -> None:
        """Do something later; actions of the same moment happen in the order of this call."""
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, action, argument))

    def next_ms(self) -> int:
        """How long until somebody does something."""
        return self._queue[0][0] - self.now_ms

    def _sender(self) -> Callable[..., None]:
        if self.faults.reordering:
            return self._send_late
        return self._send_dated if self.faults.clock else self._deliver

    def _send_nowhere(self, event: Event, source: int = 0) -> None:
        """Nobody is there."""

    def _send_dated(self, event: Event, source: int = 0) -> None:
        self._deliver(self.clock.date(event))

    def _send_late(self, event: Event, source: int = 0) -> None:
        lag_ms = 0
        if self.faults.clock:
            event = self.clock.date(event)
        if self._late_rng.random() < self.faults.reordering:
            lag_ms = between(self._late_rng, 0, 80)
        at_ms = max(self.now_ms + lag_ms, self._source_ms[source])
        self._source_ms[source] = at_ms
        self.after(at_ms - self.now_ms, self._deliver, event)

    def withdraw(self, is_gone: Callable[[Any], bool]) -> None:
        """Events that are on their way, of a stream that nobody reads any more, do not arrive."""
        if self.faults.reordering:
            self._queue[:] = [item for item in self._queue if not is_gone(item[3])]
            heapq.heapify(self._queue)

    def caller_finished(self, said: str) -> None:
        """The caller has said all of a turn: with words, mumbled, or only noises."""
        self.promises.caller_finished(said)

    def step(self, ms: int) -> None:
        """The clock stands `ms` later than a moment before, and nothing has happened meanwhile."""
        self.now_ms += ms
        self._until_ms += ms
        # As a heap this stays one: every key grows alike.
        self._queue[:] = [(at + ms, order, act, what) for at, order, act, what in self._queue]
        self._source_ms = [at_ms + ms for at_ms in self._source_ms]
        self.caller.step(ms)
        self.vad.step(ms)
        self.llm.step()
        self.tts.step(ms)
        self.player.step(ms)
        self.phone.step(ms)
        self.promises.step(ms)

    def die(self) -> None:
        """The process is gone, with all that was under way in it."""
        self.promises.crashed()
        self.send = self._send_nowhere
        self._deadline_ms = None
        stays = {
            *(self.caller, self.clock, self.crash, self.promises),
            *(self.purse, self.health, self.phone, self.lost_line),
        }
        queue = [item for item in self._queue if getattr(item[2], "__self__", None) in stays]
        queue += [item for item in self._queue if item[2] == self.hang_up]
        heapq.heapify(queue)
        self._queue[:] = queue
        for member in (self.vad, self.stt, self.llm, self.tts, self.player, self.phone):
            member.reset()

    def go_on(self, engine: Conversation) -> None:
        """Another process has the call."""
        self.engine = engine
        self.send = self._sender()
        self.promises.restored()

    def hang_up(self, reason: str) -> None:
        """Close the line, from either side."""
        if self.ended_ms is not None:
            return
        self.ended_ms = self.now_ms
        self._until_ms = self.now_ms + _AFTERWARDS_MS
        self.caller.gone = True
        self.player.hang_up()
        self._deliver(CallEnded(self.now_ms, reason))
        self.llm.close()
        self.tts.close()

    # ---- the loop ---------------------------------------------------------------------------

    def run(self) -> Broken | None:
        """Let the whole call happen. Returns the first promise broken."""
        try:
            self.after(HORIZON_MS, self.hang_up, "the caller gave up")
            self._deliver(CallStarted(0))
            self.caller.call_started()
            self.promises.watch()
            self._loop()
            self.promises.finish()
        except Broken as broken:
            self.broken = broken
        return self.broken

    def _loop(self) -> None:
        queue, pop = self._queue, heapq.heappop
        while queue:
            due_ms = self._deadline_ms
            if due_ms is not None and due_ms <= queue[0][0]:
                self._reach_deadline(due_ms)
                continue
            at_ms, _, action, argument = pop(queue)
            if at_ms > self._until_ms:
                break
            self.now_ms = at_ms
            action(argument)

    def _reach_deadline(self, due_ms: int) -> None:
        rng, faults = self._late_rng, self.faults
        if faults.timers and rng.random() < faults.timers:
            self._deadline_ms = None  # until the engine is asked again
            self.after(max(0, due_ms - self.now_ms) + between(rng, 1, 60), self._wake, None)
            return
        self.now_ms = max(self.now_ms, due_ms)
        self._deliver(DeadlineReached(self.now_ms))

    def _wake(self, _: None) -> None:
        deadline = self.deadline
        if deadline is not None and deadline.at_ms <= self.now_ms:
            self._deliver(DeadlineReached(self.now_ms))

    def _deliver(self, event: Event, source: int = 0) -> None:
        table, promises = self._carry_out, self.promises
        if event.at_ms > self.engine_ms:
            self.engine_ms = event.at_ms
        for check in table.get(type(event), ()):
            check(event)
        try:
            commands = self.engine.handle(event)
            deadline = self.engine.deadline
        except ENGINE_BUGS as error:
            self.trace.append((event, []))
            raise Broken("the engine never raises", self.now_ms, repr(error)) from error
        self.trace.append((event, commands))
        self.deadline = deadline
        self._deadline_ms = None if deadline is None else deadline.at_ms
        if commands:
            if promises.over:
                promises.refuse(commands)
            for command in commands:
                for act in table.get(type(command), ()):
                    act(command)
        promises.after_step(event, deadline)

    # ---- commands that concern several ------------------------------------------------------

    def _flush(self, command: c.FlushAudio) -> None:
        self.tts.flush(command)
        self.player.flush(command)

    def _end_call(self, command: c.EndCall) -> None:
        self.after(between(self._late_rng, 10, 200), self.hang_up, command.reason)
