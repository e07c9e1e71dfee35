"""OpenAiLlm against a local server, beside OpenAI's own SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import openai
import pytest
from tests.support.openai_server import Answer, OpenAiServer, ScriptedCall, openai_server

from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.llm.chat import to_messages, to_tools
from antiphon.providers.llm.openai import OpenAiLlm, OpenAiOptions
from antiphon.types import Message, ToolCall, ToolSpec

SYSTEM = Message("system", "You sell coffee.")
HELLO = Message("user", "hello")
PRICE = ToolSpec(
    "price", "Price of a drink.", {"type": "object", "properties": {"drink": {"type": "string"}}}
)
TWO_CALLS = (
    ScriptedCall("call_a", "price", '{"drink": "latte", "size": "large"}'),
    ScriptedCall("call_b", "price", '{"drink": "café ☕"}', piece=3),
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTIPHON_LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def llm_for(server: OpenAiServer, **options: Any) -> AsyncIterator[OpenAiLlm]:
    made = OpenAiOptions(**{"base_url": server.base_url, "model": "test-model", **options})
    llm = OpenAiLlm(made, AgentHints())
    await llm.start()
    try:
        yield llm
    finally:
        await llm.aclose()


async def ask(
    llm: OpenAiLlm, *messages: Message, tools: tuple[ToolSpec, ...] = ()
) -> list[LlmEvent]:
    request = LlmRequest(messages or (SYSTEM, HELLO), tools)
    return [event async for event in llm.stream(request)]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


async def through_sdk(
    server: OpenAiServer, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...]
) -> tuple[str, list[ToolCall], Usage | None]:
    """The same request by OpenAI's SDK, its chunks put together by itself."""
    text, calls, usage = "", dict[int, ToolCall](), None
    extra: dict[str, Any] = {"tools": to_tools(tools)} if tools else {}
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="x", max_retries=0) as client:
        stream: Any = await client.chat.completions.create(
            model="test-model",
            messages=cast("Any", to_messages(messages)),
            stream=True,
            stream_options={"include_usage": True},
            **extra,
        )
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for part in choice.delta.tool_calls or []:
                    assert part.function is not None
                    old = calls.get(part.index) or ToolCall(
                        part.id or "", part.function.name or "", ""
                    )
                    more = old.arguments + (part.function.arguments or "")
                    calls[part.index] = ToolCall(old.tool_call_id, old.name, more)
            if chunk.usage and chunk.usage.prompt_tokens_details:
                cached = chunk.usage.prompt_tokens_details.cached_tokens or 0
                usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, cached)
    return text, list(calls.values()), usage


@pytest.mark.parametrize(
    "answer",
    [
        Answer("A large latte is four fifty."),
        Answer("Let me look.", TWO_CALLS),
        Answer("", TWO_CALLS[:1]),
        Answer("naïve – ☕ – done"),
    ],
    ids=["text", "text and parallel calls", "one call", "not ASCII"],
)
async def test_same_as_the_sdk(answer: Answer) -> None:
    messages = (SYSTEM, HELLO, Message("assistant", "Hi"), Message("user", "a latte"))
    async with openai_server(answer) as server, llm_for(server) as llm:
        events = await ask(llm, *messages, tools=(PRICE,))
        text, calls, usage = await through_sdk(server, messages, (PRICE,))
    assert text_of(events) == text == answer.text
    assert [one for one in events if isinstance(one, ToolCall)] == calls
    assert [one for one in events if isinstance(one, Usage)] == [usage]
    ours, theirs = server.requests
    assert ours == theirs


async def test_text_is_streamed_piece_by_piece() -> None:
    async with openai_server(Answer("one two three")) as server, llm_for(server) as llm:
        events = await ask(llm)
    assert [one.text for one in events if isinstance(one, TextDelta)] == ["one ", "two ", "three"]


async def test_options_are_sent() -> None:
    options = {"temperature": 0.2, "max_tokens": 50, "extra_body": {"top_k": 3}}
    async with openai_server(Answer("hi")) as server, llm_for(server, **options) as llm:
        await ask(llm)
    sent = server.requests[0]
    assert (sent["temperature"], sent["max_tokens"], sent["top_k"]) == (0.2, 50, 3)
    assert "tools" not in sent


@pytest.mark.parametrize(
    ("failure", "retryable", "status", "says"),
    [
        ("401", False, 401, "MY_KEY"),
        ("404", False, 404, "is `test-model` a model of"),
        ("429", True, 429, "retry-after: 2"),
        ("500", True, 500, "Oops"),
        ("stall", True, None, "no answer within 0.05 s"),
        ("cut", True, None, "the connection to .* broke"),
        ("short", True, None, "ended before the answer was whole"),
        ("garbage", True, None, "not JSON"),
        ("error_event", True, None, "the model fell over"),
        ("json", False, None, "did not stream"),
    ],
)
async def test_failures(
    failure: Any, retryable: bool, status: int | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-123")
    options = {"api_key": "${MY_KEY}", "idle_ms": 50 if failure == "stall" else 5000}
    answer = Answer("Hello", failure=failure)
    async with openai_server(answer) as server, llm_for(server, **options) as llm:
        with pytest.raises(ProviderError, match=says) as caught:
            await ask(llm)
    assert (caught.value.retryable, caught.value.status) == (retryable, status)
    assert "sk-123" not in str(caught.value)


async def test_nobody_there() -> None:
    async with openai_server() as server:
        url = server.base_url
    llm = OpenAiLlm(OpenAiOptions(base_url=url, model="m"), AgentHints())
    await llm.start()
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await ask(llm)
    await llm.aclose()
    assert caught.value.retryable


async def test_closing_the_iterator_closes_the_stream_on_the_server() -> None:
    async with openai_server(Answer("one two", failure="stall")) as server, llm_for(server) as llm:
        stream = llm.stream(LlmRequest((HELLO,)))
        async for event in stream:
            assert event == TextDelta("one ")
            break
        await stream.aclose()  # type: ignore[attr-defined]
        await server.closed.wait()


async def test_the_key_is_sent_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    async with openai_server(Answer("hi")) as server:
        async with llm_for(server) as llm:
            await ask(llm)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        async with llm_for(server, base_url=None) as llm:
            await ask(llm)
    other, own = (one.get("authorization") for one in server.headers)
    assert (other, own) == (None, "Bearer sk-mine")


async def test_no_key_at_all_is_explained() -> None:
    async with openai_server(Answer(failure="401")) as server, llm_for(server) as llm:
        with pytest.raises(ProviderError, match="no key was sent"):
            await ask(llm)


async def test_the_model_is_found_by_asking() -> None:
    models = ("nomic-embed-text", "qwen")
    async with openai_server(models=models) as server, llm_for(server, model=None) as llm:
        await ask(llm)
    assert server.requests[0]["model"] == "qwen"


async def test_content_filter_without_text_is_an_error() -> None:
    answer = Answer("", finish_reason="content_filter")
    async with openai_server(answer) as server, llm_for(server) as llm:
        with pytest.raises(ProviderError, match="content filter"):
            await ask(llm)


def test_made_by_the_registry() -> None:
    options = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
    assert isinstance(registry.make("llm", "openai", options), OpenAiLlm)


def test_bad_address_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address"):
        OpenAiOptions(base_url="localhost:8080")
