from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, PartialText, SttEvent
from antiphon.providers.stt.segmented import SegmentedStream, Transcript
from antiphon.types import FRAME_BYTES

FRAME = bytes(FRAME_BYTES)


class Recogniser:
    """Tells how many milliseconds it was given."""

    def __init__(self, *errors: ProviderError, wait_s: float = 0) -> None:
        self.errors, self.wait_s = list(errors), wait_s
        self.begun = self.done = 0

    async def __call__(self, pcm: bytes) -> Transcript:
        self.begun += 1
        await asyncio.sleep(self.wait_s)
        if self.errors:
            raise self.errors.pop(0)
        self.done += 1
        return Transcript(f"{len(pcm) // 32} ms", 0.8)


async def read(stream: SegmentedStream, count: int) -> list[SttEvent]:
    found: list[SttEvent] = []
    async with asyncio.timeout(20), aclosing(stream.events()) as events:  # type: ignore[type-var]
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"closed after {found}")


async def test_a_newer_final_takes_the_place_of_the_one_under_way() -> None:
    recogniser = Recogniser(wait_s=0.02)
    stream = SegmentedStream("x", recogniser, final_ms=1000)
    for _ in range(20):
        stream.push(FRAME)
    stream.begin(1, 300)
    stream.push(FRAME)
    stream.finalize(1, 1)
    await asyncio.sleep(0)
    stream.push(FRAME)
    stream.finalize(1, 2)
    assert await read(stream, 1) == [FinalText(1, 2, "340 ms", 0.8)]
    assert (recogniser.begun, recogniser.done) == (2, 1)
    await stream.aclose()


async def test_interim_texts_while_the_utterance_goes_on() -> None:
    stream = SegmentedStream("x", Recogniser(), final_ms=1000, interim_ms=100)
    stream.begin(1, 0)
    for _ in range(10):
        stream.push(FRAME)
        await asyncio.sleep(0.001)
    assert await read(stream, 2) == [PartialText(1, "100 ms"), PartialText(1, "200 ms")]
    stream.end(1)
    await stream.aclose()


async def test_a_request_that_fails_is_made_once_more() -> None:
    busy = ProviderError("busy", provider="x", retryable=True)
    stream = SegmentedStream("x", Recogniser(busy), final_ms=1000)
    stream.begin(1, 0)
    stream.finalize(1, 1)
    assert await read(stream, 1) == [FinalText(1, 1, "0 ms", 0.8)]
    await stream.aclose()
    for errors in ([busy, busy], [ProviderError("no key", provider="x", retryable=False)]):
        stream = SegmentedStream("x", Recogniser(*errors), final_ms=1000)
        stream.begin(1, 0)
        stream.finalize(1, 1)
        with pytest.raises(ProviderError, match=str(errors[-1])):
            await read(stream, 1)
        await stream.aclose()


async def test_one_that_does_not_answer_is_not_waited_for() -> None:
    stream = SegmentedStream("x", Recogniser(wait_s=5), final_ms=20)
    stream.begin(1, 0)
    stream.finalize(1, 1)
    with pytest.raises(ProviderError, match="no text within 20 ms"):
        await read(stream, 1)
    await stream.aclose()


async def test_closing_in_the_middle_leaves_nothing() -> None:
    stream = SegmentedStream("x", Recogniser(wait_s=5), final_ms=10_000)
    stream.begin(1, 0)
    stream.finalize(1, 1)
    await stream.aclose()
    await stream.aclose()
    assert [event async for event in stream.events()] == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
