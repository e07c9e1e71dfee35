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
from antiphon.engine.policy import (
    DeadAir,
    Endpointing,
    Interruption,
    Setup,
    Silence,
    TurnPolicy,
)
from antiphon.sim.caller import Caller, Plan, between, draw_plan
from antiphon.sim.faults import Faults, draw_faults
from antiphon.sim.invariants import Promises
from antiphon.sim.llm import Llm, Tools
from antiphon.sim.player import Player
from antiphon.sim.promise import ENGINE_BUGS, Broken
from antiphon.sim.stt import Stt
from antiphon.sim.tts import Tts

Engine = Callable[[Setup], Conversation]
Trace = list[tuple[Event, list[c.Command]]]

HORIZON_MS = 240_000
"""A world that has not ended by then is ended by its caller."""
_AFTERWARDS_MS = 6000
"""For so long after the call stragglers may arrive."""
_STREAMS = 8
_SOURCES = 6

_GREETING = "Hello, this is the front desk. This call is recorded. How can I help you today?"


def draw_setup(rng: Random) -> Setup:
    """The agent of one world."""
    greeting = _GREETING if rng.random() < 0.6 else ""
    protected = rng.random() < 0.4
    policy = TurnPolicy()
    if rng.random() < 0.25:
        # Limits that are seldom reached come close.
        policy = TurnPolicy(
            endpointing=Endpointing(max_utterance_ms=5000),
            interruption=Interruption(backchannel_max_ms=between(rng, 300, 1200)),
            dead_air=DeadAir(tool_rounds=between(rng, 2, 4), tool_deadline_ms=2500),
            silence=Silence(
                check_in_ms=between(rng, 3000, 6000), max_call_ms=between(rng, 15_000, 60_000)
            ),
        )
    return Setup(
        greeting=greeting,
        greeting_protected=protected,
        policy=policy,
        tool_deadlines=(("lookup", 3000), ("book", 8000)),
    )


class World:
    """One simulated call.

    Args:
        seed: any integer; everything is drawn from it.
        allowed: names of the faults that the world may have.
        engine: makes the conversation; tests put broken ones here.
        plan: what the caller does, instead of what the seed says.
    """

    __slots__ = (
        "_actions",
        "_deadline_ms",
        "_lag",
        "_late_rng",
        "_order",
        "_queue",
        "_source_ms",
        "broken",
        "caller",
        "deadline",
        "ended_ms",
        "engine",
        "faults",
        "llm",
        "now_ms",
        "player",
        "promises",
        "seed",
        "setup",
        "stt",
        "tools",
        "trace",
        "tts",
    )

    def __init__(
        self,
        seed: int,
        allowed: tuple[str, ...] = (),
        engine: Engine = Conversation,
        plan: Plan | None = None,
    ) -> None:
        rngs = [Random(seed * _STREAMS + stream) for stream in range(_STREAMS)]
        self.seed = seed
        self.faults: Faults = draw_faults(rngs[0], allowed)
        self.setup = draw_setup(rngs[0])
        self._late_rng = rngs[0]
        self._queue: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._order = 0
        self._source_ms = [0] * _SOURCES
        self._lag = self.faults.reordering > 0
        self._deadline_ms: int | None = None  # None while a late timer is on its way, too
        self.deadline: Deadline | None = None  # the engine's, after the newest event
        self.now_ms = 0
        self.ended_ms: int | None = None
        self.broken: Broken | None = None
        self.trace: Trace = []
        self.engine = engine(self.setup)
        self.caller = Caller(self, rngs[1], draw_plan(rngs[1]) if plan is None else plan)
        self.stt = Stt(self, rngs[2])
        self.llm = Llm(self, rngs[3])
        self.tools = Tools(self, rngs[4])
        self.tts = Tts(self, rngs[5])
        self.player = Player(self, rngs[6])
        self.promises = Promises(self)
        self._actions: dict[type[c.Command], Callable[[Any], None]] = {
            c.BeginUtterance: self.stt.begin,
            c.FinalizeUtterance: self.stt.finalize,
            c.EndUtterance: self.stt.end,
            c.StartGeneration: self.llm.start,
            c.CancelGeneration: self.llm.cancel,
            c.CallTool: self.tools.call,
            c.SynthesizeText: self.tts.synthesize,
            c.EndSynthesis: self.tts.end,
            c.PlayAudio: self.player.play,
            c.DuckAudio: self.player.duck,
            c.PauseAudio: self.player.pause,
            c.ResumeAudio: self.player.resume,
            c.FlushAudio: self._flush,
            c.EndCall: self._end_call,
        }

    # ---- what its members use ---------------------------------------------------------------

    def after(self, delay_ms: int, action: Callable[[Any], None], argument: Any) -> None:
        """Do something later; actions of the same moment happen in the order of this call."""
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, action, argument))

    def send(self, event: Event, source: int = 0) -> None:
        """Give an event to the engine. Events of one source stay in order; where the world
        reorders, those of different sources need not."""
        if not self._lag:
            self._deliver(event)
            return
        lag_ms = 0
        if self._late_rng.random() < self.faults.reordering:
            lag_ms = between(self._late_rng, 0, 80)
        at_ms = max(self.now_ms + lag_ms, self._source_ms[source])
        self._source_ms[source] = at_ms
        self.after(at_ms - self.now_ms, self._deliver, event)

    def caller_finished(self, said: str) -> None:
        """The caller has said all of a turn: with words, mumbled, or only noises."""
        self.promises.caller_finished(said)

    def hang_up(self, reason: str) -> None:
        """Close the line, from either side."""
        if self.ended_ms is not None:
            return
        self.ended_ms = self.now_ms
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
        until_ms = HORIZON_MS + 1
        while queue:
            due_ms = self._deadline_ms
            if due_ms is not None and due_ms <= queue[0][0]:
                self._reach_deadline(due_ms)
                continue
            at_ms, _, action, argument = pop(queue)
            if self.ended_ms is not None:
                until_ms = self.ended_ms + _AFTERWARDS_MS
            if at_ms > until_ms:
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

    def _deliver(self, event: Event) -> None:
        promises, actions = self.promises, self._actions
        promises.before(event)
        try:
            commands = self.engine.handle(event)
            self.trace.append((event, commands))
            self.deadline = deadline = self.engine.deadline
        except ENGINE_BUGS as error:
            self.trace.append((event, []))
            raise Broken("the engine never raises", self.now_ms, repr(error)) from error
        self._deadline_ms = None if deadline is None else deadline.at_ms
        for command in commands:
            promises.command(command)
            action = actions.get(type(command))
            if action is not None:
                action(command)
        promises.after_step(event)

    # ---- commands that concern several ------------------------------------------------------

    def _flush(self, command: c.FlushAudio) -> None:
        self.tts.flush(command)
        self.player.flush(command)

    def _end_call(self, command: c.EndCall) -> None:
        self.after(between(self._late_rng, 10, 200), self.hang_up, command.reason)
