"""Our voice against a server made with the protocol's own package."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.fakes.piper import tone
from tests.fakes.wyoming import line
from wyoming.event import Event, async_read_event

from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment, TtsSegmentDone
from antiphon.providers.tts.wyoming import WyomingTts, WyomingTtsOptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports audioop
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
    from wyoming.server import AsyncEventHandler
    from wyoming.tts import Synthesize

MS_PER_LETTER = 60
BY = Attribution(name="nobody", url="")


def voice(name: str, *languages: str) -> TtsVoice:
    return TtsVoice(
        name=name,
        attribution=BY,
        installed=True,
        description="",
        version="1",
        languages=[*languages],
    )


class Handler(AsyncEventHandler):  # type: ignore[misc]
    """Answers a text with 60 ms of a tone for each letter, like a server of Piper's."""

    asked: list[Synthesize]
    rate_hz = 16_000
    voices: list[TtsVoice]

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            program = TtsProgram(
                name="piper",
                attribution=BY,
                installed=True,
                description="",
                version="1",
                voices=self.voices,
            )
            await self.write_event(Info(tts=[program]).event())
        elif Synthesize.is_type(event.type):
            self.asked.append(Synthesize.from_event(event))
            sound = tone(len(self.asked[-1].text) * MS_PER_LETTER / 1000, self.rate_hz)
            form = {"rate": self.rate_hz, "width": 2, "channels": 1}
            await self.write_event(AudioStart(**form).event())
            for start in range(0, len(sound), 2048):
                chunk = AudioChunk(audio=sound[start : start + 2048], **form)
                await self.write_event(chunk.event())
            await self.write_event(AudioStop().event())
        return True


@asynccontextmanager
async def served(*voices: TtsVoice) -> AsyncIterator[tuple[str, list[Synthesize]]]:
    """A server's address, and what it is asked."""
    asked: list[Synthesize] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = Handler(reader, writer)
        handler.asked, handler.voices = asked, list(voices)
        await handler.run()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
        await server.wait_closed()


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def spoken(url: str, *texts: str, agent: str = "en", **options: Any) -> list[float]:
    """Seconds of sound for each segment."""
    options_ = WyomingTtsOptions.model_validate({"base_url": url} | options)
    tts = WyomingTts(options_, AgentHints(language=agent))
    await tts.start()
    seconds, done = [0.0] * len(texts), []
    async for event in tts.stream(segments(*texts)):
        if isinstance(event, TtsAudio):
            seconds[event.segment_id] += len(event.pcm) / 2 / tts.sample_rate_hz
        elif isinstance(event, TtsSegmentDone):
            done.append(event.segment_id)
    await tts.aclose()
    assert done == list(range(len(texts)))
    return seconds


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
async def test_what_it_says_is_heard_at_our_rate(rate_hz: int) -> None:
    async with served(voice("a", "en_US")) as (url, asked):
        found = await spoken(url, "Hello\nthere.", " — ", "Yes.", sample_rate_hz=rate_hz)
        assert found == pytest.approx([12 * 0.06, 0, 4 * 0.06], abs=0.005)
        assert [one.text for one in asked] == ["Hello there.", "Yes."]


@pytest.mark.parametrize(
    ("options", "language", "expected"),
    [
        ({}, "en", {"language": "en_US"}),
        ({}, "de-DE", {"language": "de_DE"}),
        ({}, "de", {"language": "de_AT"}),
        ({}, "sw", {}),
        ({"language": "en-GB"}, "sw", {"language": "en_US"}),
        ({"voice": "b"}, "sw", {"name": "b"}),
        ({"voice": "b", "speaker": "s"}, "sw", {"name": "b", "speaker": "s"}),
    ],
)
async def test_the_voice_that_is_asked_for(
    options: dict[str, Any], language: str, expected: dict[str, str]
) -> None:
    async with served(voice("a", "en_US"), voice("b", "de_AT", "de_DE")) as (url, asked):
        await spoken(url, "Yes.", agent=language, **options)
        given = asked[0].voice
        assert ({} if given is None else given.to_dict()) == expected


async def test_what_the_server_does_not_list_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "antiphon.tts"):
        async with served() as (url, _):
            await spoken(url, "Yes.", voice="c")
    assert [record.message for record in caplog.records] == [
        "the Wyoming server has no voice",
        "the Wyoming server does not list this voice",
    ]


async def test_the_fake_writes_what_the_package_reads() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(line("audio-chunk", {"rate": 8000, "width": 2, "channels": 1}, b"\1\2"))
    event = await async_read_event(reader)
    assert event is not None
    assert AudioChunk.from_event(event) == AudioChunk(8000, 2, 1, b"\1\2")
