"""Silences, as a caller would feel them: what the agent does when something or somebody is late."""

from __future__ import annotations

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.dead_air import TOOL_TIMED_OUT
from antiphon.engine.policy import Phrases

ALWAYS_900 = {"min_ms": 900, "unknown_ms": 900, "max_ms": 900, "habit": 0.0}
ANSWER = "One two three four five six. Seven eight nine ten."


# ---- the line ------------------------------------------------------------------------------


def test_positions_before_the_first_sound_mean_nothing() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers(ANSWER)
    call.voices()
    assert call.send(e.PlaybackProgressed(call.now_ms, 1, 500)) == []
    assert call.send(e.PlaybackEnded(call.now_ms, 1, 500)) == []


def test_the_end_of_playback_counts_only_when_the_text_is_whole() -> None:
    call = Scenario()
    call.says("tell me")
    call.writes("Here it is. And")
    call.voices()
    call.plays(300)
    assert call.send(e.PlaybackEnded(call.now_ms, 1, 900)) == []


def test_a_line_that_does_not_move_is_dead() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers(ANSWER)
    call.voices()
    assert c.EndCall("the line is dead") in call.wait(6000)


def test_a_line_that_forgets_to_report_the_end_is_not_waited_for() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers("Fine then.")
    call.voices()
    call.plays(600)
    assert call.due == "playback end"
    call.wait(5000)
    assert call.last(c.ReportResponse) == c.ReportResponse(1, "completed", "Fine then.")


def test_a_line_that_never_confirms_a_flush_is_not_waited_for() -> None:
    call = Scenario()
    call.answer_flush = False
    call.agent_speaks(ANSWER)
    call.types("stop")
    assert call.states == ("listening", "listening")
    call.wait(999)
    assert call.response == 1
    call.wait(1)
    assert call.all(c.ReportResponse)[1] == c.ReportResponse(
        1, "cancelled", "One two", "turn_detected"
    )
    assert call.last(c.StartGeneration) == c.StartGeneration(2)


def test_nothing_stops_an_answer_twice() -> None:
    call = Scenario()
    call.answer_flush = False
    call.agent_speaks(ANSWER)
    call.types("stop")
    told = call.types("really stop")
    assert [one for one in told if isinstance(one, c.FlushAudio)] == []
    assert call.tool_returns() == []
    call.send(e.PlaybackFlushed(call.now_ms, 7, 0))
    told = call.send(e.PlaybackFlushed(call.now_ms, 1, 650))
    assert call.outcomes[-1] == ("stop really stop", "answered")


# ---- silences ------------------------------------------------------------------------------


def test_fillers_take_turns() -> None:
    call = Scenario()
    for expected in ("One moment.", "Just a second.", "Let me see.", "One moment."):
        call.says("tell me")
        call.wait(1500)
        assert call.spoken == expected
        call.voices()
        call.answers("Here.")
        call.voices()
        call.plays_out()


def test_an_end_of_turn_that_took_long_is_not_the_llms_fault() -> None:
    # After 900 ms the usual 1000 would leave the LLM 100; it has 300.
    call = Scenario(policy=policy(dead_air={"filler_ms": 1000}, endpointing=ALWAYS_900))
    call.pauses("a coffee")
    call.wait(900)
    assert call.outcomes == [("a coffee", "answered")]
    call.wait(299)
    assert call.told(c.SynthesizeText) == []
    call.wait(1)
    assert call.spoken == "One moment."


def test_an_end_of_turn_that_took_very_long_leaves_the_caller_in_no_silence() -> None:
    # After 900 ms the usual 700 are over; no more than another 300 are granted, but
    # at least 150: an LLM that is quick needs no filler.
    call = Scenario(policy=policy(dead_air={"filler_ms": 700}, endpointing=ALWAYS_900))
    call.pauses("a coffee")
    call.wait(900)
    assert call.outcomes == [("a coffee", "answered")]
    call.wait(149)
    assert call.told(c.SynthesizeText) == []
    call.wait(1)
    assert call.spoken == "One moment."


def test_an_agent_may_be_told_to_think_in_silence() -> None:
    call = Scenario(phrases=Phrases(filler=(), progress=("Still at it.",)))
    call.says("tell me")
    call.wait(3000)
    assert call.all(c.SynthesizeText) == []
    call.wait(4500)
    assert call.spoken == "Still at it."


def test_no_filler_while_the_agent_still_speaks() -> None:
    call = Scenario()
    call.says("order")
    call.writes("Let me look into that for you now. ")
    call.wants_tool("find")
    call.is_done_writing()
    call.voices()
    call.plays(2400)
    assert len(call.all(c.SynthesizeText)) == 1
    call.wait(1600)
    assert len(call.all(c.SynthesizeText)) == 2


@pytest.mark.parametrize("check_ins", [0, 1, 2])
def test_a_caller_who_is_gone_is_asked_and_then_let_go(check_ins: int) -> None:
    call = Scenario(policy=policy(silence={"check_ins": check_ins}))
    for number in range(check_ins):
        call.wait(12_000)
        assert call.spoken == DEFAULT_PHRASES.check_in[number]
        assert call.states[0] == "away"
        call.voices()
        call.plays_out()
    call.wait(12_000)
    assert call.spoken == DEFAULT_PHRASES.goodbye
    call.voices()
    assert c.EndCall("silence") in call.plays_out()


def test_a_caller_who_comes_back_is_welcome() -> None:
    call = Scenario()
    call.wait(12_000)
    call.voices()
    call.plays_out()
    call.speaks()
    assert call.states[0] == "speaking"
    call.falls_silent()
    call.understood("")
    call.waits_for_the_end()
    call.wait(12_000)
    assert call.spoken == DEFAULT_PHRASES.check_in[1]


def test_a_running_tool_is_no_silence() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.types("never mind")
    call.answers("Fine.")
    call.voices()
    call.plays_out()
    assert call.due == "tool"


def test_the_longest_call_ends_with_a_goodbye() -> None:
    call = Scenario(policy=policy(silence={"max_call_ms": 10_000}))
    call.wait(10_000)
    assert call.spoken == DEFAULT_PHRASES.goodbye
    call.voices()
    assert c.EndCall("the call was too long") in call.plays_out()


def test_a_caller_who_never_pauses_cannot_keep_the_line_for_ever() -> None:
    call = Scenario(policy=policy(silence={"max_call_ms": 10_000}))
    call.speaks("and then and then")
    call.wait(69_999)
    assert call.all(c.EndCall) == []
    call.wait(1)
    assert call.all(c.EndCall) == [c.EndCall("the call was too long")]


def test_a_list_of_phrases_may_be_empty() -> None:
    call = Scenario(phrases=Phrases(check_in=()))
    call.wait(12_000)
    assert call.all(c.SynthesizeText) == []
    assert call.last(c.ReportResponse).status == "completed"


def test_a_tool_that_hangs_is_given_up_and_said_so() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    for _ in range(5):
        call.wait(1500)
        call.speaks_so_far()
    assert [one.text for one in call.all(c.SynthesizeText)] == [
        "One moment.",
        "I'm still working on it.",
    ]
    for _ in range(9):
        call.wait(1500)
        call.speaks_so_far()
    assert call.messages[-1] == ("tool", TOOL_TIMED_OUT)
    assert call.all(c.StartGeneration)[1:] == [c.StartGeneration(1)]


# ---- patience ------------------------------------------------------------------------------


def quiet_for(call: Scenario) -> int:
    """How long the caller may be silent from now on."""
    deadline = call.conversation.deadline
    assert deadline is not None
    assert deadline.reason == "silence"
    return deadline.at_ms - call.now_ms


@pytest.mark.parametrize("text", ["hold on", "one moment", "let me check"])
def test_a_caller_who_asks_for_a_moment_is_given_one(text: str) -> None:
    call = Scenario(policy=policy(silence={"check_in_ms": 10_000, "hold_ms": 45_000}))
    call.finishes("Take your time.", text)
    assert quiet_for(call) == 45_000
    call.wait(45_000)
    assert call.spoken == DEFAULT_PHRASES.check_in[0]
    call.voices()
    call.plays_out()
    assert quiet_for(call) == 10_000  # a moment is not for ever


def test_the_moment_is_over_when_the_caller_is_back() -> None:
    call = Scenario(policy=policy(silence={"check_in_ms": 10_000, "hold_ms": 45_000}))
    call.finishes("Take your time.", "hold on")
    call.finishes("Sure.", "a coffee please")
    assert quiet_for(call) == 10_000


def test_a_moment_is_never_shorter_than_the_usual_silence() -> None:
    call = Scenario(policy=policy(silence={"check_in_ms": 10_000, "hold_ms": 2000}))
    call.finishes("Take your time.", "hold on")
    assert quiet_for(call) == 10_000


@pytest.mark.parametrize(
    ("question", "ms"),
    [
        ("What is your phone number?", 15_000),
        ("What is your PIN?", 15_000),
        ("How do you spell your name?", 15_000),
        ("Which size would you like?", 10_000),
    ],
)
def test_who_has_to_look_something_up_is_given_longer(question: str, ms: int) -> None:
    call = Scenario(policy=policy(silence={"check_in_ms": 10_000}))
    call.finishes(question)
    assert quiet_for(call) == ms
