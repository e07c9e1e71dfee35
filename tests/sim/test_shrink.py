"""Shrinking: the same promise breaks in a conversation of which little is left."""

from __future__ import annotations

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.plan import Act, Phrase, When
from antiphon.sim.run import run_seed
from antiphon.sim.shrink import shrink


class NeverResumes(Conversation):
    """Lowers its voice for good."""

    __slots__ = ()

    def handle(self, event: e.Event) -> list[c.Command]:
        return [x for x in super().handle(event) if not isinstance(x, c.ResumeAudio)]


def broken_seed() -> int:
    return next(s for s in range(1000) if run_seed(s, FAULT_NAMES, NeverResumes).violation)


def test_the_same_promise_breaks_in_less() -> None:
    seed = broken_seed()
    whole = run_seed(seed, FAULT_NAMES, NeverResumes)
    small = shrink(seed, FAULT_NAMES, lambda tries: tries < 300, NeverResumes)
    assert whole.violation is not None
    assert small.world.broken is not None
    assert small.world.broken.promise == whole.violation.promise
    acts = small.world.caller.plan.acts
    assert len(acts) <= 2
    assert small.cut
    assert any("of the caller" in line for line in small.cut)


def test_it_stops_when_it_is_told_to() -> None:
    small = shrink(broken_seed(), FAULT_NAMES, lambda tries: tries < 5, NeverResumes)
    assert small.tries == 5


def test_a_world_that_breaks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="breaks no promise"):
        shrink(0, (), lambda tries: True)


def test_what_is_left_of_a_plan_can_be_read() -> None:
    phrases = (Phrase(("large1",), pause_ms=300), Phrase(("milk2",), clear=False), Phrase(()))
    assert Act(When.AFTER, 200, phrases).tell() == (
        "200 ms after the agent has spoken: 'large1', 300 ms silence, 'milk2' (mumbled), 0 ms noise"
    )
    assert Act(When.AFTER, 0, typed="hi").tell().endswith("types 'hi'")
    assert Act(When.DURING, 0, keys="12#").tell().endswith("presses 12#")
    assert Act(When.DURING, 0, (Phrase(("tea",), far=True),)).tell().endswith("'tea' (from afar)")
