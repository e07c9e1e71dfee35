from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from antiphon.providers.base import FinalText, PartialText, Stt, SttEvent

SILENCE = bytes(640)


async def final(events: AsyncIterator[SttEvent]) -> FinalText:
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, FinalText):
                return event
    raise AssertionError("closed without a final")


async def test_every_finalize_has_its_answer(stt: Stt) -> None:
    stream = await stt.open()
    events = stream.events()
    for utterance_id in (4, 5):
        for _ in range(30):
            stream.push(SILENCE)
        stream.begin(utterance_id, 300)
        for revision in (1, 2):
            stream.push(SILENCE)
            stream.finalize(utterance_id, revision)
            answer = await final(events)
            assert (answer.utterance_id, answer.revision) == (utterance_id, revision)
            assert 0.0 <= answer.confidence <= 1.0
        stream.end(utterance_id)
    await stream.aclose()


async def test_what_is_not_an_utterance_is_not_transcribed(stt: Stt) -> None:
    stream = await stt.open()
    for _ in range(100):
        stream.push(SILENCE)
    stream.finalize(9, 1)
    stream.end(9)
    await stream.aclose()
    assert [event async for event in stream.events()] == []


async def test_closing_ends_the_events_of_a_waiting_reader(stt: Stt) -> None:
    stream = await stt.open()

    async def read() -> list[SttEvent]:
        return [event async for event in stream.events()]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    await stream.aclose()
    await stream.aclose()
    async with asyncio.timeout(20):
        assert all(isinstance(event, PartialText) for event in await reader)


async def test_streams_answer_their_own_utterances(stt: Stt) -> None:
    streams = [await stt.open() for _ in range(3)]
    for number, stream in enumerate(streams):
        stream.begin(number, 0)
        stream.push(SILENCE)
        stream.finalize(number, 1)
    for number, stream in enumerate(streams):
        assert (await final(stream.events())).utterance_id == number
        await stream.aclose()
