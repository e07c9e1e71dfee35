"""A voice among others: its failures are counted.

Which voice speaks, and from which word on after a failure, is the engine's decision; it is told who
is known to be broken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from antiphon.errors import ProviderError
from antiphon.providers.base import Traits, Tts, TtsAudio, TtsEvent, TtsSegment
from antiphon.providers.failover.breaker import Breakers

STALLED_S = 0.7
"""A response given up after so long without a sound counts as a failure."""


class GuardedTts:
    """One of an agent's voices; `number` says which of those that the breakers know."""

    def __init__(self, inner: Tts, number: int, breakers: Breakers) -> None:
        self._inner, self._number, self._breakers = inner, number, breakers
        self.takes_ssml = bool(getattr(inner, "takes_ssml", False))
        self.traits: Traits = getattr(inner, "traits", Traits())

    @property
    def model(self) -> str:
        """What the price book calls it."""
        return str(getattr(self._inner, "model", "") or "")

    @property
    def sample_rate_hz(self) -> int:
        return self._inner.sample_rate_hz

    async def start(self) -> None:
        await self._inner.start()

    async def aclose(self) -> None:
        await self._breakers[self._number].aclose()
        await self._inner.aclose()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """See `Tts.stream`."""
        breaker, now = self._breakers[self._number], asyncio.get_running_loop().time
        begun, answered = now(), False
        stream = cast("AsyncGenerator[TtsEvent, None]", self._inner.stream(segments))
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if not answered and isinstance(event, TtsAudio):
                        answered = True
                        breaker.succeeded()
                    yield event
        except ProviderError as error:
            breaker.failed(error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if not answered and now() - begun >= STALLED_S:
                breaker.stalled()
            raise
