from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from tests.fakes.xtts import FakeXtts

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.tts.xtts import XttsOptions, XttsTts


@pytest.fixture
async def fake() -> AsyncIterator[FakeXtts]:
    async with FakeXtts() as server:
        yield server


def make(url: str, agent: str = "en", **options: Any) -> XttsTts:
    given = XttsOptions.model_validate({"base_url": url} | options)
    return XttsTts(given, AgentHints(language=agent))


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def spoken(tts: XttsTts, *texts: str) -> list[float]:
    """Seconds of sound for each segment."""
    await tts.start()
    seconds, done = [0.0] * len(texts), []
    try:
        async for event in tts.stream(segments(*texts)):
            if isinstance(event, TtsAudio):
                seconds[event.segment_id] += len(event.pcm) / 2 / tts.sample_rate_hz
            elif isinstance(event, TtsSegmentDone):
                done.append(event.segment_id)
    finally:
        await tts.aclose()
    assert done == list(range(len(texts)))
    return seconds


async def test_segments_are_spoken_by_the_speaker_that_is_named(fake: FakeXtts) -> None:
    found = await spoken(make(fake.http_url, voice="Ana Florence"), "Hello there.", "", "Yes.")
    assert found == pytest.approx([0.6, 0, 0.3])
    assert [one.text for one in fake.asked] == ["Hello there.", "Yes."]
    first = fake.asked[0]
    assert (first.speaker_embedding[0], first.gpt_cond_latent[0][0]) == (1 / 8, 1 / 4)
    assert (first.language, first.add_wav_header, first.stream_chunk_size) == ("en", False, "20")


@pytest.mark.parametrize(
    ("agent", "option", "sent"),
    [("zh-TW", None, "zh-cn"), ("pt-BR", None, "pt"), ("en", "de", "de")],
)
async def test_languages(fake: FakeXtts, agent: str, option: str | None, sent: str) -> None:
    await spoken(make(fake.http_url, agent, language=option), "Yes.")
    assert fake.asked[0].language == sent


async def test_a_voice_is_copied_from_a_recording_with_consent(
    fake: FakeXtts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "anna.wav"
    path.write_bytes(b"RIFF0123")
    with pytest.raises(ValidationError, match="voice_is_cloned"):
        make(fake.http_url, reference=path)
    consent: dict[str, Any] = {
        "voice_is_cloned": True,
        "cloned_voice_consent": "Anna, by letter, 3 March 2026",
    }
    with caplog.at_level(logging.INFO, "antiphon.tts"):
        await spoken(make(fake.http_url, reference=path, **consent), "Yes.")
    assert "cloned voice" in caplog.messages
    assert b"RIFF0123" in fake.uploads[0]
    assert b'name="wav_file"' in fake.uploads[0]
    assert fake.asked[0].speaker_embedding[0] == 7 / 8
    with pytest.raises(UserFacingError, match=r"none\.wav cannot be read"):
        await make(fake.http_url, reference=tmp_path / "none.wav", **consent).start()


async def test_a_speaker_that_is_not_there_is_explained(fake: FakeXtts) -> None:
    with pytest.raises(UserFacingError, match="no speaker `Bob`; the server has Ana Florence, Cl"):
        await make(fake.http_url, voice="Bob").start()


async def test_a_server_that_comes_later(fake: FakeXtts) -> None:
    fake.faults.status = 503
    tts = make(fake.http_url)
    await tts.start()
    with pytest.raises(ProviderError, match="HTTP 503") as caught:
        await anext(tts.stream(segments("Yes.")))
    assert caught.value.retryable
    fake.faults.status = None
    before = len(fake.connections)

    async def answer() -> TtsEvent:
        return [event async for event in tts.stream(segments("Yes."))][-1]

    assert await asyncio.gather(*(answer() for _ in range(3))) == [TtsSegmentDone(0)] * 3
    # They share one look at the speakers.
    assert len(fake.connections) == before + 4
    await tts.aclose()


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (500, True)])
async def test_refusals(fake: FakeXtts, status: int, retryable: bool) -> None:
    tts = make(fake.http_url)
    await tts.start()
    fake.faults.status = status
    with pytest.raises(ProviderError, match=f"xtts: HTTP {status}: refused") as caught:
        await anext(tts.stream(segments("Yes.")))
    assert (caught.value.retryable, caught.value.status) == (retryable, status)
    await tts.aclose()


async def test_garbage_and_silence(fake: FakeXtts) -> None:
    fake.faults.garbage = True
    tts = make(fake.http_url)
    await tts.start()
    with pytest.raises(ProviderError, match="is no speaker"):
        await anext(tts.stream(segments("Yes.")))
    fake.faults.garbage, fake.faults.silent = False, True
    with pytest.raises(ProviderError, match=r"no answer within 0\.05 s") as caught:
        await spoken(make(fake.http_url, first_audio_ms=50), "Yes.")
    assert caught.value.retryable
    fake.faults.silent = False
    fake.pace_s = 0.2
    with pytest.raises(ProviderError, match=r"within 0\.05 s"):
        await spoken(make(fake.http_url, first_audio_ms=50, idle_ms=50), "Yes.")
    with pytest.raises(ProviderError, match="cannot be reached"):
        await spoken(make("http://127.0.0.1:9"), "Yes.")


async def test_what_is_closed_is_not_spoken_to_its_end(fake: FakeXtts) -> None:
    fake.pace_s = 0.01
    tts = make(fake.http_url)
    await tts.start()
    stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments("word " * 200)))
    assert isinstance(await anext(stream), TtsAudio)
    await stream.aclose()
    await asyncio.sleep(0.05)
    assert fake.spoken == []
    await tts.aclose()
