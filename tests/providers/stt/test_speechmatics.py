from __future__ import annotations

import json

import pytest
from tests.providers.stt.cloud import SPEECHMATICS, talk
from tests.support.stt_talk import failure, read_final, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, EndOfTurn
from antiphon.providers.stt.speechmatics import SpeechmaticsStt, SpeechmaticsWire
from antiphon.providers.stt.wire import Flushed, Piece, Signal
from antiphon.types import Word


async def test_what_is_asked_for() -> None:
    async with SPEECHMATICS.fake() as fake:
        options = SpeechmaticsStt.Options(
            base_url=fake.http_url, signals=True, end_of_utterance_ms=400,
            extra_config={"enable_entities": True}, extra_query={"sm-app": "x"},
        )  # fmt: skip
        stt = SpeechmaticsStt(options, AgentHints("en-GB", vocabulary=("Antiphon",)))
        await stt.start()
        stream = await stt.open()
        await until(lambda: fake.connections and fake.last.received)
        assert fake.last.path == "/v2"
        assert fake.last.query == [("sm-app", "x")]
        assert json.loads(fake.last.received[0]) == {
            "message": "StartRecognition",
            "audio_format": {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
            "transcription_config": {
                "language": "en",
                "model": "enhanced",
                "enable_partials": True,
                "max_delay": 1.0,
                "output_locale": "en-GB",
                "additional_vocab": [{"content": "Antiphon"}],
                "conversation_config": {"end_of_utterance_silence_trigger": 0.4},
                "enable_entities": True,
            },
        }
        await stream.aclose()


async def test_older_containers_know_operating_points() -> None:
    async with SPEECHMATICS.fake() as fake:
        stt = await SPEECHMATICS.start(fake, extra_config={"operating_point": "standard"})
        stream = await stt.open()
        await until(lambda: fake.connections and fake.last.received)
        config = json.loads(fake.last.received[0])["transcription_config"]
        assert config["operating_point"] == "standard"
        assert "model" not in config
        await stream.aclose()


async def test_its_own_end_of_speech_is_a_signal() -> None:
    async with SPEECHMATICS.fake() as fake:
        stream = await (await SPEECHMATICS.start(fake, signals=True)).open()
        stream.begin(1, 0)
        talk(stream, 2, 600)
        talk(stream, 1, 100)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "I would like"
        assert before.count(EndOfTurn(1, "final")) == 1
        stream.end(1)
        await stream.aclose()
        await until(lambda: fake.last.closed)
        chunks = sum(isinstance(data, bytes) for data in fake.last.received)
        assert json.loads(fake.last.received[-1]) == {
            "message": "EndOfStream",
            "last_seq_no": chunks,
        }


@pytest.mark.parametrize(("code", "retryable"), [(4001, False), (4004, False), (4005, True)])
async def test_closing_codes(code: int, retryable: bool) -> None:
    async with SPEECHMATICS.fake() as fake:
        fake.faults.close_after, fake.faults.close_code = 3, code
        error = await failure(await (await SPEECHMATICS.start(fake)).open())
        assert f"closed with {code}" in str(error)
        assert error.retryable is retryable


def transcript(kind: str, text: str, *words: tuple[str, float, float]) -> str:
    results = [
        {
            "type": "word",
            "start_time": start,
            "end_time": end,
            "alternatives": [{"content": word, "confidence": 0.5, "language": "en"}],
        }
        for word, start, end in words
    ]
    results.append({"type": "punctuation", "attaches_to": "previous", "alternatives": []})
    metadata = {"transcript": text, "start_time": 0.0, "end_time": 1.5}
    return json.dumps({"message": kind, "metadata": metadata, "results": results})


def test_transcripts_and_ends() -> None:
    wire = SpeechmaticsWire(signals=True)
    word = ("yes", 0.2, 0.5)
    piece = Piece("yes. ", False, 1500, (Word("yes", 200, 500, 0.5),), 0.5, "en")
    assert wire.read(transcript("AddPartialTranscript", "yes. ", word)) == [piece]
    end = '{"message": "EndOfUtterance", "metadata": {"start_time": 1.5, "end_time": 1.5}}'
    assert wire.read(end) == [Flushed(1750)]  # nothing is final
    (final,) = wire.read(transcript("AddTranscript", "yes. ", word))
    assert isinstance(final, Piece)
    assert final.final
    assert wire.read(end) == [Flushed(1750), Signal("final")]
    assert wire.read(end) == [Flushed(1750)]
    wire.audio(bytes(40 * 32))
    flush = wire.flush()
    assert flush is not None
    assert json.loads(flush[0]) == {"message": "ForceEndOfUtterance", "timestamp": 0.04}
    wire.read(transcript("AddTranscript", "yes. ", word))
    assert wire.read(end) == [Flushed(1750)]  # what was asked for is no signal
    forced = end.replace("{", '{"forced": true, ', 1)
    assert wire.read(forced) == [Flushed()]
    assert SpeechmaticsWire(signals=False).read(end) == [Flushed()]


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [("not_authorised", False), ("invalid_model", False), ("quota_exceeded", True), ("new", True)],
)
def test_errors(kind: str, retryable: bool) -> None:
    with pytest.raises(ProviderError, match=f"{kind}: so it is") as caught:
        SpeechmaticsWire(signals=False).read(
            json.dumps({"message": "Error", "type": kind, "reason": "so it is"})
        )
    assert caught.value.retryable is retryable
