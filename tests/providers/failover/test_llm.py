from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.providers.failover.common import breakers, failure

from antiphon.errors import ProviderError
from antiphon.providers.base import Llm, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.failover.breaker import Breakers
from antiphon.providers.failover.llm import GuardedLlm
from antiphon.types import Message

REQUEST = LlmRequest((Message("user", "hello"),))


class Brain:
    """Waits, fails so many times, then says its name."""

    def __init__(self, model: str, *, wait_s: float = 0, fails: int = 0) -> None:
        self.model, self.wait_s, self.fails = model, wait_s, fails
        self.asked = self.closed = 0

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self.asked += 1
        try:
            await asyncio.sleep(self.wait_s)
            if self.fails:
                self.fails -= 1
                raise failure()
            yield TextDelta(self.model)
            yield Usage(1, 1)
        finally:
            self.closed += 1


def guard(*brains: Llm, group: Breakers | None = None, hedge_ms: int | None = None) -> GuardedLlm:
    return GuardedLlm(brains, 0, group or breakers(len(brains)), hedge_ms)


async def ask(llm: GuardedLlm) -> list[LlmEvent]:
    return [event async for event in llm.stream(REQUEST)]


async def test_failures_are_counted_and_an_answer_ends_the_count() -> None:
    first, group = Brain("a", fails=2), breakers(2, failures=2)
    llm = guard(first, Brain("b"), group=group)
    for lost in ((), (0,)):
        with pytest.raises(ProviderError, match="busy"):
            await ask(llm)
        assert group.lost() == lost
    await ask(llm)
    assert group.lost() == ()
    await group.aclose()


async def test_a_request_is_made_once_more_where_there_is_nobody_else() -> None:
    alone = Brain("a", fails=1)
    group = breakers(1, failures=3)
    assert await ask(guard(alone, group=group)) == [TextDelta("a"), Usage(1, 1)]
    assert alone.asked == 2
    with pytest.raises(ProviderError):
        await ask(guard(Brain("a", fails=2), group=group))
    await group.aclose()


async def test_a_slow_brain_is_overtaken_and_closed() -> None:
    slow, quick = Brain("slow", wait_s=5), Brain("quick")
    events = await ask(guard(slow, quick, hedge_ms=20))
    assert events == [TextDelta("quick"), Usage(1, 1, model="quick")]
    assert slow.closed == 1


async def test_the_hedge_is_not_asked_where_the_first_is_in_time() -> None:
    first, second = Brain("a"), Brain("b")
    assert await ask(guard(first, second, hedge_ms=500)) == [TextDelta("a"), Usage(1, 1)]
    assert second.asked == 0


async def test_a_hedge_that_fails_leaves_the_first_to_answer() -> None:
    first, second = Brain("a", wait_s=0.1), Brain("b", fails=1)
    assert (await ask(guard(first, second, hedge_ms=10)))[0] == TextDelta("a")


async def test_when_both_fail_the_failure_is_told() -> None:
    group = breakers(2, failures=5)
    llm = guard(Brain("a", wait_s=0.05, fails=1), Brain("b", fails=1), group=group, hedge_ms=10)
    with pytest.raises(ProviderError, match="busy"):
        await ask(llm)
    await group.aclose()


async def test_one_that_is_given_up_without_a_word_counts_as_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.providers.failover.llm.STALLED_S", 0.01)
    stalled, group = Brain("a", wait_s=5), breakers(2)
    task = asyncio.create_task(ask(guard(stalled, Brain("b"), group=group)))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert (group[0].open, stalled.closed) == (True, 1)
    await group.aclose()
