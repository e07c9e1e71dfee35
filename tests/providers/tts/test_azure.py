from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest
from tests.fakes.azure_speech import AzureSpeech
from tests.support.stt_talk import until

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import (
    AgentHints,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)
from antiphon.providers.secret import Secret
from antiphon.providers.tts.azure import AzureTts
from antiphon.types import Word

HINTS = AgentHints("en-GB", pronunciations={"Antiphon": "AE N T AH F AA N"})


def make(fake: AzureSpeech, hints: AgentHints = HINTS, **options: Any) -> AzureTts:
    given = {"base_url": fake.http_url, "api_key": Secret("k-1"), "transport": "http", **options}
    return AzureTts(AzureTts.Options.model_validate(given), hints)


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def speak(tts: AzureTts, *texts: str) -> list[TtsEvent]:
    async with asyncio.timeout(20):
        return [event async for event in tts.stream(segments(*texts))]


def inside(document: str) -> str:
    return document.partition('">')[2].removesuffix("</speak>")


async def test_each_segment_is_a_document() -> None:
    async with AzureSpeech() as fake:
        tts = make(fake, voice="en-GB-SoniaNeural")
        await tts.start()
        texts = ("<speak>Hello.</speak>", "<speak>…</speak>", "Tea & toast")
        events = await speak(tts, *texts)
        for number, letters in ((0, 6), (1, 0), (2, 11)):
            mine = [event for event in events if event.segment_id == number]
            assert mine[-1] == TtsSegmentDone(number)
            sound = sum(len(event.pcm) for event in mine if isinstance(event, TtsAudio))
            assert sound == letters * 2400
        first, second = fake.documents
        assert 'xml:lang="en-GB"' in first
        assert inside(first) == '<voice name="en-GB-SoniaNeural">Hello.</voice>'
        assert inside(second) == '<voice name="en-GB-SoniaNeural">Tea &amp; toast</voice>'
        assert fake.last.headers["ocp-apim-subscription-key"] == "k-1"
        assert (tts.sample_rate_hz, tts.model) == (24_000, "en-GB-SoniaNeural")
        await tts.aclose()


async def test_how_it_is_said() -> None:
    async with AzureSpeech() as fake:
        tts = make(
            fake,
            style="cheerful",
            style_degree=1.5,
            role="YoungAdultFemale",
            speed=1.2,
            pitch="+5%",
            lexicon_url="https://example.com/a.xml?b&c",
        )
        await tts.start()
        await speak(tts, '<speak>A <voice name="x">b</voice> <break time="1s"/> c</speak>')
        assert inside(fake.documents[0]) == (
            '<voice name="en-US-AvaMultilingualNeural">'
            '<lexicon uri="https://example.com/a.xml?b&amp;c"/>'
            '<lang xml:lang="en-GB">'
            '<mstts:express-as style="cheerful" role="YoungAdultFemale" styledegree="1.5">'
            '<prosody rate="1.20" pitch="+5%">A b <break time="1s"/> c</prosody>'
            "</mstts:express-as></lang></voice>"
        )
        await tts.aclose()


async def test_pronunciations_are_those_of_english() -> None:
    async with AzureSpeech() as fake:
        for language, said in (
            ("en-US", '<phoneme alphabet="ipa" ph="æntʌfɑn">antiphon</phoneme>, hello'),
            ("de", "antiphon, hello"),
        ):
            hints = AgentHints(language, pronunciations=HINTS.pronunciations)
            tts = make(fake, hints, voice="en-US-JennyNeural")
            await tts.start()
            await speak(tts, "<speak>antiphon, hello</speak>")
            document = fake.documents[-1]
            assert inside(document) == f'<voice name="en-US-JennyNeural">{said}</voice>'
            await tts.aclose()


async def test_voices_of_ones_own() -> None:
    async with AzureSpeech() as fake:
        tts = make(
            fake,
            voice="DragonLatestNeural",
            speaker_profile_id="p-1",
            deployment_id="d 1",
            voice_is_cloned=True,
            cloned_voice_consent="Ada, 2026-11-01",
        )
        await tts.start()
        await speak(tts, "Hi")
        assert '<mstts:ttsembedding speakerProfileId="p-1">Hi<' in fake.documents[0]
        assert fake.last.query == [("deploymentId", "d 1")]
        await tts.aclose()


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (502, True)])
async def test_refusals(status: int, retryable: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with AzureSpeech() as fake:
        fake.faults.status = status
        tts = make(fake)
        await tts.start()
        assert ("refuses the key" in caplog.text) is (status == 401)
        with pytest.raises(ProviderError) as caught:
            await speak(tts, "Hello.")
        assert (caught.value.status, caught.value.retryable) == (status, retryable)
        await tts.aclose()


@pytest.mark.parametrize(
    ("fault", "message"), [("silent", "no sound within"), ("garbage", "sent no sound")]
)
async def test_no_sound(fault: str, message: str) -> None:
    async with AzureSpeech() as fake:
        setattr(fake.faults, fault, True)
        tts = make(fake, first_audio_ms=80)
        await tts.start()
        with pytest.raises(ProviderError, match=message):
            await speak(tts, "Hello.")
        await tts.aclose()


async def test_closing_early() -> None:
    async with AzureSpeech() as fake:
        tts = make(fake)
        await tts.start()
        stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments("Hello.", "More.")))
        assert isinstance(await anext(stream), TtsAudio)
        async with asyncio.timeout(20):
            await stream.aclose()
        await tts.aclose()


async def test_a_socket_tells_word_times() -> None:
    async with AzureSpeech() as fake:
        tts = make(fake, transport="websocket", voice="en-GB-SoniaNeural", deployment_id="d 1")
        await tts.start()
        texts = ("<speak>Tea &amp; toast, <break/>please.</speak>", "<speak>…</speak>", "More.")
        events = await speak(tts, *texts)
        mine = [event for event in events if event.segment_id == 0]
        assert sum(len(e.pcm) for e in mine if isinstance(e, TtsAudio)) == 20 * 2400
        assert [e.words for e in mine if isinstance(e, TtsWords)] == [
            (
                Word("Tea", 0, 150),
                Word("&", 300, 300),
                Word("toast,", 300, 550),
                Word("please.", 650, 950),
            )
        ]
        done = [event.segment_id for event in events if isinstance(event, TtsSegmentDone)]
        assert done == [0, 1, 2]
        socket = next(one for one in fake.connections if len(one.received) > 1)
        assert socket.query == [("deploymentId", "d 1")]
        assert socket.headers["ocp-apim-subscription-key"] == "k-1"
        paths = re.findall(r"Path:([\w.]+)", "".join(map(str, socket.received)))
        assert paths == ["speech.config", *["synthesis.context", "ssml"] * 2]
        await tts.aclose()
        await until(lambda: all(one.closed for one in fake.connections))


@pytest.mark.parametrize("status", [401, 503])
async def test_a_refused_socket(status: int) -> None:
    async with AzureSpeech() as fake:
        fake.faults.status = status
        tts = make(fake, transport="websocket")
        await tts.start()
        with pytest.raises(ProviderError) as caught:
            await speak(tts, "Hello.")
        assert (caught.value.status, caught.value.retryable) == (status, status == 503)
        await tts.aclose()


@pytest.mark.parametrize(
    ("fault", "message"), [("silent", "no sound within"), ("garbage", "another protocol")]
)
async def test_no_sound_from_a_socket(fault: str, message: str) -> None:
    async with AzureSpeech() as fake:
        setattr(fake.faults, fault, True)
        tts = make(fake, transport="websocket", first_audio_ms=100)
        await tts.start()
        with pytest.raises(ProviderError, match=message) as caught:
            await speak(tts, "Hello.")
        assert caught.value.retryable
        await tts.aclose()


async def test_a_voice_that_is_not_there_closes_the_socket() -> None:
    async with AzureSpeech() as fake:
        fake.faults.close_after, fake.faults.close_code = 3, 1007
        fake.faults.close_reason = "Unsupported voice"
        tts = make(fake, transport="websocket")
        await tts.start()
        with pytest.raises(ProviderError, match="Unsupported voice") as caught:
            await speak(tts, "Hello.")
        assert not caught.value.retryable
        await tts.aclose()


async def test_an_interruption_closes_its_socket() -> None:
    async with AzureSpeech() as fake:
        tts = make(fake, transport="websocket")
        await tts.start()
        stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments("Hello.", "More.")))
        await anext(stream)
        spoken = next(one for one in fake.connections if len(one.received) > 1)
        await stream.aclose()
        await until(lambda: spoken.closed)
        await tts.aclose()


async def test_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserFacingError, match="region"):
        await AzureTts(AzureTts.Options(), AgentHints()).start()
    with pytest.raises(UserFacingError, match="AZURE_SPEECH_KEY"):
        await AzureTts(AzureTts.Options(region="eastus"), AgentHints()).start()
    own = AzureTts(AzureTts.Options(region="eastus", deployment_id="d"), AgentHints())
    assert own._url == "https://eastus.voice.speech.microsoft.com"
