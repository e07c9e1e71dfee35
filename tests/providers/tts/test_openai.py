from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.fakes.openai_tts import FakeOpenAiTts
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio, open_stream, until

from antiphon.providers.base import AgentHints
from antiphon.providers.tts.openai import OpenAiTts, OpenAiTtsOptions


def make(fake: FakeOpenAiTts, **options: Any) -> OpenAiTts:
    read = OpenAiTtsOptions.model_validate({"base_url": f"{fake.http_url}/v1", **options})
    return OpenAiTts(read, AgentHints())


async def test_its_options_are_on_the_wire() -> None:
    async with FakeOpenAiTts() as fake:
        tts = make(fake, voice="voice_12", model="tts-2", instructions="Softly.", speed=1.5)
        await tts.start()
        assert fake.last.path == "/v1/models/tts-2"
        assert await audio(tts, "Hello.") == {0: sound("Hello.", 24_000)}
        await tts.aclose()
        assert json.loads(fake.last.body) == {
            "model": "tts-2",
            "voice": {"id": "voice_12"},
            "input": "Hello.",
            "response_format": "pcm",
            "instructions": "Softly.",
            "speed": 1.5,
        }


async def test_the_next_segment_is_asked_for_while_one_is_read() -> None:
    async with FakeOpenAiTts() as fake:
        fake.pace_s = 0.02
        tts = make(fake)
        await tts.start()
        stream = open_stream(tts, "One two three.", "Four five six.", "Seven.")
        await anext(stream)
        await until(lambda: len(fake.spoken) == 2)
        assert fake.most_under_way == 2
        await asyncio.sleep(0.02)
        assert len(fake.spoken) == 2
        # Closing ends both.
        await stream.aclose()
        await until(lambda: fake.under_way == 0)
        await tts.aclose()


async def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    async with FakeOpenAiTts() as fake:
        tts = make(fake)
        await tts.start()
        await audio(tts, "Hello.")
        assert fake._server is not None
        for connection in list(fake._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        assert await audio(tts, "Hello.") == {0: sound("Hello.", 24_000)}
        await tts.aclose()
