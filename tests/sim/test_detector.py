"""The turn detector and the recogniser's own signal."""

from __future__ import annotations

from collections import Counter

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.run import run_world


def test_it_answers_where_there_is_one_mostly_and_in_time() -> None:
    asked = answered = 0
    for seed in range(200):
        world = run_world(seed)
        for event, given in world.trace:
            asked += sum(isinstance(command, c.PredictTurn) for command in given)
            if isinstance(event, e.TurnPredicted):
                answered += 1
                assert 0 <= event.complete <= 1
                assert world.setup.detects_turns
    assert asked > 100
    assert answered > asked * 0.9


def test_it_is_late_or_silent_where_there_are_faults() -> None:
    asked = answered = 0
    for seed in range(200):
        for event, given in run_world(seed, ("stalls",)).trace:
            asked += sum(isinstance(command, c.PredictTurn) for command in given)
            answered += isinstance(event, e.TurnPredicted)
    assert answered < asked


def test_recognisers_signal_ends_of_turns_in_some_worlds() -> None:
    signals = Counter(
        event.signal
        for seed in range(300)
        for event, _ in run_world(seed, FAULT_NAMES).trace
        if isinstance(event, e.TurnSignalled)
    )
    assert min(signals[name] for name in ("eager", "resumed", "final")) > 5
