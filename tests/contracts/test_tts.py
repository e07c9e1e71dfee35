from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import pytest

from antiphon.providers.base import (
    Traits,
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)

TEXTS = ("Hello there, what can I get you?", "One coffee.", "", "Is that — right?")


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def test_segments_come_in_order_and_each_is_done_once(tts: Tts) -> None:
    events = [event async for event in tts.stream(segments(*TEXTS))]
    numbers = [event.segment_id for event in events]
    assert numbers == sorted(numbers)
    done = [event.segment_id for event in events if isinstance(event, TtsSegmentDone)]
    assert done == [0, 1, 2, 3]
    for number in done:
        of_segment = [event for event in events if event.segment_id == number]
        assert isinstance(of_segment[-1], TtsSegmentDone)


async def test_audio_is_whole_samples_of_a_plausible_length(tts: Tts) -> None:
    events = [event async for event in tts.stream(segments(*TEXTS))]
    chunks = [event.pcm for event in events if isinstance(event, TtsAudio)]
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    seconds = sum(map(len, chunks)) / 2 / tts.sample_rate_hz
    words = sum(len(text.split()) for text in TEXTS)
    assert 0.15 * words < seconds < 1.0 * words


async def test_words_are_the_written_ones_in_order_within_the_audio(tts: Tts) -> None:
    events = [event async for event in tts.stream(segments(*TEXTS))]
    for number, text in enumerate(TEXTS):
        mine: list[TtsEvent] = [event for event in events if event.segment_id == number]
        words = [word for event in mine if isinstance(event, TtsWords) for word in event.words]
        pcm = b"".join(event.pcm for event in mine if isinstance(event, TtsAudio))
        length_ms = len(pcm) * 1000 // 2 // tts.sample_rate_hz
        if (
            words or "word times" in getattr(type(tts), "traits", Traits()).can
        ):  # else they are found in the sound
            assert [word.text for word in words] == text.split()
        times = [moment for word in words for moment in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert all(0 <= moment <= length_ms for moment in times)


async def test_the_first_segment_is_spoken_before_the_second_is_written(tts: Tts) -> None:
    written = asyncio.Event()

    async def slowly() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, "One moment.")
        await written.wait()
        yield TtsSegment(1, "Here it is.")

    async with asyncio.timeout(20):
        async for event in tts.stream(slowly()):
            if event == TtsSegmentDone(0):
                written.set()
    assert written.is_set()


async def test_closing_early_and_cancelling_leave_nothing(tts: Tts) -> None:
    before = asyncio.all_tasks()
    stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments(*TEXTS)))
    await anext(stream)
    await stream.aclose()

    async def endlessly() -> AsyncIterator[TtsSegment]:
        for number in itertools.count():
            yield TtsSegment(number, TEXTS[number % len(TEXTS)])

    async def speak() -> None:
        said = cast("AsyncGenerator[TtsEvent, None]", tts.stream(endlessly()))
        # Wherever it is cancelled, it is closed now, and not by the collector after the loop's end.
        async with aclosing(said):
            async for _ in said:
                await asyncio.sleep(0)

    task = asyncio.create_task(speak())
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()
    # Its connections are the provider's, and end with it; those of a fake end a moment later.
    await tts.aclose()
    for _ in range(100):
        await asyncio.sleep(0.01)
        if asyncio.all_tasks() <= before:
            break
    assert asyncio.all_tasks() <= before


async def test_responses_at_once_do_not_mix(tts: Tts) -> None:
    async def lengths(text: str) -> int:
        stream = tts.stream(segments(text))
        return sum([len(e.pcm) async for e in stream if isinstance(e, TtsAudio)])

    texts = ["One.", "One two three.", "One two three four five six."]
    alone = [await lengths(text) for text in texts]
    # Some voices never say a thing twice in the same way.
    assert await asyncio.gather(*map(lengths, texts * 3)) == pytest.approx(alone * 3, rel=0.1)
