"""Any server that speaks OpenAI's chat completions: OpenAI, Ollama, llama.cpp, vLLM and others."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from antiphon.providers.base import AgentHints, LlmEvent, LlmRequest, TextDelta, Traits
from antiphon.providers.llm._endpoint import DONE, Endpoint, GenerationOptions, an_address
from antiphon.providers.llm.chat import ChunkAssembler, ChunkError, to_messages, to_tools
from antiphon.providers.secret import Secret, vendor_key
from antiphon.types import Message, ToolCall

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_MODEL = "gpt-4.1-mini"
KEY_VARIABLE, URL_VARIABLE, MODEL_VARIABLE = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTIPHON_LLM_MODEL",
)
CAN = ("tools", "prompt caching", "thinking unspoken")

_NOT_CHAT = ("embed", "rerank", "whisper", "tts", "moderation", "bge-", "clip", "guard")


class ChatOptions(GenerationOptions):
    """Options of every provider that speaks chat completions."""

    base_url: str | None = Field(default=None, description="The server, with `/v1`.")
    model: str | None = Field(
        default=None, description="The model; the first that the server lists when absent."
    )
    api_key: Secret | None = Field(
        default=None,
        description="The key, as `${VARIABLE}`; else the vendor's own variable, which is never "
        "sent to a server that is not the vendor's.",
    )
    begins_thinking: bool = Field(
        default=False,
        description="The model's template opens `<think>` itself, so that answers begin inside a "
        "thought: nothing is said before `</think>`. Found out after the first answer otherwise.",
    )

    _address = field_validator("base_url")(an_address)


class OpenAiOptions(ChatOptions):
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


class ChatLlm:
    """A server of chat completions. A subclass says which: see `compatible.py`."""

    Options: ClassVar[type[ChatOptions]] = ChatOptions
    traits: ClassVar[Traits] = Traits("server", "", CAN)
    name: ClassVar[str] = "openai"
    asks_for_usage: ClassVar[bool] = True

    def __init__(self, options: ChatOptions, hints: AgentHints) -> None:
        self._options = options
        self.base_url = options.base_url or self._vendor_url
        self.model = options.model
        variable = self.traits.key or "YOUR_KEY"
        self._endpoint = Endpoint(self.name, self.base_url, options, variable)
        self._begins_inside = options.begins_thinking

    async def start(self) -> None:
        """Open the connection, so that the first answer does not wait for it. A server that is not
        there yet is no reason not to start.

        Raises:
            UserFacingError: the vendor wants a key, and there is none.
        """
        key = self._key()
        headers = {"Authorization": f"Bearer {key.value}"} if key else {}
        await self._endpoint.open(key, headers)
        await self._endpoint.warm("models")

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Closing the iterator closes the HTTP stream, which is how
        these servers are told to stop.

        Raises:
            ProviderError: what the server says; `retryable` for 429, 5xx and broken connections.
        """
        model = self.model or await self._find_model()
        assembler, said = ChunkAssembler(secrets.token_hex(8), self._begins_inside), False
        done = False
        path, body = "chat/completions", self._body(request, model)
        chunks = self._endpoint.events(path, body, model, last=lambda chunk: chunk == DONE)
        async with aclosing(chunks):
            async for chunk in chunks:
                if chunk == DONE:
                    done = True
                    continue
                for event in self._taken(assembler, chunk):
                    said = said or isinstance(event, TextDelta)
                    yield event
        if not done and assembler.finish_reason is None:
            raise self._endpoint.error("the stream ended before the answer was whole")
        for event in assembler.finish():
            said = said or isinstance(event, TextDelta | ToolCall)
            yield event
        self._begins_inside = self._begins_inside or assembler.began_inside
        if assembler.finish_reason == "content_filter" and not said:
            message = "the answer was withheld by the server's content filter"
            raise self._endpoint.withheld(message)

    def _taken(self, assembler: ChunkAssembler, chunk: Any) -> list[LlmEvent]:
        try:
            return assembler.add(chunk)
        except ChunkError as error:
            raise self._endpoint.error(str(error)) from None

    def _body(self, request: LlmRequest, model: str) -> dict[str, Any]:
        options = self._options
        body: dict[str, Any] = {
            "model": model,
            "messages": to_messages(self._messages(request)),
            "stream": True,
        }
        if self.asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        if request.tools:
            body["tools"] = to_tools(request.tools)
        if options.temperature is not None:
            body["temperature"] = options.temperature
        if options.max_tokens is not None:
            # OpenAI's reasoning models refuse the old name; other servers know only that one.
            name = "max_completion_tokens" if self._at_openai else "max_tokens"
            body[name] = options.max_tokens
        return {**body, **options.extra_body}

    def _messages(self, request: LlmRequest) -> tuple[Message, ...]:
        return request.messages

    async def _find_model(self) -> str:
        """The first model that the server has and that may be able to chat."""
        models = chat_models(await self._endpoint.get("models"))
        if not models:
            message = f"{self._endpoint.place} lists no model; name one with `model:`"
            raise self._endpoint.error(message, False)
        self.model = models[0]
        return self.model

    def _key(self) -> Secret | None:
        given, variable = self._options.api_key, self.traits.key
        if given is not None or not variable:
            return given
        return vendor_key(None, variable, self.name, url=self.base_url, vendor_url=self._vendor_url)

    @property
    def _at_openai(self) -> bool:
        return urlsplit(self.base_url).hostname == urlsplit(OPENAI_URL).hostname

    @property
    def _vendor_url(self) -> str:
        return str(self.Options.model_fields["base_url"].default)


class OpenAiLlm(ChatLlm):
    """Any OpenAI-compatible server (chat completions): OpenAI, Ollama, llama.cpp, vLLM."""

    Options: ClassVar[type[ChatOptions]] = OpenAiOptions
    traits = Traits("cloud", KEY_VARIABLE, CAN)

    def __init__(self, options: OpenAiOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        if options.base_url is not None and not self._at_openai:
            # Whose key this server wants is not known.
            self._endpoint = Endpoint(self.name, self.base_url, options, "YOUR_KEY")
        self.model = options.model or os.environ.get(MODEL_VARIABLE)
        if self.model is None and self._at_openai:
            self.model = OPENAI_MODEL

    def _key(self) -> Secret | None:
        if self._options.api_key is None and self._options.base_url is None and not self._at_openai:
            # Address and key come from the environment together.
            return Secret.from_env(KEY_VARIABLE)
        return super()._key()

    @property
    def _vendor_url(self) -> str:
        return (self._options.base_url is None and os.environ.get(URL_VARIABLE)) or OPENAI_URL


def chat_models(body: bytes | str) -> tuple[str, ...]:
    """The models of a `GET /models` answer that may be able to chat; empty when it is not one."""
    try:
        listed = json.loads(body)["data"]
        names = [str(one["id"]) for one in listed if one.get("owned_by") != "antiphon"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ()
    return tuple(name for name in names if not any(part in name.lower() for part in _NOT_CHAT))
