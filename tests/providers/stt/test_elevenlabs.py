from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.providers.stt.cloud import ELEVENLABS, final_text, partials, talk
from tests.support.stt_talk import read_final, until

from antiphon.errors import ProviderError
from antiphon.providers.base import PartialText
from antiphon.providers.stt.elevenlabs import ScribeWire
from antiphon.providers.stt.wire import Flushed, Piece
from antiphon.types import Word


async def test_what_is_asked_for() -> None:
    async with ELEVENLABS.fake() as fake:
        stt = await ELEVENLABS.start(
            fake, keywords=["a much too long word to boost"], extra_query={"no_verbatim": "true"}
        )
        stream = await stt.open()
        await until(lambda: fake.connections and fake.last.sent)
        assert fake.last.path == "/v1/speech-to-text/realtime"
        assert fake.last.headers["xi-api-key"] == "key-1"
        assert sorted(fake.last.query) == [
            ("audio_format", "pcm_16000"),
            ("commit_strategy", "manual"),
            ("include_timestamps", "true"),
            ("keyterms", "Antiphon"),
            ("keyterms", "olives"),
            ("language_code", "en"),
            ("model_id", "scribe_v2_realtime"),
            ("no_verbatim", "true"),
        ]
        await stream.aclose()


async def test_without_boost_and_word_times() -> None:
    async with ELEVENLABS.fake() as fake:
        stream = await (await ELEVENLABS.start(fake, boost=False, word_times=False)).open()
        stream.begin(1, 0)
        talk(stream, 2, 200)
        stream.finalize(1, 1)
        final, _ = await read_final(stream)
        assert (final.text, final.words) == ("I would", ())
        assert "keyterms" not in dict(fake.last.query)
        assert dict(fake.last.query)["include_timestamps"] == "false"
        await stream.aclose()


async def test_short_utterances_are_filled_up_and_echoes_dropped() -> None:
    async with ELEVENLABS.fake() as fake:
        stream = await (await ELEVENLABS.start(fake)).open()
        for utterance_id, expected in ((1, "I"), (2, "would"), (3, "like")):
            stream.begin(utterance_id, 0)
            talk(stream, 0.4)
            stream.finalize(utterance_id, 1)
            final, before = await read_final(stream)
            assert final.text == expected
            assert final.words[0].start_ms == 0
            texts = {event.text for event in before if isinstance(event, PartialText)}
            assert texts <= {expected}
            stream.end(utterance_id)
        assert len(fake.connections) == 1
        await stream.aclose()


async def test_long_utterances_are_committed_in_pieces() -> None:
    async with ELEVENLABS.fake() as fake:
        stream = await (await ELEVENLABS.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 90)  # 27 s
        await partials(stream, 1)
        talk(stream, 5, 200)
        stream.finalize(1, 1)
        final = (await final_text(stream)).split()
        assert 95 <= len(final) <= 96  # a commit may cut a word
        commits = [data for data in fake.last.received if json.loads(data)["commit"]]
        assert len(commits) == 2
        await stream.aclose()


def message(kind: str, **more: Any) -> str:
    return json.dumps({"message_type": kind, **more})


def test_commits_and_echoes() -> None:
    wire = ScribeWire(word_times=True)
    wire.audio(bytes(100 * 32))
    frames = wire.flush()
    assert frames is not None
    sent = json.loads(frames[0])
    assert sent["commit"] is True
    assert len(base64.b64decode(sent["audio_base_64"])) == 250 * 32
    assert wire.read(message("partial_transcript", text="ye")) == [Piece("ye", False)]
    assert wire.read(message("committed_transcript", text="yes")) == [Piece("yes", False)]
    words = [
        {"text": "yes", "start": 0.02, "end": 0.08, "type": "word", "logprob": 0.0},
        {"text": " ", "start": 0.08, "end": 0.1, "type": "spacing"},
    ]
    timed = message(
        "committed_transcript_with_timestamps", text="yes", words=words, language_code="en"
    )
    final = Piece("yes", True, 80, (Word("yes", 20, 80),), 1.0, "en")
    assert wire.read(timed) == [final, Flushed()]
    assert wire.read(message("partial_transcript", text="yes")) == ()
    assert wire.read(message("partial_transcript", text="yes")) == [Piece("yes", False)]
    assert wire.read(timed) == [final]  # nobody asked for it
    wire.flush()
    assert wire.read(message("committed_transcript", text="")) == [Piece("", True), Flushed()]
    (alive,) = wire.keep_alive()
    assert json.loads(alive)["commit"] is False


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("auth_error", False),
        ("quota_exceeded", False),
        ("unaccepted_terms", False),
        ("input_error", False),
        ("chunk_size_exceeded", False),
        ("rate_limited", True),
        ("queue_overflow", True),
        ("session_time_limit_exceeded", True),
        ("insufficient_audio_activity", True),
        ("transcriber_error", True),
    ],
)
def test_errors(kind: str, retryable: bool) -> None:
    with pytest.raises(ProviderError, match=f"{kind}: so it is") as caught:
        ScribeWire(word_times=True).read(message(kind, error="so it is"))
    assert caught.value.retryable is retryable
