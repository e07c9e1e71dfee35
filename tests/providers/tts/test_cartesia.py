from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.voices import sound
from tests.providers.tts.speaking import audio, speak, words

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment, TtsSegmentDone
from antiphon.providers.tts import cartesia
from antiphon.providers.tts.cartesia import CartesiaOptions, CartesiaTts


def make(fake: FakeCartesia, language: str = "en", **options: Any) -> CartesiaTts:
    read = CartesiaOptions.model_validate({"base_url": fake.http_url, **options})
    return CartesiaTts(read, AgentHints(language=language))


async def test_its_options_are_on_the_wire() -> None:
    async with FakeCartesia() as fake:
        tts = make(
            fake,
            "fr-FR",
            voice="v",
            sample_rate_hz=16_000,
            speed=0.9,
            volume=1.5,
            emotion="calm",
            pronunciation_dictionary="d",
        )
        await tts.start()
        assert await audio(tts, "Bonjour.", "Ça va ?") == {
            0: sound("Bonjour.", 16_000),
            1: sound("Ça va ?", 16_000),
        }
        await tts.aclose()
        sent = [json.loads(one) for one in fake.connections[0].received]
    assert fake.connections[0].headers["cartesia-version"] == "2026-08-14"
    first = sent[0]
    assert first["voice"] == {"mode": "id", "id": "v"}
    assert first["generation_config"] == {"speed": 0.9, "volume": 1.5, "emotion": "calm"}
    assert (first["language"], first["pronunciation_dict_id"]) == ("fr", "d")
    said = [(one["transcript"], one.get("flush", False), one["continue"]) for one in sent]
    assert said == [
        ("Bonjour. ", False, True),
        ("", True, True),
        ("Ça va ? ", False, True),
        ("", True, True),
        ("", False, False),
    ]
    assert len({one["context_id"] for one in sent}) == 1


@pytest.mark.parametrize("anew", [False, True])
async def test_times_may_run_on_or_begin_anew_with_each_segment(anew: bool) -> None:
    async with FakeCartesia() as fake:
        fake.anew = anew
        tts = make(fake)
        await tts.start()
        found = await words(tts, "One two three four.", "Five six.")
        assert [(word.start_ms, word.end_ms) for word in found[1]] == [(0, 300), (300, 600)]
        await tts.aclose()


async def test_text_that_comes_late_begins_another_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendor ends a context a second after its last sound."""
    monkeypatch.setattr(cartesia, "_EXPIRES_S", 0.03)
    spoken = asyncio.Event()

    async def slowly() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, "One moment.")
        await spoken.wait()
        await asyncio.sleep(0.05)
        yield TtsSegment(1, "Here it is.")

    async with FakeCartesia() as fake:
        tts = make(fake)
        await tts.start()
        async with asyncio.timeout(20):
            async for event in tts.stream(slowly()):
                if event == TtsSegmentDone(0):
                    spoken.set()
        await tts.aclose()
        names = [json.loads(one)["context_id"] for one in fake.connections[0].received]
        assert len(set(names)) == 2
        assert fake.spoken == ["One moment.", "Here it is."]


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (402, False), (429, True)])
async def test_an_error_of_a_context(status: int, retryable: bool) -> None:
    async with FakeCartesia() as fake:
        fake.fails = {"title": "No", "message": "not today", "status_code": status}
        tts = make(fake)
        await tts.start()
        with pytest.raises(ProviderError, match="cartesia: No: not today") as caught:
            await speak(tts, "Hello.")
        assert (caught.value.retryable, caught.value.status) == (retryable, status)
        fake.fails = None
        assert await audio(tts, "Hello.")
        await tts.aclose()


async def test_messages_of_unknown_types_are_passed_over() -> None:
    async with FakeCartesia() as fake:
        tts = make(fake)
        await tts.start()
        context = cartesia._Context({"context_id": "c"}, 24_000)
        context.write(TtsSegment(0, "Hello."))
        assert context.take({"type": "something_new", "context_id": "c"}) == []
        assert context.take(b"\x00") == []
        await tts.aclose()


async def test_a_message_that_makes_no_sense_is_an_error() -> None:
    async with FakeCartesia() as fake:
        fake.fails = {"type": "chunk", "data": 7}
        tts = make(fake)
        await tts.start()
        with pytest.raises(ProviderError, match="makes no sense"):
            await speak(tts, "Hello.")
        await tts.aclose()


async def test_a_segment_ends_where_the_next_one_or_the_context_does() -> None:
    """Should the vendor tell of a flush before its sound, or not at all."""
    context = cartesia._Context({"context_id": "c"}, 24_000)
    context.write(TtsSegment(0, "One."))
    context.write(TtsSegment(1, "Two."))
    assert context.take({"type": "flush_done", "flush_id": 1}) == []
    events = context.take({"type": "chunk", "flush_id": 2, "data": "AAAA"})
    assert events == [TtsSegmentDone(0), TtsAudio(1, b"\x00\x00")]
    assert context.take({"type": "done", "done": True}) == [TtsSegmentDone(1)]
    assert context.stale
