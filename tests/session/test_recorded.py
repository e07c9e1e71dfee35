from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment
from antiphon.providers.scripted import ScriptedTts
from antiphon.session.recorded import RecordedVoice, cache_folder
from antiphon.session.render import RATE_HZ

SENTENCE = "I have lost my voice."


def voice(**options: Any) -> ScriptedTts:
    return ScriptedTts(ScriptedTts.Options.model_validate(options), AgentHints())


async def text() -> AsyncIterator[TtsSegment]:
    yield TtsSegment(0, "whatever")
    yield TtsSegment(1, "is asked for")


async def played(recorded: RecordedVoice) -> list[TtsEvent]:
    return [event async for event in recorded.stream(text())]


async def recorded_by(recorded: RecordedVoice) -> bytes:
    """Start it, and wait until it can speak."""
    await recorded.start()
    for _ in range(300):
        try:
            events = await played(recorded)
        except ProviderError:
            await asyncio.sleep(0.01)
            continue
        return b"".join(event.pcm for event in events if isinstance(event, TtsAudio))
    raise AssertionError("nothing was recorded")


async def test_it_is_the_first_voice_that_works_whatever_the_rate(tmp_path: Path) -> None:
    broken, works = voice(fail_chance=1), voice(sample_rate_hz=24_000)
    recorded = RecordedVoice(SENTENCE, (broken, works), "a", tmp_path)
    pcm = await recorded_by(recorded)
    expected = [event async for event in works.stream(text_of(SENTENCE))]
    samples = sum(len(event.pcm) for event in expected if isinstance(event, TtsAudio)) // 2
    assert len(pcm) // 2 == pytest.approx(samples * RATE_HZ / 24_000, rel=0.01)
    await recorded.aclose()


async def text_of(sentence: str) -> AsyncIterator[TtsSegment]:
    yield TtsSegment(0, sentence)


async def test_a_recording_is_kept_for_a_start_without_a_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = RecordedVoice(SENTENCE, (voice(),), "a", tmp_path)
    pcm = await recorded_by(first)
    await first.aclose()
    monkeypatch.setattr(registry, "make", unusable)
    again = RecordedVoice(SENTENCE, (), "a", tmp_path)
    await again.start()
    assert (await played(again))[0] == TtsAudio(0, pcm)
    other = RecordedVoice(SENTENCE, (), "another voice", tmp_path)
    await other.start()
    with pytest.raises(ProviderError, match="nothing is recorded"):
        await played(other)
    await again.aclose()
    await other.aclose()


def unusable(*_: Any) -> Any:
    raise UserFacingError("not here")


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


async def test_a_broken_recording_is_made_anew(tmp_path: Path) -> None:
    first = RecordedVoice(SENTENCE, (voice(),), "a", tmp_path)
    await recorded_by(first)
    await first.aclose()
    path = only_file(tmp_path)
    path.write_bytes(b"RIFF")
    again = RecordedVoice(SENTENCE, (voice(),), "a", tmp_path)
    assert await recorded_by(again)
    await again.aclose()
    assert path.stat().st_size > 1000


async def test_closing_while_it_records_leaves_nothing() -> None:
    recorded = RecordedVoice(SENTENCE, (voice(first_delay_ms=5000),), "a")
    await recorded.start()
    await asyncio.sleep(0)
    await recorded.aclose()
    await recorded.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/antiphon/recorded")
