"""What holds for every adapter of a vendor's own API, each against its vendor's fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.gemini import FakeGemini
from tests.fakes.llm import Answer, Call, FakeLlm
from tests.fakes.openai_llm import FakeResponses

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, Llm, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.llm.anthropic import AnthropicLlm
from antiphon.providers.llm.gemini import GeminiLlm
from antiphon.providers.llm.openai_responses import OpenAiResponsesLlm
from antiphon.types import Message, ToolCall, ToolSpec

SYSTEM = Message("system", "You sell coffee.")
HELLO = Message("user", "hello")
PRICE = ToolSpec(
    "price",
    "Price of a drink.",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"drink": {"type": "string"}},
        "additionalProperties": False,
    },
)
STOCK = ToolSpec("stock", "What there is.")
TWO_CALLS = (
    Call("call_a", "price", '{"drink": "latte", "size": "large"}'),
    Call("call_b", "price", '{"drink": "café ☕"}'),
)


@dataclass(frozen=True)
class Vendor:
    name: str
    adapter: Any
    fake: type[FakeLlm]
    path: str
    variable: str


VENDORS = [
    Vendor("openai-responses", OpenAiResponsesLlm, FakeResponses, "/v1", "OPENAI_API_KEY"),
    Vendor("anthropic", AnthropicLlm, FakeAnthropic, "", "ANTHROPIC_API_KEY"),
    Vendor("gemini", GeminiLlm, FakeGemini, "/v1", "GEMINI_API_KEY"),
]


@pytest.fixture(params=VENDORS, ids=lambda one: one.name)
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Vendor:
    assert isinstance(request.param, Vendor)
    monkeypatch.setenv("MY_KEY", "sk-123")
    for one in VENDORS:
        monkeypatch.delenv(one.variable, raising=False)
    return request.param


@asynccontextmanager
async def started(vendor: Vendor, fake: FakeLlm, **options: Any) -> AsyncIterator[Any]:
    place = {"base_url": fake.http_url + vendor.path, "api_key": "${MY_KEY}"}
    llm = vendor.adapter(vendor.adapter.Options(**place | options), AgentHints())
    await llm.start()
    try:
        yield llm
    finally:
        await llm.aclose()


async def ask(llm: Llm, *messages: Message, tools: tuple[ToolSpec, ...] = ()) -> list[LlmEvent]:
    request = LlmRequest(messages or (SYSTEM, HELLO), tools)
    return [event async for event in llm.stream(request)]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def calls_of(events: list[LlmEvent]) -> list[ToolCall]:
    return [one for one in events if isinstance(one, ToolCall)]


@pytest.mark.parametrize(
    "answer",
    [
        Answer("A large latte is four fifty."),
        Answer("Let me look.", TWO_CALLS),
        Answer("", TWO_CALLS[:1]),
        Answer("naïve – ☕ – done", thoughts="what do they want"),
    ],
    ids=["text", "text and parallel calls", "one call", "thoughts"],
)
async def test_text_calls_and_usage(vendor: Vendor, answer: Answer) -> None:
    async with vendor.fake(answer) as fake, started(vendor, fake) as llm:
        events = await ask(llm, tools=(PRICE, STOCK))
    assert text_of(events) == answer.text
    assert calls_of(events) == [ToolCall(c.call_id, c.name, c.arguments) for c in answer.calls]
    assert [one for one in events if isinstance(one, Usage)] == [Usage(20, 7, 4)]
    assert llm.model


async def test_text_is_streamed_piece_by_piece(vendor: Vendor) -> None:
    async with vendor.fake(Answer("one two three")) as fake, started(vendor, fake) as llm:
        events = await ask(llm)
    assert [one.text for one in events if isinstance(one, TextDelta)] == ["one ", "two ", "three"]


async def test_a_whole_conversation_is_accepted(vendor: Vendor) -> None:
    """Greeting first, an interruption, parallel calls whose results come late or never, an answer
    that was never heard, two things said in a row; the fake refuses what its vendor would."""
    both = (ToolCall("a", "price", '{"drink": "latte"}'), ToolCall("b", "stock", "no JSON"))
    messages = (
        SYSTEM,
        Message("assistant", "Hello, what can I get you?"),
        HELLO,
        Message("assistant", "We have", interrupted=True),
        Message("user", "a latte"),
        Message("assistant", "Let me see.", both),
        Message("tool", '{"price": 4.5}', tool_call_id="a"),
        Message("tool", "plenty", tool_call_id="b"),
        Message("user", "and?"),
        Message("assistant", "", interrupted=True),
        Message("user", "are you there?"),
        Message("assistant", "", (ToolCall("c", "price", "{}"),)),
        Message("user", "quick"),
    )
    async with vendor.fake() as fake, started(vendor, fake) as llm:
        for end in range(2, len(messages) + 1):
            assert text_of(await ask(llm, *messages[:end], tools=(PRICE,))) == "Yes, of course."


async def test_a_call_its_result_and_the_answer(vendor: Vendor) -> None:
    asked = Answer("Let me look.", (Call("", "price", '{"drink": "latte"}'), Call("", "stock")))
    if vendor.name != "gemini":
        asked = Answer("Let me look.", (Call("x1", "price"), Call("x2", "stock")))
    async with vendor.fake(asked, Answer("It is five.")) as fake, started(vendor, fake) as llm:
        made = calls_of(await ask(llm, tools=(PRICE, STOCK)))
        assert len({one.tool_call_id for one in made}) == 2
        results = [Message("tool", '{"is": 5}', tool_call_id=one.tool_call_id) for one in made]
        history = (SYSTEM, HELLO, Message("assistant", "Let me look.", tuple(made)), *results)
        assert text_of(await ask(llm, *history, tools=(PRICE, STOCK))) == "It is five."


async def test_one_connection_serves_one_answer_after_another(vendor: Vendor) -> None:
    async with vendor.fake() as fake, started(vendor, fake) as llm:
        for _ in range(3):
            await ask(llm)
    assert len(set(fake.ports)) == 1


@pytest.mark.parametrize(
    ("status", "retryable", "says"),
    [
        (401, False, "the key is that of MY_KEY"),
        (404, False, "a model of"),
        (429, True, r"refused \(retry-after: 2\)"),
        (500, True, "HTTP 500"),
        (529, True, "HTTP 529"),
    ],
)
async def test_refusals(vendor: Vendor, status: int, retryable: bool, says: str) -> None:
    async with vendor.fake() as fake:
        fake.faults.status, fake.faults.retry_after = status, "2"
        async with started(vendor, fake) as llm:
            with pytest.raises(ProviderError, match=says) as caught:
                await ask(llm)
    assert (caught.value.retryable, caught.value.status) == (retryable, status)
    assert caught.value.provider == vendor.name
    assert "sk-123" not in str(caught.value)


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        ("stall", "no answer within 0.05 s"),
        ("cut", "the connection to .* broke"),
        ("short", "ended before the answer was whole"),
    ],
)
async def test_broken_streams(vendor: Vendor, fails: Any, says: str) -> None:
    answer = Answer("Hello", fails=fails)
    idle_ms = 50 if fails == "stall" else 5000
    async with vendor.fake(answer) as fake, started(vendor, fake, idle_ms=idle_ms) as llm:
        with pytest.raises(ProviderError, match=says) as caught:
            await ask(llm)
    assert caught.value.retryable


async def test_garbage_and_a_slow_first_byte(vendor: Vendor) -> None:
    async with vendor.fake() as fake:
        async with started(vendor, fake, first_token_ms=300) as llm:
            fake.faults.silent = True
            with pytest.raises(ProviderError, match=r"no answer within 0\.3 s"):
                await ask(llm)
            await asyncio.wait_for(fake.left.wait(), 20)
        fake.faults.silent, fake.faults.first_ms = False, 30
        async with started(vendor, fake) as llm:
            assert text_of(await ask(llm)) == "Yes, of course."
            fake.faults.garbage = True
            with pytest.raises(ProviderError, match="not JSON") as caught:
                await ask(llm)
    assert caught.value.retryable


async def test_closing_and_cancelling_close_the_stream_at_the_vendor(vendor: Vendor) -> None:
    answer = Answer("one two", fails="stall")
    async with vendor.fake(answer) as fake, started(vendor, fake) as llm:
        stream = llm.stream(LlmRequest((HELLO,)))
        assert await anext(stream) == TextDelta("one ")
        await stream.aclose()
        await asyncio.wait_for(fake.left.wait(), 20)
        fake.left.clear()
        fake.stuck.clear()
        task = asyncio.create_task(ask(llm, HELLO))
        await asyncio.wait_for(fake.stuck.wait(), 20)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
        await asyncio.wait_for(fake.left.wait(), 20)


async def test_the_key(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserFacingError, match=vendor.variable):
        await vendor.adapter(vendor.adapter.Options(), AgentHints()).start()
    monkeypatch.setenv(vendor.variable, "sk-mine")
    async with vendor.fake() as fake:
        # The environment's key is not for a server that is not the vendor's.
        async with started(vendor, fake, api_key=None) as llm:
            await ask(llm)
        assert not any("sk-mine" in one for one in fake.last.headers.values())
        async with started(vendor, fake) as llm:
            await ask(llm)
        assert any("sk-123" in one for one in fake.last.headers.values())


async def test_options_are_sent(vendor: Vendor) -> None:
    options = {"max_tokens": 50, "extra_body": {"something": 1}, "model": "m-1"}
    async with vendor.fake() as fake, started(vendor, fake, **options) as llm:
        await ask(llm)
    body = fake.bodies[0]
    assert body["something"] == 1
    assert 50 in [*body.values(), *body.get("generationConfig", {}).values()]
    assert "m-1" in fake.last.path + str(body.get("model"))
    assert "tools" not in body


async def test_nobody_there_is_a_warning_first(vendor: Vendor) -> None:
    async with vendor.fake() as fake:
        url = fake.http_url
    llm = vendor.adapter(vendor.adapter.Options(base_url=url), AgentHints())
    await llm.start()
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await ask(llm)
    await llm.aclose()
    assert caught.value.retryable
