"""Talking to a recogniser's stream in a test."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, SttEvent, SttStream
from antiphon.types import FRAME_BYTES

FRAME = bytes(FRAME_BYTES)


def speak(stream: SttStream, frames: int) -> None:
    for _ in range(frames):
        stream.push(FRAME)


async def read_final(
    stream: SttStream, *, within_s: float = 20.0
) -> tuple[FinalText, list[SttEvent]]:
    """The next final, and what came before it."""
    before: list[SttEvent] = []
    async with asyncio.timeout(within_s), aclosing(stream.events()) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, FinalText):
                return event, before
            before.append(event)
    raise AssertionError(f"closed after {before}")


async def say(stream: SttStream, utterance_id: int = 1, frames: int = 50) -> FinalText:
    """One utterance, from its beginning to its end."""
    stream.begin(utterance_id, 0)
    speak(stream, frames)
    stream.finalize(utterance_id, 1)
    final, _ = await read_final(stream)
    stream.end(utterance_id)
    assert (final.utterance_id, final.revision) == (utterance_id, 1)
    return final


async def failure(stream: SttStream) -> ProviderError:
    """The error that ends a stream when something is said."""
    try:
        stream.begin(1, 0)
        speak(stream, 20)
        stream.finalize(1, 1)
        await read_final(stream)
    except ProviderError as error:
        return error
    finally:
        await stream.aclose()
    raise AssertionError("it did not fail")


async def until(condition: Any) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come")
