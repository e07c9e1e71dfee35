from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest
from tests.fakes.wyoming import FakeWyoming, line

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment
from antiphon.providers.tts.wyoming import WyomingTts, WyomingTtsOptions

FORM = {"rate": 22_050, "width": 2, "channels": 1}
START, STOP = line("audio-start", FORM), line("audio-stop")
CHUNK = line("audio-chunk", FORM, bytes(1000))
INFO = line("info", {"tts": [{"voices": [{"name": "a", "languages": ["en"]}]}], "asr": None})


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


def make(url: str, **options: Any) -> WyomingTts:
    given = {"base_url": url, "first_audio_ms": 50, "idle_ms": 50} | options
    return WyomingTts(WyomingTtsOptions.model_validate(given), AgentHints())


async def heard(answers: list[bytes], closes: bool = False) -> int:
    """Bytes of sound that come of these answers to a text."""
    async with FakeWyoming({"describe": [INFO], "synthesize": answers}, closes) as fake:
        tts = make(fake.url)
        await tts.start()
        events = [event async for event in tts.stream(segments("Hello."))]
        await tts.aclose()
    return sum(len(event.pcm) for event in events if isinstance(event, TtsAudio))


async def test_what_is_not_known_is_passed_over() -> None:
    odd = [line("synthesize-started"), line("audio-chunk", FORM), line("pong", {"text": "x"})]
    assert await heard([*odd, START, CHUNK, odd[0], CHUNK, STOP]) == 2000


@pytest.mark.parametrize(
    ("answers", "closes", "message", "retryable"),
    [
        ([], False, r"no answer within 0\.05 s", True),
        ([START, CHUNK], False, r"no answer within 0\.05 s", True),
        ([START, CHUNK], True, "closed the connection", True),
        ([], True, "closed the connection", True),
        ([START, STOP], False, "no sound for a text", True),
        ([line("error", {"text": "no such voice", "code": "X"})], False, "no such voice", True),
        ([b"HTTP/1.1 400\r\n"], False, "does not speak Wyoming", False),
        ([line("audio-chunk", FORM | {"channels": 2}, bytes(4))], False, "2 channels", False),
        ([line("audio-chunk", FORM | {"rate": "x"}, bytes(4))], False, "x Hz", False),
        ([line("audio-chunk", FORM, bytes(3))], False, "half a sample", False),
        ([CHUNK, line("audio-chunk", FORM | {"rate": 16_000}, bytes(4))], False, "changes", False),
    ],
)
async def test_what_goes_wrong(
    answers: list[bytes], closes: bool, message: str, retryable: bool
) -> None:
    with pytest.raises(ProviderError, match=message) as caught:
        await heard(answers, closes)
    assert (caught.value.provider, caught.value.retryable) == ("wyoming", retryable)


@pytest.mark.parametrize(
    "info", [line("info", {"tts": 3}), line("info", {"tts": [[], {}]}), b"x\n"]
)
async def test_a_server_that_describes_itself_badly_may_still_speak(
    info: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeWyoming({"describe": [info], "synthesize": [START, CHUNK, STOP]}) as fake:
        tts = make(fake.url)
        with caplog.at_level(logging.WARNING, "antiphon.tts"):
            await tts.start()
        assert len(caplog.records) == 1
        assert len([event async for event in tts.stream(segments("Hello."))]) == 2
        assert fake.events[-1]["data"] == {"text": "Hello."}


async def test_nobody_there_is_a_warning_and_then_an_error() -> None:
    tts = make("tcp://127.0.0.1:9")
    with pytest.raises(ProviderError, match="not started"):
        await anext(tts.stream(segments("Hello.")))
    await tts.start()
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await anext(tts.stream(segments("Hello.")))
    assert caught.value.retryable
    await tts.aclose()


async def test_what_is_cancelled_closes_its_connection() -> None:
    script = {"describe": [INFO], "synthesize": [START, CHUNK]}
    async with FakeWyoming(script) as fake:
        tts = make(fake.url, idle_ms=10_000)
        await tts.start()
        stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments("Hello.")))
        assert isinstance(await anext(stream), TtsAudio)
        assert fake.open == 1
        await stream.aclose()

        async def speak() -> None:
            async for _ in tts.stream(segments("Hello.")):
                pass

        task = asyncio.create_task(speak())
        await fake.until(lambda: len(fake.events) == 3)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled()
        await fake.until(lambda: not fake.open)
        await tts.aclose()
