"""Voice activity: edges in turn, measurements while both sound, and the agent's own voice."""

from __future__ import annotations

from itertools import pairwise

from antiphon.engine import events as e
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.run import run_world
from antiphon.sim.world import World


def worlds(seeds: int) -> list[World]:
    return [run_world(seed, FAULT_NAMES) for seed in range(seeds)]


def test_edges_alternate_but_for_a_crash() -> None:
    kinds = (e.UserSpeechStarted, e.UserSpeechStopped, e.CallRestored)
    for world in worlds(120):
        edges = [event for event, _ in world.trace if isinstance(event, kinds)]
        for one, other in pairwise(edges):
            assert type(one) is not type(other)
        if edges:
            assert not isinstance(edges[0], e.UserSpeechStopped)


def test_how_the_caller_sounds_is_told_and_an_echo_is_known_on_some_lines() -> None:
    told: dict[str, list[e.SpeechMeasured]] = {"": [], "known": [], "unknown": []}
    for world in worlds(400):
        told[world.vad.line] += [x for x, _ in world.trace if isinstance(x, e.SpeechMeasured)]
    assert max(x.echo for x in told[""]) < 0.2
    assert max(x.echo for x in told["known"]) > 0.6
    assert max(x.echo for x in told["unknown"]) < 0.2
    levels = [x.level_db for x in told[""]]
    assert max(levels) > -25  # near
    assert min(levels) < -40  # somebody further away
