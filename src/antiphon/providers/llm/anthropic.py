"""Anthropic's Messages API.

https://platform.claude.com/docs/en/api/messages and .../build-with-claude/streaming; the version of
the API is the one that Anthropic's SDK 2 asks for, which knows no `temperature`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from antiphon.errors import ProviderError
from antiphon.providers.base import (
    AgentHints,
    LlmEvent,
    LlmRequest,
    ProviderOptions,
    TextDelta,
    Traits,
    Usage,
)
from antiphon.providers.llm._endpoint import Endpoint, RequestOptions, an_address
from antiphon.providers.llm._turns import Part, ToolResult, object_of, to_turns
from antiphon.providers.llm.chat import count
from antiphon.providers.secret import Secret, vendor_key
from antiphon.types import ToolCall

URL = "https://api.anthropic.com"
KEY_VARIABLE = "ANTHROPIC_API_KEY"
API_VERSION = "2026-10-21"

# https://platform.claude.com/docs/en/api/errors; a type that is not listed may pass.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_CACHED = {"cache_control": {"type": "ephemeral"}}


class AnthropicOptions(RequestOptions):
    """Options of `llm: anthropic`."""

    base_url: str = Field(default=URL, description="The server, without `/v1`.")
    api_key: Secret | None = Field(
        default=None, description=f"The key, as `${{VARIABLE}}`; `{KEY_VARIABLE}` when absent."
    )
    model: str = Field(default="claude-haiku-5-5", description="The model.")
    max_tokens: int = Field(
        default=1024, ge=1, description="Longest answer in tokens, thoughts included."
    )
    thinking: Literal["auto", "disabled", "between_tools", "adaptive"] = Field(
        default="auto",
        description="Whether the model thinks first, which takes seconds. `auto` turns it off "
        "where that is possible (Haiku, Sonnet); others decide. Thoughts are never spoken.",
    )
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How thorough an answer is; the model's own when absent."
    )
    prompt_caching: bool = Field(
        default=True,
        description="Have tools, persona and conversation so far kept for five minutes, which "
        "makes the next turn quicker and cheaper.",
    )

    _address = field_validator("base_url")(an_address)


class AnthropicLlm:
    """Claude, by Anthropic's own API."""

    Options: ClassVar[type[ProviderOptions]] = AnthropicOptions
    traits = Traits("cloud", KEY_VARIABLE, ("tools", "prompt caching", "thinking unspoken"))

    def __init__(self, options: AnthropicOptions, hints: AgentHints) -> None:
        self._options = options
        self.model = options.model
        self._endpoint = Endpoint("anthropic", options.base_url, options, KEY_VARIABLE)

    async def start(self) -> None:
        """Open the connection, so that the first answer does not wait for it.

        Raises:
            UserFacingError: there is no key.
        """
        options = self._options
        key = vendor_key(
            options.api_key, KEY_VARIABLE, "anthropic", url=options.base_url, vendor_url=URL
        )
        headers = {"anthropic-version": API_VERSION} | ({"x-api-key": key.value} if key else {})
        await self._endpoint.open(key, headers)
        await self._endpoint.warm("v1/models?limit=1")

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Tool calls are given one by one, as they are whole.

        Raises:
            ProviderError: what the server says; `retryable` for 429, 5xx, 529 and broken streams.
        """
        answer = _Answer()
        events = self._endpoint.events(
            "v1/messages", self._body(request), self.model, last=lambda _: answer.over
        )
        async with aclosing(events):
            async for value in events:
                if not isinstance(value, dict):
                    raise self._endpoint.error("an event is not an object")
                if value.get("type") == "error":
                    raise self._failure(value.get("error"))
                try:
                    happened = answer.take(value)
                except (AttributeError, KeyError, TypeError):
                    kind = str(value.get("type"))[:40]
                    raise self._endpoint.error(f"a malformed `{kind}`") from None
                for event in happened:
                    yield event
        if not answer.over:
            raise self._endpoint.error("the stream ended before the answer was whole")
        if answer.stop_reason == "refusal" and not answer.said:
            raise self._endpoint.error("the model declined to answer (refusal)", False)

    def _failure(self, error: Any) -> ProviderError:
        error = error if isinstance(error, dict) else {}
        kind, text = str(error.get("type", "")), str(error.get("message", ""))[:300]
        status = _STATUS.get(kind)
        retryable = status is None or status == 429 or status >= 500
        return self._endpoint.error(f"{kind or 'error'}: {text}", retryable, status)

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        options = self._options
        system, turns = to_turns(request.messages)
        cached = _CACHED if options.prompt_caching else {}
        contents = [[_block(part) for part in turn.parts] for turn in turns]
        contents[-1][-1] |= cached
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": options.max_tokens,
            "messages": [
                {"role": turn.role, "content": content}
                for turn, content in zip(turns, contents, strict=True)
            ],
            "stream": True,
        }
        if system:
            body["system"] = [{"type": "text", "text": system, **cached}]
        if request.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": tool.parameters or {"type": "object", "properties": {}},
                }
                for tool in request.tools
            ]
            body["tools"][-1] |= cached
        thinking = options.thinking
        if thinking == "auto" and self.model.startswith(("claude-haiku", "claude-sonnet")):
            thinking = "disabled"
        if thinking != "auto":
            body["thinking"] = {"type": thinking}
        if options.effort is not None:
            body["output_config"] = {"effort": options.effort}
        return {**body, **options.extra_body}


def _block(part: Part) -> dict[str, Any]:
    if isinstance(part, ToolCall):
        arguments = object_of(part.arguments, "arguments")
        return {"type": "tool_use", "id": part.tool_call_id, "name": part.name, "input": arguments}
    if isinstance(part, ToolResult):
        # A tool that has nothing to say has still been called.
        content = part.content or "{}"
        return {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": content}
    return {"type": "text", "text": part}


@dataclass(slots=True)
class _Answer:
    """Takes the events of one answer. Unknown events, blocks and deltas are passed over."""

    said: bool = False
    over: bool = False
    stop_reason: str = ""
    _calls: dict[Any, list[str]] = field(default_factory=dict)
    _usage: dict[str, Any] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> list[LlmEvent]:
        match event.get("type"):
            case "message_start":
                self._usage |= event["message"].get("usage") or {}
            case "content_block_start":
                block = event["content_block"]
                if block.get("type") == "tool_use":
                    self._calls[event["index"]] = [block["id"], block["name"]]
                return self._text(block) if block.get("type") == "text" else []
            case "content_block_delta":
                delta = event["delta"]
                if delta.get("type") == "input_json_delta" and event["index"] in self._calls:
                    self._calls[event["index"]].append(delta["partial_json"])
                return self._text(delta) if delta.get("type") == "text_delta" else []
            case "content_block_stop" if event.get("index") in self._calls:
                call_id, name, *arguments = self._calls.pop(event["index"])
                self.said = True
                return [ToolCall(call_id, name, "".join(arguments) or "{}")]
            case "message_delta":
                self.stop_reason = str(event["delta"].get("stop_reason") or "")
                given = event.get("usage") or {}
                self._usage |= {key: one for key, one in given.items() if one is not None}
            case "message_stop":
                self.over = True
                return [self._counted()]
        return []

    def _text(self, block: dict[str, Any]) -> list[LlmEvent]:
        text = str(block["text"])
        self.said = self.said or bool(text)
        return [TextDelta(text)] if text else []

    def _counted(self) -> Usage:
        """`input_tokens` on the wire leaves out what was read from the cache or written to it."""
        read, fresh = (
            count(self._usage.get(key)) for key in ("cache_read_input_tokens", "input_tokens")
        )
        made = count(self._usage.get("cache_creation_input_tokens"))
        return Usage(fresh + made + read, count(self._usage.get("output_tokens")), read)
