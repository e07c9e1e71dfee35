from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fakes.deepgram_tts import FakeDeepgramTts
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio, open_stream, speak, until

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints
from antiphon.providers.tts.deepgram import DeepgramTts, DeepgramTtsOptions


def make(fake: FakeDeepgramTts, **options: Any) -> DeepgramTts:
    read = DeepgramTtsOptions.model_validate({"base_url": fake.http_url, **options})
    return DeepgramTts(read, AgentHints())


async def test_its_options_are_on_the_wire() -> None:
    async with FakeDeepgramTts() as fake:
        asked = {"voice": "aura-2-luna-en", "sample_rate_hz": 16_000, "speed": 1.1}
        tts = make(fake, **asked, mip_opt_out=True)
        assert tts.model == "aura-2-luna-en"
        await tts.start()
        assert await audio(tts, "Hello.") == {0: sound("Hello.", 16_000)}
        await tts.aclose()
        connection = next(one for one in fake.connections if one.received)
    assert dict(connection.query) == {
        "model": "aura-2-luna-en",
        "encoding": "linear16",
        "sample_rate": "16000",
        "speed": "1.1",
        "mip_opt_out": "true",
    }
    sent = [json.loads(one) for one in connection.received]
    assert sent == [{"type": "Speak", "text": "Hello."}, {"type": "Flush"}]


async def test_no_socket_is_flushed_more_often_than_it_may() -> None:
    async with FakeDeepgramTts() as fake:
        tts = make(fake)
        await tts.start()
        for _ in range(12):
            await audio(tts, "One.", "Two.", "Three.", "Four.")
        # One that may not be flushed any more is no use to anybody.
        await until(lambda: sum(not one.closed for one in fake.connections) <= 3)
        await tts.aclose()
        for connection in fake.connections:
            flushes = sum(json.loads(one)["type"] == "Flush" for one in connection.received)
            assert flushes <= 20


async def test_warm_sockets_are_there_for_the_next_call() -> None:
    async with FakeDeepgramTts() as fake:
        tts = make(fake, warm_sockets=3)
        await tts.start()
        await until(lambda: len(fake.connections) == 3)
        stream = open_stream(tts, "Hello.")
        await anext(stream)
        await until(lambda: len(fake.connections) == 4)
        await stream.aclose()
        await tts.aclose()


@pytest.mark.parametrize(("code", "retryable"), [("DATA-0000", False), ("NET-0001", True)])
async def test_an_error_message(code: str, retryable: bool) -> None:
    async with FakeDeepgramTts() as fake:
        fake.error = {"code": code, "description": "not today"}
        tts = make(fake)
        await tts.start()
        with pytest.raises(ProviderError, match=f"deepgram: {code} not today") as caught:
            await speak(tts, "Hello.")
        assert caught.value.retryable is retryable
        await tts.aclose()
