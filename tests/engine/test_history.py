"""The LLM is shown what was said, and of the agent's words those that were heard."""

from __future__ import annotations

import pytest

from antiphon.engine.history import STILL_RUNNING, History
from antiphon.types import Message, ToolCall

CALL = ToolCall("t1", "find", "{}")


def test_an_answer_is_remembered_as_it_was_heard() -> None:
    history = History()
    history.add_user(1, "hello")
    history.add_step(1)
    history.add_text(1, "Good morning ")
    history.add_text(1, "to you.")
    assert history.messages()[-1] == Message("assistant", "Good morning to you.")
    history.close(1, ["Good morning"], interrupted=True)
    assert history.messages() == (
        Message("user", "hello"),
        Message("assistant", "Good morning", interrupted=True),
    )


def test_an_answer_of_which_nothing_was_heard_is_not_shown() -> None:
    history = History()
    history.add_step(1)
    history.add_text(1, "Good morning")
    history.close(1, [""], interrupted=True)
    assert history.messages() == ()


def test_a_tool_that_still_runs_has_an_output_too() -> None:
    history = History()
    history.add_step(1)
    history.add_tool_call(1, CALL)
    assert history.knows_tool_call("t1")
    assert not history.knows_tool_call("t2")
    assert history.messages() == (
        Message("assistant", "", (CALL,)),
        Message("tool", STILL_RUNNING, (), "t1"),
    )
    history.set_output("t1", "42")
    assert history.messages()[-1] == Message("tool", "42", (), "t1")


def test_each_step_of_an_answer_keeps_its_own_words_and_calls() -> None:
    history = History()
    history.add_step(1)
    history.add_text(1, "Let me look.")
    history.add_tool_call(1, CALL)
    history.set_output("t1", "42")
    history.add_step(1)
    history.add_text(1, "It is forty-two.")
    history.close(1, ["Let me look.", "It is"], interrupted=True)
    assert [(m.role, m.content, m.interrupted) for m in history.messages()] == [
        ("assistant", "Let me look.", False),
        ("tool", "42", False),
        ("assistant", "It is", True),
    ]


def test_taking_a_turn_back_leaves_nothing_of_its_answer() -> None:
    history = History()
    history.add_user(1, "a coffee")
    history.add_step(1)
    history.add_text(1, "Sure.")
    history.close(1, ["Sure."], interrupted=False)
    history.add_user(2, "goodbye")
    history.add_step(2)
    history.add_tool_call(2, ToolCall("e1", "end_call", "{}"))
    history.set_output("e1", "{}")
    history.reopen(2, 2)
    assert [(m.role, m.content) for m in history.messages()] == [
        ("user", "a coffee"),
        ("assistant", "Sure."),
    ]


def test_closing_what_never_had_words_is_harmless() -> None:
    history = History()
    history.close(7, [], interrupted=True)
    assert history.messages() == ()


def test_text_for_an_unknown_answer_is_a_bug() -> None:
    history = History()
    history.add_user(1, "hello")
    history.add_step(1)
    with pytest.raises(KeyError):
        history.add_text(2, "x")
