"""The agent's side, as a caller would feel it: the answer, its tools, its voice."""

from __future__ import annotations

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.history import LATE_TOOL
from antiphon.engine.policy import Phrases
from antiphon.errors import IllegalEvent

ANSWER = "One two three four five six. Seven eight nine ten."


# ---- the answer ----------------------------------------------------------------------------


def test_an_answer_is_spoken_while_it_is_still_written() -> None:
    call = Scenario()
    call.says("tell me")
    assert call.told(c.StartGeneration) == [c.StartGeneration(1)]
    assert call.writes("Once upon a time. ") == [c.SynthesizeText(1, 0, "Once upon a time.")]
    assert call.voices()[0] == c.PlayAudio(1)
    assert call.told(c.PlayAudio) == [c.PlayAudio(1)]
    call.plays(300)
    call.writes("There was a")
    assert call.is_done_writing() == [
        c.SynthesizeText(1, 1, "There was a"),
        c.EndSynthesis(1),
    ]
    assert call.voices() == []  # heard already: it goes on by itself


def test_the_whole_answer_is_heard_and_remembered() -> None:
    call = Scenario()
    call.finishes(ANSWER, "tell me")
    assert call.last(c.ReportResponse) == c.ReportResponse(1, "completed", ANSWER)
    assert call.messages == [("user", "tell me"), ("assistant", ANSWER)]
    assert " ".join(one.text for one in call.all(c.ReportHeard)) == ANSWER
    assert call.states == ("listening", "listening")


def test_words_are_told_as_they_are_heard() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    assert [one.text for one in call.all(c.ReportHeard)] == ["One", "two"]


def test_the_wait_for_an_answer_is_accounted_for() -> None:
    call = Scenario()
    call.says("tell me")
    call.wait(50)
    call.writes("It is so. ")
    call.wait(70)
    call.voices()
    call.wait(30)
    (latency,) = [one for one in call.line_starts() if isinstance(one, c.ReportLatency)]
    assert latency == c.ReportLatency(
        1,
        1,
        call.pause_ms("tell me", complete=1.0) + 150,
        (
            ("endpointing", call.pause_ms("tell me", complete=1.0)),
            ("generation", 50),
            ("segmentation", 0),
            ("synthesis", 70),
            ("playback", 30),
        ),
    )
    assert call.line_starts() == []


def test_the_agents_own_sentences_have_no_latency() -> None:
    call = Scenario(greeting="Welcome.")
    call.voices()
    call.line_starts()
    assert call.all(c.ReportLatency) == []


@pytest.mark.parametrize("answer", ["", "😀", " \n "])
def test_an_empty_answer_becomes_an_honest_one(answer: str) -> None:
    call = Scenario()
    call.says("tell me")
    call.answers(answer)
    assert call.spoken == DEFAULT_PHRASES.llm_failed


def test_playback_of_what_was_not_let_go_is_a_bug() -> None:
    call = Scenario()
    call.says("tell me")
    with pytest.raises(IllegalEvent, match="not let go"):
        call.line_starts()


def test_audio_of_a_segment_that_nobody_asked_for_is_a_bug() -> None:
    call = Scenario()
    call.says("tell me")
    with pytest.raises(IllegalEvent, match="segment 3"):
        call.send(e.AudioSynthesized(call.now_ms, 1, 3, 100))


# ---- the LLM fails -------------------------------------------------------------------------


def test_when_the_llm_fails_the_caller_is_told() -> None:
    call = Scenario()
    call.says("tell me")
    call.llm_fails()
    assert call.spoken == DEFAULT_PHRASES.llm_failed
    call.voices()
    call.plays_out()
    assert call.messages[-1] == ("assistant", DEFAULT_PHRASES.llm_failed)


def test_when_the_llm_fails_in_mid_sentence_what_was_written_is_still_said() -> None:
    call = Scenario()
    call.says("tell me")
    call.writes("Well, the thing is")
    call.llm_fails()
    assert call.spoken == "Well, the thing is " + DEFAULT_PHRASES.llm_failed


def test_a_silent_llm_is_given_up_after_a_filler() -> None:
    call = Scenario()
    call.says("tell me")
    call.wait(1400)
    assert call.spoken == "One moment."
    call.speaks_so_far()
    assert call.states == ("listening", "thinking")
    told = call.wait(7000)
    assert c.CancelGeneration(1) in told
    assert call.spoken.endswith(DEFAULT_PHRASES.llm_failed)
    assert call.writes("too late") == []
    assert call.is_done_writing() == []
    assert call.llm_fails() == []


def test_pieces_of_text_keep_the_llm_alive() -> None:
    call = Scenario()
    call.says("tell me")
    for _ in range(10):
        call.wait(1500)
        call.speaks_so_far()
        call.writes("and ")
    assert call.all(c.CancelGeneration) == []


# ---- tools ---------------------------------------------------------------------------------


def test_a_tool_is_run_and_its_result_is_answered() -> None:
    call = Scenario()
    call.says("order")
    call.writes("Let me place it.")
    assert call.wants_tool("place", arguments='{"n":1}') == [
        c.CallTool("t1", "place", '{"n":1}', 20_000)
    ]
    assert call.is_done_writing() == [c.SynthesizeText(1, 0, "Let me place it.")]
    assert call.tool_returns('{"number":7}') == [c.StartGeneration(1)]
    assert call.messages[-1] == ("tool", '{"number":7}')
    call.answers("It is number seven.")
    call.voices()
    call.plays_out()
    assert call.messages == [
        ("user", "order"),
        ("assistant", "Let me place it."),
        ("tool", '{"number":7}'),
        ("assistant", "It is number seven."),
    ]


def test_the_llm_is_asked_again_only_when_all_tools_are_back() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("a", "t1")
    call.wants_tool("b", "t2")
    assert call.tool_returns(call_id="t1") == []
    call.is_done_writing()
    assert call.tool_returns(call_id="t2") == [c.StartGeneration(1)]


def test_a_tool_that_is_quicker_than_its_llm_waits_for_it() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("a")
    assert call.tool_returns() == []
    assert call.is_done_writing() == [c.StartGeneration(1)]


def test_a_tool_runs_once_although_the_llm_stutters_or_the_result_comes_twice() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    assert call.wants_tool("place") == []
    call.is_done_writing()
    call.tool_returns("1")
    assert call.tool_returns("2") == []
    assert call.tool_returns("3", "unknown") == []
    assert call.messages[-1] == ("tool", "1")


def test_ids_that_the_llm_uses_again_are_told_apart() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("find", "c0")
    call.is_done_writing()
    call.tool_returns(call_id="c0")
    (tool,) = call.wants_tool("place", "c0")
    assert isinstance(tool, c.CallTool)
    assert (tool.tool_call_id, tool.name) == ("c0+", "place")
    call.is_done_writing()
    call.tool_returns(call_id="c0+")
    call.answers("Done.")
    calls = [one.tool_call_id for m in call.raw_messages for one in m.tool_calls]
    assert calls == ["c0", "c0+"]


def test_a_tool_has_its_own_deadline() -> None:
    call = Scenario(tool_deadlines=(("slow", 60_000),))
    call.says("order")
    assert call.wants_tool("slow") == [c.CallTool("t1", "slow", "{}", 60_000)]


def test_a_late_result_is_told_when_nobody_speaks() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.speaks("stop")
    call.wait(200)
    assert call.messages[-1] == ("tool", '{"status": "still running"}')
    call.falls_silent()
    call.understood("stop", complete=1.0)
    call.waits_for_the_end()
    call.answers("I stopped.")
    call.voices()
    call.plays_out()
    told = call.tool_returns('{"number":7}')
    assert c.StartGeneration(3) in told
    assert call.messages[-1] == ("system", LATE_TOOL)
    call.answers("It was too late: number seven.")
    call.voices()
    call.plays_out()
    assert call.messages[-1] == ("assistant", "It was too late: number seven.")


def test_a_result_that_the_next_answer_has_seen_is_not_told_twice() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.speaks("stop")
    call.wait(200)
    call.tool_returns()
    call.falls_silent()
    call.understood("stop", complete=1.0)
    call.waits_for_the_end()
    call.answers("It is done already.")
    call.voices()
    assert [one for one in call.plays_out() if isinstance(one, c.StartGeneration)] == []


def test_a_late_result_about_which_there_is_nothing_to_say_is_silent() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.types("forget it")
    call.answers("Fine.")
    call.voices()
    call.plays_out()
    call.tool_returns()
    call.answers("")
    assert call.last(c.ReportResponse).status == "completed"
    assert call.states == ("listening", "listening")


def test_the_rest_of_a_failed_voice_is_not_said_after_another_answer() -> None:
    call = Scenario()
    call.says("hello there")
    call.answers("The first answer is long. It has two sentences.")
    call.speaks()
    call.send(e.SynthesisFailed(call.now_ms, call.response, "gone"))
    call.wait(500)
    call.falls_silent()
    call.understood("something else", complete=1.0)
    call.waits_for_the_end()
    call.answers("Here is something else.")
    call.voices()
    call.plays_out()
    assert call.spoken.endswith("Here is something else.")


def test_an_llm_that_calls_tools_for_ever_is_stopped() -> None:
    call = Scenario(policy=policy(dead_air={"tool_rounds": 2}))
    call.says("order")
    for number in range(2):
        call.wants_tool("again", f"t{number}")
        call.is_done_writing()
        call.tool_returns(call_id=f"t{number}")
    assert call.spoken == DEFAULT_PHRASES.llm_failed
    assert len(call.all(c.StartGeneration)) == 2


def test_a_failed_llm_does_not_wait_for_its_tools() -> None:
    call = Scenario()
    call.says("order")
    call.wants_tool("place")
    call.llm_fails()
    assert c.EndSynthesis(1) in call.commands
    assert call.tool_returns() == []


# ---- hanging up ----------------------------------------------------------------------------


def test_the_agent_hangs_up_once_its_goodbye_was_heard() -> None:
    call = Scenario()
    call.says("bye")
    call.writes("Goodbye.")
    call.wants_tool("end_call")
    assert call.all(c.CallTool) == []
    call.is_done_writing()
    call.voices()
    call.plays(100)
    assert call.all(c.EndCall) == []
    assert c.EndCall("agent") in call.plays_out()
    assert call.due == ""
    assert call.types("hello?") == []


def test_hanging_up_without_a_word_gets_one() -> None:
    call = Scenario()
    call.says("bye")
    call.wants_tool("end_call")
    call.is_done_writing()
    assert call.spoken == DEFAULT_PHRASES.goodbye


def test_a_caller_who_speaks_during_the_goodbye_is_not_cut_off() -> None:
    call = Scenario()
    call.says("bye")
    call.writes("Goodbye.")
    call.wants_tool("end_call")
    call.is_done_writing()
    call.voices()
    call.plays(100)
    call.speaks()
    call.plays_out()
    assert call.all(c.EndCall) == []
    call.hears_partly("one more thing")
    call.wait(600)
    call.falls_silent()
    call.understood("one more thing please", complete=1.0)
    call.waits_for_the_end()
    call.answers("Of course.")
    call.voices()
    call.plays_out()
    assert call.all(c.EndCall) == []
    assert call.due == "silence"


@pytest.mark.parametrize("unclear", [True, False])
def test_a_sound_during_the_goodbye_only_delays_it(unclear: bool) -> None:
    call = Scenario()
    call.says("bye")
    call.writes("Goodbye.")
    call.wants_tool("end_call")
    call.is_done_writing()
    call.voices()
    call.plays(100)
    call.speaks()
    call.plays_out()
    call.wait(900 if unclear else 100)
    call.falls_silent()
    call.understood("")
    call.waits_for_the_end()
    if unclear:
        # Somebody spoke, and it was not understood: they are asked.
        assert call.spoken == DEFAULT_PHRASES.repeat[0]
        call.voices()
        call.plays_out()
    assert call.all(c.EndCall) == ([] if unclear else [c.EndCall("agent")])


# ---- the voice -----------------------------------------------------------------------------


def test_a_voice_that_breaks_off_once_is_tried_again_with_the_rest() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    told = call.send(e.SynthesisFailed(call.now_ms, 1, "gone"))
    assert c.FlushAudio(1) in told
    assert c.ReportResponse(1, "failed", "One two", "voice") in told
    assert call.spoken == "three four five six. Seven eight nine ten."
    call.voices()
    call.plays_out()
    assert call.messages[1:] == [
        ("assistant", "One two"),
        ("assistant", "three four five six. Seven eight nine ten."),
    ]


def test_a_voice_that_fails_twice_ends_the_call() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers(ANSWER)
    call.send(e.SynthesisFailed(call.now_ms, 1, "gone"))
    assert call.spoken == ANSWER
    told = call.send(e.SynthesisFailed(call.now_ms, 2, "gone"))
    assert c.EndCall("the voice failed") in told


def saying_goodbye() -> Scenario:
    call = Scenario()
    call.says("bye")
    call.writes("Goodbye to you.")
    call.wants_tool("end_call")
    call.is_done_writing()
    call.voices()
    return call


def test_a_goodbye_whose_voice_breaks_off_is_finished_and_still_ends_the_call() -> None:
    call = saying_goodbye()
    call.plays(300)
    call.send(e.SynthesisFailed(call.now_ms, 1, "gone"))
    assert call.spoken == "to you."
    call.voices()
    assert c.EndCall("agent") in call.plays_out()


def test_a_goodbye_that_was_heard_ends_the_call_although_its_voice_fails() -> None:
    call = saying_goodbye()
    call.plays(900)
    assert c.EndCall("agent") in call.send(e.SynthesisFailed(call.now_ms, 1, "gone"))


def test_a_voice_that_works_again_is_forgiven() -> None:
    call = Scenario()
    for number in (1, 3, 5):
        call.says("tell me")
        call.answers("Here it is.")
        call.send(e.SynthesisFailed(call.now_ms, number, "gone"))
        call.voices()
        call.plays_out()
    assert call.all(c.EndCall) == []


def test_a_voice_that_hangs_is_noticed() -> None:
    call = Scenario()
    call.says("tell me")
    call.answers("Here it is.")
    told = call.wait(2500)
    assert c.ReportResponse(1, "failed", "", "voice") in told
    assert call.response == 2


def test_a_voice_that_hangs_in_the_middle_is_noticed_once_its_audio_was_heard() -> None:
    call = Scenario(policy=policy(dead_air={"tts_deadline_ms": 2500}))
    call.says("tell me")
    call.writes("Here it is. And")
    call.send(e.AudioSynthesized(call.now_ms, 1, 0, 500))
    call.plays(500)
    assert call.states == ("listening", "thinking")  # nothing sounds
    assert call.due == "voice"
    call.wait(2400)
    assert call.response == 1
    call.wait(100)
    assert call.response == 2


def test_the_agent_speaks_on_when_audio_comes_after_a_gap() -> None:
    call = Scenario()
    call.says("tell me")
    call.writes("Here it is. And")
    call.send(e.AudioSynthesized(call.now_ms, 1, 0, 200))
    call.plays(200)
    call.send(e.AudioSynthesized(call.now_ms, 1, 0, 400))
    assert call.states == ("listening", "speaking")
    call.plays(100)
    assert call.states == ("listening", "speaking")


def test_late_audio_of_an_answer_that_is_over_is_ignored() -> None:
    call = Scenario()
    call.finishes(ANSWER)
    now_ms = call.now_ms
    assert (
        call.send(
            e.AudioSynthesized(now_ms, 1, 0, 999),
            e.SegmentSynthesized(now_ms, 1, 0, 999),
            e.SynthesisFailed(now_ms, 1, "late"),
            e.PlaybackStarted(now_ms, 1),
            e.PlaybackProgressed(now_ms, 1, 10),
            e.PlaybackEnded(now_ms, 1, 10),
            e.PlaybackFlushed(now_ms, 1, 10),
            e.TextGenerated(now_ms, 1, "late"),
            e.ToolRequested(now_ms, 1, "t9", "late", "{}"),
            e.GenerationEnded(now_ms, 1),
        )
        == []
    )


# ---- corners -------------------------------------------------------------------------------


def test_audio_that_comes_after_a_long_silence_is_not_a_dead_line() -> None:
    call = Scenario(phrases=Phrases(filler=(), progress=()))
    call.says("order")
    call.wait(7000)
    call.writes("Here it is. ")
    call.voices()
    assert call.all(c.EndCall) == []
    call.wait(4999)
    assert call.all(c.EndCall) == []
    call.wait(1)
    assert call.all(c.EndCall) == [c.EndCall("the line is dead")]


def test_a_flush_that_nobody_asked_for_changes_nothing() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    assert call.send(e.PlaybackFlushed(call.now_ms, 1, 100)) == []
    assert call.states == ("listening", "speaking")


def test_two_answers_at_once_are_a_bug() -> None:
    call = Scenario(greeting="Welcome.")
    with pytest.raises(IllegalEvent, match="another one is under way"):
        call.conversation._agent.say("And hello.")


# ---- another LLM ---------------------------------------------------------------------------


def attempts(call: Scenario) -> list[int]:
    return [one.attempt for one in call.all(c.StartGeneration)]


def test_where_an_llm_fails_before_it_wrote_anything_the_next_one_is_asked() -> None:
    call = Scenario(llms=3)
    call.says("tell me")
    assert call.llm_fails() == [c.StartGeneration(1, 1)]
    assert call.llm_fails() == [c.StartGeneration(1, 2)]
    call.answers("Here it is.")
    assert call.spoken == "Here it is."
    assert len(call.all(c.ReportResponse)) == 1


def test_an_llm_that_stalls_at_the_beginning_is_given_up_soon_for_another() -> None:
    call = Scenario(llms=2, policy=policy(dead_air={"llm_first_ms": 1000}))
    call.says("tell me")
    call.wait(999)
    assert attempts(call) == [0]
    assert call.wait(1) == [c.CancelGeneration(1), c.StartGeneration(1, 1)]
    # The last one has its whole time.
    call.wait(400)
    call.speaks_so_far()
    call.wait(600)
    assert attempts(call) == [0, 1]
    call.answers("Here it is.")
    assert call.spoken == "One moment. Here it is."


def test_an_llm_that_has_begun_to_write_has_its_whole_time() -> None:
    call = Scenario(llms=2, policy=policy(dead_air={"llm_first_ms": 1000}))
    call.says("tell me")
    call.writes("Well. ")
    call.voices()
    call.plays(300)
    call.wait(2000)
    assert attempts(call) == [0]


def test_what_was_half_written_is_not_written_again_by_another() -> None:
    call = Scenario(llms=2)
    call.says("tell me")
    call.writes("Well, the thing is")
    call.llm_fails()
    assert attempts(call) == [0]
    assert call.spoken == "Well, the thing is " + DEFAULT_PHRASES.llm_failed


def test_an_llm_that_has_asked_for_a_tool_has_begun_too() -> None:
    call = Scenario(llms=2)
    call.says("order")
    call.wants_tool("place")
    call.llm_fails()
    assert attempts(call) == [0]
    assert call.spoken == DEFAULT_PHRASES.llm_failed


def test_the_llm_that_worked_is_asked_first_from_then_on() -> None:
    call = Scenario(llms=2)
    call.says("tell me")
    call.llm_fails()
    call.answers("Here it is.")
    call.voices()
    call.plays_out()
    call.says("and more")
    assert attempts(call) == [0, 1, 1]
    assert call.llm_fails() == [c.StartGeneration(2, 0)]  # and the agent's own is the other one


def test_another_llm_goes_on_after_a_tool() -> None:
    call = Scenario(llms=2)
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.tool_returns('{"number":7}')
    call.llm_fails()
    call.answers("It is number seven.")
    assert attempts(call) == [0, 0, 1]
    assert len(call.all(c.CallTool)) == 1
    assert call.spoken == "It is number seven."


def failing(call: Scenario) -> None:
    """A turn that no LLM answers."""
    call.says("tell me")
    for _ in range(call.setup.llms):
        call.llm_fails()
    call.voices()


def test_when_all_fail_the_caller_is_told_and_when_that_goes_on_the_agent_says_goodbye() -> None:
    call = Scenario(llms=2, policy=policy(dead_air={"llm_failures": 2}))
    failing(call)
    assert call.spoken == DEFAULT_PHRASES.llm_failed
    call.plays_out()
    assert call.all(c.EndCall) == []
    failing(call)
    assert call.spoken == DEFAULT_PHRASES.llm_gone
    assert c.EndCall("the language model failed") in call.plays_out()


def test_an_answer_in_between_is_forgiving() -> None:
    call = Scenario(policy=policy(dead_air={"llm_failures": 2}))
    for _ in range(2):
        failing(call)
        assert call.spoken == DEFAULT_PHRASES.llm_failed
        call.plays_out()
        call.finishes("Sure.")
    assert call.all(c.EndCall) == []


def test_a_goodbye_of_the_agents_own_is_not_made_a_failure() -> None:
    call = Scenario(policy=policy(dead_air={"llm_failures": 1}))
    call.says("bye")
    call.writes("Goodbye.")
    call.wants_tool("end_call")
    call.llm_fails()
    assert call.spoken == "Goodbye. " + DEFAULT_PHRASES.llm_failed
    call.voices()
    assert c.EndCall("agent") in call.plays_out()
