from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

from antiphon.errors import ProviderError
from antiphon.providers.base import (
    AgentHints,
    FinalText,
    LlmEvent,
    LlmRequest,
    PartialText,
    TextDelta,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsWords,
)
from antiphon.providers.scripted import ScriptedLlm, ScriptedStt, ScriptedSttStream, ScriptedTts
from antiphon.types import Message, ToolCall, Word


def llm(**options: Any) -> ScriptedLlm:
    return ScriptedLlm(ScriptedLlm.Options.model_validate(options), AgentHints())


def tts(**options: Any) -> ScriptedTts:
    return ScriptedTts(ScriptedTts.Options.model_validate(options), AgentHints())


async def stt(**options: Any) -> ScriptedSttStream:
    return await ScriptedStt(ScriptedStt.Options.model_validate(options), AgentHints()).open()


def asked(*contents: str) -> LlmRequest:
    roles = ("user", "assistant")
    return LlmRequest(
        tuple(Message(roles[at % 2], content) for at, content in enumerate(contents))  # type: ignore[arg-type]
    )


async def answer(model: ScriptedLlm, request: LlmRequest) -> list[LlmEvent]:
    return [event async for event in model.stream(request)]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def said(voice: ScriptedTts, *texts: str) -> list[TtsEvent]:
    return [event async for event in voice.stream(segments(*texts))]


async def test_replies_follow_the_conversation_not_the_order_of_requests() -> None:
    model = llm(replies=["One  two.", {"text": "Wait.", "tool_calls": [{"name": "look"}]}, "Done."])
    assert text_of(await answer(model, asked("hi"))) == "One  two."
    second = await answer(model, asked("hi", "One two.", "go"))
    assert ToolCall("call_1_0", "look", "{}") in second
    assert await answer(model, asked("hi", "One two.", "go")) == second
    tools = (Message("tool", "1", tool_call_id="a"), Message("tool", "2", tool_call_id="b"))
    after = LlmRequest((*asked("hi", "One two.", "go", "Wait.").messages, *tools))
    assert text_of(await answer(model, after)) == "Done."


async def test_what_follows_the_last_reply() -> None:
    request = asked("a", "1", "b")
    assert text_of(await answer(llm(replies=["x"]), request)) == "x"
    assert text_of(await answer(llm(replies=["x"], after_last="echo"), request)) == "b"
    assert text_of(await answer(llm(replies=["x", "y"], after_last="cycle"), request)) == "y"
    assert text_of(await answer(llm(), request)) == "b"
    assert text_of(await answer(llm(), LlmRequest(()))) == "Hello."


async def test_chunks_joined_are_the_text() -> None:
    events = await answer(llm(replies=[" a b\nc  d e"], chunk_words=2), asked("x"))
    assert text_of(events) == " a b\nc  d e"
    assert sum(isinstance(event, TextDelta) for event in events) == 3


async def test_llm_failures_come_where_they_are_written() -> None:
    model = llm(replies=["a b c d"], fail_after_chunks=2, fail_retryable=False)
    stream = model.stream(asked("x"))
    assert text_of([await anext(stream), await anext(stream)]) == "a b"
    with pytest.raises(ProviderError) as caught:
        await anext(stream)
    assert not caught.value.retryable
    healthy = llm(fail_after_chunks=0, fail_replies=[1])
    assert text_of(await answer(healthy, asked("x"))) == "x"
    with pytest.raises(ProviderError):
        await answer(healthy, asked("x", "x", "y"))


async def test_hanging_is_for_ever_but_can_be_cancelled() -> None:
    for stream in (
        llm(hang_after_chunks=0).stream(asked("x")),
        tts(hang_after_chunks=0, word_times=False).stream(segments("x")),
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(stream)


async def test_chance_is_the_same_for_the_same_seed() -> None:
    async def fates(seed: int) -> list[bool]:
        model, fates = llm(fail_chance=0.5, seed=seed), []
        for _ in range(20):
            try:
                await answer(model, asked("x"))
                fates.append(True)
            except ProviderError:
                fates.append(False)
        return fates

    assert await fates(1) == await fates(1) != await fates(2)


async def test_no_delay_is_no_yield_to_the_event_loop() -> None:
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        loop.call_soon(tick)

    loop = asyncio.get_running_loop()
    loop.call_soon(tick)
    await answer(llm(), asked("a b c d"))
    await said(tts(), "a b c d")
    stream = await stt(transcripts=["yes"])
    stream.begin(1, 0)
    stream.finalize(1, 1)
    await anext(stream.events())
    assert ticks == 0


async def test_delays_are_waited() -> None:
    began = time.monotonic()
    delays = {"first_delay_ms": 4, "chunk_delay_ms": {"ms": 2, "jitter_ms": 1}}
    await answer(llm(**delays), asked("a b c"))
    await said(tts(**delays, chunk_ms=100, ms_per_word=100), "a b c")
    tail = {"tail_chance": 1, "tail_ms": 1}
    await answer(llm(first_delay_ms=tail), asked("a"))
    assert time.monotonic() - began >= 0.015


async def test_speech_is_as_long_as_its_words() -> None:
    voice = tts(ms_per_word=200, leading_silence_ms=150, sample_rate_hz=24_000)
    events = await said(voice, "two words", "", "one")
    assert TtsWords(0, (Word("two", 150, 350), Word("words", 350, 550))) in events
    lengths = [
        sum(len(e.pcm) for e in events if isinstance(e, TtsAudio) and e.segment_id == number)
        for number in range(3)
    ]
    assert [length // 48 for length in lengths] == [550, 0, 350]
    first = next(event.pcm for event in events if isinstance(event, TtsAudio))
    assert not any(first)


async def test_sounds_and_words_can_be_chosen() -> None:
    events = await said(tts(sound="silence", word_times=False), "a b")
    assert not any(isinstance(event, TtsWords) for event in events)
    assert not any(any(event.pcm) for event in events if isinstance(event, TtsAudio))
    noise = await said(tts(sound="noise"), "a b")
    assert noise == await said(tts(sound="noise"), "a b")


async def test_tts_failure_in_the_middle_of_a_segment() -> None:
    stream = tts(fail_after_chunks=2, word_times=False).stream(segments("a b c"))
    assert isinstance(await anext(stream), TtsAudio)
    assert isinstance(await anext(stream), TtsAudio)
    with pytest.raises(ProviderError):
        await anext(stream)


async def test_utterances_are_understood_in_order() -> None:
    stream = await stt(transcripts=["yes please", {"text": "no", "confidence": 0.5}])
    events = stream.events()
    stream.begin(7, 300)
    stream.finalize(7, 1)
    stream.finalize(7, 2)
    stream.end(7)
    stream.begin(8, 300)
    stream.finalize(7, 3)
    stream.finalize(8, 1)
    assert [await anext(events) for _ in range(3)] == [
        FinalText(7, 1, "yes please"),
        FinalText(7, 2, "yes please"),
        FinalText(8, 1, "no", 0.5),
    ]
    await stream.aclose()
    assert [event async for event in events] == []


async def test_partials_come_with_the_audio() -> None:
    stream = await stt(transcripts=["one two"], partial_every_ms=100)
    stream.push(bytes(640))
    stream.begin(1, 60)
    for _ in range(20):
        stream.push(bytes(640))
    await stream.aclose()
    got = [event async for event in stream.events()]
    assert got == [PartialText(1, "one"), PartialText(1, "one two")]


async def test_a_final_that_is_late_is_dropped_with_its_utterance() -> None:
    stream = await stt(transcripts=["x"], first_delay_ms=2)
    stream.begin(1, 0)
    stream.finalize(1, 1)
    stream.end(1)
    stream.begin(2, 0)
    stream.finalize(2, 1)
    assert await anext(stream.events()) == FinalText(2, 1, "x")
    stream.finalize(2, 2)
    await stream.aclose()
    await asyncio.sleep(0.004)
    assert [event async for event in stream.events()] == []


async def test_stt_failure_silence_and_the_end_of_the_script() -> None:
    failing = await stt(fail_at_utterance=1, transcripts=["a"])
    failing.begin(1, 0)
    failing.begin(2, 0)
    with pytest.raises(ProviderError):
        await anext(failing.events())
    mute = await stt(hang_at_utterance=0, transcripts=["a"])
    mute.begin(1, 0)
    mute.finalize(1, 1)
    await mute.aclose()
    assert [event async for event in mute.events()] == []
    for after_last, texts in {"empty": ["a", ""], "repeat": ["a", "a"]}.items():
        stream = await stt(transcripts=["a"], after_last=after_last)
        events = stream.events()
        for number, text in enumerate(texts):
            stream.begin(number, 0)
            stream.finalize(number, 1)
            event = await anext(events)
            assert isinstance(event, FinalText)
            assert event.text == text


async def test_results_nobody_reads_are_bounded() -> None:
    stream = await stt(transcripts=["a"])
    stream.begin(1, 0)
    for revision in range(1, 2000):
        stream.finalize(1, revision)
    await stream.aclose()
    got = [event async for event in stream.events()]
    assert len(got) <= 256
    assert got[-1] == FinalText(1, 1999, "a")


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ValidationError):
        llm(repplies=["a"])
    with pytest.raises(ValidationError):
        llm(first_delay_ms=-1)
