"""A recogniser or brain that nobody asked for, beside a speech-to-speech model.

An agent with such a model needs no other; the ones that it has by default step in when the model
fails. Where a default cannot run (nothing is known of what callers say, no language model is there)
the agent does without it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import LlmEvent, LlmRequest, SttStream

log = logging.getLogger(__name__)


class Beside:
    """An `Stt` or an `Llm` that may be missing; asked for, it then says why."""

    def __init__(self, kind: str, provider: Any) -> None:
        self._kind, self._provider = kind, provider
        self._why = ""

    @property
    def model(self) -> str:
        """What the price book calls it."""
        return str(getattr(self._provider, "model", "") or "")

    async def start(self) -> None:
        self._why = ""
        try:
            await self._provider.start()
        except UserFacingError as error:
            self._why = str(error)
            log.warning("no %s beside the speech-to-speech model: %s", self._kind, error)

    async def aclose(self) -> None:
        await self._provider.aclose()

    async def open(self) -> SttStream:
        self._check()
        return cast(SttStream, await self._provider.open())

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self._check()
        stream = cast("AsyncGenerator[LlmEvent, None]", self._provider.stream(request))
        async with aclosing(stream) as events:
            async for event in events:
                yield event

    def _check(self) -> None:
        if self._why:
            raise ProviderError(self._why, provider=self._kind, retryable=False)
