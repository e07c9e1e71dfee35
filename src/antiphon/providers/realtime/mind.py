"""The brain's side of a speech-to-speech model: requests go in, what the model says comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from antiphon.errors import ProviderError
from antiphon.providers.base import LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.realtime.answer import Answer
from antiphon.providers.realtime.wire import Vendor


class Thinking(Protocol):
    """What a brain needs of its call."""

    vendor: Vendor

    async def ask(self, request: LlmRequest) -> Answer: ...
    def stop(self, answer: Answer) -> None: ...
    def usage(self) -> list[Usage]: ...
    def error(self, message: str, retryable: bool) -> ProviderError: ...


class Mind:
    """The brain's side: an `Llm`."""

    def __init__(self, call: Thinking) -> None:
        self._call = call

    async def start(self) -> None:
        """The call is connected already."""

    async def aclose(self) -> None:
        """The call is closed elsewhere."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Have the model answer; see `Llm.stream`. Closing the iterator cancels the answer, its
        sound included, unless its text is whole.

        Raises:
            ProviderError: no connection, no answer in time, or the vendor's own error.
        """
        call = self._call
        answer = await call.ask(request)
        told, tools = 0, 0
        try:
            while True:
                version = answer.version
                if len(answer.text) > told:
                    text, told = answer.text[told:], len(answer.text)
                    yield TextDelta(text)
                for piece in answer.tools[tools:]:
                    tools += 1
                    yield piece
                if answer.version != version:
                    continue
                if answer.error is not None:
                    raise answer.error
                if answer.written:
                    break
                await self._wait(answer, version)
            for usage in call.usage():
                yield usage
        finally:
            if not answer.written:
                call.stop(answer)

    async def _wait(self, answer: Answer, version: int) -> None:
        vendor = self._call.vendor
        within_ms = vendor.first_ms if answer.key is None else vendor.idle_ms
        try:
            async with asyncio.timeout(within_ms / 1000):
                await answer.changed(version)
        except TimeoutError:
            raise self._call.error(f"no answer within {within_ms} ms", True) from None
