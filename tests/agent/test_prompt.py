"""The system message."""

from __future__ import annotations

from typing import Any

from antiphon.agent.config import AgentConfig
from antiphon.agent.prompt import system_message, system_prompt
from antiphon.providers.llm.chat import INTERRUPTED


def agent(**more: Any) -> AgentConfig:
    return AgentConfig.model_validate({"name": "Ann", **more})


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
