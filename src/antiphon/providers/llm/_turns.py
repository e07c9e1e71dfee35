"""A conversation in turns, as Anthropic and Gemini want it. Pure.

Both want the system text apart, the caller first and last, roles that alternate, and the results of
all tools that were called at once in one turn of the user, right after the calls.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.providers.llm.chat import to_messages
from antiphon.types import Message, ToolCall

GO_ON = "[Go on.]"
"""Ends a conversation whose last word was the agent's: both APIs refuse to answer themselves."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave; `name` is the tool's, which Gemini wants."""

    tool_call_id: str
    name: str
    content: str


Part = str | ToolCall | ToolResult


@dataclass(slots=True)
class Turn:
    """What one side said and did before the other went on."""

    role: Literal["user", "assistant"]
    parts: list[Part] = field(default_factory=list)


def to_turns(messages: Sequence[Message]) -> tuple[str, list[Turn]]:
    """The system text, and the turns. A text that is empty is left out: both refuse it."""
    system, turns, names = list[str](), list[Turn](), dict[str, str]()
    for message in to_messages(messages):
        role, text = message["role"], message["content"]
        if role == "system":
            system.append(text)
            continue
        side: Literal["user", "assistant"] = "assistant" if role == "assistant" else "user"
        if not turns or turns[-1].role != side:
            turns.append(Turn(side))
        parts = turns[-1].parts
        if role == "tool":
            call_id = message["tool_call_id"]
            parts.append(ToolResult(call_id, names[call_id], text))
        elif text and text.strip():
            parts.append(text)
        for call in message.get("tool_calls", ()):
            function = call["function"]
            names[call["id"]] = function["name"]
            parts.append(ToolCall(call["id"], function["name"], function["arguments"]))
    turns = [turn for turn in turns if turn.parts]
    if not turns or turns[-1].role == "assistant":
        turns.append(Turn("user", [GO_ON]))
    return "\n\n".join(system), turns


def object_of(text: str, key: str) -> dict[str, Any]:
    """JSON text as the object that both want; anything else becomes the value of `key`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return value if isinstance(value, dict) else {key: value}
