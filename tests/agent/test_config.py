"""The models of the agent's file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from antiphon.agent.config import AgentConfig
from antiphon.agent.prompt import system_message, system_prompt
from antiphon.engine.policy import Phrases, TurnPolicy
from antiphon.providers.llm.chat import INTERRUPTED


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


def test_system_message() -> None:
    text = system_prompt(agent(persona="You sell tea.", language="de-AT", vocabulary=["Assam"]))
    assert text.startswith("You sell tea.")
    for part in ("Your name is Ann.", "German (de-AT)", "markdown", INTERRUPTED, "Assam"):
        assert part in text
    assert "tool" not in text
    assert system_message(agent()).role == "system"


def test_system_message_speaks_of_tools_when_there_are_any() -> None:
    tools = [{"name": "a", "description": "b", "python": "c.py:d"}]
    assert "Never claim" in system_prompt(agent(tools=tools))
