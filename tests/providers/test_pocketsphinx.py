"""The recogniser on recordings of people, and its processes when they die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from tests.agent.test_flow import CAFE

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, FinalText, PartialText, SttEvent
from antiphon.providers.stt import _pocketsphinx_pool as pool
from antiphon.providers.stt.pocketsphinx import (
    PocketsphinxOptions,
    PocketsphinxStream,
    PocketsphinxStt,
)
from antiphon.types import FRAME_BYTES

DATA = Path(__file__).parents[1] / "data" / "speech"
MANIFEST = [json.loads(line) for line in (DATA / "manifest.jsonl").read_text().splitlines()]
ORDERS = [item for item in MANIFEST if "slots" in item]
PREROLL = 20


def frames_of(name: str) -> list[bytes]:
    audio, _ = sf.read(DATA / name, dtype="int16")
    pcm: bytes = audio.tobytes()
    return [pcm[n : n + FRAME_BYTES] for n in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]


@pytest.fixture
async def stt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PocketsphinxStt]:
    cache = tmp_path_factory.getbasetemp().parent / "pocketsphinx-cache"
    options = PocketsphinxOptions(workers=1, cache_dir=cache)
    provider = PocketsphinxStt(options, AgentHints(sentences=CAFE.sentences()))
    await provider.start()
    yield provider
    await provider.aclose()


def push(stream: PocketsphinxStream, frames: list[bytes], number: int = 1) -> None:
    for frame in frames[:PREROLL]:
        stream.push(frame)
    stream.begin(number, PREROLL * 20)
    for frame in frames[PREROLL:]:
        stream.push(frame)


async def final(events: AsyncIterator[SttEvent], seen: list[SttEvent] | None = None) -> FinalText:
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, FinalText):
                return event
            if seen is not None:
                seen.append(event)
    raise AssertionError("no final")


async def test_people_are_understood(stt: PocketsphinxStt) -> None:
    """All words but a few: 2 in 43 would be a word error rate of 5 %."""
    wrong = 0
    for item in ORDERS:
        stream = await stt.open()
        push(stream, frames_of(item["file"]))
        stream.finalize(1, 1)
        event = await final(stream.events())
        wrong += event.text != item["transcript"]
        assert event.confidence > 0.6
        assert event.complete is not None
        assert event.complete > 0.5
        assert [w.text for w in event.words] == event.text.split()
        assert all(
            a.end_ms <= b.start_ms for a, b in zip(event.words, event.words[1:], strict=False)
        )
        await stream.aclose()
    assert wrong <= 1


async def test_what_is_out_of_its_domain_is_rejected(stt: PocketsphinxStt) -> None:
    for item in MANIFEST:
        if item in ORDERS:
            continue
        stream = await stt.open()
        push(stream, frames_of(item["file"]))
        stream.finalize(1, 1)
        event = await final(stream.events())
        assert event.text == "" or event.confidence < 0.75
        await stream.aclose()


async def test_partials_come_while_speaking(stt: PocketsphinxStt) -> None:
    stream = await stt.open()
    events = stream.events()
    frames = frames_of(ORDERS[0]["file"])
    push(stream, frames[:120])
    first = await asyncio.wait_for(anext(events), 20)
    assert isinstance(first, PartialText)
    for frame in frames[120:]:
        stream.push(frame)
    stream.finalize(1, 1)
    assert (await final(events)).text == ORDERS[0]["transcript"]
    await stream.aclose()


async def test_speech_after_a_final_belongs_to_the_utterance(stt: PocketsphinxStt) -> None:
    stream = await stt.open()
    events = stream.events()
    frames = frames_of(ORDERS[1]["file"])
    push(stream, frames[:100])
    stream.finalize(1, 1)
    early = await final(events)
    for frame in frames[100:]:
        stream.push(frame)
    stream.finalize(1, 2)
    late = await final(events)
    assert (early.revision, late.revision) == (1, 2)
    assert late.text == ORDERS[1]["transcript"]
    await stream.aclose()


async def test_silence_and_an_early_end_are_no_trouble(stt: PocketsphinxStt) -> None:
    stream = await stt.open()
    stream.begin(1, 0)
    stream.finalize(1, 1)
    assert (await final(stream.events())).text == ""
    stream.end(1)
    push(stream, [bytes(FRAME_BYTES)] * 60, number=2)
    stream.finalize(2, 1)
    stream.end(2)
    push(stream, frames_of(ORDERS[2]["file"]), number=3)
    stream.finalize(3, 1)
    event = await final(stream.events())
    assert (event.utterance_id, event.text) == (3, ORDERS[2]["transcript"])
    stream.finalize(2, 9)
    stream.end(2)
    await stream.aclose()
    await stream.aclose()
    assert [e async for e in stream.events()] == []


async def test_a_monologue_keeps_its_words_and_not_its_audio(stt: PocketsphinxStt) -> None:
    stream = await stt.open()
    events = stream.events()
    frames = frames_of(ORDERS[3]["file"])
    stream.begin(1, 0)
    text = ""
    for revision in range(1, 6):
        for frame in frames:
            stream.push(frame)
        stream.finalize(1, revision)
        text = (await final(events)).text
    assert text.count("house coffee") >= 3
    seconds = 5 * len(frames) / 50
    assert len(stream._audio) / 32_000 < min(seconds, 16)
    await stream.aclose()


async def test_the_final_is_not_lost_when_speech_goes_on_in_a_new_utterance(
    stt: PocketsphinxStt,
) -> None:
    stream = await stt.open()
    events = stream.events()
    push(stream, frames_of(ORDERS[1]["file"]))
    stream.finalize(1, 1)
    stream.begin(2, 0)
    for frame in frames_of(ORDERS[2]["file"]):
        stream.push(frame)
    first = await final(events)
    stream.end(1)
    assert (first.utterance_id, first.text) == (1, ORDERS[1]["transcript"])
    stream.finalize(2, 1)
    second = await final(events)
    assert (second.utterance_id, second.text) == (2, ORDERS[2]["transcript"])
    await stream.aclose()


async def test_a_dead_process_is_replaced_and_the_utterance_said_again(
    stt: PocketsphinxStt,
) -> None:
    stream = await stt.open()
    frames = frames_of(ORDERS[2]["file"])
    push(stream, frames[:100])
    os.kill(stt._processes[0].pid, signal.SIGKILL)
    for frame in frames[100:]:
        stream.push(frame)
    stream.finalize(1, 1)
    assert (await final(stream.events())).text == ORDERS[2]["transcript"]
    await stream.aclose()


async def test_a_hung_process_is_replaced(
    stt: PocketsphinxStt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ANSWER_WITHIN_S", 0.5)
    stream = await stt.open()
    push(stream, frames_of(ORDERS[2]["file"]))
    os.kill(stt._processes[0].pid, signal.SIGSTOP)
    stream.finalize(1, 1)
    monkeypatch.setattr(pool, "ANSWER_WITHIN_S", 20)
    assert (await final(stream.events())).text == ORDERS[2]["transcript"]
    await stream.aclose()


async def test_a_process_that_keeps_dying_is_an_error(
    stt: PocketsphinxStt, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = await stt.open()
    process = stt._processes[0]
    push(stream, frames_of(ORDERS[2]["file"])[:60])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(ProviderError) as failure:
        await final(stream.events())
    assert failure.value.retryable
    with pytest.raises(ProviderError):
        stream.push(bytes(FRAME_BYTES))
    await stream.aclose()
    monkeypatch.undo()
    again = await stt.open()
    push(again, frames_of(ORDERS[2]["file"]))
    again.finalize(1, 1)
    assert (await final(again.events())).text == ORDERS[2]["transcript"]
    await again.aclose()


async def test_many_calls_share_a_process(stt: PocketsphinxStt) -> None:
    streams = [await stt.open() for _ in range(4)]
    for stream in streams:
        push(stream, frames_of(ORDERS[2]["file"]))
        stream.finalize(1, 1)
    texts = {(await final(stream.events())).text for stream in streams}
    assert texts == {ORDERS[2]["transcript"]}
    for stream in streams:
        await stream.aclose()


async def test_closing_ends_the_processes(stt: PocketsphinxStt) -> None:
    pid = stt._processes[0].pid
    await stt.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ProviderError, match="not started"):
        await stt.open()


@pytest.mark.parametrize(
    ("hints", "problem"),
    [({"language": "de"}, "English only"), ({}, "needs to know what callers say")],
)
async def test_what_it_cannot_do_is_said(hints: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserFacingError, match=problem):
        await PocketsphinxStt(PocketsphinxOptions(), AgentHints(**hints)).start()


async def test_more_speakers_than_decoders_all_get_their_finals(stt: PocketsphinxStt) -> None:
    streams = [await stt.open() for _ in range(20)]
    frames = frames_of(ORDERS[2]["file"])[40:140]
    for stream in streams:
        push(stream, frames)
    for stream in (streams[0], streams[-1]):
        stream.finalize(1, 1)
        assert (await final(stream.events())).revision == 1
        await stream.aclose()
    for stream in streams[1:-1]:
        await stream.aclose()
