"""Answers prepared in a pause: heard if the turn ends with the same words, else unknown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.policy import Endpointing, Speculation

WORDS = "a coffee please"
STABLE_MS = Speculation().stable_ms


def caller(prepare: str = "voice", **changes: Any) -> Scenario:
    limits = changes.pop("limits", {})
    return Scenario(policy=policy(speculation={"prepare": prepare, **limits}), **changes)


def preparing(prepare: str = "voice", **changes: Any) -> Scenario:
    """The caller has paused after "a coffee please", and the LLM is at work on it."""
    call = caller(prepare, **changes)
    call.pauses(WORDS)
    call.wait(STABLE_MS)
    assert call.told(c.StartGeneration) == [c.StartGeneration(1)]
    return call


# ---- when it is begun ----------------------------------------------------------------------


def test_an_answer_is_begun_in_the_pause_and_nobody_is_told() -> None:
    call = caller()
    call.pauses(WORDS)
    call.wait(STABLE_MS - 1)
    assert call.all(c.StartGeneration) == []
    assert call.wait(1) == [c.StartGeneration(1)]
    assert call.outcomes == []
    assert call.states == ("listening", "listening")
    assert call.due == "end of turn"


def test_the_llm_is_shown_the_words_that_it_answers() -> None:
    call = caller()
    call.finishes("What may I bring you?")
    call.pauses(WORDS)
    call.wait(STABLE_MS)
    assert call.messages == [
        ("user", "hello there"),
        ("assistant", "What may I bring you?"),
        ("user", WORDS),
    ]


def test_a_partial_transcript_that_stays_the_same_is_enough() -> None:
    call = caller()
    call.speaks("a coffee")
    call.wait(800)
    call.falls_silent()
    call.wait(100)
    call.hears_partly(WORDS)
    call.wait(STABLE_MS - 1)
    assert call.all(c.StartGeneration) == []
    assert call.wait(1) == [c.StartGeneration(1)]


def test_an_answer_may_be_kept_until_the_turn_is_over() -> None:
    call = caller("nothing")
    call.pauses(WORDS)
    told = call.waits_for_the_end()
    assert c.ReportTurn(1, WORDS, "answered") in told
    assert len(call.all(c.StartGeneration)) == 1
    assert call.all(c.ReportSpeculation) == []


@pytest.mark.parametrize(
    ("text", "complete", "confidence"),
    [
        ("i would like the", 0.0, 1.0),  # more is to come
        (WORDS, 1.0, 0.1),  # not believed
        ("...", 1.0, 1.0),  # no words
        ("", None, 1.0),
    ],
)
def test_what_is_no_whole_turn_is_not_answered_in_advance(
    text: str, complete: float | None, confidence: float
) -> None:
    call = caller()
    call.pauses(text, complete=complete, confidence=confidence)
    call.waits_for_the_end()
    assert call.all(c.ReportSpeculation) == []
    assert call.last(c.ReportTurn).text == text


def test_nothing_is_prepared_when_the_turn_is_all_but_over() -> None:
    call = caller(limits={"stable_ms": Endpointing().min_ms})
    call.pauses(WORDS)
    call.waits_for_the_end()
    assert call.all(c.ReportSpeculation) == []
    assert call.all(c.StartGeneration) == [c.StartGeneration(1)]


def test_nothing_is_prepared_while_another_answer_is_under_way() -> None:
    call = caller(greeting="This call is recorded.", greeting_protected=True)
    call.voices()
    call.plays(300)
    call.pauses(WORDS)
    call.wait(1500)
    assert call.all(c.StartGeneration) == []
    call.plays_out()
    assert call.all(c.StartGeneration) == [c.StartGeneration(2)]
    assert call.all(c.ReportSpeculation) == []


def test_no_more_answers_are_begun_for_a_turn_than_allowed() -> None:
    call = caller(limits={"limit": 2})
    for words in ("a coffee", "a coffee please", "a coffee please now"):
        call.pauses(words)
        call.wait(STABLE_MS)
    assert len(call.all(c.StartGeneration)) == 2
    call.waits_for_the_end()
    assert call.last(c.StartGeneration) == c.StartGeneration(3)
    # The next turn may have as many.
    call.answers("Sure.")
    call.voices()
    call.plays_out()
    call.pauses("and a muffin")
    call.wait(STABLE_MS)
    assert call.last(c.StartGeneration) == c.StartGeneration(4)


# ---- adopted -------------------------------------------------------------------------------


def test_it_is_adopted_when_the_turn_ends_with_these_words() -> None:
    call = preparing()
    call.answers("Sure, one coffee. That is three dollars.")
    assert call.all(c.SynthesizeText) == [c.SynthesizeText(1, 0, "Sure, one coffee.")]
    call.voices()
    assert call.all(c.PlayAudio) == []
    told = call.waits_for_the_end()
    assert told == [
        c.EndUtterance(1),
        c.ReportTurn(1, WORDS, "answered"),
        c.ReportSpeculation(1, "adopted", 40, 17),
        c.ReportResponse(1, "in_progress"),
        c.SynthesizeText(1, 1, "That is three dollars."),
        c.EndSynthesis(1),
        c.PlayAudio(1),
        c.ReportState(c.UserState.LISTENING, c.AgentState.THINKING),
    ]
    call.voices()
    call.plays_out()
    assert call.messages == [
        ("user", WORDS),
        ("assistant", "Sure, one coffee. That is three dollars."),
    ]
    assert len(call.all(c.StartGeneration)) == 1


def test_it_goes_on_being_written_after_it_was_adopted() -> None:
    call = preparing()
    call.writes("Sure, one")
    call.waits_for_the_end()
    assert call.all(c.SynthesizeText) == []
    call.answers(" coffee. Here you are.")
    assert call.spoken == "Sure, one coffee. Here you are."
    assert call.messages[-1] == ("assistant", "Sure, one coffee. Here you are.")


@pytest.mark.parametrize("final", ["A coffee, please!", "a  COFFEE please.", "a coffee please"])
def test_other_letters_and_signs_are_the_same_words(final: str) -> None:
    call = caller()
    call.speaks(WORDS)
    call.wait(800)
    call.falls_silent()
    call.wait(STABLE_MS)
    call.writes("Sure. ")
    call.wait(50)
    call.understood(final, complete=1.0)
    call.waits_for_the_end()
    assert [one.outcome for one in call.all(c.ReportSpeculation)] == ["adopted"]
    assert len(call.all(c.StartGeneration)) == 1
    assert call.messages[0] == ("user", final)


def test_its_time_is_accounted_for() -> None:
    call = preparing()
    call.answers("Sure.")
    call.voices()
    call.waits_for_the_end()
    call.wait(20)
    call.line_starts()
    latency = call.last(c.ReportLatency)
    pause_ms = call.pause_ms(WORDS, complete=1.0)
    assert latency.total_ms == pause_ms + 20
    assert dict(latency.contributions) == {
        "endpointing": pause_ms,
        "generation": 0,
        "segmentation": 0,
        "synthesis": 0,
        "playback": 20,
    }


def test_a_cough_does_not_spoil_it() -> None:
    call = preparing()
    call.answers("Sure.")
    call.voices()
    call.coughs()
    assert call.all(c.ReportSpeculation) == []
    told = call.waits_for_the_end()
    assert c.PlayAudio(1) in told
    assert [one.outcome for one in call.all(c.ReportSpeculation)] == ["adopted"]


def test_only_the_text_may_be_prepared() -> None:
    call = preparing("text")
    call.answers("Sure, one coffee. Here you are.")
    assert call.all(c.SynthesizeText) == []
    told = call.waits_for_the_end()
    assert c.ReportSpeculation(1, "adopted", 31, 0) in told
    assert [one.text for one in call.told(c.SynthesizeText)] == [
        "Sure, one coffee.",
        "Here you are.",
    ]


def test_an_llm_that_stalled_while_it_was_prepared_is_given_up_in_time() -> None:
    call = preparing()
    call.waits_for_the_end()
    began_ms = call.now_ms  # from here on it is waited for
    for _ in range(4):
        call.wait(1400)
        call.speaks_so_far()
    call.wait(began_ms + 7999 - call.now_ms)
    assert call.all(c.CancelGeneration) == []
    assert call.wait(1)[0] == c.CancelGeneration(1)


def test_an_empty_one_becomes_an_honest_one() -> None:
    call = preparing()
    call.answers("")
    call.waits_for_the_end()
    assert call.spoken == DEFAULT_PHRASES.llm_failed


# ---- dropped -------------------------------------------------------------------------------


def test_it_is_dropped_when_the_final_words_are_others() -> None:
    call = caller()
    call.speaks(WORDS)
    call.wait(800)
    call.falls_silent()
    call.wait(STABLE_MS)
    call.writes("Sure, one coffee. And")
    told = call.understood("a coffee with cream", complete=1.0)
    assert [one for one in told if not isinstance(one, c.ReportTranscript)] == [
        c.CancelGeneration(1),
        c.FlushAudio(1),
        c.ReportSpeculation(1, "dropped", 21, 17),
        c.StartGeneration(2),
    ]
    assert call.messages == [("user", "a coffee with cream")]
    call.waits_for_the_end()
    assert [one.outcome for one in call.all(c.ReportSpeculation)] == ["dropped", "adopted"]
    assert call.last(c.ReportResponse) == c.ReportResponse(2, "in_progress")


def test_it_is_dropped_when_the_caller_goes_on_with_new_words() -> None:
    call = preparing()
    call.answers("Sure, one coffee.")
    call.voices()
    call.speaks()
    assert call.all(c.ReportSpeculation) == []
    call.wait(300)
    told = call.hears_partly("a coffee please and a muffin")
    assert c.FlushAudio(1) in told
    assert c.ReportSpeculation(1, "dropped", 17, 17) in told
    assert call.messages == []
    assert call.all(c.ReportResponse) == []


def test_it_is_dropped_when_the_caller_types_more() -> None:
    call = preparing()
    told = call.types("and a muffin")
    assert c.ReportSpeculation(1, "dropped", 0, 0) in told
    assert c.StartGeneration(2) in told
    assert call.messages == [("user", "a coffee please and a muffin")]


def test_it_is_dropped_when_the_caller_hangs_up() -> None:
    call = preparing()
    call.writes("Sure. ")
    told = call.hangs_up()
    assert told == [
        c.CancelGeneration(1),
        c.FlushAudio(1),
        c.ReportSpeculation(1, "dropped", 6, 5),
        c.EndUtterance(1),
    ]
    assert call.messages == []


def test_what_comes_late_for_a_dropped_one_is_nothing() -> None:
    call = preparing()
    call.writes("Sure, one coffee. ")
    call.speaks("a coffee please and a muffin")
    now_ms = call.now_ms
    assert (
        call.send(
            e.TextGenerated(now_ms, 1, "More. "),
            e.ToolRequested(now_ms, 1, "t1", "place", "{}"),
            e.GenerationEnded(now_ms, 1),
            e.GenerationFailed(now_ms, 1, "late"),
            e.AudioSynthesized(now_ms, 1, 0, 300),
            e.SegmentSynthesized(now_ms, 1, 0, 600),
            e.SynthesisFailed(now_ms, 1, "late"),
            e.PlaybackFlushed(now_ms, 1, 0),
        )
        == []
    )
    assert call.messages == []


def test_it_is_never_heard_however_long_the_caller_goes_on() -> None:
    call = preparing()
    call.answers("Sure, one coffee.")
    call.voices()
    call.speaks()
    call.wait(10_000)
    assert call.all(c.PlayAudio) == []
    assert call.all(c.ReportResponse) == []


# ---- its tools -----------------------------------------------------------------------------


def test_a_tool_runs_when_it_is_adopted_and_once() -> None:
    call = preparing()
    call.wants_tool("place", arguments='{"n":1}')
    call.wants_tool("place", arguments='{"n":1}')
    call.is_done_writing()
    assert call.all(c.CallTool) == []
    assert call.messages == [("user", WORDS)]
    call.waits_for_the_end()
    assert call.all(c.CallTool) == [c.CallTool("t1", "place", '{"n":1}', 20_000)]
    assert call.tool_returns() == [c.StartGeneration(1)]
    call.answers("It is ordered.")
    call.voices()
    call.plays_out()
    assert [role for role, _ in call.messages] == ["user", "assistant", "tool", "assistant"]


def test_a_tool_of_a_dropped_one_never_runs_and_nobody_knows() -> None:
    call = preparing()
    call.wants_tool("place")
    call.is_done_writing()
    call.pauses("a coffee please no a tea")
    call.waits_for_the_end()
    call.answers("A tea, then.")
    call.voices()
    call.plays_out()
    assert call.all(c.CallTool) == []
    assert call.messages == [("user", "a coffee please no a tea"), ("assistant", "A tea, then.")]


def test_a_goodbye_that_was_prepared_ends_the_call() -> None:
    call = preparing()
    call.writes("Goodbye.")
    call.wants_tool("end_call")
    call.is_done_writing()
    call.voices()
    assert call.all(c.EndCall) == []
    call.waits_for_the_end()
    assert c.EndCall("agent") in call.plays_out()


def test_a_tool_that_comes_back_meanwhile_is_known_to_the_answer() -> None:
    call = caller()
    call.says("order")
    call.wants_tool("place")
    call.is_done_writing()
    call.speaks("stop")
    call.wait(300)
    call.falls_silent()
    call.understood("stop what is the time", complete=1.0)
    call.wait(STABLE_MS)
    prepared = call.response
    assert call.messages[-2] == ("tool", '{"status": "still running"}')
    told = call.tool_returns('{"number":7}')
    assert c.ReportSpeculation(prepared, "dropped", 0, 0) in told
    assert c.StartGeneration(prepared + 1) in told
    assert call.messages[-2:] == [("tool", '{"number":7}'), ("user", "stop what is the time")]
    call.waits_for_the_end()
    assert call.last(c.ReportSpeculation).outcome == "adopted"
    call.answers("Your order is number seven, and it is noon.")
    call.voices()
    call.plays_out()
    # It was shown the result: nothing is owed.
    assert call.due == "silence"


# ---- it fails ------------------------------------------------------------------------------


def test_an_llm_that_fails_at_it_is_asked_again_when_the_turn_is_over() -> None:
    call = preparing()
    told = call.llm_fails()
    assert c.ReportSpeculation(1, "dropped", 0, 0) in told
    call.waits_for_the_end()
    assert call.all(c.StartGeneration) == [c.StartGeneration(1), c.StartGeneration(2)]
    call.answers("Sure.")
    assert call.spoken == "Sure."


def test_a_voice_that_fails_at_it_is_asked_again_when_the_turn_is_over() -> None:
    call = preparing()
    call.writes("Sure. ")
    told = call.voice_fails()
    assert c.ReportSpeculation(1, "dropped", 6, 5) in told
    assert c.CancelGeneration(1) in told
    call.waits_for_the_end()
    call.answers("Sure. Here you are.")
    assert call.spoken == "Sure. Here you are."
    assert call.all(c.EndCall) == []


def test_after_a_failure_the_next_turn_is_prepared_again() -> None:
    call = preparing()
    call.llm_fails()
    call.waits_for_the_end()
    call.answers("Sure.")
    call.voices()
    call.plays_out()
    call.pauses("and a muffin")
    call.wait(STABLE_MS)
    assert call.last(c.StartGeneration) == c.StartGeneration(3)


def test_after_a_failure_a_turn_that_was_not_understood_changes_nothing_for_the_next() -> None:
    call = preparing()
    call.llm_fails()
    call.pauses("mumble", confidence=0.1)
    call.waits_for_the_end()
    call.voices()
    call.plays_out()
    begun = len(call.all(c.StartGeneration))
    call.pauses(WORDS)
    call.wait(STABLE_MS)
    assert len(call.all(c.StartGeneration)) == begun + 1


# ---- beside the agent's own sentences ------------------------------------------------------


def test_a_sentence_of_the_agents_own_waits_for_the_answer() -> None:
    call = preparing()
    call.send(e.TranscriptionFailed(call.now_ms, "gone"))
    assert call.all(c.ReportSpeculation) == []
    call.answers("Sure.")
    call.waits_for_the_end()
    call.voices()
    call.plays_out()
    assert call.spoken == DEFAULT_PHRASES.stt_failed
    assert call.messages[1] == ("assistant", "Sure.")


def test_a_caller_who_speaks_into_the_greeting_is_answered_in_advance_too() -> None:
    call = caller(greeting="Welcome to the cafe. What may I bring you?")
    call.voices()
    call.plays(600)
    call.speaks("a coffee")
    call.wait(600)
    call.falls_silent()
    call.understood(WORDS, complete=1.0)
    call.wait(STABLE_MS)
    assert call.last(c.StartGeneration) == c.StartGeneration(2)
    assert call.messages == [("assistant", "Welcome to"), ("user", WORDS)]
    call.answers("Sure.")
    call.waits_for_the_end()
    assert call.messages[-1] == ("assistant", "Sure.")
