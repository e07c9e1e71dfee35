"""The vendors' own libraries against the fakes that the voices are tested with."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from cartesia import AsyncCartesia
from cartesia.types import GenerationRequest
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs
from elevenlabs.types import (
    AudioOutputMulti,
    CloseContext,
    FinalOutputMulti,
    FlushContext,
    InitializeConnectionMulti,
    KeepContextAlive,
)
from openai import AsyncOpenAI
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram_tts import FakeDeepgramTts
from tests.fakes.elevenlabs_tts import FakeElevenLabsTts
from tests.fakes.openai_tts import FakeOpenAiTts
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio

from antiphon.providers.base import AgentHints, TtsSegment
from antiphon.providers.tts.cartesia import CartesiaOptions, _Context, _request
from antiphon.providers.tts.elevenlabs import ElevenLabsOptions, ElevenLabsTts

TEXT = "One coffee, please."


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_elevenlabs_speaks_by_its_own_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It insists on TLS; its messages are typed, and ours are read by its types below."""
    async with FakeElevenLabsTts(tls=tmp_path) as fake:
        monkeypatch.setenv("SSL_CERT_FILE", str(fake.cert_path))

        def speak() -> bytes:
            client = ElevenLabs(api_key="key", base_url=fake.http_url)
            chunks = client.text_to_speech.convert_realtime(
                "someone",
                text=iter(["One", " coffee, ", "please."]),
                model_id="eleven_flash_v2_5",
                output_format="pcm_16000",
                voice_settings=VoiceSettings(stability=0.5),
            )
            return b"".join(chunks)

        assert await asyncio.to_thread(speak) == sound(TEXT, 16_000)
        assert fake.last.headers["xi-api-key"] == "key"


async def test_elevenlabs_types_accept_what_passes_on_the_wire() -> None:
    async with FakeElevenLabsTts() as fake:
        options = {
            "base_url": fake.http_url,
            "stability": 0.4,
            "pronunciation_dictionaries": ["d:1"],
        }
        tts = ElevenLabsTts(ElevenLabsOptions.model_validate(options), AgentHints())
        await tts.start()
        assert await audio(tts, TEXT, "And a tea.")
        await tts.aclose()
        connection = fake.connections[0]
    sent = [json.loads(one) for one in connection.received]
    first = InitializeConnectionMulti.model_validate(sent[0])
    assert first.text == " "
    assert first.voice_settings is not None
    assert first.voice_settings.stability == 0.4
    assert first.pronunciation_dictionary_locators is not None
    texts = [FlushContext.model_validate(one) for one in sent[1:3]]
    assert [one.text for one in texts] == [TEXT + " ", "And a tea. "]
    assert all(one.flush for one in texts)
    assert CloseContext.model_validate(sent[3]).close_context is True
    assert KeepContextAlive.model_validate({"text": "", "context_id": "c"}).text == ""
    pieces = [AudioOutputMulti.model_validate(one) for one in connection.sent if one.get("audio")]
    told = "".join("".join(one.alignment.chars) for one in pieces if one.alignment)
    assert told.replace(" ", "") == (TEXT + "And a tea.").replace(" ", "")
    assert FinalOutputMulti.model_validate(connection.sent[-1]).is_final is True


async def test_cartesia_speaks_by_its_own_library() -> None:
    async with (
        FakeCartesia() as fake,
        AsyncCartesia(
            api_key="key", base_url=fake.http_url, websocket_base_url=fake.ws_url
        ) as client,
        client.tts.websocket_connect() as connection,
    ):
        context = connection.context(
            model_id="sonic-3",
            voice={"mode": "id", "id": "someone"},
            output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
            add_timestamps=True,
        )
        await context.push(TEXT)
        await context.push("", flush=True)
        await context.push("And a tea.")
        await context.no_more_inputs()
        pcm: dict[int | None, bytes] = {}
        told: list[str] = []
        async for answer in context.receive():
            if answer.type == "chunk":
                pcm[answer.flush_id] = pcm.get(answer.flush_id, b"") + (answer.audio or b"")
            elif answer.type == "timestamps":
                assert answer.word_timestamps is not None
                told += answer.word_timestamps.words
        assert pcm == {1: sound(TEXT, 16_000), 2: sound("And a tea.", 16_000)}
        assert told == [*TEXT.split(), "And", "a", "tea."]
        assert fake.last.headers["cartesia-version"] == "2026-08-14"


async def test_cartesia_types_accept_what_is_sent() -> None:
    options = CartesiaOptions(speed=1.2, emotion="calm", pronunciation_dictionary="d")
    request = {**_request(options, AgentHints(language="de-DE")), "context_id": "c"}
    context = _Context(request, 24_000)
    for message in [*context.write(TtsSegment(0, TEXT)), *context.finish()]:
        read = GenerationRequest.model_validate(message)
        assert read.language == "de"
        assert read.pronunciation_dict_id == "d"
        assert read.generation_config is not None
        assert (read.generation_config.speed, read.generation_config.emotion) == (1.2, "calm")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_deepgram_speaks_by_its_own_library() -> None:
    from deepgram.speak.v1.types import SpeakV1Text

    async with FakeDeepgramTts() as fake:
        place = DeepgramClientEnvironment(
            base=fake.http_url, production=fake.ws_url, agent=fake.ws_url, agent_rest=fake.http_url
        )
        client = AsyncDeepgramClient(api_key="key", environment=place)
        speak: Any = client.speak.v1
        asked = {"model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": "24000"}
        pcm, kinds = b"", []
        async with speak.connect(**asked) as connection:
            await connection.send_text(SpeakV1Text(type="Speak", text=TEXT))
            await connection.send_flush()
            async for message in connection:
                if isinstance(message, bytes):
                    pcm += message
                    continue
                kinds.append(message.type)
                if message.type == "Flushed":
                    await connection.send_clear()
                if message.type == "Cleared":
                    break
            await connection.send_close()
        assert pcm == sound(TEXT, 24_000)
        assert kinds == ["Metadata", "Flushed", "Cleared"]
        assert fake.last.headers["authorization"] == "Token key"


async def test_openai_speaks_by_its_own_library() -> None:
    async with (
        FakeOpenAiTts() as fake,
        AsyncOpenAI(api_key="key", base_url=f"{fake.http_url}/v1") as client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts",
            voice="alloy",
            input=TEXT,
            instructions="Slowly.",
            response_format="pcm",
        ) as response,
    ):
        pcm = b"".join([chunk async for chunk in response.iter_bytes()])
        assert pcm == sound(TEXT, 24_000)
        assert json.loads(fake.last.body)["instructions"] == "Slowly."
