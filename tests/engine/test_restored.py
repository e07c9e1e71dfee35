"""A call that goes on in another process: fed the same events the conversation is the same, and
then everything that was under way outside is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.engine.history import CUT_OFF, LATE_TOOL, LOST_TOOL
from antiphon.types import END_CALL_TOOL

ANSWER = "One two three four five six. Seven eight nine ten."


# ---- at every interesting moment -----------------------------------------------------------


def test_a_call_in_silence_goes_on_in_silence() -> None:
    call = Scenario()
    call.wait(5000)
    assert call.is_restored() == []
    assert call.due == "silence"
    call.wait(12_000)
    assert call.spoken == DEFAULT_PHRASES.check_in[0]


def test_the_words_of_a_caller_who_was_speaking_are_answered() -> None:
    call = Scenario()
    call.speaks("i would like a latte")
    call.wait(900)
    told = call.is_restored()
    assert c.EndUtterance(1) in told
    assert call.states[0] == "listening"
    call.waits_for_the_end()
    assert call.outcomes == [("i would like a latte", "answered")]


def test_a_caller_who_speaks_on_after_it_is_heard() -> None:
    call = Scenario()
    call.speaks("i would like")
    call.wait(900)
    call.is_restored()
    assert c.BeginUtterance(2, call.now_ms) in call.speaks()
    call.hears_partly("a latte")
    call.wait(500)
    call.falls_silent()
    call.understood("a latte", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes == [("i would like a latte", "answered")]


def test_a_caller_of_whom_no_word_is_left_is_asked_again() -> None:
    call = Scenario()
    call.speaks()
    call.wait(900)
    call.is_restored()
    assert call.outcomes == [("", "unclear")]
    assert call.spoken == DEFAULT_PHRASES.repeat[0]


def test_a_mere_noise_is_forgotten() -> None:
    call = Scenario()
    call.speaks()
    call.wait(100)
    call.is_restored()
    assert call.outcomes == [("", "noise")]
    assert call.all(c.ReportResponse) == []
    assert call.due == "silence"


def test_a_transcript_that_is_owed_is_not_waited_for() -> None:
    call = Scenario()
    call.speaks("a coffee please")
    call.wait(900)
    call.falls_silent()
    call.is_restored()
    call.waits_for_the_end()
    assert call.outcomes == [("a coffee please", "answered")]


def test_a_recogniser_that_would_have_decided_is_not_waited_for() -> None:
    call = Scenario(policy=policy(endpointing={"mode": "stt", "unknown_ms": 500}))
    call.pauses("a coffee please")
    call.is_restored()
    call.wait(499)
    assert call.outcomes == []
    call.wait(1)
    assert call.outcomes == [("a coffee please", "answered")]


def test_a_key_that_was_held_counts_as_let_go() -> None:
    call = Scenario(policy=policy(endpointing={"mode": "manual"}))
    call.holds_key(True)
    call.wait(900)
    call.hears_partly("a coffee please")
    call.is_restored()
    assert call.outcomes == [("a coffee please", "answered")]
    assert call.holds_key(False) == []


def test_typed_words_and_keys_are_kept() -> None:
    call = Scenario()
    call.presses("1")
    call.wait(500)
    call.is_restored()
    call.presses("2", "#")
    assert call.outcomes == [("12", "answered")]


def test_an_answer_that_was_being_written_is_written_again() -> None:
    call = Scenario()
    call.says("tell me")
    call.writes("Well, the thing")
    told = call.is_restored()
    assert c.ReportResponse(1, "cancelled", "", "restored") in told
    assert c.StartGeneration(2) in told
    assert call.messages == [("user", "tell me"), ("system", CUT_OFF)]
    call.answers("Well, the thing is this.")
    assert call.spoken == "Well, the thing is this."


def test_a_tool_that_ran_is_not_run_again_and_the_llm_is_told() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.is_restored()
    assert len(call.all(c.CallTool)) == 1
    assert call.last(c.StartGeneration) == c.StartGeneration(2)
    assert call.messages[-2:] == [("tool", LOST_TOOL), ("system", CUT_OFF)]
    assert call.tool_returns() == []  # from a world that is gone


def test_a_tool_of_an_answer_that_is_over_is_told_as_lost() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.types("never mind")
    call.answers("Fine.")
    call.voices()
    call.plays_out()
    call.is_restored()
    assert call.messages[-1] == ("system", LATE_TOOL)
    assert ("tool", LOST_TOOL) in call.messages


def test_what_the_caller_has_not_heard_is_said_again() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    told = call.is_restored()
    assert c.ReportResponse(1, "cancelled", "One two", "restored") in told
    assert call.spoken == "three four five six. Seven eight nine ten."
    call.voices()
    call.plays_out()
    assert [text for _, text in call.messages[1:]] == [
        "One two",
        "three four five six. Seven eight nine ten.",
    ]


def test_a_greeting_that_nobody_heard_is_said_again() -> None:
    call = Scenario(greeting="Welcome to the cafe.")
    call.is_restored()
    assert call.spoken == "Welcome to the cafe."
    assert call.response == 2


def test_an_answer_that_was_heard_to_its_last_word_is_not_said_again() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers("Fine then.")
    call.voices()
    call.plays(600)
    call.is_restored()
    assert call.due == "silence"
    assert call.messages[-1] == ("assistant", "Fine then.")


def test_a_caller_who_had_silenced_the_agent_is_answered_and_the_rest_forgotten() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(400)
    assert call.states[1] == "paused"
    call.hears_partly("a")
    call.is_restored()
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("a", "answered")
    call.answers("What would you like?")
    call.voices()
    call.plays_out()
    assert call.messages[-1][1].endswith("What would you like?")
    assert call.due == "silence"


def test_a_noise_that_had_paused_the_agent_does_not_swallow_its_answer() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(310)
    assert call.states[1] == "paused"
    call.is_restored()
    assert call.spoken == "three four five six. Seven eight nine ten."


def test_an_answer_that_was_being_stopped_stays_stopped() -> None:
    call = Scenario()
    call.answer_flush = False
    call.agent_speaks(ANSWER)
    call.types("something else")
    told = call.is_restored()
    assert c.ReportResponse(1, "cancelled", "One two", "turn_detected") in told
    assert call.outcomes[-1] == ("something else", "answered")
    assert call.last(c.StartGeneration) == c.StartGeneration(2)


def test_a_prepared_answer_is_prepared_anew() -> None:
    call = Scenario(policy=policy(speculation={"prepare": "voice"}))
    call.pauses("a coffee please")
    call.wait(150)
    call.wants_tool("place")
    told = call.is_restored()
    assert c.ReportSpeculation(1, "dropped", 0, 0) in told
    call.wait(150)
    assert call.response == 2
    call.answers("Sure.")
    call.waits_for_the_end()
    assert call.messages == [("user", "a coffee please"), ("assistant", "Sure.")]
    assert call.all(c.CallTool) == []


def saying_goodbye() -> Scenario:
    call = Scenario()
    call.says("bye")
    call.writes("Goodbye to you.")
    call.wants_tool("end_call")
    call.is_done_writing()
    call.voices()
    return call


def test_a_goodbye_is_said_to_its_end_and_then_the_agent_hangs_up() -> None:
    call = saying_goodbye()
    call.plays(300)
    call.is_restored()
    assert call.spoken == "to you."
    call.voices()
    assert c.EndCall("agent") in call.plays_out()


def test_a_goodbye_that_was_heard_is_enough() -> None:
    call = saying_goodbye()
    call.plays(900)
    assert c.EndCall("agent") in call.is_restored()


@pytest.mark.parametrize("lost_ms", [100, 900])
def test_who_spoke_into_the_goodbye_is_asked_what_it_was(lost_ms: int) -> None:
    call = saying_goodbye()
    call.plays(300)
    call.speaks()
    call.plays_out()
    call.wait(lost_ms)
    call.is_restored()
    if lost_ms == 100:  # a mere noise
        assert call.all(c.EndCall) == [c.EndCall("agent")]
    else:
        assert call.spoken == DEFAULT_PHRASES.repeat[0]
        assert call.all(c.EndCall) == []


def test_an_agent_that_was_hanging_up_hangs_up() -> None:
    call = saying_goodbye()
    call.plays_out()
    assert call.is_restored() == [c.EndCall("agent")]
    call.hangs_up()
    assert call.conversation.ended


def test_a_call_that_is_over_stays_over() -> None:
    call = Scenario()
    call.hangs_up()
    assert call.is_restored() == []
    assert call.due == ""


def test_recognition_that_was_gone_may_be_back() -> None:
    call = Scenario()
    call.send(e.TranscriptionFailed(0, "gone"))
    call.voices()
    call.plays_out()
    call.is_restored()
    call.says("")
    call.wait(1500)
    assert call.spoken == DEFAULT_PHRASES.repeat[0]


# ---- at any moment -------------------------------------------------------------------------


def an_order() -> Scenario:
    """Tools, an interruption, an acknowledgement, a goodbye."""
    call = Scenario(
        greeting="Welcome to the cafe. What may I bring you?",
        policy=policy(speculation={"prepare": "voice"}),
    )
    call.voices()
    call.plays(600)
    call.speaks("a coffee")
    call.wait(400)
    call.falls_silent()
    call.understood("a coffee please", complete=1.0)
    call.wait(200)
    call.writes("Sure, one coffee. ")
    call.wants_tool("place")
    call.is_done_writing()
    call.waits_for_the_end()
    call.voices()
    call.plays(300)
    call.speaks("mhm")
    call.wait(350)
    call.falls_silent()
    call.understood("mhm", complete=1.0)
    call.plays(300)
    call.tool_returns('{"number":7}')
    call.answers("It is number seven. Anything else?")
    call.voices()
    call.plays(900)
    call.speaks("no")
    call.wait(300)
    call.falls_silent()
    call.understood("no thank you", complete=1.0)
    call.waits_for_the_end()
    call.writes("Goodbye then.")
    call.wants_tool(END_CALL_TOOL, "t2")
    call.is_done_writing()
    call.voices()
    call.plays(300)
    call.plays_out()
    return call


def a_bad_day() -> Scenario:
    """Everything fails once: an LLM, a voice, the recogniser; and the caller types and waits."""
    call = Scenario(llms=2, voices=2, detects_turns=True)
    call.pauses("what is the time", complete=None)
    call.sounds_done(0.9)
    call.waits_for_the_end()
    call.llm_fails()
    call.wait(1000)
    call.writes("It is noon. And ")
    call.voices()
    call.plays(300)
    call.voice_fails()
    call.voices()
    call.plays_out()
    call.answers("Lunch is ready.")
    call.voices()
    call.plays(300)
    call.send(e.TranscriptionFailed(call.now_ms, "gone"))
    call.plays_out()
    call.voices()
    call.plays_out()
    call.types("order lunch")
    call.wants_tool("place")
    call.is_done_writing()
    call.wait(1700)
    call.voices()
    call.plays_out()
    call.types("hurry")
    call.answers("I do.")
    call.voices()
    call.plays_out()
    call.tool_returns()
    call.answers("Done.")
    call.voices()
    call.plays_out()
    call.wait(12_000)
    call.voices()
    call.plays_out()
    return call


def a_call_by_keys() -> Scenario:
    """A recorded notice, keys into it, and words that go on before the answer is heard."""
    call = Scenario(
        greeting="This call is recorded.",
        greeting_protected=True,
        policy=policy(speculation={"prepare": "text"}),
    )
    call.voices()
    call.plays(300)
    call.presses("1", "2")
    call.speaks("room")
    call.wait(300)
    call.falls_silent()
    call.understood("room service", complete=1.0)
    call.plays_out()
    call.wait(2500)
    call.answers("Which meal?")
    call.voices()
    call.plays_out()
    call.says("breakfast")
    call.speaks()
    call.wait(300)
    call.hears_partly("for two")
    call.wait(200)
    call.falls_silent()
    call.understood("for two", complete=1.0)
    call.waits_for_the_end()
    call.answers("Breakfast for two.")
    call.voices()
    call.plays(600)
    return call


STORIES = [an_order, a_bad_day, a_call_by_keys]


@pytest.mark.parametrize("story", STORIES)
def test_the_same_events_make_the_same_conversation_up_to_any_of_them(
    story: Callable[[], Scenario],
) -> None:
    told = story()
    again = Conversation(told.setup)
    commands: list[c.Command] = []
    for event in told.events:
        commands += again.handle(event)
    assert commands == told.commands
    assert again.deadline == told.conversation.deadline
    assert again.messages() == told.conversation.messages()


@pytest.mark.parametrize("story", STORIES)
def test_a_call_restored_at_any_event_goes_on_and_comes_to_its_end(
    story: Callable[[], Scenario],
) -> None:
    told = story()
    for length in range(1, len(told.events) + 1):
        call = Scenario(told.setup, started=False)
        call.answer_flush = False  # the flushes are among the events
        call.send_all(told.events[:length])
        call.answer_flush = True
        tools = [(one.name, one.arguments) for one in call.all(c.CallTool)]
        call.is_restored()
        comes_to_its_end(call)
        after = [(one.name, one.arguments) for one in call.all(c.CallTool)]
        assert after == tools, f"after event {length}"


def comes_to_its_end(call: Scenario) -> None:
    """An LLM that answers, a voice and a line that work, a caller who is gone: the agent hangs up,
    and until then there is always a deadline."""
    for _ in range(40):
        if call.all(c.EndCall):
            call.hangs_up()
            assert call.conversation.ended
            return
        assert call.conversation.deadline is not None
        response = call.conversation._floor.response
        if response is not None and response.generating:
            call.answers("Here you are.")
        call.voices()
        if response is not None and response.synthesis_ended:
            call.plays_out()
        else:
            deadline = call.conversation.deadline
            assert deadline is not None
            call.wait(deadline.at_ms - call.now_ms)
    raise AssertionError(f"no end in sight: {call.due}")


def test_keys_after_it_are_not_glued_to_the_words_before_it() -> None:
    call = Scenario()
    call.speaks("my number is")
    call.presses("1")
    call.send(e.CallRestored(call.now_ms))
    call.presses("2")
    call.wait(3000)
    assert call.outcomes == [("12 my number is", "answered")]
