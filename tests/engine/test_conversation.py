"""The conversation, as a caller would feel it: turns, interruptions, reopened turns, typing."""

from __future__ import annotations

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.engine.floor import Deadline
from antiphon.engine.policy import Endpointing, Setup
from antiphon.engine.user_turn import UserTurn
from antiphon.errors import IllegalEvent

ANSWER = "One two three four five six seven eight nine ten."
QUESTION = "We have three sizes of every drink. Which size would you like?"


# ---- the call ------------------------------------------------------------------------------


def test_the_agent_greets() -> None:
    call = Scenario(greeting="Hello, this is the cafe. What may I bring you?")
    assert call.spoken == "Hello, this is the cafe. What may I bring you?"
    assert c.EndSynthesis(1) in call.commands
    assert call.states == ("listening", "thinking")
    call.voices()
    call.plays(100)
    assert call.states == ("listening", "speaking")


def test_an_agent_without_a_greeting_waits() -> None:
    call = Scenario()
    assert call.commands == [c.ReportState(c.UserState.LISTENING, c.AgentState.LISTENING)]
    assert call.conversation.deadline == Deadline(12_000, "silence")
    assert call.conversation.turn_id == 0


def test_nothing_happens_before_the_line_is_open() -> None:
    conversation = Conversation(Setup())
    assert conversation.deadline is None
    with pytest.raises(IllegalEvent, match="TextReceived before CallStarted"):
        conversation.handle(e.TextReceived(0, "hello"))


def test_a_call_starts_once() -> None:
    call = Scenario()
    with pytest.raises(IllegalEvent, match="twice"):
        call.send(e.CallStarted(5))


def test_a_caller_who_is_gone_before_the_start_is_no_error() -> None:
    call = Scenario(started=False)
    assert call.hangs_up() == []
    assert call.conversation.ended
    assert call.due == ""


def test_hanging_up_closes_what_is_under_way_with_what_was_heard() -> None:
    call = Scenario()
    call.answer_flush = False
    call.agent_speaks(ANSWER)
    call.speaks()
    told = call.hangs_up()
    assert c.ReportResponse(1, "cancelled", "One two", "hung up") in told
    assert c.EndUtterance(2) in told
    assert call.messages[-1] == ("assistant", "One two")
    assert call.types("hello?") == []
    assert call.hangs_up() == []
    assert call.due == ""


def test_hanging_up_in_silence_is_quiet() -> None:
    call = Scenario()
    assert call.hangs_up() == []


def test_the_clock_never_goes_back() -> None:
    call = Scenario()
    call.wait(1000)
    call.send(e.TextReceived(1000, "hello"))
    call.send(e.TextGenerated(10, 1, "Hello. "))
    deadline = call.conversation.deadline
    assert deadline is not None
    assert deadline.at_ms > 1000


# ---- a turn --------------------------------------------------------------------------------


def test_a_finished_sentence_is_answered_soon() -> None:
    call = Scenario()
    call.speaks("a coffee")
    call.wait(900)
    call.falls_silent()
    call.understood("a coffee", complete=1.0)
    pause_ms = call.pause_ms("a coffee", complete=1.0)
    assert Endpointing().min_ms <= pause_ms < Endpointing().unknown_ms
    call.wait(pause_ms - 1)
    assert call.outcomes == []
    assert call.states == ("listening", "listening")
    told = call.wait(1)
    assert c.ReportTurn(1, "a coffee", "answered") in told
    assert c.StartGeneration(1) in told
    assert c.EndUtterance(1) in told
    assert call.states == ("listening", "thinking")


def test_an_unfinished_sentence_is_waited_for() -> None:
    call = Scenario()
    call.speaks()
    call.wait(900)
    call.falls_silent()
    call.understood("i would like", complete=0.0)
    pause_ms = call.pause_ms("i would like", complete=0.0)
    assert pause_ms > Endpointing().unknown_ms
    call.wait(pause_ms - 1)
    call.speaks()
    call.hears_partly("i would like a")
    assert call.last(c.ReportTranscript).text == "i would like a"
    call.wait(500)
    call.falls_silent()
    call.understood("i would like a latte", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes == [("i would like a latte", "answered")]


def test_a_slow_recogniser_is_waited_for_and_its_partial_words_used() -> None:
    call = Scenario()
    call.speaks("a coffee")
    call.wait(500)
    call.falls_silent()
    call.wait(999)
    assert call.outcomes == []
    call.wait(1)
    assert call.outcomes == [("a coffee", "answered")]


def test_words_that_were_not_understood_are_asked_for_again() -> None:
    call = Scenario()
    for number, sentence in enumerate([*DEFAULT_PHRASES.repeat, DEFAULT_PHRASES.offer_text]):
        call.speaks()
        call.wait(900)
        call.falls_silent()
        call.understood("cough he", confidence=0.2)
        call.waits_for_the_end()
        assert call.outcomes[number] == ("cough he", "unclear")
        assert call.spoken == sentence
        call.voices()
        call.plays_out()
    assert call.messages[0] == ("assistant", DEFAULT_PHRASES.repeat[0])


def test_an_understood_turn_forgives_the_ones_before() -> None:
    call = Scenario()
    for _ in range(2):
        call.says("")
        call.wait(500)
        call.voices()
        call.plays_out()
    call.finishes("Sure.", "a coffee")
    call.says("")
    call.wait(500)
    assert call.spoken == DEFAULT_PHRASES.repeat[0]


def test_a_recogniser_that_is_late_for_a_long_speech_is_no_noise() -> None:
    call = Scenario()
    call.speaks()
    call.wait(200)
    call.falls_silent()
    call.wait(1000)
    assert call.outcomes == [("", "unclear")]


def test_a_short_noise_is_not_answered() -> None:
    call = Scenario()
    call.speaks()
    call.wait(200)
    call.falls_silent()
    call.understood("")
    call.waits_for_the_end()
    assert call.outcomes == [("", "noise")]
    assert call.all(c.ReportResponse) == []


def test_a_monologue_is_heard_in_pieces_and_answered_as_a_whole() -> None:
    call = Scenario()
    call.speaks("once upon")
    call.wait(30_000)
    assert call.told(c.FinalizeUtterance) == [c.FinalizeUtterance(1, 1)]
    assert call.told(c.BeginUtterance) == [c.BeginUtterance(2, 30_000)]
    call.understood("once upon")
    call.hears_partly("a time")
    call.wait(500)
    call.falls_silent()
    call.understood("a time", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes == [("once upon a time", "answered")]


def test_endless_sound_without_a_word_is_not_listened_to_for_ever() -> None:
    call = Scenario()
    call.speaks()
    call.wait(30_000)
    assert call.outcomes == [("", "unclear")]
    assert call.spoken == DEFAULT_PHRASES.repeat[0]
    assert call.states == ("speaking", "thinking")
    call.voices()
    call.plays_out()
    call.hears_partly("at last a word")
    call.wait(200)
    call.falls_silent()
    call.understood("at last a word", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("at last a word", "answered")


def test_when_recognition_fails_the_caller_is_told_to_type() -> None:
    call = Scenario()
    call.send(e.TranscriptionFailed(0, "gone"))
    assert call.spoken == DEFAULT_PHRASES.stt_failed
    call.voices()
    call.plays_out()
    call.speaks()
    call.wait(900)
    call.falls_silent()
    call.wait(1000)
    assert call.spoken == DEFAULT_PHRASES.stt_failed
    call.voices()
    call.plays_out()
    call.types("a coffee")
    assert call.outcomes[-1] == ("a coffee", "answered")


def test_when_recognition_fails_in_an_answer_the_answer_is_finished_first() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.send(e.TranscriptionFailed(call.now_ms, "gone"))
    assert call.response == 1
    call.plays_out()
    assert call.spoken == DEFAULT_PHRASES.stt_failed


@pytest.mark.parametrize("event", [e.UserSpeechStarted, e.UserSpeechStopped])
def test_voice_activity_that_contradicts_itself_is_a_bug(
    event: type[e.UserSpeechStarted | e.UserSpeechStopped],
) -> None:
    call = Scenario()
    if event is e.UserSpeechStarted:
        call.speaks()
    with pytest.raises(IllegalEvent, match="while the caller"):
        call.send(event(call.now_ms, call.now_ms))


def test_late_partial_words_change_nothing() -> None:
    call = Scenario()
    call.says("a coffee")
    assert call.hears_partly("a coffee please") == []


# ---- interruptions -------------------------------------------------------------------------


def test_the_agent_lowers_its_voice_then_pauses_then_stops() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    assert call.speaks() == [
        c.BeginUtterance(2, call.now_ms),
        c.DuckAudio(-18.0),
        c.ReportOverlap("duck", "onset"),
        c.ReportState(c.UserState.SPEAKING, c.AgentState.SPEAKING),
    ]
    assert call.wait(300) == [
        c.PauseAudio(),
        c.ReportOverlap("pause", "speech"),
        c.ReportState(c.UserState.SPEAKING, c.AgentState.PAUSED),
    ]
    told = call.hears_partly("a latte instead")
    assert [type(one) for one in told] == [
        c.ReportTranscript,
        c.ReportOverlap,
        c.FlushAudio,
        c.ReportState,
        c.ReportResponse,
    ]
    assert call.states == ("speaking", "listening")
    assert call.last(c.ReportResponse) == c.ReportResponse(
        1, "cancelled", "One two", "turn_detected"
    )
    assert call.raw_messages[-1].interrupted
    call.wait(500)
    call.falls_silent()
    call.understood("a latte instead", complete=1.0)
    call.waits_for_the_end()
    assert call.messages == [
        ("user", "hello there"),
        ("assistant", "One two"),
        ("user", "a latte instead"),
    ]


def test_one_word_stops_the_agent_at_once() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(120)
    assert c.ReportOverlap("stop", "stop word") in call.hears_partly("stop")


def test_words_at_the_very_onset_are_checked_a_moment_later() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks("stop")
    assert call.due == "overlap"
    assert c.FlushAudio(1) in call.wait(120)


def test_an_acknowledgement_does_not_stop_the_agent() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(350)
    call.hears_partly("uh-huh")
    call.wait(100)
    call.falls_silent()
    told = call.understood("uh-huh")
    assert [type(one) for one in told] == [
        c.ReportOverlap,
        c.ReportTurn,
        c.EndUtterance,
        c.ResumeAudio,
        c.ReportState,
    ]
    assert call.outcomes[-1] == ("uh-huh", "backchannel")
    assert call.states == ("listening", "speaking")
    call.plays(300)
    call.plays_out()
    assert call.messages == [("user", "hello there"), ("assistant", ANSWER)]


def test_a_cough_does_not_stop_the_agent() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(150)
    call.falls_silent()
    assert c.ResumeAudio() in call.understood("")
    assert call.outcomes[-1] == ("", "noise")


def over_a_slow_recogniser() -> Scenario:
    """The caller has spoken over the agent, and nothing is understood yet."""
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(400)
    call.falls_silent()
    call.wait(699)
    assert call.states == ("listening", "paused")
    assert c.ResumeAudio() in call.wait(1)
    return call


def test_without_a_recogniser_the_agent_goes_on_after_a_while() -> None:
    call = over_a_slow_recogniser()
    call.wait(1799)
    assert call.outcomes[-1][1] == "answered"
    call.wait(1)
    assert call.outcomes[-1] == ("", "noise")
    assert call.understood("much too late") == []


def test_words_that_are_understood_late_stop_the_agent_all_the_same() -> None:
    call = over_a_slow_recogniser()
    call.wait(900)
    assert c.ReportOverlap("stop", "words") in call.understood("tell me more")


def test_a_noise_that_is_known_as_one_late_changes_nothing() -> None:
    call = over_a_slow_recogniser()
    told = call.understood("")
    assert c.ReportOverlap("resume", "no words") in told
    assert call.states == ("listening", "speaking")


def test_a_yes_to_a_question_is_an_answer() -> None:
    call = Scenario()
    call.says("a coffee")
    call.answers(QUESTION)
    call.voices()
    call.plays(3600)
    call.speaks()
    call.wait(200)
    call.falls_silent()
    told = call.understood("yes", complete=1.0)
    assert c.ReportOverlap("stop", "answer") in told
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("yes", "answered")


def test_a_long_mumble_is_asked_about() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(1500)
    call.falls_silent()
    assert c.ReportOverlap("stop", "unclear") in call.understood("")
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("", "unclear")
    assert call.spoken == DEFAULT_PHRASES.repeat[0]


def test_an_answer_that_is_heard_out_during_an_acknowledgement_leaves_no_trace_of_it() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(50)
    told = call.plays_out()
    assert c.ResumeAudio() in told
    call.wait(100)
    call.falls_silent()
    call.understood("mhm")
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("mhm", "answered")


def test_a_second_burst_of_speech_stays_in_the_same_overlap() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.wait(350)
    call.falls_silent()
    call.wait(200)
    call.speaks()
    assert call.told(c.DuckAudio) == []
    call.wait(200)
    call.hears_partly("a latte")
    assert call.last(c.ReportOverlap) == c.ReportOverlap("stop", "words")


# ---- an answer that is not heard yet -------------------------------------------------------


def thinking() -> Scenario:
    """The caller said "a coffee"; nothing of the answer is audible."""
    call = Scenario()
    call.says("a coffee")
    return call


def test_an_answer_is_withheld_while_the_caller_speaks_on() -> None:
    call = thinking()
    call.speaks()
    call.answers("Sure, a coffee.")
    call.voices()
    assert call.all(c.PlayAudio) == []
    call.wait(200)
    call.falls_silent()
    assert c.PlayAudio(1) in call.understood("")
    call.plays_out()
    assert call.messages[-1] == ("assistant", "Sure, a coffee.")


def test_a_cough_while_the_agent_thinks_changes_nothing() -> None:
    call = thinking()
    call.speaks()
    call.wait(200)
    call.falls_silent()
    call.understood("")
    assert call.outcomes[-1] == ("", "noise")
    assert call.understood("") == []  # a second answer to the same question is dropped
    assert call.states == ("listening", "thinking")
    call.answers("Sure.")
    assert c.PlayAudio(1) in call.voices()


def test_words_that_come_too_late_are_joined_to_the_turn() -> None:
    call = thinking()
    call.speaks()
    call.writes("Sure, a coffee. ")
    call.wait(300)
    told = call.hears_partly("with milk")
    assert c.ReportResponse(1, "cancelled", "", "reopened") in told
    assert c.ReportTurn(2, "", "merged") in told
    assert c.ReportTranscript(1, "a coffee with milk") in told
    assert c.FlushAudio(1) in told
    assert c.CancelGeneration(1) in told
    assert call.messages == []
    call.wait(300)
    call.falls_silent()
    call.understood("with milk", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes[-1] == ("a coffee with milk", "answered")
    assert call.last(c.StartGeneration) == c.StartGeneration(2)
    assert call.messages == [("user", "a coffee with milk")]


def test_a_turn_can_be_joined_again_and_again() -> None:
    call = thinking()
    for words in ("with milk", "and sugar"):
        call.speaks()
        call.wait(300)
        call.hears_partly(words)
        call.falls_silent()
        call.understood(words, complete=1.0)
        call.waits_for_the_end()
    assert call.messages == [("user", "a coffee with milk and sugar")]
    assert call.last(c.ReportTurn).turn_id == 1


def test_a_turn_whose_tool_runs_already_is_not_taken_back() -> None:
    call = thinking()
    call.wants_tool("place")
    call.speaks()
    call.wait(300)
    told = call.hears_partly("with milk")
    assert c.ReportResponse(1, "cancelled", "", "turn_detected") in told
    call.wait(300)
    call.falls_silent()
    call.understood("with milk", complete=1.0)
    call.waits_for_the_end()
    assert [role for role, _ in call.messages] == ["user", "assistant", "tool", "user"]
    assert len(call.all(c.CallTool)) == 1


def test_a_goodbye_that_is_taken_back_leaves_no_orphan() -> None:
    call = thinking()
    call.wants_tool("end_call")
    call.speaks()
    call.wait(300)
    call.hears_partly("and a muffin")
    assert call.messages == []


def test_an_answer_on_its_way_to_the_line_is_lowered_not_withheld() -> None:
    call = thinking()
    call.answers("Sure.")
    call.voices()
    call.speaks()
    assert call.last(c.ReportOverlap) == c.ReportOverlap("duck", "onset")
    call.wait(400)
    assert call.states == ("speaking", "paused")
    told = call.hears_partly("with milk")
    assert c.ReportResponse(1, "cancelled", "", "turn_detected") in told
    assert call.messages == [("user", "a coffee")]


def test_the_agents_own_sentence_is_not_joined_to_anything() -> None:
    call = Scenario(greeting="Welcome to the cafe.")
    call.speaks()
    call.wait(300)
    told = call.hears_partly("a coffee")
    assert c.ReportResponse(1, "cancelled", "", "turn_detected") in told
    assert call.told(c.ReportTurn) == []


def test_a_caller_who_mumbles_for_ever_gets_the_answer_withdrawn() -> None:
    call = thinking()
    call.speaks()
    call.wait(4499)
    assert call.response == 1
    call.wait(1)
    assert call.last(c.ReportResponse).status == "cancelled"


# ---- protected speech ----------------------------------------------------------------------


def protected() -> Scenario:
    call = Scenario(greeting="This call is recorded for training.", greeting_protected=True)
    call.voices()
    call.plays(300)
    return call


def test_a_legal_notice_is_heard_to_its_end_and_the_caller_answered_after() -> None:
    call = protected()
    call.speaks("stop stop")
    call.wait(800)
    call.falls_silent()
    call.understood("stop i want a coffee", complete=1.0)
    call.wait(1500)
    assert not [*call.all(c.DuckAudio), *call.all(c.PauseAudio), *call.all(c.FlushAudio)]
    told = call.plays_out()
    assert c.ReportTurn(1, "stop i want a coffee", "answered") in told
    assert call.messages[0] == ("assistant", "This call is recorded for training.")


def test_what_is_typed_during_a_legal_notice_is_answered_after() -> None:
    call = protected()
    call.types("a coffee")
    assert call.outcomes == []
    call.plays_out()
    assert call.outcomes == [("a coffee", "answered")]


def test_a_monologue_over_a_legal_notice_is_kept() -> None:
    call = protected()
    call.speaks()
    for _ in range(31):
        call.played_ms = 300
        call.wait(1000)
        call.send(e.PlaybackProgressed(call.now_ms, 1, 300))
    assert call.told(c.EndUtterance) == []
    assert [one.utterance_id for one in call.all(c.BeginUtterance)] == [1, 2]


# ---- typing --------------------------------------------------------------------------------


def test_typed_words_are_answered_at_once() -> None:
    call = Scenario()
    told = call.types("a coffee")
    assert told[:3] == [
        c.ReportTurn(1, "a coffee", "answered", "text"),
        c.ReportResponse(1, "in_progress"),
        c.StartGeneration(1),
    ]


def test_typing_stops_the_agent() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    told = call.types("a latte instead")
    assert c.ReportOverlap("stop", "typed") in told
    assert c.StartGeneration(2) in told
    assert call.messages == [
        ("user", "hello there"),
        ("assistant", "One two"),
        ("user", "a latte instead"),
    ]


def test_typing_on_before_the_answer_joins_the_turn() -> None:
    call = Scenario()
    call.types("a coffee")
    call.types("with milk")
    assert call.messages == [("user", "a coffee with milk")]
    assert ("", "merged") in call.outcomes


def test_typing_while_speaking_answers_both_and_goes_on_listening() -> None:
    call = Scenario()
    call.speaks("please")
    call.wait(300)
    call.types("a latte")
    assert call.outcomes == [("a latte please", "answered")]
    assert call.states == ("speaking", "thinking")
    ended = [one.utterance_id for one in call.all(c.EndUtterance)]
    assert ended == [1]
    call.answers("Sure.")
    call.voices()
    call.plays(200)
    assert call.states == ("speaking", "speaking")  # noise does not lower the agent's voice
    call.hears_partly("no wait")
    assert call.last(c.ReportOverlap) == c.ReportOverlap("stop", "stop word")


def test_typing_while_words_are_still_recognised_loses_neither() -> None:
    call = Scenario()
    call.speaks()
    call.wait(500)
    call.falls_silent()
    call.types("please")
    assert call.outcomes == []
    call.understood("a latte")
    call.wait(1)
    assert call.outcomes == [("a latte please", "answered")]


def test_noise_beside_a_typed_turn_is_forgotten_when_it_ends() -> None:
    call = Scenario()
    call.speaks()
    call.types("a latte")
    call.answers("Sure, one latte for you then.")
    call.voices()
    call.plays(300)
    call.falls_silent()
    told = call.understood("")
    assert c.ReportOverlap("resume", "no words") in told
    assert c.ResumeAudio() not in told
    call.plays_out()
    assert call.states == ("listening", "listening")


def test_a_typed_turn_is_believed_whatever_the_recogniser_thinks() -> None:
    call = Scenario(policy=policy(endpointing={"min_confidence": 1.0}))
    call.types("a latte")
    assert call.outcomes == [("a latte", "answered")]


# ---- states and deadlines ------------------------------------------------------------------


def test_states_are_told_when_they_change_and_only_then() -> None:
    call = Scenario()
    call.finishes("Sure.", "a coffee")
    states = [(one.user.value, one.agent.value) for one in call.all(c.ReportState)]
    assert states == [
        ("listening", "listening"),
        ("speaking", "listening"),
        ("listening", "listening"),
        ("listening", "thinking"),
        ("listening", "speaking"),
        ("listening", "listening"),
    ]


def test_a_deadline_that_does_not_move_on_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    call = Scenario()
    call.send(e.UserSpeechStarted(0, 0))
    monkeypatch.setattr(UserTurn, "roll_ms", lambda turn: 0)
    with pytest.raises(IllegalEvent, match="no way forward"):
        call.send(e.DeadlineReached(0))


def test_the_same_events_give_the_same_commands() -> None:
    def story() -> list[c.Command]:
        call = Scenario(greeting="Welcome to the cafe.")
        call.voices()
        call.plays(300)
        call.says("a coffee")
        call.answers(ANSWER)
        call.voices()
        call.plays(300)
        call.speaks("no wait")
        call.wait(500)
        return call.commands

    assert story() == story()


def test_what_was_understood_stays_when_what_came_after_it_was_not() -> None:
    call = Scenario()
    call.says("a large latte")
    call.speaks("with mumble")
    call.wait(300)
    assert ("", "merged") in call.outcomes
    call.falls_silent()
    call.understood("mumble mumble", confidence=0.1, complete=1.0)
    call.waits_for_the_end()
    assert call.messages == [("user", "a large latte")]
    assert call.last(c.StartGeneration)
