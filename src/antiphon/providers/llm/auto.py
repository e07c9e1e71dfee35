"""`llm: auto`: the best brain that is there, without being told which.

In this order: a key in the environment, a language model server on this machine, the agent's flow.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import Field

from antiphon.errors import ProviderError, UserFacingError
from antiphon.net.http import open_client, read_body, send, transport_errors
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, Llm, LlmEvent, LlmRequest, Traits
from antiphon.providers.llm._endpoint import GenerationOptions
from antiphon.providers.llm.compatible import (
    LlamaServerOptions,
    LmStudioOptions,
    OllamaOptions,
    VllmOptions,
)
from antiphon.providers.llm.openai import (
    KEY_VARIABLE,
    MODEL_VARIABLE,
    OPENAI_MODEL,
    OPENAI_URL,
    URL_VARIABLE,
    chat_models,
)

LOCAL_SERVERS = tuple(
    (name, str(options.model_fields["base_url"].default))
    for name, options in (
        ("Ollama", OllamaOptions),
        ("llama.cpp", LlamaServerOptions),
        ("LM Studio", LmStudioOptions),
        ("vLLM", VllmOptions),
    )
)
"""Where local servers listen by default; the first that answers is taken."""

_log = logging.getLogger("antiphon.llm.auto")


class AutoOptions(GenerationOptions):
    """Options of `llm: auto`; those of a generation are passed on to the server that is chosen."""

    probe_ms: int = Field(
        default=150, ge=10, le=5000, description="Longest wait for a local server to answer."
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What `auto` chose. `text` says it in words; `options` are those of `provider`."""

    provider: str
    text: str
    options: dict[str, Any]


async def choose(
    options: AutoOptions,
    hints: AgentHints,
    servers: Sequence[tuple[str, str]] = LOCAL_SERVERS,
) -> Choice:
    """Choose a brain.

    Raises:
        UserFacingError: there is none, and what to do about it.
    """
    passed = options.model_dump(exclude={"probe_ms"}, exclude_unset=True)
    model = os.environ.get(MODEL_VARIABLE)
    url = os.environ.get(URL_VARIABLE)
    if os.environ.get(KEY_VARIABLE, "").strip():
        name = model or (OPENAI_MODEL if url in (None, OPENAI_URL) else "its first model")
        text = f"{name} at {url or OPENAI_URL}, by {KEY_VARIABLE}"
        # Neither address nor key is named, so both come from the environment.
        return Choice("openai", text, passed | ({"model": model} if model else {}))
    found = await asyncio.gather(*(_models(url, options.probe_ms) for _, url in servers))
    for (name, url), models in zip(servers, found, strict=True):
        if models:
            chosen = model if model in models else models[0]
            text = f"{chosen} by {name} at {url}"
            return Choice("openai", text, passed | {"base_url": url, "model": chosen})
    if hints.brain is not None:
        return Choice("flow", "the agent's flow", {})
    raise UserFacingError(
        f"No language model was found. Set {KEY_VARIABLE}, or start a local server (Ollama, "
        "llama.cpp, LM Studio, vLLM), or name one under `llm:`, or give the agent a `flow:`."
    )


async def _models(url: str, within_ms: int) -> tuple[str, ...]:
    """The models of a server, none when it is not one.

    Port 8000 and 8080 are often something else's, such as our own server's: only an answer in
    OpenAI's shape counts, and models that say that Antiphon owns them do not.
    """
    client = open_client(url, connect_ms=within_ms, headers={})
    try:
        async with asyncio.timeout(within_ms / 1000):
            with transport_errors("auto", url):
                request = client.build_request("GET", "models")
                response = await send(client, request, "auto", within_ms=within_ms)
                body = await read_body(response, "auto", within_ms=within_ms)
                await response.aclose()
    except (TimeoutError, ProviderError):
        return ()
    finally:
        await client.aclose()
    return chat_models(body) if response.status_code == httpx.codes.OK else ()


class AutoLlm:
    """The best brain that is there: a configured key, a local server, or the agent's flow."""

    Options = AutoOptions
    traits = Traits("here", "", ("tools",))

    def __init__(self, options: AutoOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._llm: Llm | None = None
        self.chosen = ""

    @property
    def model(self) -> str:
        """What the one that was chosen is called; empty for the flow, which costs nothing."""
        return str(getattr(self._llm, "model", None) or "")

    async def start(self) -> None:
        """Choose, say what was chosen, and start it."""
        choice = await choose(self._options, self._hints)
        _log.info("llm chosen", extra={"provider": choice.provider, "chosen": choice.text})
        self.chosen = choice.text
        self._llm = registry.make("llm", choice.provider, choice.options, self._hints)
        await self._llm.start()

    async def aclose(self) -> None:
        if self._llm is not None:
            await self._llm.aclose()

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """See `Llm.stream`; it is that of the provider chosen."""
        if self._llm is None:
            raise RuntimeError("start() has not been called")
        return self._llm.stream(request)
