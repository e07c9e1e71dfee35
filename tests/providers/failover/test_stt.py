from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from tests.providers.failover.common import breakers, failure

from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, PartialText, SttEvent
from antiphon.providers.failover.stt import FailoverStream, FailoverStt
from antiphon.types import FRAME_BYTES

FRAME = bytes(FRAME_BYTES)


class Ear:
    """Tells how many frames of an utterance it was given."""

    def __init__(
        self, *, deaf: bool = False, closed: bool = False, breaks_at: int = 0, dull: bool = False
    ) -> None:
        self.deaf, self.closed, self.breaks_at, self.dull = deaf, closed, breaks_at, dull
        self.streams: list[EarStream] = []

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    async def open(self) -> EarStream:
        if self.closed:
            raise failure("closed")
        self.streams.append(EarStream(self))
        return self.streams[-1]


class EarStream:
    def __init__(self, ear: Ear) -> None:
        self.ear, self.heard, self.is_closed = ear, 0, False
        self.queue: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue()
        self.open = False

    def push(self, pcm: bytes) -> None:
        self.heard += self.open
        if self.ear.breaks_at and self.heard == self.ear.breaks_at:
            self.queue.put_nowait(failure("lost"))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self.open, self.heard = True, preroll_ms // 20
        self.queue.put_nowait(PartialText(utterance_id, "hm"))

    def finalize(self, utterance_id: int, revision: int) -> None:
        if not self.ear.deaf:
            text = "" if self.ear.dull else f"{self.heard} frames"
            self.queue.put_nowait(FinalText(utterance_id, revision, text))

    def end(self, utterance_id: int) -> None:
        self.open = False

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self.queue.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        self.is_closed = True
        self.queue.put_nowait(None)


def several(*ears: Ear, final_ms: int = 2000) -> tuple[FailoverStt, list[int]]:
    failed: list[int] = []
    group = breakers(len(ears), failures=2)
    return FailoverStt(ears, group, final_ms, lambda number, _: failed.append(number)), failed


async def final(stream: FailoverStream) -> FinalText:
    async with asyncio.timeout(20), aclosing(stream.events()) as events:  # type: ignore[type-var]
        async for event in events:
            if isinstance(event, FinalText):
                return event
    raise AssertionError("closed without a final")


def speak(stream: FailoverStream, frames: int) -> None:
    for _ in range(frames):
        stream.push(FRAME)


async def test_the_next_one_is_given_all_of_the_utterance() -> None:
    first, second = Ear(breaks_at=20), Ear()
    stt, failed = several(first, second)
    stream = await stt.open()
    speak(stream, 50)
    stream.begin(1, 200)
    speak(stream, 20)
    for _ in range(5):
        await asyncio.sleep(0)
    speak(stream, 10)
    stream.finalize(1, 4)
    assert await final(stream) == FinalText(1, 4, "40 frames")
    assert (failed, stream.number, first.streams[0].is_closed) == ([0], 1, True)
    stream.end(1)
    stream.begin(2, 100)
    stream.finalize(2, 1)
    assert (await final(stream)).text == "5 frames"
    await stream.aclose()
    await stt.aclose()


async def test_one_that_owes_a_final_too_long_is_replaced() -> None:
    stt, failed = several(Ear(deaf=True), Ear(), final_ms=30)
    stream = await stt.open()
    stream.begin(1, 0)
    speak(stream, 3)
    stream.finalize(1, 1)
    assert (await final(stream)).text == "3 frames"
    assert failed == [0]
    await stream.aclose()
    await stt.aclose()


async def test_one_that_cannot_be_opened_is_passed_over_and_later_not_asked() -> None:
    stt, failed = several(Ear(closed=True), Ear())
    for _ in range(3):
        stream = await stt.open()
        assert stream.number == 1
        await stream.aclose()
    assert failed == [0, 0]
    await stt.aclose()
    stt, failed = several(Ear(closed=True), Ear(closed=True))
    with pytest.raises(ProviderError, match="closed"):
        await stt.open()
    assert failed == [0, 1]
    await stt.aclose()


async def test_when_all_are_lost_in_a_row_the_call_is_told() -> None:
    stt, failed = several(Ear(deaf=True), Ear(deaf=True), final_ms=20)
    stream = await stt.open()
    stream.begin(1, 0)
    speak(stream, 3)
    stream.finalize(1, 1)
    with pytest.raises(ProviderError, match="no final text within 20 ms"):
        await final(stream)
    assert failed == [0, 1, 0]
    await stream.aclose()
    await stt.aclose()


async def test_a_loss_in_silence_is_mended_without_a_word() -> None:
    first, second = Ear(), Ear()
    stt, failed = several(first, second)
    stream = await stt.open()
    speak(stream, 5)
    first.streams[0].queue.put_nowait(failure())
    for _ in range(10):
        await asyncio.sleep(0)
    stream.begin(1, 100)
    stream.finalize(1, 1)
    assert (await final(stream)).text == "5 frames"
    assert failed == [0]
    await stream.aclose()
    await stream.aclose()
    await stt.aclose()


async def test_one_that_understands_nothing_twice_running_is_replaced() -> None:
    stt, failed = several(Ear(dull=True), Ear())
    stream = await stt.open()
    for utterance_id, frames in ((1, 100), (2, 10), (3, 10)):
        stream.begin(utterance_id, 0)
        speak(stream, frames)
        for revision in (1, 2):
            stream.finalize(utterance_id, revision)
            assert (await final(stream)).text == ""  # a noise, or short, or for the first time
        stream.end(utterance_id)
    assert failed == []
    stream.begin(4, 0)
    speak(stream, 100)
    stream.finalize(4, 1)
    assert (await final(stream)).text == "100 frames"
    assert failed == [0]
    await stream.aclose()
    await stt.aclose()


async def test_one_that_knows_more_than_its_words_tell_is_kept() -> None:
    ears, failed = (Ear(dull=True), Ear()), list[int]()
    group = breakers(2, failures=2)
    stt = FailoverStt(ears, group, 2000, lambda number, _: failed.append(number), 0)
    stream = await stt.open()
    for utterance_id in range(1, 5):
        stream.begin(utterance_id, 0)
        speak(stream, 100)
        stream.finalize(utterance_id, 1)
        assert (await final(stream)).text == ""
        stream.end(utterance_id)
    assert (failed, stream.number) == ([], 0)
    await stream.aclose()
    await stt.aclose()
