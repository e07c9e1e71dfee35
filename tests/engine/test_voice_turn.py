"""The agent's voice, as a caller would feel it: when it fails, another one says the rest."""

from __future__ import annotations

import pytest
from tests.engine.scenario import Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.history import CUT_OFF

ANSWER = "One two three four five six. Seven eight nine ten."
REST = "three four five six. Seven eight nine ten."


def voices_used(call: Scenario) -> list[int]:
    return [one.voice for one in call.all(c.SynthesizeText)]


# ---- another voice -------------------------------------------------------------------------


def test_the_next_voice_says_what_was_not_heard() -> None:
    call = Scenario(voices=2)
    call.agent_speaks(ANSWER)
    told = call.voice_fails()
    assert c.ReportResponse(1, "failed", "One two", "voice") in told
    assert call.spoken == REST
    assert {one.voice for one in call.told(c.SynthesizeText)} == {1}
    call.voices()
    call.plays_out()
    assert call.messages[1:] == [("assistant", "One two"), ("assistant", REST)]


def test_the_voice_that_works_is_kept() -> None:
    call = Scenario(voices=2)
    call.agent_speaks(ANSWER)
    call.voice_fails()
    call.voices()
    call.plays_out()
    call.finishes("Sure.", "a coffee")
    assert voices_used(call)[-1] == 1


def test_all_segments_of_an_answer_have_the_same_voice() -> None:
    call = Scenario(voices=2)
    call.says("tell me")
    call.writes("Here it is. ")
    call.answers("And there is more of it.")
    assert voices_used(call) == [0, 0]


def test_the_call_ends_when_every_voice_fails() -> None:
    call = Scenario(voices=2)
    call.says("tell me")
    call.answers(ANSWER)
    for _ in range(2):
        call.voice_fails()
        assert call.all(c.EndCall) == []
        assert call.spoken == ANSWER
    assert c.EndCall("the voice failed") in call.voice_fails()
    assert set(voices_used(call)) == {0, 1}


def test_when_every_voice_fails_a_recorded_sentence_says_so_and_the_call_ends() -> None:
    call = Scenario(voices=2, recorded=True)
    gone = call.setup.phrases.voice_gone
    call.says("tell me")
    call.answers(ANSWER)
    call.voice_fails()
    call.voice_fails()
    told = call.voice_fails()
    assert [one for one in told if isinstance(one, c.EndCall)] == []
    assert voices_used(call)[-1] == 2
    assert call.spoken == gone
    call.voices()
    call.plays_out()
    assert call.all(c.EndCall) == [c.EndCall("the voice failed")]


def test_a_recorded_sentence_that_fails_ends_the_call() -> None:
    call = Scenario(recorded=True)
    call.says("tell me")
    call.answers(ANSWER)
    for _ in range(2):
        call.voice_fails()
    assert call.all(c.EndCall) == []
    assert c.EndCall("the voice failed") in call.voice_fails()


def test_who_stays_on_the_line_after_the_recorded_sentence_gets_a_voice_again() -> None:
    call = Scenario(recorded=True)
    call.says("tell me")
    call.answers(ANSWER)
    for _ in range(2):
        call.voice_fails()
    assert voices_used(call)[-1] == 1
    call.voices()
    call.speaks("are you there")
    call.plays_out()
    assert call.all(c.EndCall) == []
    call.falls_silent()
    call.understood("are you there")
    call.waits_for_the_end()
    call.answers(ANSWER)
    assert voices_used(call)[-1] == 0


def test_a_stalled_voice_is_replaced() -> None:
    waits = {"tts_deadline_ms": 1500, "tts_first_ms": 1000}
    call = Scenario(voices=2, policy=policy(dead_air=waits))
    call.says("tell me")
    call.answers("Here it is.")
    call.wait(999)
    assert call.response == 1
    told = call.wait(1)
    assert c.ReportResponse(1, "failed", "", "voice") in told
    assert c.SynthesizeText(2, 0, "Here it is.", 1) in told
    # They take turns: the first one may be well again.
    assert c.SynthesizeText(3, 0, "Here it is.", 0) in call.wait(1000)


def test_a_voice_that_has_begun_to_speak_has_its_whole_time() -> None:
    waits = {"tts_deadline_ms": 1500, "tts_first_ms": 500}
    call = Scenario(voices=2, policy=policy(dead_air=waits))
    call.says("tell me")
    call.answers("Here it is.")
    call.send(e.AudioSynthesized(call.now_ms, 1, 0, 100))
    call.plays(100)
    call.wait(1499)
    assert call.response == 1
    call.wait(1)
    assert call.response == 2


def test_an_answer_that_is_still_written_goes_on_with_the_next_voice() -> None:
    call = Scenario(voices=2)
    call.says("tell me")
    call.writes("Here is the first thing. And the")
    told = call.voice_fails()
    assert c.CancelGeneration(1) in told
    assert call.spoken == "Here is the first thing."
    call.voices()
    assert c.StartGeneration(3) in call.plays_out()
    assert call.messages == [
        ("user", "tell me"),
        ("assistant", "Here is the first thing."),
        ("system", CUT_OFF),
    ]
    call.answers("And the second one.")
    assert call.last(c.SynthesizeText) == c.SynthesizeText(3, 0, "And the second one.", 1)


def test_a_voice_that_fails_while_the_caller_speaks_waits_for_a_pause() -> None:
    call = Scenario(voices=2)
    call.agent_speaks(ANSWER)
    call.speaks()
    call.voice_fails()
    assert call.response == 1
    call.wait(200)
    call.falls_silent()
    call.understood("")
    call.waits_for_the_end()
    assert call.spoken == REST
    assert voices_used(call)[-1] == 1


def test_failures_are_forgiven_once_a_voice_has_spoken_to_the_end() -> None:
    call = Scenario(voices=2)
    for _ in range(4):
        call.says("tell me")
        call.answers("Here it is.")
        call.voice_fails()
        call.voices()
        call.plays_out()
    assert call.all(c.EndCall) == []


def test_a_failure_that_comes_twice_counts_once() -> None:
    call = Scenario(voices=2)
    call.agent_speaks(ANSWER)
    now_ms = call.now_ms
    call.send(e.SynthesisFailed(now_ms, 1, "gone"), e.SynthesisFailed(now_ms, 1, "gone"))
    assert call.response == 2
    assert call.all(c.EndCall) == []


# ---- what was heard ------------------------------------------------------------------------


def test_words_are_told_once_and_in_order() -> None:
    call = Scenario()
    call.finishes(ANSWER)
    assert " ".join(one.text for one in call.all(c.ReportHeard)) == ANSWER


@pytest.mark.parametrize("word_times", [True, False])
def test_an_interrupted_answer_is_remembered_as_it_was_heard(word_times: bool) -> None:
    call = Scenario()
    call.says("tell me")
    call.answers("one three five seven nine")
    call.voices(word_times=word_times)
    call.plays(900)
    call.types("stop")
    assert call.messages[1] == ("assistant", "one three five")
    assert call.raw_messages[1].interrupted


def test_the_end_of_a_flush_corrects_what_was_heard() -> None:
    call = Scenario()
    call.answer_flush = False
    call.agent_speaks(ANSWER)
    call.types("stop")
    told = call.send(e.PlaybackFlushed(call.now_ms, 1, 900))
    assert c.ReportResponse(1, "cancelled", "One two three", "turn_detected") in told


def test_the_rest_of_a_legal_notice_is_as_protected_as_its_beginning() -> None:
    notice = "This call is recorded for your safety. You may ask us to delete it."
    call = Scenario(greeting=notice, greeting_protected=True, voices=2)
    call.voices()
    call.plays(600)
    call.voice_fails()
    call.voices()
    call.line_starts()
    call.speaks("stop it now")
    call.wait(1000)
    assert not call.told(c.FlushAudio)
    call.plays_out()
    heard = " ".join(one.heard for one in call.all(c.ReportResponse) if one.heard)
    assert set(notice.split()) <= set(heard.split())
