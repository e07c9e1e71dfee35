"""The money gets short: what the agent does, and that the call ends politely."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.scenario import DEFAULT_PHRASES, Scenario, policy

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.dead_air import SPENT_GOODBYE_MS
from antiphon.engine.policy import Phrases

GOODBYE = DEFAULT_PHRASES.budget_end
ANSWER = "One two three four five six. Seven eight nine ten."


class Payer(Scenario):
    """A call that is paid for."""

    def spends(self, level: str, scope: str = "call") -> list[c.Command]:
        return self.send(e.BudgetReached(self.now_ms, level, scope))

    def generations(self) -> list[int]:
        return [one.attempt for one in self.all(c.StartGeneration)]

    def says_goodbye_and_ends(self) -> None:
        """What is under way is spoken to its end, and nothing else happens."""
        asked = len(self.generations())
        self.voices()
        self.plays_out()
        assert self.last(c.EndCall) == c.EndCall("budget")
        assert len(self.generations()) == asked


def test_a_warning_is_told_once_and_changes_nothing() -> None:
    call = Payer(llms=2, cheaper_llm=1)
    assert call.spends("warn", "day") == [c.ReportBudget("warn", "day")]
    assert call.spends("warn", "server") == []
    call.says("tell me")
    assert call.generations() == [0]


def test_the_cheaper_llm_is_asked_from_the_next_answer_on() -> None:
    call = Payer(llms=2, cheaper_llm=1)
    call.says("tell me")
    assert c.ReportBudget("cheaper", "call") in call.spends("cheaper")
    call.answers(ANSWER)
    call.voices()
    call.plays_out()
    call.says("and more")
    assert call.generations() == [0, 1]


def test_an_agent_without_a_cheaper_llm_goes_on_with_its_own() -> None:
    call = Payer(llms=2)
    call.spends("cheaper")
    call.says("tell me")
    assert call.generations() == [0]


def test_a_failed_llm_gives_way_to_the_cheaper_one_too() -> None:
    call = Payer(llms=3, cheaper_llm=2)
    call.says("tell me")
    call.spends("cheaper")
    call.llm_fails()
    assert call.generations() == [0, 2]
    call.llm_fails()
    assert call.generations() == [0, 2, 0]


def test_when_nobody_speaks_the_call_ends_at_once() -> None:
    call = Payer()
    told = call.spends("end")
    assert c.ReportBudget("end", "call") in told
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


def test_an_answer_under_way_is_heard_to_its_end() -> None:
    call = Payer()
    call.agent_speaks(ANSWER)
    call.spends("end")
    call.plays_out()
    assert call.spoken == GOODBYE
    assert call.all(c.ReportResponse)[1].heard == ANSWER
    call.says_goodbye_and_ends()


def test_a_caller_who_speaks_is_heard_to_the_end_and_told() -> None:
    call = Payer()
    call.speaks("what about")
    call.spends("end")
    assert not call.all(c.SynthesizeText)
    call.wait(500)
    call.falls_silent()
    call.understood("what about tomorrow", complete=1.0)
    call.waits_for_the_end()
    assert call.outcomes == [("what about tomorrow", "answered")]
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()
    assert call.generations() == []


def test_a_tool_is_waited_for_and_its_result_is_not_generated_about() -> None:
    call = Payer()
    call.says("look it up")
    call.writes("I will look.")
    call.wants_tool("lookup")
    call.is_done_writing()
    call.spends("end")
    call.tool_returns()
    assert call.spoken == f"I will look. {GOODBYE}"
    call.says_goodbye_and_ends()


def test_an_llm_that_fails_now_is_not_replaced() -> None:
    call = Payer(llms=2)
    call.says("tell me")
    call.spends("end")
    call.llm_fails()
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


def test_a_prepared_answer_is_dropped_and_no_other_is_begun() -> None:
    call = Payer(policy=policy(speculation={"prepare": "text"}, endpointing={"min_ms": 400}))
    call.pauses("tell me")
    call.wait(150)
    assert call.generations() == [0]
    told = call.spends("end")
    assert c.ReportSpeculation(1, "dropped", 0, 0) in told
    call.waits_for_the_end()
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


def test_the_rest_of_an_answer_whose_voice_failed_is_not_said() -> None:
    call = Payer(voices=2)
    call.agent_speaks(ANSWER)
    call.spends("end")
    call.voice_fails()
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


@pytest.mark.parametrize("interrupts", [True, False])
def test_whoever_talks_on_is_cut_off_in_the_end(interrupts: bool) -> None:
    call = Payer()
    call.spends("end")
    if interrupts:
        call.voices()
        call.plays(300)
    call.speaks("no no wait stop")
    call.wait(SPENT_GOODBYE_MS - call.now_ms - 1)
    assert not call.all(c.EndCall)
    call.wait(1)
    assert call.all(c.EndCall) == [c.EndCall("budget")]


def test_who_is_not_understood_is_not_asked_again() -> None:
    call = Payer()
    call.speaks()
    call.spends("end")
    call.wait(1500)
    call.falls_silent()
    call.understood("")
    call.waits_for_the_end()
    assert call.outcomes == [("", "unclear")]
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


def test_who_interrupts_the_goodbye_hears_it_again() -> None:
    call = Payer()
    call.spends("end")
    call.voices()
    call.plays(300)
    call.says("but I have a question")
    assert call.outcomes[-1] == ("but I have a question", "answered")
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


def test_an_agent_without_words_just_hangs_up() -> None:
    call = Payer(phrases=Phrases(budget_end=""))
    call.spends("end")
    assert call.all(c.EndCall) == [c.EndCall("budget")]


def test_a_turn_is_answered_with_something_in_any_case() -> None:
    call = Payer(phrases=Phrases(budget_end=""))
    call.speaks()
    call.spends("end")
    call.wait(600)
    call.falls_silent()
    call.understood("hello there", complete=1.0)
    call.waits_for_the_end()
    assert call.spoken == DEFAULT_PHRASES.goodbye
    call.says_goodbye_and_ends()


def test_the_longest_call_is_no_longer_for_it() -> None:
    call = Payer(policy=policy(silence={"max_call_ms": 10_000}))
    call.speaks("and so on")
    call.wait(20_000)
    call.spends("end")
    call.wait(SPENT_GOODBYE_MS)
    assert call.all(c.EndCall) == [c.EndCall("budget")]


def test_a_call_that_is_restored_still_ends() -> None:
    call = Payer()
    call.agent_speaks(ANSWER)
    call.spends("end")
    call.is_restored()
    assert call.spoken == GOODBYE
    call.says_goodbye_and_ends()


@pytest.mark.parametrize("level", ["warn", "cheaper", "end"])
def test_nothing_is_spent_after_the_call(level: str) -> None:
    call = Payer()
    call.hangs_up()
    assert call.spends(level) == []


def test_a_longest_call_drops_the_rest_of_an_answer() -> None:
    """It would be owed for ever: the agent would say goodbye again and again."""
    changes: dict[str, Any] = {"silence": {"max_call_ms": 10_000, "check_in_ms": 600_000}}
    call = Payer(voices=2, policy=policy(**changes))
    call.wait(9000)
    call.agent_speaks(ANSWER)
    call.wait(1000)
    call.voice_fails()
    assert call.spoken == DEFAULT_PHRASES.goodbye
    call.voices()
    call.plays_out()
    assert call.all(c.EndCall) == [c.EndCall("the call was too long")]
