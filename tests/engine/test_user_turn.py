"""The caller's turn: its parts, what is final, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.engine.commands import (
    BeginUtterance,
    Command,
    EndUtterance,
    FinalizeUtterance,
)
from antiphon.engine.endpointing import Clues, wait_ms
from antiphon.engine.language import language_of
from antiphon.engine.policy import Endpointing
from antiphon.engine.user_turn import Phase, UserTurn

ENGLISH = language_of("en")


def fresh(*, predicts: bool = False, **changes: Any) -> tuple[UserTurn, list[Command]]:
    out: list[Command] = []
    return UserTurn(Endpointing(**changes), ENGLISH, out, predicts=predicts), out


def spoken(complete: float | None = None, text: str = "a coffee") -> UserTurn:
    """A turn from 1000 to 2000 whose final transcript is in."""
    user, _ = fresh()
    user.speech_started(1000)
    user.speech_stopped(2000)
    assert user.completed(1, 1, text, 0.9, complete, 2050) is bool(text)
    return user


def pause_ms(text: str, complete: float | None = None, **known: Any) -> int:
    """How long the pause after these words has to be."""
    return wait_ms(Clues(text, complete, **known), Endpointing(), ENGLISH)


def test_the_transcript_is_asked_for_inside_the_pause() -> None:
    user, out = fresh()
    user.speech_started(100)
    assert (user.phase, user.turn_id, user.due_ms()) == (Phase.SPEAKING, 1, None)
    user.speech_stopped(900)
    assert out == [BeginUtterance(1, 100), FinalizeUtterance(1, 1)]
    assert user.due_ms() == 900 + Endpointing().stt_deadline_ms


def test_another_recogniser_is_given_time_while_nothing_is_understood() -> None:
    ends = Endpointing()
    user = UserTurn(ends, ENGLISH, [], predicts=False, stts=2)
    user.speech_started(100)
    user.speech_stopped(900)
    assert user.due_ms() == 900 + ends.stt_deadline_ms + ends.stt_fallback_ms
    user.partial(1, "a coffee", None, 950)
    assert user.due_ms() == 900 + ends.stt_deadline_ms


@pytest.mark.parametrize("complete", [None, 0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_wait_is_graded_by_what_is_known_of_the_words(complete: float | None) -> None:
    assert spoken(complete).due_ms() == 2000 + pause_ms("a coffee", complete)


def test_the_wait_shrinks_as_the_phrase_looks_complete() -> None:
    waits = [spoken(complete).due_ms() or 0 for complete in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > waits[2] > waits[4]


def test_the_wait_without_words_does_not_trust_the_score() -> None:
    assert spoken(1.0, text="").due_ms() == 2000 + Endpointing().unknown_ms


def test_a_click_in_the_pause_does_not_prolong_it() -> None:
    user = spoken(1.0)
    user.speech_started(2050)
    user.speech_stopped(2110)
    assert user.final
    assert user.due_ms() == 2000 + pause_ms("a coffee", 1.0)
    # What it was is asked for all the same, and used when it comes in time.
    assert user.completed(1, 2, "a coffee please", 0.9, 1.0, 2150)
    assert user.text == "a coffee please"
    assert user.due_ms() == 2000 + pause_ms("a coffee please", 1.0)


def test_a_short_word_in_the_pause_does() -> None:
    user = spoken(1.0)
    user.speech_started(2050)
    user.speech_stopped(2200)
    assert not user.final


def test_speech_that_goes_on_belongs_to_the_same_turn_and_utterance() -> None:
    user, out = fresh()
    user.speech_started(100)
    assert user.partial(1, "i want", 0.1, 1000)
    user.speech_stopped(500)
    assert not user.completed(1, 1, "i want", 0.8, 0.0, 2000)  # known already
    assert user.final
    user.speech_started(900)
    assert user.partial(1, "i want a latte", None, 1000)
    assert user.text == "i want a latte"
    user.speech_stopped(1500)
    assert user.completed(1, 2, "i want a large latte", 0.9, 1.0, 2000)
    assert (user.turn_id, user.text, user.final) == (1, "i want a large latte", True)
    assert [one for one in out if isinstance(one, BeginUtterance)] == [BeginUtterance(1, 100)]
    assert user.voiced_ms(9999) == 1400


def test_late_transcripts_change_nothing() -> None:
    user = spoken()
    assert not user.partial(1, "late", None, 1000)
    assert not user.partial(2, "unknown", None, 1000)
    assert not user.completed(1, 1, "twice", 1.0, None, 2000)
    assert not user.completed(1, 2, "never asked for", 1.0, None, 2000)
    assert not user.completed(0, 1, "no utterance", 1.0, None, 2000)
    assert (user.text, user.believed(0.9), user.believed(0.91)) == ("a coffee", "a coffee", "")


def test_the_transcript_of_an_earlier_pause_is_used_but_not_final() -> None:
    user, _ = fresh()
    user.speech_started(0)
    user.speech_stopped(500)
    user.speech_started(600)
    user.speech_stopped(900)
    assert user.completed(1, 1, "a", 1.0, None, 2000)
    assert (user.text, user.final) == ("a", False)


def test_a_monologue_is_passed_on_in_pieces() -> None:
    user, out = fresh()
    user.speech_started(1000)
    assert user.roll_ms() == 31_000
    user.roll(31_000)
    assert user.roll_ms() == 61_000
    assert user.completed(1, 1, "once upon", 0.7, None, 2000)
    assert user.partial(2, "a time", None, 1000)
    assert user.text == user.believed(0.7) == "once upon a time"
    assert user.believed(0.71) != user.text
    user.speech_stopped(40_000)
    assert user.roll_ms() is None
    user.completed(2, 1, "a time", 0.9, None, 2000)
    user.close()
    assert out == [
        BeginUtterance(1, 1000),
        FinalizeUtterance(1, 1),
        BeginUtterance(2, 31_000),
        EndUtterance(1),
        FinalizeUtterance(2, 1),
        EndUtterance(2),
    ]


def test_closing_ends_every_utterance_once() -> None:
    user, out = fresh()
    user.speech_started(0)
    user.roll(30_000)
    user.close()
    assert [one for one in out if isinstance(one, EndUtterance)] == [
        EndUtterance(1),
        EndUtterance(2),
    ]
    assert (user.phase, user.text, user.source) == (Phase.IDLE, "", "speech")


def test_typed_text_is_a_turn_at_once() -> None:
    user, out = fresh()
    user.typed("a latte", 500)
    assert (user.turn_id, user.text, user.source, user.final) == (1, "a latte", "text", True)
    assert (user.due_ms(), user.believed(1.0), out) == (500, user.text, [])
    user.close()
    assert out == []


def test_typing_while_speaking_keeps_the_utterance_alive() -> None:
    user, out = fresh()
    user.speech_started(0)
    user.typed("latte", 300)
    user.speech_stopped(600)
    user.completed(1, 1, "please", 1.0, None, 2000)
    assert (user.text, user.final) == ("latte please", True)
    user.close()
    assert out == [BeginUtterance(1, 0), FinalizeUtterance(1, 1), EndUtterance(1)]


def test_speaking_after_typing_is_a_new_utterance_of_the_same_turn() -> None:
    user, out = fresh()
    user.typed("latte", 300)
    user.speech_started(500)
    assert (user.turn_id, user.phase) == (1, Phase.SPEAKING)
    assert out == [BeginUtterance(1, 500)]


def test_speaking_on_after_typing_in_a_pause_ends_the_old_utterance_too() -> None:
    user, out = fresh()
    user.speech_started(0)
    user.speech_stopped(400)
    user.typed("latte", 500)
    user.speech_started(600)
    user.speech_stopped(900)
    user.close()
    begun = [one.utterance_id for one in out if isinstance(one, BeginUtterance)]
    ended = [one.utterance_id for one in out if isinstance(one, EndUtterance)]
    assert sorted(ended) == begun


def test_a_reopened_turn_begins_with_its_old_words() -> None:
    user, _ = fresh()
    user.speech_started(0)
    user.partial(1, "with milk", None, 1000)
    user.reopen(7, "a coffee", 0)
    assert (user.turn_id, user.text) == (7, "a coffee with milk")
    user.close()
    user.speech_started(5000)
    assert user.turn_id == 2


def test_restarting_while_the_caller_speaks_begins_a_new_turn_from_now_on() -> None:
    user, out = fresh()
    user.speech_started(0)
    user.restart(30_000)
    assert (user.turn_id, user.phase, user.voiced_ms(30_500)) == (2, Phase.SPEAKING, 500)
    assert out == [BeginUtterance(1, 0), EndUtterance(1), BeginUtterance(2, 30_000)]
    user.speech_stopped(31_000)
    user.restart(32_000)
    assert user.phase is Phase.IDLE


def test_a_stop_that_lies_before_the_start_is_moved_to_it() -> None:
    user, _ = fresh()
    user.speech_started(500)
    user.speech_stopped(400)
    assert (user.speech_end_ms, user.voiced_ms(9999)) == (500, 0)
