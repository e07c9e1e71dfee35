from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.fakes.azure_speech import AzureSpeech
from tests.support.stt_talk import failure, read_final, say, speak, until

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, PartialText
from antiphon.providers.secret import Secret
from antiphon.providers.stt.azure import AzureStt
from antiphon.types import Word

HINTS = AgentHints("en-GB", vocabulary=("Antiphon", "espresso"))


def make(fake: AzureSpeech, **options: Any) -> AzureStt:
    given = {"base_url": fake.ws_url, "api_key": Secret("k-1"), **options}
    return AzureStt(AzureStt.Options.model_validate(given), HINTS)


async def test_an_utterance_is_a_turn_and_the_next_one_another_on_the_same_socket() -> None:
    async with AzureSpeech("One espresso please", "and a tea", "no") as fake:
        stt = make(fake, endpoint_id="e-1", profanity="masked")
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 50)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        texts = [event.text for event in before if isinstance(event, PartialText)]
        assert texts == ["one", "one espresso", "one espresso please", "One espresso please"]
        assert (final.text, final.confidence) == ("One espresso please", 0.875)
        assert final.words[1] == Word("espresso", 300, 550, 0.75)
        speak(stream, 20)
        stream.finalize(1, 2)
        final, _ = await read_final(stream)
        assert final.text == "One espresso please and a tea"
        # Times of the second turn begin where the first one ended.
        assert final.words[3] == Word("and", 1000, 1250, 0.75)
        stream.end(1)
        assert (await say(stream, 2)).text == "no"
        assert fake.heard_ms == [1000, 400, 1000]
        assert len(fake.connections) == 1
        assert dict(fake.last.query) == {
            "language": "en-GB",
            "format": "detailed",
            "wordLevelTimestamps": "true",
            "wordLevelConfidence": "true",
            "profanity": "masked",
            "cid": "e-1",
        }
        assert fake.last.headers["ocp-apim-subscription-key"] == "k-1"
        assert len(fake.last.headers["x-connectionid"]) == 32
        items = fake.contexts[0]["dgi"]["Groups"][0]["Items"]
        assert items == [{"Text": "Antiphon"}, {"Text": "espresso"}]
        await until(lambda: sum("Path:telemetry" in str(m) for m in fake.last.received) == 3)
        await stream.aclose()
        await until(lambda: fake.last.closed)


async def test_a_turn_waits_for_the_end_of_the_one_before() -> None:
    async with AzureSpeech("lost", "kept") as fake:
        fake.faults.first_ms = 60
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 10)
        await until(lambda: fake.connections and len(fake.last.received) > 3)
        stream.end(1)
        stream.begin(2, 0)
        speak(stream, 10)
        stream.finalize(2, 1)
        final, _ = await read_final(stream)
        assert (final.utterance_id, final.text) == (2, "kept")
        assert fake.crossed == 0
        await stream.aclose()


@pytest.mark.parametrize(
    ("status", "retryable"), [("Error", True), ("TooManyRequests", True), ("BadRequest", False)]
)
async def test_phrases_that_say_what_is_wrong(status: str, retryable: bool) -> None:
    async with AzureSpeech() as fake:
        fake.status = status
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert status in str(error)
        assert error.retryable is retryable


async def test_nothing_understood() -> None:
    async with AzureSpeech("") as fake:
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        assert (await say(stream)).text == ""
        await stream.aclose()


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (503, True)])
async def test_refused_handshakes(status: int, retryable: bool) -> None:
    async with AzureSpeech() as fake:
        fake.faults.status = status
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert (error.status, error.retryable) == (status, retryable)
        assert "k-1" not in str(error)


@pytest.mark.parametrize(("code", "retryable"), [(1011, True), (1007, False)])
async def test_closing_codes(code: int, retryable: bool) -> None:
    async with AzureSpeech() as fake:
        fake.faults.close_after, fake.faults.close_code = 4, code
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert f"closed with {code}" in str(error)
        assert error.retryable is retryable


async def test_a_turn_that_is_ended_early_is_said_again() -> None:
    async with AzureSpeech("yes please") as fake:
        fake.end_early = 1
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: len(fake.connections) == 2)
        speak(stream, 20)
        stream.finalize(1, 1)
        final, _ = await read_final(stream)
        assert final.text == "yes please"
        assert fake.heard_ms[-1] == 800
        await stream.aclose()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("silent", "no final text within 80 ms"), ("garbage", "another protocol")],
)
async def test_half_open_sockets_and_nonsense(fault: str, message: str) -> None:
    async with AzureSpeech() as fake:
        setattr(fake.faults, fault, True)
        stt = make(fake, final_ms=80)
        await stt.start()
        error = await failure(await stt.open())
        assert message in str(error)
        assert error.retryable


async def test_closing_in_mid_utterance_closes_the_socket() -> None:
    async with AzureSpeech() as fake:
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: fake.connections and len(fake.last.received) > 3)
        async with asyncio.timeout(20):
            await stream.aclose()
        await until(lambda: fake.last.closed)


async def test_the_key_and_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserFacingError, match="AZURE_SPEECH_REGION"):
        await AzureStt(AzureStt.Options(), AgentHints()).start()
    with pytest.raises(UserFacingError, match="AZURE_SPEECH_KEY"):
        await AzureStt(AzureStt.Options(region="westeurope"), AgentHints()).start()
    monkeypatch.setenv("AZURE_SPEECH_KEY", "k-env")
    monkeypatch.setenv("AZURE_SPEECH_REGION", "eastus")
    stt = AzureStt(AzureStt.Options(), AgentHints("de"))
    await stt.start()
    assert stt._url.startswith(
        "wss://eastus.stt.speech.microsoft.com/speech/recognition/conversation/"
        "cognitiveservices/v1?language=de-DE&"
    )
    assert stt._headers == {"Ocp-Apim-Subscription-Key": "k-env"}
    elsewhere = AzureStt(AzureStt.Options(base_url="wss://speech.example.com"), AgentHints())
    await elsewhere.start()
    assert elsewhere._headers == {}
