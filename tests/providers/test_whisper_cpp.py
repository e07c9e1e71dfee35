from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.whisper_cpp import WhisperCpp, form
from tests.support.stt_talk import failure, read_final, say, speak, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, PartialText
from antiphon.providers.stt._whisper_http import WhisperServer, read_transcript
from antiphon.providers.stt.whisper_cpp import WhisperCppStt
from antiphon.types import Word

HINTS = AgentHints("de-AT", vocabulary=("Antiphon", "Melange"))


def make(fake: WhisperCpp, **options: Any) -> WhisperCppStt:
    return WhisperCppStt(
        WhisperCppStt.Options.model_validate({"base_url": fake.http_url, **options}), HINTS
    )


async def test_an_utterance_and_its_words() -> None:
    async with WhisperCpp("a small coffee") as fake:
        stt = make(fake, prompt="In a cafe.", temperature=0.2)
        await stt.start()
        stream = await stt.open()
        final = await say(stream)
        assert (final.text, final.language) == ("a small coffee", "en")
        assert final.words[1] == Word("small", 300, 600, 0.8)
        assert 0.8 < final.confidence < 0.83
        assert fake.heard_ms == [1000]
        fields = form(fake.last)
        del fields["file"]
        assert fields == {
            "response_format": ["verbose_json"],
            "temperature": ["0.2"],
            "language": ["de"],
            "prompt": ["In a cafe. Antiphon, Melange."],
        }
        await stream.aclose()
        await stt.aclose()


async def test_partial_texts_while_somebody_speaks() -> None:
    async with WhisperCpp("a small", "a small coffee") as fake:
        stt = make(fake, interim_ms=400)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: fake.heard_ms == [400])
        await asyncio.sleep(0.02)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert before == [PartialText(1, "a small")]
        assert final.text == "a small coffee"
        await stream.aclose()
        await stt.aclose()


async def test_errors_that_look_like_successes() -> None:
    async with WhisperCpp() as fake:
        fake.error = "failed to process audio"
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert str(error) == "whisper-cpp: failed to process audio"
        assert error.retryable
        await stt.aclose()


async def test_a_server_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    stt = WhisperCppStt(WhisperCppStt.Options(base_url="http://127.0.0.1:9"), AgentHints())
    await stt.start()
    assert "stt not ready" in caplog.text
    assert (await failure(await stt.open())).retryable
    await stt.aclose()


async def test_closing_ends_the_request() -> None:
    async with WhisperCpp() as fake:
        fake.faults.silent = True
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 5)
        stream.finalize(1, 1)
        await until(lambda: fake.connections)
        async with asyncio.timeout(20):
            await stream.aclose()
            await stt.aclose()


def test_what_was_made_up_out_of_silence_is_left_out() -> None:
    spoken = {"text": " Yes.", "start": 0.0, "end": 1.0, "avg_logprob": -0.1}
    silent = {"text": " Thank you for watching.", "start": 1.0, "end": 3.0, "avg_logprob": -1.2}
    words = [
        {"word": "Yes", "start": 0.1, "end": 0.4},
        {"word": "Thank", "start": 1.1, "end": 1.4},
    ]
    made = read_transcript(
        {
            "text": " Yes. Thank you for watching.",
            "segments": [spoken, silent | {"no_speech_prob": 0.9}],
            "words": words,
        }
    )
    assert made.text == "Yes."
    assert made.words == (Word("Yes", 100, 400),)
    assert made.confidence > 0.9


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'{"text": 3}',
        b'{"text": "a", "segments": [3]}',
        b'{"text": "a", "words": [{"word": "a", "start": 1e999, "end": 2}]}',
        b'{"text": "a", "languages": [3]}',
        b"[" * 5000,
    ],
)
def test_answers_that_are_no_transcripts(body: bytes) -> None:
    with pytest.raises(ProviderError, match="no transcript") as caught:
        WhisperServer("x", "http://127.0.0.1:9", connect_ms=10)._parsed(body)
    assert caught.value.retryable
