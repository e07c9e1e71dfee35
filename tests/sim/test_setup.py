"""Agents of all sorts."""

from __future__ import annotations

from collections import Counter
from random import Random

from antiphon.sim.setup import draw_setup


def test_all_sorts_of_agents_are_drawn() -> None:
    setups = [draw_setup(Random(seed)) for seed in range(600)]
    policies = [setup.policy for setup in setups]
    modes = Counter(policy.endpointing.mode for policy in policies)
    manners = Counter(policy.interruption.speech for policy in policies)
    prepared = Counter(policy.speculation.prepare for policy in policies)
    assert min(modes[m] for m in ("automatic", "stt", "manual")) > 20
    assert min(manners[m] for m in ("interruptible", "patient", "protected")) > 20
    assert min(prepared[m] for m in ("nothing", "text", "voice")) > 50
    assert Counter(setup.cheaper_llm for setup in setups)[1] > 50
    for name in ("llms", "voices", "detects_turns", "greeting_protected"):
        assert min(Counter(getattr(setup, name) for setup in setups).values()) > 150
