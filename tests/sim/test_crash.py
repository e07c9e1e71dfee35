"""The process dies, and the call goes on in another one."""

from __future__ import annotations

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.engine.policy import Setup
from antiphon.sim.crash import SAME_DECISIONS
from antiphon.sim.run import run_seed, run_world


def test_calls_are_restored_and_go_on() -> None:
    restored = turns = 0
    for seed in range(150):
        world = run_world(seed, ("crash",))
        assert world.broken is None, f"seed {seed}: {world.broken}"
        at = [n for n, (event, _) in enumerate(world.trace) if isinstance(event, e.CallRestored)]
        restored += bool(at)
        if at:
            later = [x for _, given in world.trace[at[0] :] for x in given]
            turns += any(isinstance(x, c.ReportTurn) for x in later)
    assert restored > 20
    assert turns > 5


def test_a_conversation_that_decides_otherwise_the_second_time_is_caught() -> None:
    made: list[Conversation] = []

    class Forgetful(Conversation):
        __slots__ = ("_second",)

        def __init__(self, setup: Setup) -> None:
            super().__init__(setup)
            self._second = bool(made)
            made.append(self)

        def handle(self, event: e.Event) -> list[c.Command]:
            given = super().handle(event)
            return given[:-1] if self._second else given

    for seed in range(200):
        made.clear()
        violation = run_seed(seed, ("crash",), Forgetful).violation
        if violation is not None:
            assert violation.promise == SAME_DECISIONS
            return
    raise AssertionError("never caught")
