from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.providers.failover.common import breakers

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, TtsEvent, TtsSegment
from antiphon.providers.failover.tts import GuardedTts
from antiphon.providers.scripted import ScriptedTts


async def text() -> AsyncIterator[TtsSegment]:
    yield TtsSegment(0, "Hello there.")


def voice(**options: Any) -> ScriptedTts:
    return ScriptedTts(ScriptedTts.Options.model_validate(options), AgentHints())


async def speak(tts: GuardedTts) -> list[TtsEvent]:
    return [event async for event in tts.stream(text())]


async def test_a_voice_is_passed_through_with_all_that_is_known_of_it() -> None:
    inner = voice(sample_rate_hz=24_000)
    tts = GuardedTts(inner, 0, breakers(1))
    await tts.start()
    assert (tts.sample_rate_hz, tts.traits, tts.takes_ssml) == (24_000, inner.traits, False)
    assert tts.model == ""
    assert await speak(tts)
    await tts.aclose()


async def test_a_voice_that_fails_is_counted_out() -> None:
    group = breakers(2)
    told: list[tuple[int, bool]] = []
    group.watchers.add(lambda number, works: told.append((number, works)))
    tts = GuardedTts(voice(fail_chance=1), 0, group)
    with pytest.raises(ProviderError, match="as scripted"):
        await speak(tts)
    assert (group.lost(), told) == ((0,), [(0, False)])
    group[0].succeeded()
    assert (group.lost(), told[1:]) == ((), [(0, True)])
    await group.aclose()


async def test_one_that_is_given_up_without_a_sound_counts_as_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.providers.failover.tts.STALLED_S", 0.01)
    group = breakers(2)
    tts = GuardedTts(voice(first_delay_ms=5000), 0, group)
    task = asyncio.create_task(speak(tts))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.wait([task])
    assert group[0].open
    await group.aclose()
