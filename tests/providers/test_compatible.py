"""The presets of OpenAI-compatible servers, against the same fake as `openai`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.openai_llm import FakeChat
from tests.support.openai_server import Answer, ScriptedCall, openai_server

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, LlmRequest, TextDelta, Usage
from antiphon.providers.llm.compatible import (
    GroqLlm,
    LlamaServerLlm,
    LmStudioLlm,
    MistralLlm,
    OllamaLlm,
    TogetherLlm,
    VllmLlm,
    nine,
)
from antiphon.providers.llm.openai import ChatLlm
from antiphon.types import Message, ToolCall, ToolSpec

CLOUD = [GroqLlm, TogetherLlm, MistralLlm]
LOCAL = [OllamaLlm, VllmLlm, LlamaServerLlm, LmStudioLlm]
HELLO = (Message("system", "You sell coffee."), Message("user", "hello"))
PRICE = ToolSpec("price", "Price of a drink.", {"type": "object", "properties": {}})


def made(cls: type[ChatLlm], **options: Any) -> ChatLlm:
    return cls(cls.Options(**{"model": "m", **options}), AgentHints())


@pytest.mark.parametrize("cls", CLOUD + LOCAL, ids=lambda cls: cls.name)
async def test_text_tools_and_usage(cls: type[ChatLlm], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-1")
    answer = Answer("Let me look.", (ScriptedCall("abcdefghi", "price", '{"a": 1}'),))
    async with openai_server(answer) as server:
        llm = made(cls, base_url=server.base_url, api_key="${MY_KEY}")
        await llm.start()
        events = [one async for one in llm.stream(LlmRequest(HELLO, (PRICE,)))]
        await llm.aclose()
    assert "".join(one.text for one in events if isinstance(one, TextDelta)) == "Let me look."
    assert ToolCall("abcdefghi", "price", '{"a": 1}') in events
    assert Usage(20, 7, 4) in events
    assert server.headers[0]["authorization"] == "Bearer sk-1"
    assert llm.model == server.requests[0]["model"] == "m"
    assert ("stream_options" in server.requests[0]) == (cls is not MistralLlm)


@pytest.mark.parametrize("cls", CLOUD + LOCAL, ids=lambda cls: cls.name)
async def test_errors_name_the_provider(cls: type[ChatLlm]) -> None:
    async with openai_server(Answer(failure="429")) as server:
        llm = made(cls, base_url=server.base_url)
        await llm.start()
        with pytest.raises(ProviderError, match=rf"^{cls.name}: HTTP 429") as caught:
            [one async for one in llm.stream(LlmRequest(HELLO))]
        await llm.aclose()
    assert (caught.value.provider, caught.value.retryable) == (cls.name, True)


@pytest.mark.parametrize("cls", CLOUD, ids=lambda cls: cls.name)
async def test_a_cloud_wants_its_key(cls: type[ChatLlm], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cls.traits.key, raising=False)
    with pytest.raises(UserFacingError, match=cls.traits.key):
        await made(cls).start()


@pytest.mark.parametrize("cls", CLOUD, ids=lambda cls: cls.name)
async def test_its_key_goes_nowhere_else(
    cls: type[ChatLlm], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cls.traits.key, "sk-1")
    async with openai_server() as server:
        llm = made(cls, base_url=server.base_url)
        await llm.start()
        [one async for one in llm.stream(LlmRequest(HELLO))]
        await llm.aclose()
    assert "authorization" not in server.headers[0]


async def test_a_local_server_is_asked_for_its_model() -> None:
    async with openai_server(models=("nomic-embed", "qwen")) as server:
        llm = made(OllamaLlm, base_url=server.base_url, model=None)
        await llm.start()
        [one async for one in llm.stream(LlmRequest(HELLO))]
        await llm.aclose()
    assert llm.model == "qwen"


async def test_mistral_gets_ids_that_it_takes() -> None:
    call = ToolCall("call_of_another_provider", "price", "{}")
    messages = (
        *HELLO,
        Message("assistant", "", (call, ToolCall("Ab3dEf6hI", "price", "{}"))),
        Message("tool", "1", tool_call_id=call.tool_call_id),
        Message("tool", "2", tool_call_id="Ab3dEf6hI"),
    )
    async with openai_server() as server:
        llm = made(MistralLlm, base_url=server.base_url)
        await llm.start()
        [one async for one in llm.stream(LlmRequest(messages))]
        await llm.aclose()
    asked, first, second = server.requests[0]["messages"][-3:]
    ids = [one["id"] for one in asked["tool_calls"]]
    assert (
        ids
        == [first["tool_call_id"], second["tool_call_id"]]
        == [nine("call_of_another_provider"), "Ab3dEf6hI"]
    )
    assert all(len(one) == 9 and one.isalnum() for one in ids)


async def test_a_model_whose_template_opens_the_thought() -> None:
    answers = (Answer("so hm </think>Hello there."), Answer("again </think>Good bye."))
    async with openai_server(*answers) as server:
        for options, expected in (
            ({"begins_thinking": True}, ["Hello there.", "Good bye."]),
            ({}, ["again Good bye.", "Good bye."]),
        ):
            llm = made(VllmLlm, base_url=server.base_url, **options)
            await llm.start()
            said = []
            for _ in range(2):
                events = [one async for one in llm.stream(LlmRequest(HELLO))]
                said.append("".join(one.text for one in events if isinstance(one, TextDelta)))
            await llm.aclose()
            assert said == expected


@pytest.mark.parametrize("cls", CLOUD + LOCAL, ids=lambda cls: cls.name)
def test_made_by_the_registry(cls: type[ChatLlm]) -> None:
    assert type(registry.make("llm", cls.name, {"model": "m"})) is cls


async def test_one_connection_serves_one_answer_after_another() -> None:
    async with FakeChat() as fake:
        llm = made(VllmLlm, base_url=f"{fake.http_url}/v1")
        await llm.start()
        for _ in range(3):
            [one async for one in llm.stream(LlmRequest(HELLO))]
        await llm.aclose()
    assert len(set(fake.ports)) == 1


async def test_a_server_that_hangs_does_not_hold_up_the_start() -> None:
    async with FakeChat() as fake:
        fake.faults.silent = True
        llm = made(VllmLlm, base_url=f"{fake.http_url}/v1", connect_ms=20)
        await asyncio.wait_for(llm.start(), 20)
        await llm.aclose()
