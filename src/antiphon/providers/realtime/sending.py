"""Frames as they are sent, and sound in them."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.realtime.wire import Frame
from antiphon.types import Message, ToolSpec


def encoded(frame: Frame) -> str | bytes:
    """A frame as a WebSocket's message."""
    return json.dumps(frame) if isinstance(frame, dict) else frame


def decoded(frame: str | bytes, provider: str) -> dict[str, Any]:
    """A vendor's JSON message.

    Raises:
        ProviderError: it is none.
    """
    try:
        value = json.loads(frame)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        message = f"not a message: {frame[:80]!r}"
        raise ProviderError(message, provider=provider, retryable=True)
    return value


def sound(text: Any, provider: str) -> bytes:
    """Audio written as base64.

    Raises:
        ProviderError: it is not.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ProviderError("audio that is not base64", provider=provider, retryable=True) from None


def base64_of(pcm: bytes) -> str:
    """Audio as base64."""
    return base64.b64encode(pcm).decode("ascii")


def functions(tools: tuple[ToolSpec, ...]) -> list[dict[str, Any]]:
    """Tools as name, description and parameters, which all vendors want."""
    return [
        {"name": one.name, "description": one.description, "parameters": one.parameters}
        for one in tools
    ]


def as_told(message: Message) -> str:
    """A message as text in brackets, for a model that cannot be given it otherwise."""
    match message.role:
        case "assistant":
            said = f'[You have said to the caller: "{message.content}"]' if message.content else ""
            calls = [f"[You have called {one.name}({one.arguments})]" for one in message.tool_calls]
            return " ".join([said, *calls]).strip()
        case "tool":
            return f"[A tool has answered: {message.content}]"
        case "user":
            return message.content
        case _:
            return f"[{message.content}]"


def as_heard(text: str) -> str:
    """What was heard of an answer, for a model that cannot be corrected otherwise."""
    if not text:
        return "[The caller has heard nothing of your last answer.]"
    return f'[The caller interrupted you; of your last answer they heard only: "{text}"]'
