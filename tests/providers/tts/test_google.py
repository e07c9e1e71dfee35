from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.google_speech import GoogleSpeech
from tests.support.stt_talk import until

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.secret import Secret
from antiphon.providers.tts.google import GoogleTts

HINTS = AgentHints("en-GB", pronunciations={"Antiphon": "AE N T AH F AA N"}, rate=180)


def make(fake: GoogleSpeech, **options: Any) -> GoogleTts:
    given = {"base_url": fake.http_url, "api_key": Secret("k-1"), **options}
    return GoogleTts(GoogleTts.Options.model_validate(given), HINTS)


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def speak(tts: GoogleTts, *texts: str) -> list[TtsEvent]:
    async with asyncio.timeout(20):
        return [event async for event in tts.stream(segments(*texts))]


async def test_each_segment_is_a_stream() -> None:
    async with GoogleSpeech() as fake:
        tts = make(fake)
        await tts.start()
        events = await speak(tts, "Hello.", "…", "How are you?")
        for number, letters in ((0, 6), (1, 0), (2, 12)):
            mine = [event for event in events if event.segment_id == number]
            assert mine[-1] == TtsSegmentDone(number)
            sound = sum(len(event.pcm) for event in mine if isinstance(event, TtsAudio))
            assert sound == letters * 2400
        assert len(fake.calls) == 2
        call = fake.calls[0]
        assert call.metadata["x-goog-api-key"] == "k-1"
        config = call.received[0].streaming_config
        assert (config.voice.language_code, config.voice.name) == (
            "en-GB",
            "en-GB-Chirp3-HD-Aoede",
        )
        assert config.streaming_audio_config.audio_encoding.name == "PCM"
        assert config.streaming_audio_config.sample_rate_hertz == tts.sample_rate_hz == 24_000
        assert config.streaming_audio_config.speaking_rate == 1.2
        said = config.custom_pronunciations.pronunciations[0]
        assert (said.phrase, said.phonetic_encoding, said.pronunciation) == (
            "Antiphon",
            1,
            "æntʌfɑn",
        )
        assert call.received[1].input.text == "Hello."
        assert tts.model == "en-GB-Chirp3-HD-Aoede"
        await tts.aclose()


async def test_geminis_voices_are_told_how_to_speak() -> None:
    async with GoogleSpeech() as fake:
        tts = make(fake, model="gemini-2.5-flash-tts", voice="Kore", prompt="Cheerfully.")
        await tts.start()
        await speak(tts, "Hello.")
        config, said = fake.calls[0].received
        voice = config.streaming_config.voice
        assert (voice.language_code, voice.name, voice.model_name) == (
            "en-GB",
            "Kore",
            "gemini-2.5-flash-tts",
        )
        assert said.input.prompt == "Cheerfully."
        assert not config.streaming_config.custom_pronunciations.pronunciations
        assert tts.model == "gemini-2.5-flash-tts"
        await tts.aclose()


async def test_a_cloned_voice_needs_consent() -> None:
    with pytest.raises(ValueError, match="voice_is_cloned"):
        GoogleTts.Options(voice_cloning_key=Secret("c-1"))
    async with GoogleSpeech() as fake:
        tts = make(
            fake,
            voice_cloning_key=Secret("c-1"),
            voice_is_cloned=True,
            cloned_voice_consent="Ada, 2026-11-01",
        )
        await tts.start()
        await speak(tts, "Hello.")
        voice = fake.calls[0].received[0].streaming_config.voice
        assert (voice.voice_clone.voice_cloning_key, voice.name) == ("c-1", "")
        await tts.aclose()


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (503, True)])
async def test_refusals(status: int, retryable: bool) -> None:
    async with GoogleSpeech() as fake:
        fake.faults.status = status
        tts = make(fake)
        await tts.start()
        with pytest.raises(ProviderError) as caught:
            await speak(tts, "Hello.")
        assert (caught.value.status, caught.value.retryable) == (status, retryable)
        await tts.aclose()


async def test_no_sound() -> None:
    async with GoogleSpeech() as fake:
        fake.mute = True
        tts = make(fake, first_audio_ms=80)
        await tts.start()
        with pytest.raises(ProviderError, match="no sound for a text"):
            await speak(tts, "Hello.")
        fake.faults.silent = True
        with pytest.raises(ProviderError, match=r"no sound within 0\.08 s") as caught:
            await speak(tts, "Hello.")
        assert caught.value.retryable
        await until(lambda: fake.calls[-1].cancelled)
        await tts.aclose()


async def test_closing_in_mid_stream_cancels_it() -> None:
    async with GoogleSpeech() as fake:
        tts = make(fake)
        await tts.start()
        fake.faults.silent = True

        async def listen() -> None:
            await speak(tts, "Hello.")

        task = asyncio.create_task(listen())
        await until(lambda: fake.calls and len(fake.calls[0].received) == 2)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
        await until(lambda: fake.calls[0].cancelled)
        await tts.aclose()


async def test_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(UserFacingError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        await GoogleTts(GoogleTts.Options(), AgentHints()).start()
