"""How a call opens: the notice, whether it may be recorded, the greeting."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario

from antiphon.engine import commands as c
from antiphon.engine import events as e

NOTICE = "This is a machine and the call is recorded."
QUESTION = "May I record it?"
GREETING = "How can I help?"


def call(**changes: Any) -> Scenario:
    setup: dict[str, Any] = {"disclosure": NOTICE, "greeting": GREETING, "records": True, **changes}
    return Scenario(**setup)


def asking(**changes: Any) -> Scenario:
    made = call(consent_question=QUESTION, **changes)
    made.voices()
    return made


def hears_question(made: Scenario) -> None:
    made.plays_out()
    made.wait(100)


def records(made: Scenario) -> list[str]:
    kinds = (c.StartRecording, c.PauseRecording, c.ResumeRecording)
    return [type(one).__name__ for one in made.commands if isinstance(one, kinds)]


def test_the_notice_comes_first_and_the_greeting_after_it() -> None:
    made = call()
    assert made.spoken == NOTICE
    assert not records(made)
    made.voices()
    made.plays_out()
    assert made.last(c.ReportDisclosure) == c.ReportDisclosure(NOTICE, True)
    assert records(made) == ["StartRecording"]
    assert made.all(c.SynthesizeText)[-1].text == GREETING


def test_nothing_stops_the_notice_and_words_over_it_are_answered() -> None:
    made = call()
    made.voices()
    made.plays(300)
    made.speaks("stop stop I want a coffee")
    made.wait(500)
    made.falls_silent()
    made.understood("stop stop I want a coffee", complete=1.0)
    assert not made.all(c.FlushAudio)
    made.plays_out()
    made.wait(3000)
    assert made.last(c.ReportDisclosure).complete
    assert made.last(c.ReportTurn).outcome == "answered"
    made.answers("Coming.")
    made.voices()
    made.plays_out()
    made.wait(500)
    # They have begun already: no greeting.
    assert GREETING not in [one.text for one in made.all(c.SynthesizeText)]


def test_a_call_that_ends_before_says_so() -> None:
    made = call()
    made.voices()
    made.plays(300)
    told = made.send(e.CallEnded(made.now_ms, "gone"))
    assert c.ReportDisclosure(NOTICE, False) in told
    assert not records(made)


def test_without_a_notice_recording_begins_at_once() -> None:
    made = call(disclosure="")
    assert records(made) == ["StartRecording"]
    assert made.spoken == GREETING
    assert not records(Scenario(greeting=GREETING))


def test_a_protected_greeting_belongs_to_the_notice() -> None:
    made = call(greeting_protected=True)
    assert made.spoken == f"{NOTICE} {GREETING}"


def test_a_yes_is_needed() -> None:
    made = asking()
    assert made.spoken == f"{NOTICE} {QUESTION}"
    hears_question(made)
    assert not records(made)
    made.says("yes sure")
    assert made.last(c.ReportConsent) == c.ReportConsent(True, "voice")
    assert records(made) == ["StartRecording"]
    assert made.all(c.SynthesizeText)[-1].text == GREETING
    assert DEFAULT_PHRASES.consent_granted in [one.text for one in made.all(c.SynthesizeText)]
    assert not made.all(c.StartGeneration)


def test_with_a_yes_and_no_greeting_the_caller_goes_on() -> None:
    made = asking(greeting="")
    hears_question(made)
    made.says("yes")
    assert made.last(c.ReportConsent).granted
    made.voices()
    made.plays_out()
    made.says("hello")
    assert made.all(c.StartGeneration)


def test_a_no_goes_on_without() -> None:
    made = asking()
    hears_question(made)
    made.says("no")
    assert made.last(c.ReportConsent) == c.ReportConsent(False, "voice")
    assert not records(made)
    said = " ".join(one.text for one in made.all(c.SynthesizeText)[-2:])
    assert DEFAULT_PHRASES.consent_refused in said
    assert GREETING in said


def test_a_no_ends_the_call_where_it_must() -> None:
    made = asking(consent_required=True)
    hears_question(made)
    made.says("no")
    made.voices()
    made.plays_out()
    assert made.last(c.EndCall) == c.EndCall("no consent")
    assert not records(made)


@pytest.mark.parametrize(("key", "granted"), [("1", True), ("2", False), ("#", None)])
def test_one_key_is_enough(key: str, granted: bool | None) -> None:
    made = asking()
    hears_question(made)
    made.presses(key)
    made.wait(50)
    told = made.all(c.ReportConsent)
    assert told == ([] if granted is None else [c.ReportConsent(granted, "key")])


def test_a_key_during_the_notice_waits_for_its_end() -> None:
    made = asking()
    made.plays(300)
    made.presses("1")
    made.wait(200)
    assert not made.all(c.ReportConsent)
    made.plays_out()
    made.wait(100)
    assert made.last(c.ReportConsent) == c.ReportConsent(True, "key")


def test_typed_words_count_too() -> None:
    made = asking()
    hears_question(made)
    made.types("no thanks")
    assert made.last(c.ReportConsent) == c.ReportConsent(False, "text")


def test_a_yes_over_the_notice_answers_nothing() -> None:
    made = asking()
    made.plays(300)
    made.speaks("yes hello")
    made.wait(400)
    made.falls_silent()
    made.understood("yes hello", complete=1.0)
    made.plays(1500)
    made.plays_out()
    made.wait(3000)
    assert not made.all(c.ReportConsent)
    assert made.all(c.SynthesizeText)[-1].text == QUESTION


def test_what_is_neither_is_asked_once_more_and_then_taken_for_a_no() -> None:
    made = asking()
    hears_question(made)
    made.says("what is this about")
    assert made.all(c.SynthesizeText)[-1].text == QUESTION
    made.voices()
    hears_question(made)
    made.says("I want a coffee")
    assert made.last(c.ReportConsent) == c.ReportConsent(False, "voice")


def test_who_says_nothing_is_asked_again() -> None:
    made = asking()
    hears_question(made)
    made.wait(made.setup.policy.silence.check_in_ms + 100)
    assert made.all(c.SynthesizeText)[-1].text == QUESTION


def test_nothing_is_prepared_for_a_yes() -> None:
    made = asking(policy=Scenario().setup.policy.__class__())
    hears_question(made)
    made.speaks()
    made.wait(500)
    made.falls_silent()
    made.understood("yes", complete=0.5)
    made.wait(300)
    assert not made.all(c.StartGeneration)


def test_a_notice_that_was_heard_and_not_confirmed_counts() -> None:
    made = call()
    made.voices()
    made.plays(9 * 300)
    made.send(e.LineHeld(made.now_ms, True))
    assert made.last(c.ReportDisclosure).complete
    made.send(e.LineHeld(made.now_ms, False))
    assert made.all(c.SynthesizeText)[-1].text == GREETING


def test_the_rest_of_a_notice_comes_before_what_the_caller_said() -> None:
    made = call(voices=2)
    made.voices()
    made.plays(600)
    made.speaks("hello")
    made.wait(300)
    made.voice_fails()
    made.wait(200)
    made.falls_silent()
    made.understood("hello", complete=1.0)
    assert "machine" in made.all(c.SynthesizeText)[-1].text
    made.wait(1000)
    assert not made.all(c.ReportTurn)
    made.voices()
    made.plays_out()
    made.wait(1000)
    assert made.last(c.ReportDisclosure).complete
    assert made.last(c.ReportTurn).outcome == "answered"


def test_without_a_voice_for_the_notice_there_is_no_call() -> None:
    made = call(recorded=True)
    for _ in range(2):
        made.voice_fails()
        made.wait(100)
    made.presses("1")
    made.voices()
    made.plays_out()
    assert made.last(c.EndCall).reason == "the voice failed"
    made.hangs_up()
    assert not made.last(c.ReportDisclosure).complete
