"""Servers that speak OpenAI's chat completions, each with its address and its key's variable.

Any other such server needs no class: `llm: openai` with its `base_url`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

from pydantic import Field

from antiphon.providers.base import LlmRequest, Traits
from antiphon.providers.llm.openai import CAN, ChatLlm, ChatOptions
from antiphon.types import Message

_URL = "The server, with `/v1`."
_MODEL = "The model."


class GroqOptions(ChatOptions):
    base_url: str = Field(default="https://api.groq.com/openai/v1", description=_URL)
    model: str = Field(default="openai/gpt-oss-20b", description=_MODEL)


class GroqLlm(ChatLlm):
    """Groq: open models on its own processors."""

    Options, name, traits = GroqOptions, "groq", Traits("cloud", "GROQ_API_KEY", CAN)


class TogetherOptions(ChatOptions):
    base_url: str = Field(default="https://api.together.ai/v1", description=_URL)
    model: str = Field(description="The model, as its page on together.ai calls it.")


class TogetherLlm(ChatLlm):
    """Together AI: many open models."""

    Options, name, traits = TogetherOptions, "together", Traits("cloud", "TOGETHER_API_KEY", CAN)


class MistralOptions(ChatOptions):
    base_url: str = Field(default="https://api.mistral.ai/v1", description=_URL)
    model: str = Field(default="mistral-small-latest", description=_MODEL)


class MistralLlm(ChatLlm):
    """Mistral's own cloud."""

    Options, name, traits = MistralOptions, "mistral", Traits("cloud", "MISTRAL_API_KEY", CAN)
    # Its API gives the usage unasked, and describes no such field.
    asks_for_usage = False

    def _messages(self, request: LlmRequest) -> tuple[Message, ...]:
        """Its API refuses ids of tool calls that are not nine letters or digits, as those of
        another provider in the same conversation are."""
        return tuple(
            replace(
                one,
                tool_call_id=one.tool_call_id and nine(one.tool_call_id),
                tool_calls=tuple(
                    replace(call, tool_call_id=nine(call.tool_call_id)) for call in one.tool_calls
                ),
            )
            for one in request.messages
        )


class OllamaOptions(ChatOptions):
    base_url: str = Field(default="http://127.0.0.1:11434/v1", description=_URL)


class OllamaLlm(ChatLlm):
    """Ollama on this machine or another."""

    Options, name = OllamaOptions, "ollama"


class VllmOptions(ChatOptions):
    base_url: str = Field(default="http://127.0.0.1:8000/v1", description=_URL)


class VllmLlm(ChatLlm):
    """A vLLM server."""

    Options, name = VllmOptions, "vllm"


class LlamaServerOptions(ChatOptions):
    base_url: str = Field(default="http://127.0.0.1:8080/v1", description=_URL)


class LlamaServerLlm(ChatLlm):
    """llama.cpp's `llama-server` (started with `--jinja`, for tools)."""

    Options, name = LlamaServerOptions, "llama-server"


class LmStudioOptions(ChatOptions):
    base_url: str = Field(default="http://127.0.0.1:1234/v1", description=_URL)


class LmStudioLlm(ChatLlm):
    """LM Studio's local server."""

    Options, name = LmStudioOptions, "lm-studio"


def nine(tool_call_id: str) -> str:
    """An id that Mistral takes: the same for the same id, itself where it already is one."""
    if re.fullmatch(r"[A-Za-z0-9]{9}", tool_call_id):
        return tool_call_id
    return hashlib.sha256(tool_call_id.encode()).hexdigest()[:9]
