"""Google's own clients against the fake that our Google adapters are tested with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from google.cloud.speech_v2 import SpeechAsyncClient
from google.cloud.speech_v2.services.speech.transports import SpeechGrpcAsyncIOTransport
from google.cloud.speech_v2.types import cloud_speech
from google.cloud.texttospeech_v1 import TextToSpeechAsyncClient
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechGrpcAsyncIOTransport,
)
from google.cloud.texttospeech_v1.types import cloud_tts
from tests.fakes.google_speech import GoogleSpeech


async def test_recognition() -> None:
    async def requests() -> AsyncIterator[Any]:
        yield cloud_speech.StreamingRecognizeRequest(
            recognizer="projects/p/locations/global/recognizers/_",
            streaming_config={
                "config": {
                    "explicit_decoding_config": {
                        "encoding": "LINEAR16",
                        "sample_rate_hertz": 16_000,
                        "audio_channel_count": 1,
                    },
                    "model": "long",
                    "language_codes": ["en-US"],
                },
                "streaming_features": {"interim_results": True},
            },
        )
        for _ in range(10):
            yield cloud_speech.StreamingRecognizeRequest(audio=bytes(3200))

    async with GoogleSpeech("yes please") as fake:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{fake.port}")
        client = SpeechAsyncClient(transport=SpeechGrpcAsyncIOTransport(channel=channel))
        answers = [a async for a in await client.streaming_recognize(requests=requests())]
        texts = ["".join(r.alternatives[0].transcript for r in a.results) for a in answers]
        assert [text.strip() for text in texts] == ["yes", "yes please", "yes please"]
        last = answers[-1].results[0]
        assert last.is_final
        assert last.alternatives[0].words[1].start_offset.total_seconds() == 0.3
        assert fake.heard_ms == [1000]
        await channel.close()


async def test_voices() -> None:
    async def requests() -> AsyncIterator[Any]:
        yield cloud_tts.StreamingSynthesizeRequest(
            streaming_config={
                "voice": {"language_code": "en-US", "name": "en-US-Chirp3-HD-Aoede"},
                "streaming_audio_config": {"audio_encoding": "PCM", "sample_rate_hertz": 24_000},
            }
        )
        yield cloud_tts.StreamingSynthesizeRequest(input={"text": "Hello."})

    async with GoogleSpeech() as fake:
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{fake.port}")
        client = TextToSpeechAsyncClient(
            transport=TextToSpeechGrpcAsyncIOTransport(channel=channel)
        )
        answers = [a async for a in await client.streaming_synthesize(requests=requests())]
        assert sum(len(answer.audio_content) for answer in answers) == 6 * 2400
        await channel.close()
