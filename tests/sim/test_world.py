"""The members of a world, each by what a crowd of seeds shows of it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.caller import Caller
from antiphon.sim.faults import FAULT_NAMES, NO_FAULTS, draw_faults, parse_faults
from antiphon.sim.plan import Act, Kind, Phrase, Plan, When
from antiphon.sim.promise import Broken, Promise
from antiphon.sim.run import run_world
from antiphon.sim.world import HORIZON_MS, World


def events_of(kind: type[e.Event], seeds: int = 150, faults: tuple[str, ...] = ()) -> list[e.Event]:
    worlds = (run_world(seed, faults) for seed in range(seeds))
    return [event for world in worlds for event, _ in world.trace if type(event) is kind]


def test_every_event_and_every_command_occurs() -> None:
    seen: set[type] = set()
    for seed in range(400):
        for event, given in run_world(seed, FAULT_NAMES).trace:
            seen.add(type(event))
            seen.update(type(command) for command in given)
    kinds = {x for module in (e, c) for x in vars(module).values() if isinstance(x, type)}
    values = {x for x in kinds if issubclass(x, e.Event | c.Command)} - {e.Event, c.Command}
    assert values <= seen


def test_time_does_not_go_back_without_reordering() -> None:
    for seed in range(50):
        times = [event.at_ms for event, _ in run_world(seed).trace]
        assert times == sorted(times)


def test_reordering_lets_sources_overtake_each_other_but_keeps_each_in_order() -> None:
    mixed = 0
    for seed in range(100):
        trace = run_world(seed, ("reordering",)).trace
        times = [event.at_ms for event, _ in trace]
        mixed += times != sorted(times)
        spoken = [x for x, _ in trace if isinstance(x, e.UserSpeechStarted | e.UserSpeechStopped)]
        assert all(type(a) is not type(b) for a, b in pairwise(spoken))
    assert mixed > 10


def test_every_world_ends() -> None:
    for seed in range(100):
        world = run_world(seed, FAULT_NAMES)
        assert world.engine.ended
        assert world.ended_ms is not None
        assert world.ended_ms <= HORIZON_MS


def test_a_plan_can_be_given() -> None:
    phrases = (Phrase(("large1", "coffee2"), pause_ms=400), Phrase(("please3",)))
    plan = Plan(Kind.HESITATOR, (Act(When.AFTER, 100, phrases),), None, True, 5000)
    world = World(1, plan=plan)
    assert world.run() is None
    turns = [x.text for _, given in world.trace for x in given if isinstance(x, c.ReportTurn)]
    # A caller who pauses long enough is answered, and the answer taken back when they go on.
    assert turns[-1].split() == ["large1", "coffee2", "please3"]


def test_a_cough_gives_no_words() -> None:
    plan = Plan(Kind.COUGHER, (Act(When.AFTER, 0, (Phrase((), sound_ms=400),)),), None, False, 5000)
    world = World(1, plan=plan)
    assert world.run() is None
    finals = [x for x, _ in world.trace if isinstance(x, e.TranscriptCompleted)]
    assert finals
    assert not any(final.text for final in finals)


def test_who_hangs_up_hangs_up() -> None:
    world = World(1, plan=Plan(Kind.SILENT, (), 700, False, 5000))
    world.run()
    assert world.ended_ms == 700
    assert isinstance(world.caller, Caller)


def test_a_dead_line_is_noticed() -> None:
    ends = Counter(
        event.reason
        for event in events_of(e.CallEnded, 400, ("dead_line",))
        if isinstance(event, e.CallEnded)
    )
    assert ends["the line is dead"] > 5


# ---- faults --------------------------------------------------------------------------------


def test_faults_are_named() -> None:
    assert parse_faults("all") == FAULT_NAMES
    assert parse_faults("none") == ()
    assert parse_faults("errors, late") == ("errors", "late")
    with pytest.raises(ValueError, match="unknown fault 'x'; there are errors, stalls"):
        parse_faults("errors,x")


def test_a_world_has_only_faults_that_are_allowed() -> None:
    for seed in range(100):
        drawn = draw_faults(Random(seed), ("late",), Random(seed))
        assert {name for name in FAULT_NAMES if getattr(drawn, name)} <= {"late"}
        assert draw_faults(Random(seed), (), Random(seed)) == NO_FAULTS


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("errors", e.GenerationFailed), ("errors", e.SynthesisFailed)],
)
def test_errors_happen_where_they_are_allowed_and_only_there(
    fault: str, kind: type[e.Event]
) -> None:
    assert events_of(kind, 150, (fault,))
    assert not events_of(kind, 150)


def test_transcription_fails_sometimes() -> None:
    assert events_of(e.TranscriptionFailed, 400, ("errors",))


# ---- promises ------------------------------------------------------------------------------


def test_a_broken_promise_says_which_and_when() -> None:
    class TeaIsServed(Promise):
        name = "11 tea is served"

    promise = TeaIsServed(World(1))
    with pytest.raises(Broken) as caught:
        promise.fail("coffee came")
    assert str(caught.value) == "11 tea is served: coffee came (at 0.000 s)"
    assert promise.watches() == {}
