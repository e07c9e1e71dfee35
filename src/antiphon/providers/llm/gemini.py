"""Google's Gemini API, `streamGenerateContent`.

https://ai.google.dev/api/generate-content; .../gemini-api/docs/thought-signatures for what has to
be sent back with a function call.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

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
from antiphon.providers.llm._gemini_schema import to_gemini
from antiphon.providers.llm._turns import Part, ToolResult, object_of, to_turns
from antiphon.providers.llm.chat import count
from antiphon.providers.secret import Secret, vendor_key
from antiphon.types import ToolCall

URL = "https://generativelanguage.googleapis.com/v1"
KEY_VARIABLE = "GEMINI_API_KEY"

NO_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call that this API has not made; documented by Google."""
_REMEMBERED = 1000
_FINE = frozenset({"", "STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"})
_MISHAPS = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "OTHER"}
)


class GeminiOptions(GenerationOptions):
    """Options of `llm: gemini`."""

    base_url: str = Field(default=URL, description="The server, with the API's version.")
    api_key: Secret | None = Field(
        default=None, description=f"The key, as `${{VARIABLE}}`; `{KEY_VARIABLE}` when absent."
    )
    model: str = Field(default="gemini-3.5-flash-lite", description="The model.")
    thinking_level: Literal["minimal", "low", "medium", "high"] | None = Field(
        default=None,
        description="How long the model thinks; its own default when absent. Thoughts are never "
        "spoken.",
    )

    _address = field_validator("base_url")(an_address)


class GeminiLlm:
    """Gemini, by Google's API for it."""

    Options: ClassVar[type[ProviderOptions]] = GeminiOptions
    traits = Traits("cloud", KEY_VARIABLE, ("tools", "prompt caching", "thinking unspoken"))

    def __init__(self, options: GeminiOptions, hints: AgentHints) -> None:
        self._options = options
        self.model = options.model
        self._endpoint = Endpoint("gemini", options.base_url, options, KEY_VARIABLE)
        # A call's signature by our id of the call: without it Gemini 3 refuses the tool's result.
        self._signatures: OrderedDict[str, str] = OrderedDict()

    async def start(self) -> None:
        """Open the connection, so that the first answer does not wait for it.

        Raises:
            UserFacingError: there is no key.
        """
        url = self._options.base_url
        given = self._options.api_key
        key = vendor_key(given, KEY_VARIABLE, "gemini", url=url, vendor_url=URL)
        await self._endpoint.open(key, {"x-goog-api-key": key.value} if key else {})
        await self._endpoint.warm(f"models/{self.model}")

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Tool calls are given as they come, each whole.

        Raises:
            ProviderError: what the server says, or that it withheld the answer; `retryable` for
                429, 5xx and broken streams.
        """
        answer = _Answer(secrets.token_hex(6))
        path = f"models/{self.model}:streamGenerateContent?alt=sse"
        async with aclosing(self._endpoint.events(path, self._body(request), self.model)) as chunks:
            async for chunk in chunks:
                self._check(chunk)
                try:
                    happened = answer.take(chunk)
                except (AttributeError, KeyError, TypeError):
                    raise self._endpoint.error("a malformed chunk") from None
                self._remember(answer)
                for event in happened:
                    yield event
        if answer.usage is not None:
            yield answer.usage
        if answer.blocked and not answer.said:
            text = f"the answer was withheld by Google ({answer.blocked})"
            if answer.blocked in _MISHAPS:
                raise self._endpoint.error(text)
            raise self._endpoint.withheld(text)
        if not answer.over and not answer.blocked:
            raise self._endpoint.error("the stream ended before the answer was whole")

    def _check(self, chunk: Any) -> None:
        if not isinstance(chunk, dict):
            raise self._endpoint.error("a chunk is not an object")
        if isinstance(error := chunk.get("error"), dict):
            code = count(error.get("code"))
            text = f"{error.get('status', 'error')}: {str(error.get('message', ''))[:300]}"
            raise self._endpoint.error(text, code == 429 or code >= 500, code or None)

    def _remember(self, answer: _Answer) -> None:
        self._signatures |= answer.signatures
        answer.signatures.clear()
        while len(self._signatures) > _REMEMBERED:
            self._signatures.popitem(last=False)

    def _body(self, request: LlmRequest) -> dict[str, Any]:
        options = self._options
        system, turns = to_turns(request.messages)
        body: dict[str, Any] = {
            "contents": [
                {
                    "role": "model" if turn.role == "assistant" else "user",
                    "parts": self._parts(turn.parts),
                }
                for turn in turns
            ]
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if request.tools:
            functions = []
            for tool in request.tools:
                function: dict[str, Any] = {"name": tool.name, "description": tool.description}
                # An object without properties is refused; no parameters at all are fine.
                if tool.parameters.get("properties"):
                    function["parameters"] = to_gemini(tool.parameters)
                functions.append(function)
            body["tools"] = [{"functionDeclarations": functions}]
        generation = {
            "temperature": options.temperature,
            "maxOutputTokens": options.max_tokens,
            "thinkingConfig": options.thinking_level and {"thinkingLevel": options.thinking_level},
        }
        body["generationConfig"] = {k: v for k, v in generation.items() if v is not None}
        return {**body, **options.extra_body}

    def _parts(self, parts: list[Part]) -> list[dict[str, Any]]:
        """Of calls that were made at once only the first has a signature."""
        out, first = list[dict[str, Any]](), True
        for part in parts:
            if isinstance(part, ToolResult):
                response = object_of(part.content, "output")
                answered = {"id": part.tool_call_id, "name": part.name, "response": response}
                out.append({"functionResponse": answered})
            elif isinstance(part, ToolCall):
                arguments = object_of(part.arguments, "arguments")
                made = {"id": part.tool_call_id, "name": part.name, "args": arguments}
                signature = self._signatures.get(part.tool_call_id)
                if signature is None and first and not self.model.startswith("gemini-2"):
                    signature = NO_SIGNATURE
                first = False
                signed = {"thoughtSignature": signature} if signature else {}
                out.append({"functionCall": made, **signed})
            else:
                out.append({"text": part})
        return out


class _Answer:
    """Takes the chunks of one answer; `request_id` makes ids of calls that come without one."""

    def __init__(self, request_id: str) -> None:
        self.said = self.over = False
        self.blocked = ""
        self.usage: Usage | None = None
        self.signatures: dict[str, str] = {}
        self._request_id = request_id
        self._ids: set[str] = set()

    def take(self, chunk: dict[str, Any]) -> list[LlmEvent]:
        if told := chunk.get("usageMetadata"):
            # Each chunk has the sums so far.
            read = count(told.get("promptTokenCount")) + count(told.get("toolUsePromptTokenCount"))
            written = count(told.get("candidatesTokenCount"))
            written += count(told.get("thoughtsTokenCount"))
            self.usage = Usage(read, written, count(told.get("cachedContentTokenCount")))
        self.blocked = (chunk.get("promptFeedback") or {}).get("blockReason") or self.blocked
        events = list[LlmEvent]()
        for candidate in (chunk.get("candidates") or [])[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                events += self._part(part)
            reason = str(candidate.get("finishReason") or "")
            self.over = self.over or bool(reason)
            self.blocked = self.blocked or (reason if reason not in _FINE else "")
        self.said = self.said or bool(events)
        return events

    def _part(self, part: dict[str, Any]) -> list[LlmEvent]:
        if part.get("thought"):
            return []
        if call := part.get("functionCall"):
            return [self._call(call, part.get("thoughtSignature"))]
        text = part.get("text")
        return [TextDelta(str(text))] if text else []

    def _call(self, call: dict[str, Any], signature: Any) -> ToolCall:
        given = str(call.get("id") or "")
        if not given or given in self._ids:
            given = f"call_{self._request_id}_{len(self._ids)}"
        self._ids.add(given)
        if signature:
            self.signatures[given] = str(signature)
        arguments = json.dumps(call.get("args") or {}, ensure_ascii=False)
        return ToolCall(given, str(call["name"]), arguments)
