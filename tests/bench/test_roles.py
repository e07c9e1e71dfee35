"""Who takes part in an item."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.bench.items import UNKNOWN, Item
from antiphon.bench.loop import StreamLoop
from antiphon.bench.roles import (
    ANSWER_AFTER_S,
    ItemTts,
    ScriptStt,
    SlowLlm,
    Stage,
    WaitedStt,
    WatchedVad,
)
from antiphon.providers.base import (
    AgentHints,
    FinalText,
    LlmRequest,
    PartialText,
    SttEvent,
    SttStream,
    TtsAudio,
    TtsSegment,
    VadEdge,
)
from antiphon.providers.scripted import ScriptedStt, ScriptedSttOptions
from antiphon.types import FRAME_BYTES

WORDS = ((0.5, "get"), (1.0, "me"), (3.0, "tea"))
FRAME = bytes(FRAME_BYTES)


def item(kind: str = "eot", words: tuple[tuple[float, str], ...] | None = WORDS) -> Item:
    return Item(kind, {"id": "a", "duration": 5.0}, Path("a"), None, words)


def run(main: Callable[[Stage], Awaitable[Any]], one: Item | None = None) -> Any:
    async def start() -> Any:
        return await main(Stage(one or item(), 0.2))

    with asyncio.Runner(loop_factory=lambda: StreamLoop(lambda: 0.0)) as runner:
        return runner.run(start())


class Edges:
    """A detector that finds what it is told to."""

    def __init__(self, *at: tuple[int, VadEdge]) -> None:
        self._at, self._fed = dict(at), 0

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    def open(self) -> Edges:
        return self

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        self._fed += 1
        return [self._at[self._fed]] if self._fed in self._at else []


class Heard:
    """Drives a recogniser and notes what it says when."""

    def __init__(self, stage: Stage, stream: SttStream, *edges: tuple[float, bool]) -> None:
        self._stage, self._stream = stage, stream
        found = [
            (round((at_s + 0.2) / 0.02), VadEdge(speaking, round(at_s * 1000 + 200)))
            for at_s, speaking in edges
        ]
        self._vad = WatchedVad(Edges(*found), stage).open()
        self.events: list[tuple[float, SttEvent]] = []

    async def listen(self) -> None:
        async for event in self._stream.events():
            self.events.append((round(self._stage.now_s(), 3), event))

    async def until(self, at_s: float) -> None:
        while self._stage.now_s() < at_s - 0.001:
            await asyncio.sleep(0.02)
            self._stream.push(FRAME)
            self._vad.feed(FRAME)


def hears(
    one: Item, *edges: tuple[float, bool], then: Callable[[Heard, SttStream], Awaitable[None]]
) -> list[tuple[float, SttEvent]]:
    async def main(stage: Stage) -> list[tuple[float, SttEvent]]:
        stream = await ScriptStt(stage).open()
        heard = Heard(stage, stream, *edges)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(heard.listen())
            await then(heard, stream)
            await stream.aclose()
        return heard.events

    events: list[tuple[float, SttEvent]] = run(main, one)
    return events


def test_words_are_understood_when_they_have_been_said() -> None:
    async def then(heard: Heard, stream: SttStream) -> None:
        await heard.until(0.2)
        stream.begin(1, 300)
        await heard.until(1.2)
        stream.finalize(1, 1)
        await heard.until(2.0)

    assert hears(item(), (0.1, True), (1.1, False), then=then) == [
        (0.5, PartialText(1, "get")),
        (1.0, PartialText(1, "get me")),
        # 250 ms after the detector's stop, not after the question.
        (1.35, FinalText(1, 1, "get me")),
    ]


def test_what_is_said_after_a_turn_belongs_to_the_next() -> None:
    async def then(heard: Heard, stream: SttStream) -> None:
        stream.begin(1, 300)
        await heard.until(1.2)
        stream.finalize(1, 1)
        await heard.until(1.8)
        stream.end(1)
        await heard.until(2.9)
        stream.begin(2, 300)
        await heard.until(3.1)

    events = hears(item(), (0.1, True), (1.1, False), (2.9, True), then=then)
    assert events[-1] == (3.0, PartialText(2, "tea"))


def test_a_word_in_a_pause_is_not_lost_with_the_turn() -> None:
    """The detector finds speech late: a word that nobody heard is in the next one's pre-roll."""

    async def then(heard: Heard, stream: SttStream) -> None:
        stream.begin(1, 300)
        await heard.until(0.9)
        stream.finalize(1, 1)
        await heard.until(1.02)
        stream.end(1)
        await heard.until(1.2)
        stream.begin(2, 300)
        await heard.until(1.3)

    events = hears(item(), (0.1, True), (0.8, False), (1.2, True), then=then)
    assert events[-1] == (1.22, PartialText(2, "me"))


def test_an_utterance_that_is_passed_on_keeps_its_words() -> None:
    async def then(heard: Heard, stream: SttStream) -> None:
        stream.begin(1, 300)
        await heard.until(0.8)
        stream.finalize(1, 1)
        stream.begin(2, 0)
        await heard.until(1.2)

    finals = [e for e in hears(item(), (0.1, True), then=then) if isinstance(e[1], FinalText)]
    # The caller still speaks: the answer comes 250 ms after the question.
    assert finals == [(1.05, FinalText(1, 1, "get"))]


def test_what_nobody_wrote_down_is_understood_as_nothing_in_particular() -> None:
    async def then(heard: Heard, stream: SttStream) -> None:
        stream.begin(1, 300)
        await heard.until(0.9)
        stream.finalize(1, 1)
        await heard.until(1.2)

    events = hears(item(words=None), (0.1, True), (0.8, False), then=then)
    assert [event for _, event in events] == [PartialText(1, UNKNOWN), FinalText(1, 1, UNKNOWN)]


def test_edges_are_noted_in_the_stream_s_time() -> None:
    async def main(stage: Stage) -> list[Any]:
        vad = WatchedVad(Edges((2, VadEdge(True, 210))), stage).open()
        for _ in range(3):
            await asyncio.sleep(0.02)
            vad.feed(FRAME)
        return [(e.speaking, round(e.position_s, 3), round(e.told_s, 3)) for e in stage.edges]

    assert run(main) == [(True, 0.01, -0.16)]


def test_a_final_from_another_process_is_waited_for() -> None:
    waiting: list[int] = []

    @contextmanager
    def outside() -> Iterator[None]:
        waiting.append(1)
        yield
        waiting.pop()

    async def main(stage: Stage) -> None:
        stt = WaitedStt(ScriptedStt(ScriptedSttOptions(), AgentHints()), outside)
        stream = await stt.open()
        stream.push(FRAME)
        stream.begin(1, 0)
        stream.finalize(1, 1)
        assert waiting == [1]
        events = stream.events()
        assert await anext(events) == FinalText(1, 1, "")
        assert waiting == []
        stream.finalize(1, 2)
        stream.end(1)
        assert waiting == []
        stream.begin(2, 0)
        stream.finalize(2, 1)
        await stream.aclose()
        assert waiting == []
        async for _ in events:
            pass

    run(main)


def test_the_answer_does_not_come_within_an_item() -> None:
    async def main(stage: Stage) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await anext(aiter(SlowLlm(stage).stream(LlmRequest(()))))

    run(main)


def test_the_answer_comes_after_a_second_in_a_natural_call() -> None:
    async def main(stage: Stage) -> float:
        begun_s = stage.now_s()
        assert [piece async for piece in SlowLlm(stage).stream(LlmRequest(()))]
        return stage.now_s() - begun_s

    assert run(main, item("eot_natural")) == pytest.approx(ANSWER_AFTER_S)


async def _one_segment() -> Any:
    yield TtsSegment(0, "Hello.")


def test_the_agent_s_voice_comes_in_time_and_once() -> None:
    async def main(stage: Stage) -> None:
        tts = ItemTts(stage, b"\1\0" * 100, 0.06)
        audio = [(event, stage.now_s()) async for event in tts.stream(_one_segment())]
        assert isinstance(audio[0][0], TtsAudio)
        assert audio[0][1] == pytest.approx(0.05)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3600):
                await anext(aiter(tts.stream(_one_segment())))

    run(main)


def test_the_agent_is_heard_shortly_in_a_natural_call() -> None:
    async def main(stage: Stage) -> int:
        tts = ItemTts(stage, b"", 0.0)
        return len([event async for event in tts.stream(_one_segment())])

    assert run(main, item("eot_natural")) == 2
