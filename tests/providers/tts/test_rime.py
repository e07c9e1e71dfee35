from __future__ import annotations

import json
from typing import Any

import pytest
from tests.fakes.rime import FakeRime
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio, speak

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints
from antiphon.providers.tts.rime import RimeOptions, RimeTts


def make(fake: FakeRime, **options: Any) -> RimeTts:
    return RimeTts(RimeOptions.model_validate({"base_url": fake.http_url, **options}), AgentHints())


async def test_its_options_are_on_the_wire() -> None:
    async with FakeRime() as fake:
        asked = {"voice": "luna", "model": "mistv2", "sample_rate_hz": 16_000, "language": "eng"}
        tts = make(fake, **asked, speed_alpha=0.9)
        await tts.start()
        # A flush while something is spoken would be joined to the next: one at a time.
        texts = ("Hello.", "One coffee.", "And a tea.")
        assert await audio(tts, *texts) == {n: sound(t, 16_000) for n, t in enumerate(texts)}
        await tts.aclose()
        connection = next(one for one in fake.connections if one.received)
    assert dict(connection.query) == {
        "speaker": "luna",
        "modelId": "mistv2",
        "samplingRate": "16000",
        "lang": "eng",
        "speedAlpha": "0.9",
        "audioFormat": "pcm",
        "segment": "never",
    }
    sent = [json.loads(one) for one in connection.received]
    assert [one.get("text", one.get("operation")) for one in sent] == [
        "Hello. ",
        "flush",
        "One coffee. ",
        "flush",
        "And a tea. ",
        "flush",
    ]
    assert fake.spoken == list(texts)


async def test_over_http() -> None:
    async with FakeRime() as fake:
        tts = make(fake, transport="http", sample_rate_hz=16_000)
        await tts.start()
        assert await audio(tts, "Hello.", "Bye.") == {
            0: sound("Hello.", 16_000),
            1: sound("Bye.", 16_000),
        }
        await tts.aclose()
        assert fake.last.headers["accept"] == "audio/pcm"
        asked = json.loads(fake.last.body)
        assert (asked["speaker"], asked["modelId"], asked["text"]) == ("astra", "arcana", "Bye.")


async def test_an_error_message() -> None:
    async with FakeRime() as fake:
        fake.error = "not today"
        tts = make(fake)
        await tts.start()
        with pytest.raises(ProviderError, match="rime: not today") as caught:
            await speak(tts, "Hello.")
        assert caught.value.retryable
        await tts.aclose()
