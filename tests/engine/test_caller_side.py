"""The caller's side, as a caller would feel it: when a turn is over, by words, sound, signals and
keys; and what the agent makes of its caller's voice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.phrase import Expected
from antiphon.errors import IllegalEvent

ANSWER = "One two three four five six seven eight nine ten."
WORDS = "a coffee please"


def paused(text: str = WORDS, **changes: Any) -> Scenario:
    """A pause of the caller after these words, 800 ms into the call."""
    call = Scenario(**changes)
    call.pauses(text, complete=None)
    return call


def ends_at(call: Scenario) -> int:
    deadline = call.conversation.deadline
    assert deadline is not None
    assert deadline.reason == "end of turn"
    return deadline.at_ms


# ---- the turn detector ---------------------------------------------------------------------


def test_the_detector_is_asked_at_the_beginning_of_the_pause() -> None:
    call = Scenario(detects_turns=True)
    call.speaks(WORDS)
    call.wait(800)
    assert call.falls_silent() == [
        c.FinalizeUtterance(1, 1),
        c.PredictTurn(800),
        c.ReportState(c.UserState.LISTENING, c.AgentState.LISTENING),
    ]


def test_an_agent_without_a_detector_asks_nobody() -> None:
    assert paused().all(c.PredictTurn) == []


@pytest.mark.parametrize("complete", [0.02, 0.3, 0.5, 0.8, 0.98])
def test_what_the_detector_hears_is_weighed_with_the_words(complete: float) -> None:
    call = paused(detects_turns=True)
    assert ends_at(call) == 800 + call.pause_ms(WORDS)
    call.sounds_done(complete)
    assert ends_at(call) == 800 + call.pause_ms(WORDS, sounds=complete)


def test_a_voice_that_falls_ends_the_turn_sooner_than_one_that_hangs() -> None:
    waits = []
    for complete in (0.95, 0.05):
        call = paused(detects_turns=True)
        call.sounds_done(complete)
        waits.append(ends_at(call))
    assert waits[0] < ends_at(paused()) < waits[1]


def test_an_opinion_of_other_speech_counts_for_nothing() -> None:
    call = paused(detects_turns=True)
    before = ends_at(call)
    call.sounds_done(0.98, speech_end_ms=700)
    assert ends_at(call) == before


def test_an_opinion_that_comes_when_the_caller_goes_on_counts_for_nothing() -> None:
    call = paused(detects_turns=True)
    call.speaks()
    call.sounds_done(0.98)
    call.wait(300)
    call.falls_silent()
    call.understood("a coffee please and")
    assert ends_at(call) == 1100 + call.pause_ms("a coffee please and", pauses_ms=())
    assert call.last(c.PredictTurn) == c.PredictTurn(1100)
    call.sounds_done(0.02)
    late_ms = 1100 + call.pause_ms("a coffee please and", sounds=0.02)
    assert ends_at(call) == late_ms


def test_an_opinion_that_comes_after_the_turn_changes_nothing() -> None:
    call = paused(detects_turns=True)
    call.waits_for_the_end()
    assert call.sounds_done(0.02) == []
    assert len(call.outcomes) == 1


# ---- the recogniser's own signal -----------------------------------------------------------


@pytest.mark.parametrize("signal", ["eager", "final"])
def test_a_signal_shortens_the_pause(signal: str) -> None:
    call = paused()
    before = ends_at(call)
    call.signals(signal)
    assert ends_at(call) == 800 + call.pause_ms(WORDS, signal=signal) < before


def test_a_signal_may_be_taken_back() -> None:
    call = paused()
    before = ends_at(call)
    call.signals("eager")
    call.signals("resumed")
    assert ends_at(call) == before


def test_a_signal_for_another_utterance_is_late() -> None:
    call = paused()
    before = ends_at(call)
    assert call.send(e.TurnSignalled(call.now_ms, 7, "final")) == []
    assert ends_at(call) == before


def test_a_signal_of_the_pause_before_is_forgotten() -> None:
    call = paused()
    call.signals("eager")
    call.wait(250)
    call.pauses("a coffee please and", voiced_ms=400, complete=None)
    assert ends_at(call) == call.now_ms + call.pause_ms("a coffee please and", pauses_ms=(250,))


def test_a_recogniser_that_understood_nothing_is_not_waited_for() -> None:
    call = Scenario(policy=policy(endpointing={"mode": "stt"}))
    call.speaks()
    call.wait(800)
    call.falls_silent()
    call.understood("")
    call.wait(call.setup.policy.endpointing.unknown_ms)
    assert call.outcomes == [("", "unclear")]


def test_where_the_recogniser_decides_voice_activity_does_not() -> None:
    call = Scenario(policy=policy(endpointing={"mode": "stt"}))
    call.speaks()
    call.wait(800)
    call.signals("final")
    assert call.outcomes == []  # nothing is understood yet: there is nothing to answer
    call.hears_partly(WORDS)
    assert call.outcomes == [(WORDS, "answered")]
    assert call.states[0] == "speaking"


def test_a_recogniser_may_be_quicker_than_voice_activity() -> None:
    call = Scenario(policy=policy(endpointing={"mode": "automatic", "min_ms": 200}))
    call.speaks(WORDS)
    call.wait(800)
    call.signals("final")
    assert call.outcomes == []
    call.falls_silent()
    call.understood(WORDS)
    call.wait(250)
    assert call.outcomes == [(WORDS, "answered")]


def test_the_agents_own_words_are_no_turn() -> None:
    """What the agent said comes back over a loudspeaker, and is recognised after its end."""
    call = Scenario(greeting="Welcome to the cafe. We have coffee and cake today.")
    call.voices()
    call.line_starts()
    call.wait(400)
    call.speaks()
    call.send(e.SpeechMeasured(call.now_ms, -35.0, 0.9))
    call.plays_out()
    call.wait(200)
    call.falls_silent()
    call.understood("the cafe we have coffee and cake")
    call.wait(3000)
    assert call.outcomes == [("the cafe we have coffee and cake", "echo")]
    assert not call.all(c.StartGeneration)


STT_DECIDES: dict[str, Any] = {"endpointing": {"mode": "stt", "max_ms": 1300}}


def test_where_the_recogniser_decides_only_its_word_ends_the_turn() -> None:
    call = paused(policy=policy(**STT_DECIDES))
    call.wait(1500)
    call.signals("eager")
    call.wait(500)
    assert call.outcomes == []
    call.signals("final")
    assert call.outcomes == [(WORDS, "answered")]


def test_where_the_recogniser_decides_its_eager_word_begins_the_answer() -> None:
    call = paused(policy=policy(speculation={"prepare": "text"}, **STT_DECIDES))
    call.wait(500)
    assert call.all(c.StartGeneration) == []
    assert call.signals("eager") == [c.StartGeneration(1)]
    call.wait(200)
    told = call.signals("final")
    assert c.ReportSpeculation(1, "adopted", 0, 0) in told


def test_a_recogniser_that_never_decides_is_not_waited_for_without_end() -> None:
    call = paused(policy=policy(**STT_DECIDES))
    call.wait(2299)
    assert call.outcomes == []
    call.wait(1)
    assert call.outcomes == [(WORDS, "answered")]


# ---- push to talk --------------------------------------------------------------------------


def pushing(**changes: Any) -> Scenario:
    return Scenario(policy=policy(endpointing={"mode": "manual"}), **changes)


def test_a_key_that_is_let_go_ends_the_turn() -> None:
    call = pushing()
    assert call.holds_key(True) == [
        c.BeginUtterance(1, 0),
        c.ReportState(c.UserState.SPEAKING, c.AgentState.LISTENING),
    ]
    call.wait(3000)
    call.hears_partly("i would like the")
    call.wait(2000)
    assert c.FinalizeUtterance(1, 1) in call.holds_key(False)
    assert call.outcomes == []
    call.understood("i would like the", complete=0.0)
    assert call.outcomes == [("i would like the", "answered")]


def test_voice_activity_means_nothing_while_a_key_decides() -> None:
    call = pushing()
    assert call.speaks() == []
    assert call.falls_silent() == []
    call.holds_key(True)
    assert call.falls_silent() == []
    assert call.speaks() == []
    assert call.states[0] == "speaking"


@pytest.mark.parametrize("held", [True, False])
def test_a_key_that_is_said_to_move_twice_has_moved_once(held: bool) -> None:
    call = pushing()
    call.holds_key(True)
    if not held:
        call.wait(500)
        call.holds_key(False)
    assert call.holds_key(held) == []


def test_a_key_means_nothing_where_voice_activity_decides() -> None:
    call = Scenario()
    assert call.holds_key(True) == []
    assert call.states[0] == "listening"


def test_the_key_interrupts_the_agent() -> None:
    call = pushing(greeting="Welcome to the cafe. What may I bring you?")
    call.voices()
    call.plays(600)
    told = call.holds_key(True)
    assert c.ReportOverlap("stop", "talk key") in told
    assert c.FlushAudio(1) in told
    assert call.messages == [("assistant", "Welcome to")]


def test_the_key_does_not_interrupt_protected_speech() -> None:
    call = pushing(greeting="This call is recorded.", greeting_protected=True)
    call.voices()
    call.plays(600)
    call.holds_key(True)
    call.wait(500)
    call.holds_key(False)
    call.understood("a coffee")
    assert call.all(c.FlushAudio) == []
    assert c.ReportTurn(1, "a coffee", "answered") in call.plays_out()


def test_a_key_held_without_a_word_is_asked_about() -> None:
    call = pushing()
    call.holds_key(True)
    call.wait(900)
    call.holds_key(False)
    call.understood("")
    assert call.outcomes == [("", "unclear")]
    assert call.spoken == DEFAULT_PHRASES.repeat[0]


# ---- keys of the telephone -----------------------------------------------------------------


def test_digits_are_collected_until_no_other_one_follows() -> None:
    call = Scenario()
    for digit in "1234":
        call.presses(digit)
        call.wait(1900)
    assert call.outcomes == []
    assert c.ReportTurn(1, "1234", "answered", "keys") in call.wait(100)
    assert call.messages == [("user", "1234")]


def test_the_hash_key_ends_them_at_once() -> None:
    call = Scenario()
    told = call.presses(*"42", "#")
    assert c.ReportTurn(1, "42", "answered", "keys") in told


def test_a_star_is_a_key_like_any_other() -> None:
    call = Scenario()
    call.presses("*", "1", "#")
    assert call.outcomes == [("*1", "answered")]


def test_the_hash_key_alone_is_nothing() -> None:
    call = Scenario()
    call.says("tell me")
    call.presses("#")
    assert call.outcomes == [("tell me", "answered")]
    assert call.all(c.CancelGeneration) == []


def test_the_time_between_keys_is_the_agents_own() -> None:
    call = Scenario(policy=policy(endpointing={"keys_ms": 500}))
    call.presses("7")
    call.wait(499)
    assert call.outcomes == []
    call.wait(1)
    assert call.outcomes == [("7", "answered")]


def test_a_key_stops_the_agent() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    told = call.presses("1")
    assert c.ReportOverlap("stop", "key") in told
    assert c.FlushAudio(1) in told
    call.wait(2000)
    assert call.outcomes[-1] == ("1", "answered")


def test_a_key_does_not_stop_protected_speech_and_is_kept() -> None:
    call = Scenario(greeting="This call is recorded.", greeting_protected=True)
    call.voices()
    call.plays(300)
    call.presses("1", "#")
    assert call.all(c.FlushAudio) == []
    assert c.ReportTurn(1, "1", "answered", "keys") in call.plays_out()


def test_keys_and_words_come_in_the_order_in_which_they_were_given() -> None:
    call = Scenario()
    call.pauses("my number is")
    call.presses(*"55")
    call.wait(300)
    call.pauses("and that is all", voiced_ms=400)
    call.wait(2000)
    assert call.outcomes == [("my number is 55 and that is all", "answered")]


def test_keys_pressed_while_the_caller_speaks_come_before_what_is_still_said() -> None:
    call = Scenario()
    call.speaks("press")
    call.presses("5", "#")
    assert call.outcomes == [("5 press", "answered")]
    assert call.states[0] == "speaking"  # and what comes now is another turn
    assert [one.utterance_id for one in call.all(c.BeginUtterance)] == [1, 2]


def test_keys_after_typing_and_typing_after_keys_are_one_turn() -> None:
    call = Scenario(greeting="This call is recorded.", greeting_protected=True)
    call.voices()
    call.plays(300)
    call.types("room")
    call.presses("1", "2")
    call.types("please")
    call.plays_out()
    assert call.outcomes == [("room 12 please", "answered")]


def test_keys_are_never_prepared_for() -> None:
    call = Scenario(policy=policy(speculation={"prepare": "voice"}))
    call.presses("1")
    call.wait(1999)
    assert call.all(c.StartGeneration) == []


# ---- the caller's habit --------------------------------------------------------------------


def hesitating(**endpointing: Any) -> Scenario:
    """A caller who has paused twice in mid-sentence, for 400 ms."""
    call = Scenario(policy=policy(endpointing=endpointing))
    for text in ("my name is", "my name is tim and", "my name is tim and i have a"):
        call.pauses(text, voiced_ms=500, complete=None)
        call.wait(400)
    call.pauses("my name is tim and i have a reservation", complete=None)
    return call


def test_a_caller_who_pauses_is_given_longer() -> None:
    call = hesitating()
    text = "my name is tim and i have a reservation"
    expected_ms = call.pause_ms(text, pauses_ms=(400, 400, 400))
    assert ends_at(call) == call.now_ms + expected_ms
    assert expected_ms >= call.pause_ms(text)
    call.waits_for_the_end()
    assert call.outcomes == [(text, "answered")]


def test_the_habit_may_be_ignored() -> None:
    call = hesitating(habit=0.0)
    assert ends_at(call) == call.now_ms + call.pause_ms("my name is tim and i have a reservation")


def test_a_turn_that_was_cut_off_teaches_the_pause_that_did_it() -> None:
    call = Scenario()
    call.says("a coffee")
    end_ms = 800
    call.wait(100)
    began_ms = call.now_ms
    call.speaks("with")
    call.wait(300)
    call.hears_partly("with milk")
    call.falls_silent()
    call.understood("with milk")
    text = "a coffee with milk"
    assert ("", "merged") in call.outcomes
    assert ends_at(call) == call.now_ms + call.pause_ms(text, pauses_ms=(began_ms - end_ms,))


@pytest.mark.parametrize("typed", [True, False])
def test_who_types_or_presses_keys_teaches_no_pause(typed: bool) -> None:
    call = Scenario()
    for text in ("a coffee", "with milk"):
        if typed:
            call.types(text)
        else:
            call.presses("1", "#")
        call.wait(1000)
    assert ("", "merged") in call.outcomes
    call.answers("Sure.")
    call.voices()
    call.plays_out()
    call.pauses(WORDS, complete=None)
    assert ends_at(call) == call.now_ms + call.pause_ms(WORDS)


# ---- what the agent asked ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "expected", "text"),
    [
        ("What is your phone number?", Expected.DIGITS, "five five five"),
        ("Is that right?", Expected.YES_NO, "yes"),
        ("What can I do for you?", Expected.ANYTHING, "five five five"),
    ],
)
def test_the_agents_question_says_what_to_expect(
    question: str, expected: Expected, text: str
) -> None:
    call = Scenario()
    call.finishes(question)
    call.pauses(text, complete=None)
    assert ends_at(call) == call.now_ms + call.pause_ms(text, expected=expected)


def test_a_number_is_given_longer_than_a_sentence_where_one_was_asked_for() -> None:
    waits = []
    for question in ("What is your phone number?", "What can I do for you?"):
        call = Scenario()
        call.finishes(question)
        call.pauses("five five five", complete=None)
        waits.append(ends_at(call) - call.now_ms)
    assert waits[0] >= waits[1]


def test_an_answer_into_the_question_is_expected_too() -> None:
    call = Scenario()
    call.agent_speaks("What is your phone number?")
    call.plays(600)
    call.speaks("five five")
    call.wait(500)
    call.falls_silent()
    call.understood("five five five")
    assert call.last(c.ReportOverlap).decision == "stop"
    expected_ms = call.pause_ms("five five five", expected=Expected.DIGITS)
    assert ends_at(call) == call.now_ms + expected_ms


# ---- how the caller sounds -----------------------------------------------------------------


def test_the_callers_usual_level_is_learned_while_the_agent_is_silent() -> None:
    call = Scenario()
    call.speaks("hello")
    call.measures(-20.0)
    call.measures(-30.0)
    assert call.conversation._floor.own_level_db == pytest.approx(-22.0)
    assert call.conversation._floor.level_db is None


def test_a_voice_from_afar_only_lowers_the_agent_for_a_moment() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.measures(-60.0)
    told = call.wait(1500)
    assert c.PauseAudio() not in told
    assert c.ResumeAudio() in told
    assert call.last(c.ReportOverlap) == c.ReportOverlap("ignore", "far")
    assert call.states == ("speaking", "speaking")
    call.falls_silent()
    call.understood("")
    assert call.states == ("listening", "speaking")
    assert call.all(c.FlushAudio) == []


def test_the_agents_own_voice_does_not_stop_it() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.measures(-20.0, echo=0.9)
    call.hears_partly("two three four")
    call.wait(600)
    call.falls_silent()
    call.understood("two three four")
    assert call.all(c.FlushAudio) == []
    assert call.states == ("listening", "speaking")


@pytest.mark.parametrize("echo", [0.9, 0.1])
def test_the_agents_last_words_come_back_without_a_word_understood(echo: float) -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.plays(2300)
    call.speaks()
    call.measures(-20.0, echo=echo)
    call.wait(100)
    call.plays_out()
    for _ in range(5):
        call.wait(80)
        call.measures(-20.0)  # the agent is silent: this is nobody's echo
    call.send(e.UserSpeechStopped(call.now_ms, call.now_ms - 350))
    call.wait(2000)  # the recogniser hangs
    if echo > 0.5:
        assert call.outcomes[-1] == ("", "echo")
        assert call.due == "silence"
    else:
        assert call.outcomes[-1] == ("", "unclear")
        assert call.spoken == DEFAULT_PHRASES.repeat[0]


def test_a_near_voice_pauses_the_agent() -> None:
    call = Scenario()
    call.speaks("hello there")
    call.measures(-24.0)
    call.wait(800)
    call.falls_silent()
    call.understood("hello there", complete=1.0)
    call.waits_for_the_end()
    call.answers(ANSWER)
    call.voices()
    call.plays(600)
    call.speaks()
    call.measures(-26.0)
    assert c.PauseAudio() in call.wait(300)


def test_the_level_of_one_overlap_is_not_believed_in_the_next() -> None:
    call = Scenario()
    call.agent_speaks(ANSWER)
    call.speaks()
    call.measures(-60.0, echo=0.9)
    call.wait(100)
    call.falls_silent()
    call.understood("")
    call.wait(300)
    call.speaks()
    assert c.PauseAudio() in call.wait(300)


# ---- kinds of speech -----------------------------------------------------------------------


def in_manner(speech: str) -> Scenario:
    call = Scenario(policy=policy(interruption={"speech": speech}))
    call.agent_speaks(ANSWER)
    return call


def test_patient_speech_is_not_moved_by_sound() -> None:
    call = in_manner("patient")
    call.speaks()
    call.wait(1000)
    call.falls_silent()
    call.understood("")
    assert call.told(c.ResumeAudio) == []
    moved = (c.DuckAudio, c.PauseAudio, c.ResumeAudio, c.FlushAudio)
    assert not [one for one in call.commands if isinstance(one, moved)]
    assert call.outcomes[-1] == ("", "noise")


def test_patient_speech_is_stopped_by_words() -> None:
    call = in_manner("patient")
    call.speaks()
    call.wait(300)
    call.hears_partly("no wait i want tea")
    assert c.FlushAudio(1) in call.commands
    assert call.last(c.ReportOverlap).decision == "stop"


def test_protected_speech_is_stopped_by_nothing_and_what_is_said_is_answered() -> None:
    call = in_manner("protected")
    call.speaks("stop stop")
    call.wait(400)
    call.falls_silent()
    call.understood("stop that please", complete=1.0)
    call.wait(2000)
    call.presses("1")
    assert call.all(c.FlushAudio) == []
    call.plays_out()
    call.wait(2000)
    assert call.outcomes[-1] == ("stop that please 1", "answered")
    assert call.messages[1] == ("assistant", ANSWER)


def test_interruptible_speech_gives_way_to_sound() -> None:
    call = in_manner("interruptible")
    assert c.DuckAudio(-18.0) in call.speaks()


def test_a_greeting_may_be_protected_by_an_agent_that_is_not() -> None:
    call = Scenario(greeting="This call is recorded.", greeting_protected=True)
    call.voices()
    call.plays(100)
    assert call.speaks("stop")
    assert call.all(c.DuckAudio) == []
    call.wait(500)
    call.falls_silent()
    call.understood("stop", complete=1.0)
    call.plays_out()
    call.waits_for_the_end()
    call.answers(ANSWER)
    call.voices()
    call.plays(300)
    assert c.DuckAudio(-18.0) in call.speaks()


@pytest.mark.parametrize("mode", ["automatic", "stt"])
def test_voice_activity_that_begins_twice_is_a_bug(mode: str) -> None:
    call = Scenario(policy=policy(endpointing={"mode": mode}))
    call.speaks()
    with pytest.raises(IllegalEvent, match="while the caller speaks"):
        call.speaks()
