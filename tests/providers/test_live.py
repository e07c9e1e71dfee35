from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from antiphon.errors import ProviderError
from antiphon.providers.base import EndOfTurn, FinalText, PartialText, SttEvent
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.wire import Flushed, Link, Piece, Signal, Told, Vendor, Wire
from antiphon.types import FRAME_BYTES, Word

FRAME = bytes(FRAME_BYTES)


class Line:
    """A connection whose far end is the test."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False
        self.broken: Exception | None = None
        self.there = True

    async def send(self, frame: Any, /) -> None:
        if self.broken is not None:
            raise self.broken
        self.sent.append(frame)

    async def recv(self) -> Any:
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            self.broken = answer
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True

    async def ping(self) -> Awaitable[float]:
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if self.there:
            pong.set_result(0.0)
        return pong

    def tell(self, *told: Told | Exception) -> None:
        for one in told:
            self.answers.put_nowait(one)

    @property
    def audio_ms(self) -> int:
        return sum(len(frame) for frame in self.sent if isinstance(frame, bytes)) // 32

    def count(self, text: str) -> int:
        return self.sent.count(text)


class Simple:
    """A protocol whose frames are what they mean."""

    def audio(self, pcm: bytes) -> Sequence[Any]:
        return [pcm]

    def flush(self) -> Sequence[Any] | None:
        return ["flush"]

    def keep_alive(self) -> Sequence[Any]:
        return ["alive"]

    def close(self) -> Sequence[Any]:
        return ["bye"]

    def read(self, frame: Any) -> Sequence[Told]:
        return [Piece(str(int(frame)), True)] if isinstance(frame, str) else [frame]


class Far:
    """The vendor: one Line after another."""

    def __init__(self, *refusals: ProviderError) -> None:
        self.lines: list[Line] = []
        self.refusals = list(refusals)

    async def connect(self) -> tuple[Link, Wire]:
        if self.refusals:
            raise self.refusals.pop(0)
        self.lines.append(Line())
        return self.lines[-1], Simple()

    def stream(self, **options: Any) -> LiveStream:
        return LiveStream(Vendor("far", self.connect, **{"final_ms": 2000} | options))

    async def line(self, number: int = 0) -> Line:
        await until(lambda: len(self.lines) > number)
        return self.lines[number]


async def until(condition: Any) -> None:
    for _ in range(1500):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come")


async def read(stream: LiveStream, count: int) -> list[SttEvent]:
    found: list[SttEvent] = []
    async with asyncio.timeout(20), aclosing(stream.events()) as events:  # type: ignore[type-var]
        async for event in events:
            found.append(event)
            if len(found) == count:
                return found
    raise AssertionError(f"closed after {found}")


def speak(stream: LiveStream, frames: int) -> None:
    for _ in range(frames):
        stream.push(FRAME)


async def test_an_utterance_with_its_preroll_and_nothing_else_is_sent() -> None:
    far = Far()
    stream = far.stream()
    speak(stream, 50)
    line = await far.line()
    stream.begin(1, 300)
    speak(stream, 10)
    await until(lambda: line.audio_ms == 500)
    stream.end(1)
    speak(stream, 10)
    await until(lambda: line.count("flush") == 1)
    assert line.audio_ms == 500
    await stream.aclose()
    assert line.closed
    assert line.sent[-1] == "bye"


async def test_pieces_become_partials_and_a_final_with_words_of_the_utterance() -> None:
    far = Far()
    stream = far.stream()
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 50)
    await until(lambda: line.audio_ms == 1000)
    line.tell(Piece("first", True, 900))
    assert await read(stream, 1) == [PartialText(1, "first")]
    stream.end(1)
    await until(lambda: line.count("flush") == 1)
    line.tell(Flushed())
    stream.begin(2, 0)
    speak(stream, 50)
    await until(lambda: line.audio_ms == 2000)
    line.tell(Piece("a small", False, 1500), Piece("a small coffee", True, 1600, confidence=0.5))
    line.tell(Signal("eager"), Piece("please", False, 1900))
    assert await read(stream, 4) == [
        PartialText(2, "a small"),
        PartialText(2, "a small coffee"),
        EndOfTurn(2, "eager"),
        PartialText(2, "a small coffee please"),
    ]
    stream.finalize(2, 1)
    await until(lambda: line.count("flush") == 2)
    line.tell(Piece("please", True, 1900, (Word("please", 1700, 1900, 0.9),)), Flushed())
    (final,) = await read(stream, 1)
    assert isinstance(final, FinalText)
    assert (final.text, final.revision) == ("a small coffee please", 1)
    assert final.words == (Word("please", 700, 900, 0.9),)
    assert 0.5 < final.confidence < 1
    await stream.aclose()


async def test_late_words_of_an_utterance_are_not_taken_for_the_next_ones() -> None:
    far = Far()
    stream = far.stream()
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 5)
    await until(lambda: line.audio_ms == 100)
    stream.end(1)
    stream.begin(2, 0)
    speak(stream, 5)
    await until(lambda: line.audio_ms == 200)
    assert line.sent.index("flush") < len(line.sent) - 1
    line.tell(Piece("late", True), Signal("final"), Flushed(), Piece("new", False))
    assert await read(stream, 1) == [PartialText(2, "new")]
    await stream.aclose()


async def test_a_lost_connection_is_replaced_and_the_utterance_sent_again() -> None:
    far = Far()
    stream = far.stream()
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 20)
    await until(lambda: line.audio_ms == 400)
    line.tell(Piece("a small", True))
    assert await read(stream, 1) == [PartialText(1, "a small")]
    line.tell(OSError("reset"))
    speak(stream, 20)
    stream.finalize(1, 3)
    second = await far.line(1)
    await until(lambda: second.audio_ms == 800 and second.count("flush") == 1)
    second.tell(Piece("a small coffee", True), Flushed())
    events = await read(stream, 2)
    assert isinstance(events[1], FinalText)
    assert (events[1].text, events[1].revision) == ("a small coffee", 3)
    await stream.aclose()


async def test_a_final_that_does_not_come_is_made_of_what_is_known() -> None:
    far = Far()
    stream = far.stream(final_ms=60)
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 20)
    await until(lambda: line.audio_ms == 400)
    line.tell(Piece("half of it", False))
    stream.finalize(1, 1)
    events = await read(stream, 2)
    assert events[1] == FinalText(1, 1, "half of it")
    await far.line(1)
    await stream.aclose()


async def test_a_vendor_that_never_answers_is_given_up() -> None:
    far = Far()
    stream = far.stream(final_ms=30)
    await far.line()
    stream.begin(1, 0)
    speak(stream, 20)
    stream.finalize(1, 1)
    with pytest.raises(ProviderError, match="no final text within 30 ms") as caught:
        await read(stream, 1)
    assert caught.value.retryable
    assert len(far.lines) == 3
    await stream.aclose()


async def test_a_refused_key_is_told_at_once() -> None:
    far = Far(ProviderError("HTTP 401: no", provider="far", retryable=False, status=401))
    stream = far.stream()
    with pytest.raises(ProviderError, match="401"):
        await read(stream, 1)
    await stream.aclose()


async def test_a_connection_that_is_refused_for_a_moment() -> None:
    far = Far(ProviderError("busy", provider="far", retryable=True))
    stream = far.stream()
    stream.begin(1, 0)
    speak(stream, 5)
    line = await far.line()
    await until(lambda: line.audio_ms == 100)
    await stream.aclose()


async def test_silence_is_kept_alive_and_old_connections_are_replaced() -> None:
    far = Far()
    stream = far.stream(keep_alive_ms=20, max_session_ms=50)
    line = await far.line()
    await until(lambda: line.count("alive") >= 1)
    await far.line(1)
    assert line.closed
    await stream.aclose()


async def test_chunks_are_whole_and_the_rest_goes_before_the_flush() -> None:
    far = Far()
    stream = far.stream(chunk_ms=80)
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 5)
    await until(lambda: line.audio_ms == 80)
    stream.finalize(1, 1)
    await until(lambda: line.count("flush") == 1)
    assert line.audio_ms == 100
    stream.finalize(1, 2)  # nothing was said since
    line.tell(Piece("hm", True), Flushed())
    events = await read(stream, 2)
    assert events[1] == FinalText(1, 2, "hm")
    assert line.count("flush") == 1
    await stream.aclose()


async def test_an_utterance_without_end_is_refused() -> None:
    stream = Far().stream()
    stream.begin(1, 0)
    with pytest.raises(ProviderError, match="longer than can be kept"):
        speak(stream, 4000)
    await stream.aclose()


async def test_a_message_of_another_shape_is_the_vendors_fault() -> None:
    class Odd(Simple):
        def read(self, frame: Any) -> Sequence[Told]:
            return [Piece(frame["text"], True)]

    far = Far()

    async def connect() -> tuple[Link, Wire]:
        return (await far.connect())[0], Odd()

    stream = LiveStream(Vendor("far", connect))
    for number in range(3):
        (await far.line(number)).answers.put_nowait({"no": "text"})
    with pytest.raises(ProviderError, match="not what the protocol says") as caught:
        await read(stream, 1)
    assert caught.value.retryable
    await stream.aclose()


async def test_a_flush_may_go_unanswered_when_nothing_more_was_said() -> None:
    far = Far()
    stream = far.stream(quiet_ms=30, lull_ms=1000)
    line = await far.line()
    stream.begin(1, 0)
    speak(stream, 20)
    await until(lambda: line.audio_ms == 400)
    line.tell(Piece("yes", True, 300))
    stream.finalize(1, 1)
    assert await read(stream, 2) == [PartialText(1, "yes"), FinalText(1, 1, "yes")]
    speak(stream, 10)
    await until(lambda: line.audio_ms == 600)
    stream.end(1)  # the silence after it is flushed, and never answered
    await until(lambda: line.count("flush") == 2)
    stream.begin(2, 0)
    speak(stream, 10)
    await until(lambda: line.audio_ms == 800)
    line.tell(Piece("late", True, 620, (Word("late", 500, 620),)))
    line.tell(Piece("no", True, 750, (Word("no", 590, 750),)))
    stream.finalize(2, 1)
    events = await read(stream, 2)
    assert isinstance(events[1], FinalText)
    assert (events[1].text, events[1].words) == ("no", (Word("no", 0, 150),))
    assert len(far.lines) == 1
    await stream.aclose()


async def test_nothing_at_all_is_heard() -> None:
    far = Far()
    stream = far.stream(quiet_ms=20, final_ms=60, lull_ms=1000)
    line = await far.line()
    for utterance_id in (1, 2):
        stream.begin(utterance_id, 0)
        speak(stream, 20)
        stream.finalize(utterance_id, 1)
        assert await read(stream, 1) == [FinalText(utterance_id, 1, "")]
        stream.end(utterance_id)
    stream.begin(3, 0)
    speak(stream, 20)
    stream.finalize(3, 1)  # so much said, and nothing heard: it is deaf
    second = await far.line(1)
    await until(lambda: second.count("flush") == 1)
    assert (line.audio_ms, second.audio_ms) == (1200, 400)
    await stream.aclose()


async def test_a_far_end_that_is_not_there_is_not_quiet() -> None:
    far = Far()
    stream = far.stream(quiet_ms=20, final_ms=60)
    line = await far.line()
    line.there = False
    stream.begin(1, 0)
    speak(stream, 20)
    stream.finalize(1, 1)
    second = await far.line(1)
    second.tell(Piece("yes", True))
    assert (await read(stream, 2))[1] == FinalText(1, 1, "yes")
    await stream.aclose()


async def test_messages_that_say_how_far_they_reach_answer_all_flushes_up_to_there() -> None:
    far = Far()
    stream = far.stream()
    line = await far.line()
    stream.begin(1, 0)
    for revision in (1, 2, 3):
        speak(stream, 25)
        stream.finalize(1, revision)
        await until(lambda wanted=revision: line.count("flush") == wanted)
    line.tell(Piece("first", True, 600), Flushed(600))
    line.tell(Piece("first second", False, 1400), Flushed(1470))
    events = await read(stream, 3)
    assert events[2] == FinalText(1, 3, "first first second")
    await stream.aclose()


async def test_what_is_no_answer_at_all_is_an_error() -> None:
    far = Far()
    stream = far.stream()
    for number in range(3):
        (await far.line(number)).answers.put_nowait("no number")
    with pytest.raises(ProviderError, match="not what the protocol says"):
        await read(stream, 1)
    await stream.aclose()


async def test_a_connection_that_takes_no_more_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.providers.stt.live._SEND_S", 0.02)
    far = Far()
    stream = far.stream()
    line = await far.line()

    async def stuck(frame: Any, /) -> None:
        await asyncio.sleep(3600)

    line.send = stuck  # type: ignore[method-assign]
    stream.begin(1, 0)
    speak(stream, 5)
    second = await far.line(1)
    await until(lambda: second.audio_ms == 100)
    await stream.aclose()


async def test_a_vendor_that_fails_after_the_beginning_is_given_up() -> None:
    far = Far()
    stream = far.stream()
    stream.begin(1, 0)
    speak(stream, 20)
    stream.finalize(1, 1)
    broken = ProviderError("broken", provider="far", retryable=True)
    for number in range(3):
        line = await far.line(number)
        await until(lambda line=line: line.count("flush") == 1)
        line.tell(Piece("the beginning", False), broken)
    with pytest.raises(ProviderError, match="broken"):
        await read(stream, 2)
    await stream.aclose()
