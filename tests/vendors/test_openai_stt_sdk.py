"""The `openai` package against the fake that `stt: openai` and `openai-batch` are tested with."""

from __future__ import annotations

import base64

from openai import AsyncOpenAI
from tests.fakes.openai_stt import OpenAiTranscription

from antiphon.providers.stt._whisper_http import _wav


async def test_a_realtime_transcription_session() -> None:
    async with (
        OpenAiTranscription("yes please") as fake,
        AsyncOpenAI(api_key="sk-1", base_url=f"{fake.http_url}/v1") as client,
        client.realtime.connect(extra_query={"intent": "transcription"}) as connection,
    ):
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "gpt-transcribe"},
                        "turn_detection": None,
                    }
                },
            }
        )
        audio = base64.b64encode(bytes(4800 * 2)).decode()
        await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        kinds, deltas = [], ""
        async for event in connection:
            kinds.append(event.type)
            if event.type == "conversation.item.input_audio_transcription.delta":
                deltas += event.delta or ""
            if event.type == "conversation.item.input_audio_transcription.completed":
                assert event.transcript == "yes please"
                assert event.languages is not None
                assert event.languages[0].code == "en"
                break
        assert kinds[:3] == ["session.created", "session.updated", "input_audio_buffer.committed"]
        assert deltas == "yes please "
        assert fake.heard_ms == [200]


async def test_a_file() -> None:
    async with (
        OpenAiTranscription("yes please") as fake,
        AsyncOpenAI(api_key="sk-1", base_url=f"{fake.http_url}/v1") as client,
    ):
        made = await client.audio.transcriptions.create(
            file=("audio.wav", _wav(bytes(32_000))),
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
        assert made.text == "yes please"
        assert made.words is not None
        assert [word.word for word in made.words] == ["yes", "please"]
        assert made.segments is not None
        assert fake.heard_ms == [1000]
