"""The models of the agent's file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from antiphon.agent.config import AgentConfig
from antiphon.engine.policy import Phrases, TurnPolicy


def agent(**more: Any) -> AgentConfig:
    return AgentConfig.model_validate({"name": "Ann", **more})


def test_defaults_are_those_of_the_engine() -> None:
    config = agent()
    assert (config.turn, config.phrases) == (TurnPolicy(), Phrases())


def test_every_number_of_the_policy_can_be_written_and_has_its_range() -> None:
    for group in dataclasses.fields(TurnPolicy):
        section = getattr(TurnPolicy(), group.name)
        for item in dataclasses.fields(section):
            if "max" not in item.metadata:
                continue
            written = {group.name: {item.name: item.metadata["max"] + 1}}
            with pytest.raises(ValidationError) as caught:
                agent(turn=written)
            assert caught.value.errors()[0]["loc"] == ("turn", group.name, item.name)


def test_a_config_survives_being_dumped() -> None:
    config = agent(llm={"provider": "openai", "model": "m"}, phrases={"goodbye": "Bye."})
    assert AgentConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("value", [True, "3", 3.5, None, [], {}])
def test_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(ValidationError):
        agent(turn={"dead_air": {"tool_rounds": value}})


def test_a_list_of_words_is_a_vocabulary() -> None:
    assert agent(vocabulary=["latte"]).vocabulary == {"latte": None}
    with pytest.raises(ValidationError):
        agent(vocabulary=["latte", True])


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "string"}, "must say `type: object`"),
        ({}, "must say `type: object`"),
        ({"type": "object", "properties": {"a": {"type": "strin"}}}, "properties.a.type: 'strin'"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "properties.a.pattern"),
        ({"type": "object", "$ref": "http://x/y"}, "is not in this schema"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}, "is not in this schema"),
    ],
)
def test_schemas_of_tools_are_checked(schema: dict[str, Any], says: str) -> None:
    tool = {"name": "a", "description": "b", "python": "c.py:d", "parameters": schema}
    with pytest.raises(ValidationError, match="parameters") as caught:
        agent(tools=[tool])
    assert says in caught.value.errors()[0]["msg"]


def test_a_schema_may_refer_to_itself() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {}}}
    tool = {"name": "a", "description": "b", "python": "c.py:d", "parameters": schema}
    assert agent(tools=[tool]).tools[0].parameters == schema


def test_a_budget_names_what_happens_when() -> None:
    config = agent(
        llm="flow",
        fallback={"llm": "auto", "stt": "scripted", "hedge_ms": 600},
        budget={"call": {"warn": 0.5, "cheaper": 0.8, "end": 1}, "cheaper_llm": "ollama"},
    )
    assert [one.provider for one in config.brains] == ["flow", "auto", "ollama"]
    assert [one.provider for one in agent(llm="flow").brains] == ["flow"]


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({"call": {"warn": 2, "end": 1}}, "`warn` <= `cheaper` <= `end` must hold"),
        ({"day": {"cheaper": 1}}, "name it as `cheaper_llm`"),
        ({"call": {"end": -1}}, "greater than or equal to 0"),
        ({"call": {"end": "1"}}, "valid number"),
        ({"week": {"end": 1}}, "not permitted"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(budget: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match="budget") as caught:
        agent(budget=budget)
    assert says in caught.value.errors()[0]["msg"]
