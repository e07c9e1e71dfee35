"""Generations and tools of one call: one answer at a time, and every tool answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest
from tests.support.stage import GatedLlm, settle

from antiphon.agent.tool import Tool
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.session.thinker import Thinker
from antiphon.types import END_CALL_TOOL, Message, ToolCall, ToolSpec

QUESTION = (Message("user", "hello"),)


class BrokenLlm(GatedLlm):
    """Fails where its pieces end."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        async for piece in super().stream(request):
            yield piece
        raise ProviderError("out of tokens", provider="llm", retryable=True)


class Desk:
    """A thinker, what it told, and the tasks that it spawned."""

    def __init__(self, *llms: GatedLlm, tools: Sequence[Tool] = ()) -> None:
        self.told: list[e.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.thinker = Thinker(llms, tools, lambda: 700, self.told.append, self.spawn)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work, name=name))
        return self.tasks[-1]

    async def finish(self) -> list[e.Event]:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return self.told


def opened(*pieces: LlmEvent, broken: bool = False) -> GatedLlm:
    llm = BrokenLlm(*pieces) if broken else GatedLlm(*pieces)
    llm.gate.set()
    return llm


# ---- generations ---------------------------------------------------------------------------


async def test_what_the_llm_gives_is_told_in_its_order() -> None:
    pieces = (TextDelta("Let me "), TextDelta("look."), ToolCall("t1", "find", '{"a":1}'))
    desk = Desk(opened(*pieces))
    desk.thinker.start(c.StartGeneration(3), QUESTION)
    assert desk.thinker.busy
    assert await desk.finish() == [
        e.TextGenerated(700, 3, "Let me "),
        e.TextGenerated(700, 3, "look."),
        e.ToolRequested(700, 3, "t1", "find", '{"a":1}'),
        e.GenerationEnded(700, 3),
    ]
    assert not desk.thinker.busy


async def test_the_llm_is_shown_the_messages_and_the_tools() -> None:
    def find() -> None:
        """Find it."""

    llm = opened()
    spec = ToolSpec("find", "Find it.", {"type": "object"})
    desk = Desk(llm, tools=[Tool(spec, find, 5000)])
    desk.thinker.start(c.StartGeneration(1), QUESTION)
    await desk.finish()
    (request,) = llm.asked
    assert request.messages == QUESTION
    assert [tool.name for tool in request.tools] == ["find", END_CALL_TOOL]
    assert request.tools[0] == spec


async def test_an_llm_that_fails_says_why_after_what_it_gave() -> None:
    desk = Desk(opened(TextDelta("Well"), broken=True))
    desk.thinker.start(c.StartGeneration(1), QUESTION)
    assert await desk.finish() == [
        e.TextGenerated(700, 1, "Well"),
        e.GenerationFailed(700, 1, "llm: out of tokens"),
    ]
    assert not desk.thinker.busy


async def test_the_attempt_says_which_llm_is_asked() -> None:
    llms = opened(), opened(TextDelta("It is me."))
    desk = Desk(*llms)
    desk.thinker.start(c.StartGeneration(1, 1), QUESTION)
    await desk.finish()
    assert [len(llm.asked) for llm in llms] == [0, 1]
    assert desk.told[0] == e.TextGenerated(700, 1, "It is me.")


async def test_a_cancelled_generation_tells_nothing_and_is_released() -> None:
    llm = GatedLlm(TextDelta("late"))
    desk = Desk(llm)
    desk.thinker.start(c.StartGeneration(1), QUESTION)
    await settle()
    desk.thinker.cancel()
    assert not desk.thinker.busy
    desk.thinker.cancel()  # once more is nothing
    assert await desk.finish() == []
    assert llm.released == 1


async def test_a_new_generation_closes_the_one_before() -> None:
    first, second = GatedLlm(TextDelta("late")), opened(TextDelta("new"))
    desk = Desk(first, second)
    desk.thinker.start(c.StartGeneration(1, 0), QUESTION)
    await settle()
    desk.thinker.start(c.StartGeneration(2, 1), QUESTION)
    await settle()
    first.gate.set()
    assert await desk.finish() == [e.TextGenerated(700, 2, "new"), e.GenerationEnded(700, 2)]
    assert first.released == 1


# ---- tokens --------------------------------------------------------------------------------


async def test_tokens_are_counted_for_the_newest_response_over_its_generations() -> None:
    desk = Desk(opened(TextDelta("Hi."), Usage(100, 20, 60)))
    for _ in range(2):
        desk.thinker.start(c.StartGeneration(1), QUESTION)
        await desk.finish()
    assert desk.thinker.usage(1) == Usage(200, 40, 120)
    assert desk.thinker.usage(2) == Usage(0, 0)
    desk.thinker.start(c.StartGeneration(2), QUESTION)
    await desk.finish()
    assert desk.thinker.usage(2) == Usage(100, 20, 60)
    assert desk.thinker.usage(1) == Usage(0, 0)


# ---- tools ---------------------------------------------------------------------------------


async def test_a_tool_answers_and_counts_as_work_until_then() -> None:
    gate = asyncio.Event()

    async def find(a: int) -> dict[str, int]:
        """Find it."""
        await gate.wait()
        return {"found": a}

    spec = ToolSpec("find", "Find it.", {"type": "object"})
    desk = Desk(opened(), tools=[Tool(spec, find, 5000)])
    desk.thinker.call_tool(c.CallTool("t1", "find", '{"a": 7}', 5000))
    await settle()
    assert desk.thinker.busy
    desk.thinker.cancel()  # tools go on
    gate.set()
    assert await desk.finish() == [e.ToolCompleted(700, "t1", '{"found": 7}')]
    assert not desk.thinker.busy


@pytest.mark.parametrize("name", ["fnid", "x" * 500])
async def test_a_tool_that_is_not_there_is_an_error_for_the_llm(name: str) -> None:
    desk = Desk(opened())
    desk.thinker.call_tool(c.CallTool("t1", name, "{}", 5000))
    (completed,) = await desk.finish()
    assert isinstance(completed, e.ToolCompleted)
    assert completed.output == f'{{"error": "there is no tool called {name[:64]!r}"}}'


async def test_a_tool_that_raises_is_an_error_for_the_llm() -> None:
    def find() -> None:
        """Find it."""
        raise ValueError("no such thing")

    spec = ToolSpec("find", "Find it.", {"type": "object"})
    desk = Desk(opened(), tools=[Tool(spec, find, 5000)])
    desk.thinker.call_tool(c.CallTool("t1", "find", "{}", 5000))
    (completed,) = await desk.finish()
    assert isinstance(completed, e.ToolCompleted)
    assert "no such thing" in completed.output
    assert not desk.thinker.busy


class Paid(Desk):
    """A desk that keeps what each generation has used."""

    def __init__(self, *llms: GatedLlm) -> None:
        super().__init__(*llms)
        self.used: list[tuple[int, int, Usage, bool]] = []
        self.thinker = Thinker(
            llms, (), lambda: 700, self.told.append, self.spawn, lambda *one: self.used.append(one)
        )


async def test_what_an_llm_tells_is_what_is_paid() -> None:
    desk = Paid(opened(), opened(TextDelta("Yes."), Usage(10, 2, 4, "big")))
    desk.thinker.start(c.StartGeneration(3, 1), QUESTION)
    await desk.finish()
    assert desk.used == [(1, 3, Usage(10, 2, 4, "big"), False)]


async def test_what_nobody_tells_is_estimated() -> None:
    desk = Paid(opened(TextDelta("Yes, of course.")))
    desk.thinker.start(c.StartGeneration(1), QUESTION)
    await desk.finish()
    (one,) = desk.used
    assert one[2].output_tokens == 4
    assert one[2].input_tokens > 5
    assert one[3] is True


async def test_a_cancelled_generation_is_paid_once() -> None:
    llm = GatedLlm(TextDelta("never"))
    desk = Paid(llm)
    desk.thinker.start(c.StartGeneration(1), QUESTION)
    await settle()
    desk.thinker.cancel()
    desk.thinker.cancel()
    await desk.finish()
    assert [(one[2].output_tokens, one[3]) for one in desk.used] == [(0, True)]


async def test_a_refused_request_costs_nothing_and_a_broken_one_does() -> None:
    for pieces, paid in (((), 0), ((TextDelta("Well"), ToolCall("1", "look", "{}")), 1)):
        desk = Paid(opened(*pieces, broken=True))
        desk.thinker.start(c.StartGeneration(1), QUESTION)
        await desk.finish()
        assert len(desk.used) == paid
