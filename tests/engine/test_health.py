"""Providers that are known to be broken are not asked, while somebody else is there."""

from __future__ import annotations

from tests.engine.scenario import Scenario

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.health import Health


def changes(call: Scenario, kind: str, number: int, works: bool) -> None:
    call.send(e.ProviderChanged(call.now_ms, kind, number, works))


def asked(call: Scenario) -> int:
    return call.last(c.StartGeneration).attempt


def test_the_next_voice_speaks_while_one_is_known_to_be_broken() -> None:
    call = Scenario(voices=2)
    changes(call, "tts", 0, False)
    call.finishes("Sure.", "a coffee")
    assert call.last(c.SynthesizeText).voice == 1
    changes(call, "tts", 0, True)
    call.finishes("Sure.", "a tea")
    assert call.last(c.SynthesizeText).voice == 0


def test_a_voice_that_takes_over_and_fails_is_followed_by_the_one_after_it() -> None:
    call = Scenario(voices=3)
    changes(call, "tts", 0, False)
    call.agent_speaks("One two three four five six.")
    call.voice_fails()
    assert call.last(c.SynthesizeText).voice == 2


def test_the_next_llm_is_asked_while_one_is_known_to_be_broken() -> None:
    call = Scenario(llms=2)
    changes(call, "llm", 0, False)
    call.says("a coffee")
    assert asked(call) == 1
    call.llm_fails()
    assert asked(call) == 1  # it is the only one that works
    call.llm_fails()
    assert call.spoken == call.setup.phrases.llm_failed


def test_when_all_are_broken_somebody_is_asked() -> None:
    call = Scenario(llms=2, voices=2)
    for number in range(2):
        changes(call, "llm", number, False)
        changes(call, "tts", number, False)
    call.says("a coffee")
    assert asked(call) == 0
    call.answers("Sure.")
    assert call.last(c.SynthesizeText).voice == 0


def test_what_is_told_twice_counts_once() -> None:
    health = Health()
    for _ in range(2):
        health.on_changed(e.ProviderChanged(0, "tts", 1, False))
    health.on_changed(e.ProviderChanged(0, "tts", 1, True))
    health.on_changed(e.ProviderChanged(0, "tts", 1, True))
    assert health.best("tts", 1, 2) == 1
