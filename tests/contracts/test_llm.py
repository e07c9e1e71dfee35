from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from antiphon.providers.base import Llm, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.types import Message, ToolCall

REQUEST = LlmRequest(
    (
        Message("system", "You take orders in a cafe."),
        Message("assistant", "Hello, what can I get you?"),
        Message("user", "a small coffee please"),
    )
)


async def test_an_answer_says_or_does_something(llm: Llm) -> None:
    events = [event async for event in llm.stream(REQUEST)]
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert text.strip() or calls
    assert all(event.text for event in events if isinstance(event, TextDelta))
    assert len({call.tool_call_id for call in calls}) == len(calls)
    models = [event.model for event in events if isinstance(event, Usage)]
    assert len(set(models)) == len(models), "one usage, or one for each model"


async def test_requests_at_once_each_get_their_answer(llm: Llm) -> None:
    async def ask() -> int:
        return len([event async for event in llm.stream(REQUEST)])

    assert all(await asyncio.gather(*(ask() for _ in range(5))))


async def test_closing_early_and_cancelling_leave_nothing(llm: Llm) -> None:
    stream = cast("AsyncGenerator[LlmEvent, None]", llm.stream(REQUEST))
    await anext(stream)
    await stream.aclose()

    async def ask() -> None:
        while True:
            said = cast("AsyncGenerator[LlmEvent, None]", llm.stream(REQUEST))
            # Closed now, wherever it is cancelled, and not by the collector after the loop's end.
            async with aclosing(said):
                async for _ in said:
                    await asyncio.sleep(0)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()
