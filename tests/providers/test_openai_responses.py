"""What is the Responses API's own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.llm import Answer
from tests.fakes.openai_llm import FakeResponses
from tests.providers.test_llm import (
    HELLO,
    PRICE,
    SYSTEM,
    VENDORS,
    ask,
    calls_of,
    started,
    text_of,
)

from antiphon.errors import ProviderError
from antiphon.providers.base import Usage
from antiphon.types import Message, ToolCall

RESPONSES = VENDORS[0]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-123")


async def test_what_is_sent() -> None:
    call = ToolCall("a", "price", "{}")
    options = {"reasoning_effort": "low", "temperature": 0.5}
    async with FakeResponses() as fake, started(RESPONSES, fake, **options) as llm:
        messages = (SYSTEM, HELLO, Message("assistant", "Well.", (call,)))
        await ask(llm, *messages, Message("tool", "5", tool_call_id="a"), tools=(PRICE,))
    body = fake.bodies[0]
    assert fake.last.headers["authorization"] == "Bearer sk-123"
    assert (body["store"], body["stream"], body["parallel_tool_calls"]) == (False, True, True)
    assert (body["reasoning"], body["temperature"]) == ({"effort": "low"}, 0.5)
    assert body["instructions"] == "You sell coffee."
    assert body["input"] == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Well."},
        {"type": "function_call", "call_id": "a", "name": "price", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "5"},
    ]
    assert body["tools"][0]["strict"] is False


@pytest.mark.parametrize(
    ("answer", "retryable", "status", "says"),
    [
        (
            Answer(stop="failed", error={"code": "server_error", "message": "Oops"}),
            *(True, None, "server_error: Oops"),
        ),
        (
            Answer("Hi", fails="error", error={"code": "rate_limit_exceeded", "message": "Slow"}),
            *(True, 429, "rate_limit_exceeded: Slow"),
        ),
        (
            Answer(fails="error", error={"error": {"type": "invalid_prompt", "message": "No"}}),
            *(False, None, "invalid_prompt: No"),
        ),
        (Answer(stop="failed"), True, None, "the response failed"),
        (Answer(stop="content_filter"), False, None, "content filter"),
    ],
)
async def test_failures_in_the_stream(
    answer: Answer, retryable: bool, status: int | None, says: str
) -> None:
    async with FakeResponses(answer) as fake, started(RESPONSES, fake) as llm:
        with pytest.raises(ProviderError, match=says) as caught:
            await ask(llm)
    assert (caught.value.retryable, caught.value.status) == (retryable, status)


async def test_an_answer_that_is_too_long_is_what_there_is() -> None:
    answer = Answer("And so", stop="max_output_tokens")
    async with FakeResponses(answer) as fake, started(RESPONSES, fake) as llm:
        events = await ask(llm)
    assert text_of(events) == "And so"
    assert Usage(20, 7, 4) in events


async def test_calls_that_come_only_at_the_end() -> None:
    """As some servers do that imitate the API."""

    class Late(FakeResponses):
        def frames(self, answer: Answer, body: Any) -> Any:
            yield 'data: {"type": "response.completed", "response": {"output": [{"type": '
            yield '"function_call", "call_id": "a", "name": "price", "arguments": ""}]}}\n\n'

    async with Late() as fake, started(RESPONSES, fake) as llm:
        assert calls_of(await ask(llm)) == [ToolCall("a", "price", "{}")]


async def test_malformed_events() -> None:
    class Malformed(FakeResponses):
        def frames(self, answer: Answer, body: Any) -> Any:
            yield f"data: {answer.text}\n\n"

    texts = ("3", "{}", '{"type": "response.output_item.done", "item": 3}')
    async with Malformed(*(Answer(one) for one in texts)) as fake, started(RESPONSES, fake) as llm:
        for _ in texts:
            with pytest.raises(ProviderError, match="malformed event"):
                await ask(llm)
