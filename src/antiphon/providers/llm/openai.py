"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, llama.cpp, vLLM and others."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import Field, field_validator

from antiphon.errors import ProviderError
from antiphon.net.http import (
    open_client,
    read_body,
    send,
    sse_data,
    status_error,
    transport_errors,
)
from antiphon.providers.base import AgentHints, LlmEvent, LlmRequest, ProviderOptions, TextDelta
from antiphon.providers.llm.chat import ChunkAssembler, ChunkError, to_messages, to_tools
from antiphon.providers.secret import Secret
from antiphon.types import ToolCall

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-4.1-mini"
KEY_VARIABLE, URL_VARIABLE, MODEL_VARIABLE = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTIPHON_LLM_MODEL",
)

_log = logging.getLogger("antiphon.llm.openai")
_NOT_CHAT = ("embed", "rerank", "whisper", "tts", "moderation", "bge-", "clip")


class GenerationOptions(ProviderOptions):
    """What can be said of a generation whichever server makes it."""

    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the answers; the server's when absent."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens, thoughts included."
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the request, sent as they are."
    )
    connect_ms: int = Field(default=2000, ge=10, le=60_000, description="Longest connecting.")
    first_token_ms: int = Field(
        default=8000, ge=10, le=600_000, description="Longest wait for the answer's beginning."
    )
    idle_ms: int = Field(
        default=5000, ge=10, le=600_000, description="Longest wait between two pieces of it."
    )


class OpenAiOptions(GenerationOptions):
    """Options of `llm: openai`."""

    base_url: str | None = Field(
        default=None,
        description=f"The server, with `/v1`; `${URL_VARIABLE}` or OpenAI's own when absent.",
    )
    model: str | None = Field(
        default=None,
        description=f"The model; else `${MODEL_VARIABLE}`, else `{OPENAI_MODEL}` at OpenAI and the "
        "first one listed elsewhere.",
    )
    api_key: Secret | None = Field(
        default=None,
        description=f"The key, as `${{VARIABLE}}`. When absent `{KEY_VARIABLE}` is used, but "
        "never sent to a `base_url` of the file that is not OpenAI's.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.startswith(("http://", "https://")) and urlsplit(value).hostname
        ):
            raise ValueError(f"`{value}` is not an address such as http://127.0.0.1:8080/v1")
        return value


class OpenAiLlm:
    """Any OpenAI-compatible server (chat completions): OpenAI, Ollama, llama.cpp, vLLM."""

    Options = OpenAiOptions

    def __init__(self, options: OpenAiOptions, hints: AgentHints) -> None:
        self._options = options
        self.base_url = options.base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL
        self._at_openai = urlsplit(self.base_url).hostname == urlsplit(OPENAI_URL).hostname
        self._key = options.api_key
        if self._key is None and (options.base_url is None or self._at_openai):
            self._key = Secret.from_env(KEY_VARIABLE)
        self.model = options.model or os.environ.get(MODEL_VARIABLE)
        if self.model is None and self._at_openai:
            self.model = OPENAI_MODEL
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Open the connection, so that the first answer does not wait for it, and find a model when
        none is named. A server that is not there yet is no reason not to start."""
        headers = {"Authorization": f"Bearer {self._key.value}"} if self._key else {}
        self._client = open_client(
            self.base_url, connect_ms=self._options.connect_ms, headers=headers
        )
        try:
            await self._find_model()
        except ProviderError as error:
            _log.warning("llm not ready", extra={"base_url": self.base_url, "error": str(error)})

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Closing the iterator closes the HTTP stream, which is how
        these servers are told to stop.

        Raises:
            ProviderError: what the server says; `retryable` for 429, 5xx and broken connections.
        """
        begun = asyncio.get_running_loop().time()
        body = self._body(request, self.model or await self._find_model())
        assembler, said = ChunkAssembler(secrets.token_hex(8)), False
        async with self._post(body) as response:
            with transport_errors("openai", self._place):
                async with aclosing(self._events(response, assembler, begun)) as events:
                    async for event in events:
                        said = said or isinstance(event, TextDelta)
                        yield event
        for event in assembler.finish():
            said = said or isinstance(event, TextDelta | ToolCall)
            yield event
        if assembler.finish_reason == "content_filter" and not said:
            raise self._error("the answer was withheld by the server's content filter", False)

    async def _events(
        self, response: httpx.Response, assembler: ChunkAssembler, begun: float
    ) -> AsyncGenerator[LlmEvent, None]:
        spent_ms = int((asyncio.get_running_loop().time() - begun) * 1000)
        first_ms = max(10, self._options.first_token_ms - spent_ms)
        stream = sse_data(response, "openai", first_ms=first_ms, idle_ms=self._options.idle_ms)
        done = False
        async with aclosing(stream):
            async for data in stream:
                if data.strip() == "[DONE]":
                    done = True
                    break
                for event in self._parsed(assembler, data):
                    yield event
        if not done and assembler.finish_reason is None:
            raise self._error("the stream ended before the answer was whole", True)

    def _parsed(self, assembler: ChunkAssembler, data: str) -> list[LlmEvent]:
        try:
            return assembler.add(json.loads(data))
        except ChunkError as error:
            raise self._error(str(error), True) from None
        except (ValueError, RecursionError):
            raise self._error(f"not JSON in the stream: {data[:80]!r}", True) from None

    def _body(self, request: LlmRequest, model: str) -> dict[str, Any]:
        options = self._options
        body: dict[str, Any] = {
            "model": model,
            "messages": to_messages(request.messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = to_tools(request.tools)
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.max_tokens is not None:
            # OpenAI's reasoning models refuse the old name; other servers know only that one.
            name = "max_completion_tokens" if self._at_openai else "max_tokens"
            body[name] = options.max_tokens
        return {**body, **options.extra_body}

    @asynccontextmanager
    async def _post(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The response of a request whose status is a success."""
        response = await self._send("POST", "chat/completions", body)
        try:
            if response.status_code != 200:
                raise await self._refusal(response, str(body["model"]))
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise self._error(f"{self._place} did not stream its answer ({kind})", False)
            yield response
        finally:
            await response.aclose()

    async def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("start() has not been called")
        request = self._client.build_request(method, path, json=body)
        with transport_errors("openai", self._place):
            return await send(
                self._client, request, "openai", within_ms=self._options.first_token_ms
            )

    async def _find_model(self) -> str:
        """The model to use, which may take asking the server what it has."""
        response = await self._send("GET", "models")
        try:
            if response.status_code != 200:
                raise await self._refusal(response, self.model or "")
            with transport_errors("openai", self._place):
                body = await read_body(response, "openai", within_ms=self._options.first_token_ms)
        finally:
            await response.aclose()
        if self.model is None:
            models = chat_models(body)
            if not models:
                raise self._error(f"{self._place} lists no model; name one with `model:`", False)
            self.model = models[0]
        return self.model

    async def _refusal(self, response: httpx.Response, model: str) -> ProviderError:
        error = await status_error("openai", response, within_ms=1000)
        advice = ""
        if response.status_code in (401, 403):
            advice = self._key_advice()
        elif response.status_code == 404:
            advice = f"; is `{model}` a model of {self._place}?"
        if not advice:
            return error
        text = str(error).removeprefix("openai: ") + advice
        return ProviderError(text, provider="openai", retryable=False, status=error.status)

    def _key_advice(self) -> str:
        if self._key is None:
            variable = KEY_VARIABLE if self._options.base_url is None else "YOUR_KEY"
            return f"; no key was sent: set {variable} and write api_key: ${{{variable}}}"
        return f"; the key is that of {self._key.variable or 'api_key'}"

    @property
    def _place(self) -> str:
        return f"the server at {self.base_url}"

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider="openai", retryable=retryable)


def chat_models(body: bytes | str) -> tuple[str, ...]:
    """The models of a `GET /models` answer that may be able to chat; empty when it is not one."""
    try:
        listed = json.loads(body)["data"]
        names = [str(one["id"]) for one in listed if one.get("owned_by") != "antiphon"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(name for name in names if not any(part in name.lower() for part in _NOT_CHAT))
