from __future__ import annotations

import json

import pytest
from tests.fakes.deepgram_stt import DeepgramListen
from tests.providers.stt.cloud import DEEPGRAM, final_text, partials, talk
from tests.support.stt_talk import read_final, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, EndOfTurn
from antiphon.providers.stt.deepgram import DeepgramStt, DeepgramWire
from antiphon.providers.stt.wire import Flushed, Piece, Signal


async def test_what_is_asked_for() -> None:
    async with DEEPGRAM.fake() as fake:
        stt = await DEEPGRAM.start(
            fake, keywords=["Ximena"], extra_query={"numerals": "true", "channels": "2"}
        )
        stream = await stt.open()
        await until(lambda: fake.connections)
        assert fake.last.path == "/v1/listen"
        assert fake.last.headers["authorization"] == "Token key-1"
        assert sorted(fake.last.query) == [
            ("channels", "2"),
            ("encoding", "linear16"),
            ("endpointing", "false"),
            ("interim_results", "true"),
            ("keyterm", "Antiphon"),
            ("keyterm", "Ximena"),
            ("keyterm", "olives"),
            ("language", "en"),
            ("model", "nova-3"),
            ("numerals", "true"),
            ("sample_rate", "16000"),
            ("smart_format", "true"),
        ]
        stream.begin(1, 0)
        talk(stream, 2)
        await partials(stream, 1)
        await stream.aclose()
        await until(lambda: fake.last.closed)
        assert fake.last.received[-1] == '{"type": "CloseStream"}'


async def test_older_models_know_keywords() -> None:
    async with DEEPGRAM.fake() as fake:
        options = DeepgramStt.Options(base_url=fake.http_url, model="nova-2", language="de")
        stt = DeepgramStt(options, AgentHints(vocabulary=("Oliven", " ", "Oliven")))
        await stt.start()
        stream = await stt.open()
        await until(lambda: fake.connections)
        asked = fake.last.query
        assert [pair for pair in asked if pair[0].startswith("key")] == [("keywords", "Oliven")]
        assert ("language", "de") in asked
        assert "authorization" not in fake.last.headers
        await stream.aclose()


async def test_its_own_end_of_speech_is_a_signal() -> None:
    async with DEEPGRAM.fake() as fake:
        stream = await (await DEEPGRAM.start(fake, signals=True, endpointing_ms=200)).open()
        stream.begin(1, 0)
        talk(stream, 2, 300)
        stream.finalize(1, 1)  # all is final already, and is not told again
        final, before = await read_final(stream)
        assert final.text == "I would"
        assert EndOfTurn(1, "final") in before
        assert len(fake.connections) == 1
        await stream.aclose()


async def test_an_answer_to_every_finalize() -> None:
    async with DeepgramListen() as fake:
        fake.quiet = False
        stream = await (await DEEPGRAM.start(fake)).open()
        for utterance_id, words in ((1, 2), (2, 0), (3, 1)):
            stream.begin(utterance_id, 0)
            talk(stream, words, 100)
            stream.finalize(utterance_id, 1)
            expected = {1: "I would", 2: "", 3: "like"}[utterance_id]
            assert await final_text(stream) == expected
            stream.end(utterance_id)
        await stream.aclose()


def results(text: str, *, final: bool = False, end_s: float = 1.0, **more: object) -> str:
    best = {"transcript": text, "confidence": 0.5, "words": []}
    message = {"type": "Results", "start": 0, "duration": end_s, "is_final": final, **more}
    return json.dumps({**message, "channel": {"alternatives": [best]}})


def test_results() -> None:
    wire = DeepgramWire(signals=True)
    assert wire.read(results("one")) == [Piece("one", False, 1000, (), 0.5)]
    final = Piece("one two", True, 2000, (), 0.5)
    assert wire.read(results("one two", final=True, end_s=2.0)) == [final, Flushed(2000)]
    assert wire.read(results("one two", final=True, end_s=2.0, from_finalize=True)) == [
        final,
        Flushed(2250),
    ]
    ended = wire.read(results("one two", final=True, end_s=2.0, speech_final=True))
    assert Signal("final") in ended
    assert wire.read('{"type": "UtteranceEnd", "last_word_end": 2.0}') == []  # once is enough
    wire.read(results("three"))
    assert wire.read('{"type": "UtteranceEnd", "last_word_end": 2.5}') == [Signal("final")]
    assert list(DeepgramWire(signals=False).read('{"type": "UtteranceEnd"}')) == []


def test_errors() -> None:
    wire = DeepgramWire(signals=False)
    with pytest.raises(ProviderError, match="INVALID_AUTH: no") as caught:
        wire.read('{"type": "Error", "variant": "INVALID_AUTH", "description": "no"}')
    assert not caught.value.retryable
    with pytest.raises(ProviderError, match="NET-0001: too slow") as caught:
        wire.read('{"type": "Error", "code": "NET-0001", "description": "too slow"}')
    assert caught.value.retryable
    assert list(wire.read('{"type": "Warning", "description": "hm"}')) == []
    with pytest.raises(KeyError):
        wire.read('{"type": "Results"}')
