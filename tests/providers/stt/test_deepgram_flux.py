from __future__ import annotations

import json

import pytest
from tests.fakes.deepgram_stt import DeepgramListen
from tests.providers.stt.cloud import FLUX, final_text, partials, talk
from tests.support.stt_talk import read_final, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, EndOfTurn
from antiphon.providers.stt.deepgram_flux import FluxStt, FluxWire
from antiphon.providers.stt.wire import Flushed, Piece, Signal
from antiphon.types import Word


async def test_what_is_asked_for() -> None:
    async with FLUX.fake() as fake:
        stt = await FLUX.start(fake, eot_threshold=0.8, numerals=True, extra_query={"tag": "a b"})
        stream = await stt.open()
        await until(lambda: fake.connections)
        assert stt.model == "flux-general-en"
        assert fake.last.path == "/v2/listen"
        assert sorted(fake.last.query) == [
            ("eager_eot_threshold", "0.5"),
            ("encoding", "linear16"),
            ("eot_threshold", "0.8"),
            ("keyterm", "Antiphon"),
            ("keyterm", "olives"),
            ("model", "flux-general-en"),
            ("numerals", "true"),
            ("sample_rate", "16000"),
            ("tag", "a b"),
        ]
        await stream.aclose()


async def test_other_languages_have_another_model() -> None:
    async with FLUX.fake() as fake:
        stt = FluxStt(FluxStt.Options(base_url=fake.http_url, signals=False), AgentHints("de-AT"))
        await stt.start()
        stream = await stt.open()
        await until(lambda: fake.connections)
        assert sorted(fake.last.query) == [
            ("encoding", "linear16"),
            ("language_hint", "de"),
            ("model", "flux-general-multi"),
            ("sample_rate", "16000"),
        ]
        await stream.aclose()


async def test_several_turns_in_one_utterance() -> None:
    async with FLUX.fake() as fake:
        stream = await (await FLUX.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 2, 400)
        talk(stream, 1, 800)
        talk(stream, 2, 200)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "I would like two large"
        assert [word.text for word in final.words] == ["I", "would", "like", "two", "large"]
        signals = [event.signal for event in before if isinstance(event, EndOfTurn)]
        assert signals == ["eager", "resumed", "eager", "final"]
        await stream.aclose()


@pytest.mark.parametrize("force_end", [True, False])
async def test_one_turn_in_several_utterances(force_end: bool) -> None:
    """Where ForceEndTurn is not enabled, the turn goes on, and its words are not told twice."""
    async with DeepgramListen() as fake:
        fake.gated = True
        stt = await FLUX.start(fake, eot_threshold=1.0, force_end=force_end)
        stream = await stt.open()
        for utterance_id, expected in ((1, "I would"), (2, "like two"), (3, "large pizzas")):
            stream.begin(utterance_id, 0)
            talk(stream, 2, 100)
            stream.finalize(utterance_id, 1)
            final, _ = await read_final(stream)
            assert final.text == expected
            assert final.words[0].start_ms == 0
            stream.end(utterance_id)
        assert ('{"type": "ForceEndTurn"}' in fake.last.received) is force_end
        assert len(fake.connections) == 1
        await stream.aclose()


async def test_silence_keeps_the_connection_and_shifts_no_times() -> None:
    wire = FluxWire(signals=True, force=True)
    (silence,) = wire.keep_alive()
    assert silence == bytes(80 * 32)
    wire.audio(bytes(1000 * 32))
    flush = wire.flush()
    assert flush is not None
    assert list(flush) == ['{"type": "ForceEndTurn"}', bytes(320 * 32)]
    message = turn("Update", "yes", 1.4, [{"word": "yes", "start": 0.28, "end": 0.58}])
    assert wire.read(message) == [
        Piece("yes", True, 1000, (Word("yes", 200, 500),)),
        Flushed(1000),
    ]


async def test_signals_can_be_left_out() -> None:
    async with FLUX.fake() as fake:
        stream = await (await FLUX.start(fake, signals=False)).open()
        stream.begin(1, 0)
        talk(stream, 2, 700)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "I would"
        assert not [event for event in before if isinstance(event, EndOfTurn)]
        talk(stream, 1, 100)
        await partials(stream, 1)
        stream.finalize(1, 2)
        assert await final_text(stream) == "I would like"
        await stream.aclose()


def turn(event: str, text: str, end_s: float, words: object, index: int = 0, **more: object) -> str:
    return json.dumps(
        {
            "type": "TurnInfo",
            "event": event,
            "turn_index": index,
            "audio_window_start": 0,
            "audio_window_end": end_s,
            "transcript": text,
            "words": words,
            "end_of_turn_confidence": 0.5,
            **more,
        }
    )


def test_turns() -> None:
    wire = FluxWire(signals=True, force=True)
    words = [{"word": "yes", "confidence": 0.5}]
    assert wire.read(turn("StartOfTurn", "yes", 0.5, words)) == [
        Piece("yes", False, 500, (), 0.5),
        Flushed(500),
    ]
    assert Signal("eager") in wire.read(turn("EagerEndOfTurn", "yes", 0.7, words))
    assert Signal("resumed") in wire.read(turn("TurnResumed", "yes", 0.7, words))
    ended = wire.read(turn("EndOfTurn", "Yes.", 0.9, words, trigger="model", languages=["en"]))
    assert ended == [Piece("Yes.", True, 900, (), 0.5, "en"), Signal("final"), Flushed(900)]
    ended = wire.read(turn("EndOfTurn", "No.", 1.9, words, 1, trigger="manual"))
    assert ended == [Piece("No.", True, 1900, (), 0.5), Flushed(2220)]
    assert Signal("final") in wire.read(turn("EndOfTurn", "No.", 2.9, words, 2, trigger="magic"))
    assert wire.read(turn("Dance", "", 3.5, [], 3)) == [Piece("", False, 3500), Flushed(3500)]


def test_errors() -> None:
    with pytest.raises(ProviderError, match="INTERNAL_SERVER_ERROR: oh") as caught:
        FluxWire(signals=True, force=True).read(
            '{"type": "Error", "code": "INTERNAL_SERVER_ERROR", "description": "oh"}'
        )
    assert caught.value.retryable
