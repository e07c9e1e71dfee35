"""Whether a phrase is likely to be all, by what callers say to an agent."""

from __future__ import annotations

import pytest

from antiphon.agent.default import default_agent
from antiphon.agent.endings import Endings
from antiphon.agent.load import load_agent


@pytest.fixture(scope="module")
def cafe() -> Endings:
    endings = load_agent(default_agent()).endings
    assert endings is not None
    return endings


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ("get me a double shot", "get me a double shot mocha with almond milk"),
        ("i'd like", "i'd like a medium latte with sugar"),
        ("I want a large light roast", "I want a large light roast house coffee."),
        ("can i have a latte with", "can i have a latte with brown sugar"),
    ],
)
def test_an_order_cut_in_the_middle_is_less_complete(cafe: Endings, part: str, whole: str) -> None:
    before, after = cafe.complete(part), cafe.complete(whole)
    assert before is not None
    assert after is not None
    assert before < 0.5 < 0.7 < after


def test_words_that_nobody_says_here_tell_nothing(cafe: Endings) -> None:
    assert cafe.complete("the weather in helsinki") is None
    assert cafe.complete("seven nine two one") is None
    assert cafe.complete("") is None
    assert cafe.complete("…") is None


def test_the_longest_known_context_counts() -> None:
    endings = Endings(["a latte"] * 6 + ["make it a latte please"] * 6)
    alone, within = endings.complete("a latte"), endings.complete("make it a latte")
    assert alone is not None
    assert within is not None
    assert alone > 0.9
    assert within < 0.5


def test_few_samples_are_not_believed() -> None:
    assert Endings(["a latte"] * 5).complete("a latte") is None
