"""Frozen values that every room may use: words, messages, tools.

Time is integer milliseconds. Audio inside the server is signed 16-bit little-endian mono PCM, and
what the caller says is always 16 kHz, in frames of 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

INPUT_RATE_HZ = 16_000
"""Sample rate of the caller's audio everywhere inside the server."""
FRAME_MS = 20
"""Length of one audio frame."""
FRAME_BYTES = INPUT_RATE_HZ * FRAME_MS // 1000 * 2
"""Bytes of one 20 ms input frame (640)."""

END_CALL_TOOL = "end_call"
"""Every agent has this tool: the call ends when the response that asked for it was heard."""
TRANSFER_TOOL = "transfer_call"
"""Pass the caller to a person, once the response that asked was heard: `{"target": name}`."""
DIGITS_TOOL = "collect_digits"
"""Have the caller type a number, once the response that asked was heard: `{"name": name}`."""
KEYS_TOOL = "press_keys"
"""Send telephone keys to the other side: `{"keys": "12#"}`."""


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; times are relative to the start of the audio that it belongs to."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the LLM asks for. `arguments` is the JSON text exactly as the model wrote it."""

    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation as an LLM sees it.

    `content` of an assistant message is what the caller *heard*; `interrupted` marks one that was
    cut short. A tool's result has role `tool` and the id of its call.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What an LLM is told about a tool. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any] = field(default_factory=dict)
