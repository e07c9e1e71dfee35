"""Having a voice speak, in tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import cast

from antiphon.providers.base import (
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)
from antiphon.types import Word


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def speak(tts: Tts, *texts: str) -> list[TtsEvent]:
    async with asyncio.timeout(20):
        return [event async for event in tts.stream(segments(*texts))]


def open_stream(tts: Tts, *texts: str) -> AsyncGenerator[TtsEvent, None]:
    return cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments(*texts)))


async def audio(tts: Tts, *texts: str) -> dict[int, bytes]:
    """The sound of each segment; each is done, in order."""
    events = await speak(tts, *texts)
    done = [event.segment_id for event in events if isinstance(event, TtsSegmentDone)]
    assert done == list(range(len(texts)))
    pcm = dict.fromkeys(done, b"")
    for event in events:
        if isinstance(event, TtsAudio):
            pcm[event.segment_id] += event.pcm
    return pcm


async def words(tts: Tts, *texts: str) -> dict[int, list[Word]]:
    """The words of each segment."""
    found: dict[int, list[Word]] = {number: [] for number in range(len(texts))}
    for event in await speak(tts, *texts):
        if isinstance(event, TtsWords):
            found[event.segment_id] += event.words
    return found


async def until(true: Callable[[], object], within_s: float = 20.0) -> None:
    """Wait until something is true."""
    for _ in range(round(within_s / 0.005)):
        if true():
            return
        await asyncio.sleep(0.005)
    assert true()
