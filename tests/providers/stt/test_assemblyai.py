from __future__ import annotations

import asyncio
import json

import pytest
from tests.providers.stt.cloud import ASSEMBLYAI, final_text, partials, talk
from tests.support.stt_talk import failure, read_final, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, EndOfTurn
from antiphon.providers.stt.assemblyai import AssemblyAiStt, AssemblyAiWire
from antiphon.providers.stt.wire import Flushed, Piece, Signal
from antiphon.types import Word


async def test_what_is_asked_for() -> None:
    async with ASSEMBLYAI.fake() as fake:
        stt = await ASSEMBLYAI.start(
            fake, format_turns=True, min_turn_silence_ms=300, max_turn_silence_ms=900,
            end_of_turn_confidence=0.6, extra_query={"mode": "balanced"}, keywords=["x" * 60],
        )  # fmt: skip
        stream = await stt.open()
        await until(lambda: fake.connections and fake.last.sent)
        assert fake.last.path == "/v3/ws"
        assert fake.last.headers["authorization"] == "key-1"
        assert fake.last.headers["assemblyai-version"] == "2025-05-12"
        assert dict(fake.last.query) == {
            "sample_rate": "16000",
            "encoding": "pcm_s16le",
            "speech_model": "universal-streaming-english",
            "format_turns": "true",
            "end_of_turn_confidence_threshold": "0.6",
            "min_turn_silence": "300",
            "max_turn_silence": "900",
            "keyterms_prompt": '["Antiphon", "olives"]',
            "mode": "balanced",
        }
        stream.begin(1, 0)
        talk(stream, 2)
        await partials(stream, 1)
        await stream.aclose()
        await until(lambda: fake.last.closed)
        assert fake.last.received[-1] == '{"type": "Terminate"}'


def test_other_languages_have_another_model() -> None:
    stt = AssemblyAiStt(AssemblyAiStt.Options(), AgentHints("es-MX"))
    assert stt.model == "universal-streaming-multilingual"


async def test_turns_that_end_by_themselves_and_are_told_twice() -> None:
    async with ASSEMBLYAI.fake() as fake:
        stream = await (await ASSEMBLYAI.start(fake, format_turns=True)).open()
        stream.begin(1, 0)
        talk(stream, 2, 900)
        talk(stream, 1, 100)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "I would like"
        assert before.count(EndOfTurn(1, "final")) == 1
        stream.end(1)
        await stream.aclose()


async def test_short_rests_are_filled_up_and_shift_no_times() -> None:
    async with ASSEMBLYAI.fake() as fake:
        stream = await (await ASSEMBLYAI.start(fake)).open()
        stream.begin(1, 0)
        for revision in (1, 2, 3):
            talk(stream, 1, 80)  # 380 ms: six chunks and a third of one
            stream.finalize(1, revision)
            final, _ = await read_final(stream)
        assert [word.start_ms for word in final.words] == [0, 380, 760]
        sizes = {len(data) // 32 for data in fake.last.received if isinstance(data, bytes)}
        assert sizes == {50, 60}
        await stream.aclose()


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(4001, False), (4002, False), (3006, False), (1013, True), (3008, True), (4029, True)],
)
async def test_closing_codes(code: int, retryable: bool) -> None:
    async with ASSEMBLYAI.fake() as fake:
        fake.faults.close_after, fake.faults.close_code = 2, code
        stream = await (await ASSEMBLYAI.start(fake)).open()
        error = await failure(stream)
        assert f"closed with {code}" in str(error)
        assert error.retryable is retryable
        assert len(fake.connections) == (3 if retryable else 1)


async def test_what_is_sent_again_is_not_sent_too_fast() -> None:
    async with ASSEMBLYAI.fake() as fake:
        stream = await (await ASSEMBLYAI.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 4)
        stream.finalize(1, 1)
        clock = asyncio.get_running_loop().time
        begun = clock()
        assert await final_text(stream) == "I would like two"
        assert clock() - begun > 0.2  # 1.2 s of audio
        await stream.aclose()


def turn(text: str, *, order: int = 0, end: bool = False, formatted: bool = False) -> str:
    words = [
        {"text": word, "start": 100 * n, "end": 100 * n + 90, "confidence": 0.5}
        for n, word in enumerate(text.split())
    ]
    return json.dumps(
        {
            "type": "Turn",
            "turn_order": order,
            "turn_is_formatted": formatted,
            "end_of_turn": end,
            "transcript": text if end else "",
            "words": words,
            "language_code": "en",
        }
    )


def test_turns() -> None:
    wire = AssemblyAiWire(signals=True)
    one = Word("one", 0, 90, 0.5)
    assert wire.read(turn("one")) == [Piece("one", False, 90, (one,), 0.5, "en")]
    ended = [Piece("one", True, 90, (one,), 0.5, "en"), Signal("final")]
    assert wire.read(turn("one", end=True)) == ended
    assert wire.read(turn("one", end=True, formatted=True)) == ()
    wire.flush()
    assert wire.read(turn("one", order=1, end=True)) == [ended[0], Flushed()]
    assert wire.read(turn("one", order=1, end=True, formatted=True)) == ()


def test_errors() -> None:
    wire = AssemblyAiWire(signals=True)
    with pytest.raises(ProviderError, match="4002: Insufficient funds") as caught:
        wire.read('{"type": "Error", "error_code": 4002, "error": "Insufficient funds"}')
    assert not caught.value.retryable
    assert list(wire.read('{"type": "Warning", "warning_code": 1, "warning": "hm"}')) == []
