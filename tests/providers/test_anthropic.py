"""What is Anthropic's own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.llm import Answer
from tests.providers.test_llm import HELLO, PRICE, STOCK, SYSTEM, VENDORS, ask, started, text_of

from antiphon.errors import ProviderError
from antiphon.types import Message, ToolCall

ANTHROPIC = VENDORS[1]
OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-123")


async def sent(*messages: Message, **options: Any) -> Any:
    async with FakeAnthropic() as fake, started(ANTHROPIC, fake, **options) as llm:
        await ask(llm, *messages, tools=(PRICE, STOCK))
    return fake.bodies[0]


async def test_results_of_parallel_calls_are_one_turn() -> None:
    calls = (ToolCall("a", "price", '{"x": 1}'), ToolCall("b", "stock", ""))
    body = await sent(
        SYSTEM,
        Message("assistant", "Hello."),
        HELLO,
        Message("assistant", "One moment.", calls),
        Message("tool", "1", tool_call_id="b"),
        Message("user", "and?"),
        Message("tool", "2", tool_call_id="a"),
    )
    assert [one["role"] for one in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    text, *used = body["messages"][3]["content"]
    assert text == {"type": "text", "text": "One moment."}
    assert [one["input"] for one in used] == [{"x": 1}, {}]
    first, second, said = body["messages"][4]["content"]
    assert (first["tool_use_id"], first["content"]) == ("a", "2")
    assert (second["tool_use_id"], second["content"]) == ("b", "1")
    assert said["text"] == "and?"


async def test_what_is_cached() -> None:
    mark = {"type": "ephemeral"}
    body = await sent(SYSTEM, HELLO)
    assert body["system"][0]["cache_control"] == mark
    assert [one.get("cache_control") for one in body["tools"]] == [None, mark]
    assert body["messages"][-1]["content"][-1]["cache_control"] == mark
    assert "cache_control" not in str(await sent(SYSTEM, HELLO, prompt_caching=False))


@pytest.mark.parametrize(
    ("options", "thinking"),
    [
        ({}, {"type": "disabled"}),
        ({"model": "claude-opus-5-5"}, None),
        ({"model": "claude-opus-5-5", "thinking": "adaptive"}, {"type": "adaptive"}),
    ],
)
async def test_thinking(options: dict[str, Any], thinking: Any) -> None:
    body = await sent(**options, effort="low")
    assert body.get("thinking") == thinking
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("error", "retryable", "status"),
    [
        (OVERLOADED, True, 529),
        ({"type": "api_error", "message": "Internal"}, True, 500),
        ({"type": "rate_limit_error", "message": "Slow down"}, True, 429),
        ({"type": "invalid_request_error", "message": "No"}, False, 400),
        ({"type": "something_new", "message": "New"}, True, None),
        (None, True, None),
    ],
)
async def test_errors_in_the_stream(error: Any, retryable: bool, status: int | None) -> None:
    answer = Answer("Hello", fails="error", error=error)
    async with FakeAnthropic(answer) as fake, started(ANTHROPIC, fake) as llm:
        with pytest.raises(ProviderError, match=(error or {}).get("message", "error")) as caught:
            await ask(llm)
    assert (caught.value.retryable, caught.value.status) == (retryable, status)


async def test_a_refusal_without_text_is_an_error() -> None:
    answers = (Answer("I can not.", stop="refusal"), Answer("", stop="refusal"))
    async with FakeAnthropic(*answers) as fake, started(ANTHROPIC, fake) as llm:
        assert text_of(await ask(llm)) == "I can not."
        with pytest.raises(ProviderError, match="declined") as caught:
            await ask(llm)
    assert not caught.value.retryable


async def test_pings_are_no_sign_of_life() -> None:
    class Pinging(FakeAnthropic):
        def frames(self, answer: Answer, body: Any) -> Any:
            yield from ['data: {"type": "ping"}\n\n'] * 3
            yield ""

    stalling = Answer(fails="stall")
    async with Pinging(stalling) as fake, started(ANTHROPIC, fake, first_token_ms=100) as llm:
        with pytest.raises(ProviderError, match=r"no answer within 0\.1 s"):
            await ask(llm)


async def test_malformed_events() -> None:
    class Malformed(FakeAnthropic):
        def frames(self, answer: Answer, body: Any) -> Any:
            yield f"data: {answer.text}\n\n"

    texts = ("3", '{"type": "content_block_delta"}', '{"type": "message_start", "message": 1}')
    async with Malformed(*(Answer(one) for one in texts)) as fake, started(ANTHROPIC, fake) as llm:
        for _ in texts:
            with pytest.raises(ProviderError, match=r"malformed|not an object") as caught:
                await ask(llm)
            assert caught.value.retryable
