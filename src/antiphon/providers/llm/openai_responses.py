"""OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
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
from antiphon.providers.llm._endpoint import Endpoint, GenerationOptions, an_address
from antiphon.providers.llm.chat import count, to_messages
from antiphon.providers.llm.openai import CAN, KEY_VARIABLE, OPENAI_MODEL, OPENAI_URL
from antiphon.providers.secret import Secret, vendor_key
from antiphon.types import ToolCall

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_PASSING = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout", ""})


class OpenAiResponsesOptions(GenerationOptions):
    """Options of `llm: openai-responses`."""

    base_url: str = Field(default=OPENAI_URL, description="The server, with `/v1`.")
    api_key: Secret | None = Field(
        default=None, description=f"The key, as `${{VARIABLE}}`; `{KEY_VARIABLE}` when absent."
    )
    model: str = Field(default=OPENAI_MODEL, description="The model.")
    reasoning_effort: Effort | None = Field(
        default=None,
        description="How long a reasoning model thinks; its own default when absent. Models that "
        "do not reason refuse it.",
    )

    _address = field_validator("base_url")(an_address)


class OpenAiResponsesLlm:
    """OpenAI's models by its Responses API, with the effort of reasoning models."""

    Options: ClassVar[type[ProviderOptions]] = OpenAiResponsesOptions
    traits = Traits("cloud", KEY_VARIABLE, CAN)

    def __init__(self, options: OpenAiResponsesOptions, hints: AgentHints) -> None:
        self._options = options
        self.model = options.model
        self._endpoint = Endpoint("openai-responses", options.base_url, options, KEY_VARIABLE)

    async def start(self) -> None:
        """Open the connection, so that the first answer does not wait for it.

        Raises:
            UserFacingError: there is no key.
        """
        url = self._options.base_url
        given, name = self._options.api_key, self._endpoint.provider
        key = vendor_key(given, KEY_VARIABLE, name, url=url, vendor_url=OPENAI_URL)
        await self._endpoint.open(key, {"Authorization": f"Bearer {key.value}"} if key else {})
        await self._endpoint.warm("models")

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Nothing is stored at OpenAI. Tool calls are given one by one,
        as they are whole; reasoning items are not given at all.

        Raises:
            ProviderError: what the server says; `retryable` for 429, 5xx and broken streams.
        """
        answer = _Answer()
        events = self._endpoint.events(
            "responses", self._body(request), self.model, last=lambda _: answer.over
        )
        async with aclosing(events):
            async for value in events:
                try:
                    happened = answer.take(value)
                except (AttributeError, KeyError, TypeError):
                    raise self._endpoint.error("a malformed event") from None
                for event in happened:
                    yield event
        if answer.failure is not None:
            raise self._failed(answer.failure)
        if not answer.over:
            raise self._endpoint.error("the stream ended before the answer was whole")
        if answer.cut_by == "content_filter" and not answer.said:
            message = "the answer was withheld by the server's content filter"
            raise self._endpoint.withheld(message)

    def _failed(self, error: dict[str, Any]) -> ProviderError:
        code = str(error.get("code") or error.get("type") or "")
        text = str(error.get("message") or "the response failed")[:300]
        status = 429 if code == "rate_limit_exceeded" else None
        return self._endpoint.error(f"{code}: {text}", code in _PASSING, status)

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        options = self._options
        items, system = list[dict[str, Any]](), list[str]()
        for message in to_messages(request.messages):
            if message["role"] == "system":
                system.append(message["content"])
            else:
                items += _items(message)
        body: dict[str, Any] = {
            "model": self.model,
            "input": items,
            "stream": True,
            "store": False,
        }
        if system:
            body["instructions"] = "\n\n".join(system)
        if request.tools:
            body["parallel_tool_calls"] = True
            body["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters or {"type": "object", "properties": {}},
                    # Strict schemas must list every property as required; an agent's need not.
                    "strict": False,
                }
                for tool in request.tools
            ]
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.max_tokens is not None:
            body["max_output_tokens"] = options.max_tokens
        if options.reasoning_effort is not None:
            body["reasoning"] = {"effort": options.reasoning_effort}
        return {**body, **options.extra_body}


def _items(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message of chat completions as items. Calls go without the ids of their items: those of a
    response that was not stored are not found again."""
    if message["role"] == "tool":
        call_id, output = message["tool_call_id"], message["content"]
        return [{"type": "function_call_output", "call_id": call_id, "output": output}]
    said = message["content"]
    calls = [
        {"type": "function_call", "call_id": call["id"], **call["function"]}
        for call in message.get("tool_calls", ())
    ]
    return [*([{"role": message["role"], "content": said}] if said else []), *calls]


class _Answer:
    """Takes the events of one response. Unknown events and items are passed over."""

    def __init__(self) -> None:
        self.said = self.over = False
        self.failure: dict[str, Any] | None = None
        self.cut_by = ""
        self._called: set[str] = set()

    def take(self, event: dict[str, Any]) -> list[LlmEvent]:
        match event["type"]:
            case "response.output_text.delta" | "response.refusal.delta":
                text = str(event["delta"])
                self.said = self.said or bool(text)
                return [TextDelta(text)] if text else []
            case "response.output_item.done":
                return self._call(event["item"])
            case "response.completed" | "response.incomplete":
                return self._end(event["response"])
            case "response.failed":
                self.over = True
                self.failure = event["response"].get("error") or {}
            case "error":
                self.over = True
                self.failure = event.get("error") or event
        return []

    def _call(self, item: dict[str, Any]) -> list[LlmEvent]:
        if item.get("type") != "function_call" or item["call_id"] in self._called:
            return []
        self.said = True
        self._called.add(item["call_id"])
        return [ToolCall(item["call_id"], item["name"], item.get("arguments") or "{}")]

    def _end(self, response: dict[str, Any]) -> list[LlmEvent]:
        self.over = True
        self.cut_by = str((response.get("incomplete_details") or {}).get("reason") or "")
        usage = response.get("usage") or {}
        cached = count((usage.get("input_tokens_details") or {}).get("cached_tokens"))
        # Servers that imitate the API may give calls only here.
        late = [
            call
            for item in response.get("output") or ()
            if response.get("status") != "incomplete"
            for call in self._call(item)
        ]
        counts = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        return [*late, *([Usage(*counts, cached)] if usage else [])]
