"""The agents of simulated worlds: what they say first, how patient they are, what they have."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from antiphon.engine.policy import (
    DeadAir,
    Endpointing,
    Interruption,
    Setup,
    Silence,
    Speculation,
    TurnPolicy,
)
from antiphon.sim.plan import between

_GREETING = "Hello, this is the front desk. This call is recorded. How can I help you today?"
_DEFAULT = TurnPolicy()


def draw_setup(rng: Random) -> Setup:
    """The agent of one world."""
    greeting = _GREETING if rng.random() < 0.6 else ""
    protected = rng.random() < 0.4
    setup = Setup(
        greeting=greeting,
        greeting_protected=protected,
        policy=_draw_policy(rng),
        tool_deadlines=(("lookup", 3000), ("book", 8000)),
        llms=between(rng, 1, 2),
        voices=between(rng, 1, 2),
        detects_turns=rng.random() < 0.5,
        stts=between(rng, 1, 2),
        recorded=rng.random() < 0.5,
    )
    if setup.llms > 1 and rng.random() < 0.3:
        setup = replace(setup, cheaper_llm=setup.llms - 1)
    return setup


def _draw_policy(rng: Random) -> TurnPolicy:
    """Most agents are as they come out of the box."""
    policy = _DEFAULT
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
    mode = _pick(rng, ("stt", 0.08), ("manual", 0.08))
    if mode:
        policy = replace(policy, endpointing=replace(policy.endpointing, mode=mode))
    speech = _pick(rng, ("patient", 0.12), ("protected", 0.08))
    if speech:
        policy = replace(policy, interruption=replace(policy.interruption, speech=speech))
    prepare = _pick(rng, ("nothing", 0.15), ("text", 0.2))
    if prepare:
        policy = replace(policy, speculation=Speculation(prepare=prepare))
    return policy


def _pick(rng: Random, *choices: tuple[str, float]) -> str:
    """One of the choices with its probability, or nothing."""
    drawn = rng.random()
    for name, probability in choices:
        if drawn < probability:
            return name
        drawn -= probability
    return ""
