"""A turn with a speech-to-speech model, against the vendors' fakes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.deepgram_agent import FakeDeepgramAgent
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.host import FakeVendor
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.support.stage import speech

from antiphon.bench.ask import Edge, Speech
from antiphon.bench.converse import converse
from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import LlmRequest
from antiphon.types import Message

SPOKEN = Speech("tone", speech(300), (Edge(True, 0, 40), Edge(False, 300, 400)))
REQUEST = LlmRequest((Message("system", "Be nice."),))
VENDORS: list[tuple[str, Any, str]] = [
    ("openai", FakeOpenAiRealtime, "/v1"),
    ("gemini", FakeGeminiLive, ""),
    ("deepgram", FakeDeepgramAgent, ""),
]


async def model(name: str, fake: FakeVendor, path: str) -> Any:
    made = registry.make("realtime", name, {"base_url": fake.http_url + path, "first_ms": 1000})
    await made.start()
    return made


@pytest.mark.parametrize(("name", "fake", "path"), VENDORS)
async def test_a_turn_is_timed(name: str, fake: Any, path: str) -> None:
    async with fake() as vendor:
        made = await model(name, vendor, path)
        done = await converse(made, REQUEST, SPOKEN, name=name)
        await made.aclose()
    assert done.heard.text == "hello there"
    assert done.text.strip() == "Yes, of course."
    assert done.sound.audio_ms > 500
    assert 0 < done.heard.final_ms <= done.text_ms <= done.sound_ms


async def test_a_model_that_answers_nothing() -> None:
    async with FakeOpenAiRealtime() as vendor:
        vendor.refuse_answers = "server_error"
        made = await model("openai", vendor, "/v1")
        with pytest.raises(ProviderError):
            await converse(made, REQUEST, SPOKEN, name="openai")
        await made.aclose()
