from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.elevenlabs_tts import FakeElevenLabsTts
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio, open_stream, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, TtsSegment
from antiphon.providers.tts.elevenlabs import ElevenLabsOptions, ElevenLabsTts, _error


def make(fake: FakeElevenLabsTts, spoken: str = "en", **options: Any) -> ElevenLabsTts:
    read = ElevenLabsOptions.model_validate({"base_url": fake.http_url, **options})
    return ElevenLabsTts(read, AgentHints(language=spoken))


async def test_its_options_are_on_the_wire() -> None:
    async with FakeElevenLabsTts() as fake:
        tts = make(
            fake,
            "de-DE",
            voice="my voice",
            sample_rate_hz=16_000,
            stability=0.3,
            similarity_boost=0.8,
            style=0.1,
            use_speaker_boost=True,
            speed=1.1,
            pronunciation_dictionaries=["d:v"],
        )
        await tts.start()
        assert await audio(tts, "Guten Tag.") == {0: sound("Guten Tag.", 16_000)}
        await tts.aclose()
        connection = fake.connections[0]
    assert connection.path == "/v1/text-to-speech/my voice/multi-stream-input"
    query = dict(connection.query)
    assert (query["model_id"], query["output_format"]) == ("eleven_flash_v2_5", "pcm_16000")
    assert (query["language_code"], query["auto_mode"]) == ("de", "true")
    first = json.loads(connection.received[0])
    assert first["voice_settings"] == {
        "stability": 0.3,
        "similarity_boost": 0.8,
        "style": 0.1,
        "use_speaker_boost": True,
        "speed": 1.1,
    }
    locators = [{"pronunciation_dictionary_id": "d", "version_id": "v"}]
    assert first["pronunciation_dictionary_locators"] == locators


@pytest.mark.parametrize(
    ("model", "language", "sent"),
    [("eleven_multilingual_v2", None, None), ("eleven_multilingual_v2", "fr", "fr")],
)
async def test_a_language_is_told_to_models_that_take_one(
    model: str, language: str | None, sent: str | None
) -> None:
    async with FakeElevenLabsTts() as fake:
        tts = make(fake, model=model, language=language)
        await tts.start()
        await tts.aclose()
        assert dict(fake.last.query).get("language_code") == sent


async def test_there_is_never_a_sixth_context() -> None:
    """Interruptions follow each other faster than the vendor ends contexts."""
    async with FakeElevenLabsTts() as fake:
        fake.lag_s = 0.1
        tts = make(fake)
        await tts.start()
        for _ in range(13):
            stream = open_stream(tts, "One two three.", "Four.")
            await anext(stream)
            await stream.aclose()
        assert await audio(tts, "Yes.") == {0: sound("Yes.", 24_000)}
        assert fake.most_contexts == 5
        sockets = len(fake.connections)
        assert 3 <= sockets <= 5
        await until(lambda: sum(len(link.lanes) for link in tts._sockets._links) == 0)
        # What has been freed is used again.
        assert await audio(tts, "Yes.")
        assert len(fake.connections) == sockets
        await tts.aclose()


async def test_five_responses_share_a_socket() -> None:
    async with FakeElevenLabsTts() as fake:
        fake.pace_s = 0.005
        tts = make(fake)
        await tts.start()
        await asyncio.gather(*(audio(tts, "One two three.") for _ in range(5)))
        used = [one for one in fake.connections if one.received]
        assert len(used) == 1
        await tts.aclose()


async def test_a_context_is_kept_alive_while_the_text_waits() -> None:
    async with FakeElevenLabsTts() as fake:
        tts = make(fake)
        tts._voice.limits = type(tts._voice.limits)(1000, 1000, keep_alive_ms=20)
        await tts.start()
        waiting = asyncio.Event()

        async def slowly() -> AsyncIterator[TtsSegment]:
            yield TtsSegment(0, "One moment.")
            await waiting.wait()

        async def listen() -> None:
            async for _ in tts.stream(slowly()):
                pass

        task = asyncio.create_task(listen())
        connection = fake.connections[0]
        empty = '"text": ""}'
        await until(lambda: sum(one.endswith(empty) for one in connection.received) >= 2)
        waiting.set()
        await task
        await tts.aclose()


async def test_without_alignment_all_is_still_said() -> None:
    async with FakeElevenLabsTts() as fake:
        fake.aligned = False
        tts = make(fake)
        await tts.start()
        heard = await audio(tts, "One.", "Two.")
        assert heard[0] + heard[1] == sound("One. Two.", 24_000)
        await tts.aclose()


def test_what_may_be_tried_again() -> None:
    def soft(name: str) -> bool:
        return _error({"error": name, "message": "said"}).retryable

    assert soft("rate_limit_exceeded")
    assert soft("system_busy")
    assert not soft("quota_exceeded")
    assert not soft("voice_id_does_not_exist")
    assert isinstance(_error({"error": "x"}), ProviderError)


async def test_an_error_message_ends_the_response() -> None:
    async with FakeElevenLabsTts() as fake:
        tts = make(fake)
        await tts.start()
        lane = await tts._sockets.lane()
        context = tts._context(lane)
        context.write(TtsSegment(0, "Hello."))
        assert context.take({"contextId": lane.name, "something": "new"}) == []
        assert context.take(b"") == []
        with pytest.raises(ProviderError, match="elevenlabs: quota_exceeded: no more"):
            context.take({"error": "quota_exceeded", "message": "no more", "code": 1008})
        await tts.aclose()
