"""Events of the OpenAI Realtime API -> what they tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.base import Usage
from antiphon.providers.realtime.sending import sound
from antiphon.providers.realtime.wire import (
    Began,
    Counted,
    Heard,
    Refused,
    Said,
    Sounded,
    Told,
    Wanted,
    Whole,
)
from antiphon.types import ToolCall

NAME = "openai"
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


def told(event: dict[str, Any], mark_of: Callable[[str], int | None]) -> Sequence[Told]:
    """What an event tells; `mark_of` gives the mark of a user's item."""
    kind = str(event.get("type"))
    if kind.startswith(_TRANSCRIPTION):
        return _transcript(kind.removeprefix(_TRANSCRIPTION), event, mark_of)
    match kind:
        case "response.created":
            response = event["response"]
            ask = str((response.get("metadata") or {}).get("ask") or "")
            return (Began(response["id"], int(ask) if ask.isdigit() else 0),)
        case "response.output_audio_transcript.delta" | "response.output_text.delta":
            return (Said(event["response_id"], str(event["delta"])),)
        case "response.output_audio.delta":
            return (Sounded(event["response_id"], sound(event["delta"], NAME)),)
        case "response.output_item.done":
            return _tool(event["response_id"], event["item"])
        case "response.done":
            return _done(event["response"])
    return ()


def _transcript(
    kind: str, event: dict[str, Any], mark_of: Callable[[str], int | None]
) -> Sequence[Told]:
    mark = mark_of(str(event.get("item_id")))
    if mark is None:
        return ()
    match kind:
        case "delta":
            return (Heard(str(event.get("delta") or ""), False, mark, more=True),)
        case "completed":
            return (Heard(str(event.get("transcript") or ""), True, mark),)
        case "failed":
            return (Heard("", True, mark, more=True),)
    return ()


def _tool(key: str, item: dict[str, Any]) -> Sequence[Told]:
    if item.get("type") != "function_call" or item.get("status") == "incomplete":
        return ()
    call = ToolCall(str(item["call_id"]), str(item["name"]), str(item.get("arguments") or "{}"))
    return (Wanted(key, call),)


def _done(response: dict[str, Any]) -> Sequence[Told]:
    key, status = str(response["id"]), response.get("status")
    details = response.get("status_details") or {}
    error = failure(details.get("error")) if status == "failed" else None
    whole = Whole(key, error, cut=details.get("reason") == "turn_detected")
    usage = usage_of(response)
    return (whole,) if usage is None else (Counted(usage), whole)


def usage_of(response: dict[str, Any]) -> Usage | None:
    """Tokens of a response; sound is counted as tokens, too
    (platform.openai.com/docs/api-reference/realtime-server-events/response/done)."""
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_token_details") or {}
    written = usage.get("output_token_details") or {}
    cached = details.get("cached_tokens_details") or {}
    return Usage(
        int(usage.get("input_tokens") or 0),
        int(usage.get("output_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        audio_input_tokens=int(details.get("audio_tokens") or 0),
        audio_output_tokens=int(written.get("audio_tokens") or 0),
        audio_cached_tokens=int(cached.get("audio_tokens") or 0),
    )


def failure(error: Any) -> ProviderError:
    """The error in an event."""
    error = error if isinstance(error, dict) else {}
    text = str(error.get("message") or error.get("code") or "an error without a message")[:300]
    final = error.get("type") in ("invalid_request_error", "authentication_error")
    final = final or error.get("code") in ("insufficient_quota", "invalid_api_key")
    return ProviderError(text, provider=NAME, retryable=not final)


def refused(ask: int, error: ProviderError) -> Sequence[Told]:
    """A request for an answer was refused."""
    return (Refused(ask, error),)


def unheard(mark: int) -> Sequence[Told]:
    """There was nothing to be committed."""
    return (Heard("", True, mark),)
