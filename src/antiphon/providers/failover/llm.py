"""A brain among others: its failures are counted, and where it is slow it may be overtaken.

Which brain is asked, and for how long, is the engine's decision; it is told who is known to be
broken. Here a request is made once more where there is nobody else, and is hedged where the agent's
file says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from antiphon.errors import ProviderError
from antiphon.providers.base import Llm, LlmEvent, LlmRequest, Usage
from antiphon.providers.failover.breaker import Breakers

STALLED_S = 1.0
"""A request given up after so long without a word counts as a failure."""
AGAIN_S = 0.5
"""A request that failed within this time is made once more, where there is nobody else."""

Stream = AsyncGenerator[LlmEvent, None]


class GuardedLlm:
    """One of an agent's brains.

    Args:
        llms: all of them.
        number: which of them this is.
        breakers: theirs.
        hedge_ms: wait for the first words after which the next one is asked, too; None: never.
    """

    def __init__(
        self, llms: Sequence[Llm], number: int, breakers: Breakers, hedge_ms: int | None
    ) -> None:
        self._llms, self._number, self._breakers = llms, number, breakers
        self._hedge_ms = hedge_ms if len(llms) > 1 else None
        self._inner = llms[number]

    @property
    def model(self) -> str:
        """What the price book calls it."""
        return str(getattr(self._inner, "model", "") or "")

    async def start(self) -> None:
        await self._inner.start()

    async def aclose(self) -> None:
        await self._breakers[self._number].aclose()
        await self._inner.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """See `Llm.stream`."""
        if self._hedge_ms is None:
            source = self._watched(self._number, request)
        else:
            source = self._hedged(request, self._hedge_ms)
        async with aclosing(source) as events:
            async for event in events:
                yield event

    async def _watched(self, number: int, request: LlmRequest) -> Stream:
        """A stream whose fate its breaker learns."""
        breaker, begun = self._breakers[number], asyncio.get_running_loop().time()
        tries = 2 if len(self._llms) == 1 else 1
        while True:
            tries -= 1
            answered = False
            stream = cast(Stream, self._llms[number].stream(request))
            try:
                async with aclosing(stream) as events:
                    async for event in events:
                        if not answered:
                            answered = True
                            breaker.succeeded()
                        yield event
                return
            except ProviderError as error:
                breaker.failed(error)
                late = asyncio.get_running_loop().time() - begun > AGAIN_S
                if answered or not tries or late or not error.retryable:
                    raise
            except (asyncio.CancelledError, GeneratorExit):
                if not answered and asyncio.get_running_loop().time() - begun >= STALLED_S:
                    breaker.stalled()
                raise

    async def _hedged(self, request: LlmRequest, hedge_ms: int) -> Stream:
        """The first to say something is heard; the other one is closed."""
        other = self._breakers.best(self._number)
        streams = [self._watched(self._number, request)]
        firsts: dict[asyncio.Task[LlmEvent | None], int] = {_first(streams[0]): 0}
        winner = -1
        try:
            if other != self._number:
                await asyncio.wait(firsts, timeout=hedge_ms / 1000)
                if not any(task.done() for task in firsts):
                    streams.append(self._watched(other, request))
                    firsts[_first(streams[1])] = 1
            task = await _quickest(firsts)
            event, winner = task.result(), firsts[task]
            while event is not None:
                yield self._named(event, winner, other)
                event = await anext(streams[winner], None)
        finally:
            for task in firsts:
                task.cancel()
            await asyncio.gather(*firsts, return_exceptions=True)
            for stream in streams:
                await stream.aclose()

    def _named(self, event: LlmEvent, winner: int, other: int) -> LlmEvent:
        """What the other brain cost is told under its own name."""
        if winner == 1 and isinstance(event, Usage) and not event.model:
            return replace(event, model=str(getattr(self._llms[other], "model", "") or ""))
        return event


def _first(stream: Stream) -> asyncio.Task[LlmEvent | None]:
    async def read() -> LlmEvent | None:
        return await anext(stream, None)

    return asyncio.get_running_loop().create_task(read())


async def _quickest(
    firsts: dict[asyncio.Task[LlmEvent | None], int],
) -> asyncio.Task[LlmEvent | None]:
    """The first that did not fail, or the last that did."""
    waiting = set(firsts)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=lambda one: firsts[one]):
            if task.exception() is None or not waiting:
                return task
