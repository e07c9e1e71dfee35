"""The notation of phrases and sentences, and what is refused."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from antiphon.agent.flow import FlowConfig
from antiphon.agent.flow_template import parse_macros, parse_template, render, sample, slots_of


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"size": "large", "drink": "latte"}, "A large latte."),
        (
            {"size": "eight ounce", "drink": "latte", "milk": "milk"},
            "An eight ounce latte with milk.",
        ),
        ({"drink": "tea", "milk": "milk", "sugar": "sugar"}, "A tea with milk and sugar."),
    ],
)
def test_render(values: dict[str, str], text: str) -> None:
    template = parse_template("a {size, roast} {drink} [with {milk & sugar}].")
    assert render(template, values) == text
    assert slots_of(template) == {"size", "roast", "drink", "milk", "sugar"}


def test_sample_takes_every_way() -> None:
    template = parse_template("[please] (get|give) me {a, b}")
    rng = random.Random(1)
    said = {sample(template, rng, str.upper, parse_macros({})) for _ in range(400)}
    assert {"get me A B", "please give me B A", "give me A", "get me"} <= said
    assert len(said) == 2 * 2 * 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(a|b", "not closed"),
        ("a]", "unexpected"),
        ("{a, b & c}", "mixes"),
        ("{two words}", "not a slot's name"),
        ("{a", "unexpected"),
    ],
)
def test_mistakes_are_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_template(text)


def flow(**changes: Any) -> dict[str, Any]:
    intent: dict[str, Any] = {
        "phrases": ["<want> {drink}"],
        "slots": {"drink": {"values": ["tea"], "required": True, "ask": "What?"}},
        "confirm": "{drink}?",
        "tool": "order",
        "done": "Done.",
    }
    return {"help": "Say tea.", "intents": {"order": intent | changes}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"phrases": ["<wnat> {drink}"]}, "unknown macro <wnat>"),
        ({"phrases": ["{drnk}"]}, "unknown slot {drnk}"),
        ({"confirm": "Right?"}, "does not say back: drink"),
        ({"tool": ""}, "either an `answer` or a `tool`"),
        ({"done": ""}, "needs `confirm` and `done`"),
        ({"slots": {"drink": {"values": ["tea"], "required": True}}}, "needs a question"),
        ({"slots": {"drink": {"ask": "What?"}}}, "a choice needs `values`"),
        ({"nonsense": 1}, "Extra inputs"),
        ({"check": {"tool": "look", "otherwise": "No."}}, "does not say back: drink"),
    ],
)
def test_a_flow_that_cannot_work_is_refused(changes: dict[str, Any], problem: str) -> None:
    FlowConfig.model_validate(flow())
    with pytest.raises(ValidationError, match=problem):
        FlowConfig.model_validate(flow(**changes))
