"""A world that breaks a promise, made as small as it can be while it still breaks the same one.

Cut are acts, phrases and words of the caller, faults, and what is unusual about the agent; delays
become shorter. Each cut is tried by running the world again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from antiphon.engine.conversation import Conversation
from antiphon.engine.policy import Setup
from antiphon.sim.plan import Act, Phrase, Plan
from antiphon.sim.world import Engine, World

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Case:
    """What a world is made of, besides its seed."""

    plan: Plan
    faults: tuple[str, ...]
    setup: Setup


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest world that was found. `cut` says what it lacks, a line each."""

    world: World
    cut: tuple[str, ...]
    tries: int


def shrink(
    seed: int,
    faults: tuple[str, ...],
    go_on: Callable[[int], bool],
    engine: Engine = Conversation,
) -> Shrunk:
    """Shrink the world of a seed that breaks a promise.

    Args:
        seed: of the world.
        faults: names of the faults that it may have.
        go_on: is asked with the number of worlds tried whether there is time for another.
        engine: makes the conversation.

    Raises:
        ValueError: the world breaks nothing.
    """
    world = World(seed, faults, engine)
    if world.run() is None:
        raise ValueError(f"seed {seed} breaks no promise")
    whole = Case(world.caller.plan, _present(world), world.setup)
    found, best, tries = whole, world, 0
    candidates = _smaller(found)
    while go_on(tries):
        case = next(candidates, None)
        if case is None:
            break
        tries += 1
        tried = World(seed, case.faults, engine, case.plan, case.setup)
        broken = tried.run()
        if broken is not None and broken.promise == _promise_of(world):
            found, best = case, tried
            candidates = _smaller(found)
    return Shrunk(best, tuple(_cut(whole, found)), tries)


def _promise_of(world: World) -> str:
    assert world.broken is not None
    return world.broken.promise


def _present(world: World) -> tuple[str, ...]:
    return tuple(name for name in world.faults.__slots__ if getattr(world.faults, name))


# ---- what could be smaller -------------------------------------------------------------------


def _smaller(case: Case) -> Iterator[Case]:
    """Every case that is a step smaller, the greatest steps first."""
    plan = case.plan
    for at in range(len(case.faults)):
        yield replace(case, faults=case.faults[:at] + case.faults[at + 1 :])
    for acts in _fewer(plan.acts):
        yield replace(case, plan=replace(plan, acts=acts))
    for setup in _plainer(case.setup):
        yield replace(case, setup=setup)
    if plan.hangs_up_ms is not None:
        yield replace(case, plan=replace(plan, hangs_up_ms=None))
    for at, act in enumerate(plan.acts):
        for less in _smaller_acts(act):
            acts = (*plan.acts[:at], less, *plan.acts[at + 1 :])
            yield replace(case, plan=replace(plan, acts=acts))


def _fewer(items: tuple[_T, ...]) -> Iterator[tuple[_T, ...]]:
    """Without a half, a quarter, one of them."""
    size = len(items) // 2
    while size >= 1:
        for at in range(0, len(items), size):
            yield items[:at] + items[at + size :]
        size //= 2


def _plainer(setup: Setup) -> Iterator[Setup]:
    plain = Setup()
    for name in ("greeting", "greeting_protected", "policy", "llms", "voices", "detects_turns"):
        usual = getattr(plain, name)
        if getattr(setup, name) != usual:
            yield replace(setup, **{name: usual})


def _smaller_acts(act: Act) -> Iterator[Act]:
    if act.typed:
        for words in _fewer(tuple(act.typed.split())):
            if words:
                yield replace(act, typed=" ".join(words))
    for phrases in _fewer(act.phrases):
        if phrases:
            yield replace(act, phrases=phrases)
    for at, phrase in enumerate(act.phrases):
        for less in _smaller_phrases(phrase):
            yield replace(act, phrases=(*act.phrases[:at], less, *act.phrases[at + 1 :]))
    for delay_ms in _shorter(act.delay_ms):
        yield replace(act, delay_ms=delay_ms)


def _smaller_phrases(phrase: Phrase) -> Iterator[Phrase]:
    for words in _fewer(phrase.words):
        if words:
            yield replace(phrase, words=words)
    for pause_ms in _shorter(phrase.pause_ms):
        yield replace(phrase, pause_ms=pause_ms)
    for sound_ms in _shorter(phrase.sound_ms):
        if sound_ms:
            yield replace(phrase, sound_ms=sound_ms)


def _shorter(ms: int) -> Iterator[int]:
    """Nothing; half; a round number below."""
    if ms:
        yield 0
    if ms > 100:
        yield ms // 200 * 100
        if ms % 100:
            yield ms // 100 * 100


# ---- what was cut ----------------------------------------------------------------------------


def _cut(whole: Case, found: Case) -> Iterator[str]:
    for name, count in (("acts", _acts), ("phrases", _phrases), ("words", _words)):
        before, now = count(whole.plan), count(found.plan)
        if now < before:
            yield f"{before - now} of {before} {name} of the caller"
    before_ms, now_ms = _delays_ms(whole.plan), _delays_ms(found.plan)
    if now_ms < before_ms:
        yield f"{before_ms - now_ms} of {before_ms} ms of delays and pauses"
    gone = [name for name in whole.faults if name not in found.faults]
    if gone:
        yield f"faults: {', '.join(gone)}"
    for name in ("greeting", "policy", "llms", "voices", "detects_turns"):
        if getattr(whole.setup, name) != getattr(found.setup, name):
            yield f"the agent's {name}, now as usual"
    if whole.plan.hangs_up_ms != found.plan.hangs_up_ms:
        yield "the caller does not hang up early"


def _acts(plan: Plan) -> int:
    return len(plan.acts)


def _phrases(plan: Plan) -> int:
    return sum(len(act.phrases) for act in plan.acts)


def _words(plan: Plan) -> int:
    spoken = sum(len(phrase.words) for act in plan.acts for phrase in act.phrases)
    return spoken + sum(len(act.typed.split()) for act in plan.acts)


def _delays_ms(plan: Plan) -> int:
    return sum(
        act.delay_ms + sum(phrase.pause_ms + phrase.sound_ms for phrase in act.phrases)
        for act in plan.acts
    )
