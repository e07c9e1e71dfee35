"""A clock that steps and goes back."""

from __future__ import annotations

from itertools import pairwise

from antiphon.sim.clock import BACK_MS
from antiphon.sim.run import run_world


def test_a_clock_steps_ahead_and_nobody_has_lived_through_it() -> None:
    stepped = [
        world for world in (run_world(s, ("clock",)) for s in range(100)) if world.faults.clock
    ]
    assert len(stepped) > 20
    assert not [world.broken for world in stepped if world.broken]
    gaps = [
        max(b.at_ms - a.at_ms for (a, _), (b, _) in pairwise(world.trace))
        for world in stepped
        if world.clock.stepped_ms > 15_000
    ]
    assert max(gaps) > 10_000


def test_events_are_dated_back_a_little() -> None:
    backs = [
        a.at_ms - b.at_ms
        for seed in range(60)
        for (a, _), (b, _) in pairwise(run_world(seed, ("clock",)).trace)
        if b.at_ms < a.at_ms
    ]
    assert backs
    assert max(backs) <= BACK_MS


def test_a_world_without_the_fault_keeps_its_time() -> None:
    assert not any(run_world(seed).clock.stepped_ms for seed in range(20))
