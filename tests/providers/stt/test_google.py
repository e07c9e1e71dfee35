from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.fakes.google_speech import GoogleSpeech
from tests.support.stt_talk import failure, read_final, say, speak, until

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, PartialText
from antiphon.providers.secret import Secret
from antiphon.providers.stt.google import GoogleStt
from antiphon.types import Word

HINTS = AgentHints("en-GB", vocabulary=("Antiphon", "espresso"))


def make(fake: GoogleSpeech, **options: Any) -> GoogleStt:
    given = {"base_url": fake.http_url, "api_key": Secret("k-1"), "project": "p", **options}
    return GoogleStt(GoogleStt.Options.model_validate(given), HINTS)


async def test_an_utterance_is_a_stream_and_the_next_one_another() -> None:
    async with GoogleSpeech("one espresso please", "and a tea") as fake:
        stt = make(fake, model="chirp_3", location="eu")
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 50)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        texts = [event.text for event in before if isinstance(event, PartialText)]
        assert texts == ["one", "one espresso", "one espresso please"]
        assert (final.text, final.language, final.confidence) == (
            "one espresso please",
            "en-us",
            0.875,
        )
        assert final.words[1] == Word("espresso", 300, 550, 0.75)
        speak(stream, 20)
        stream.finalize(1, 2)
        final, _ = await read_final(stream)
        assert final.text == "one espresso please and a tea"
        # The second stream's times begin where the first one ended.
        assert final.words[3] == Word("and", 1000, 1250, 0.75)
        stream.end(1)
        assert fake.heard_ms == [1000, 400]
        call = fake.calls[0]
        assert call.metadata["x-goog-api-key"] == "k-1"
        recognizer = "projects/p/locations/eu/recognizers/_"
        assert call.metadata["x-goog-request-params"] == (
            "recognizer=projects%2Fp%2Flocations%2Feu%2Frecognizers%2F_"
        )
        first = call.received[0]
        assert first.recognizer == recognizer
        config = first.streaming_config.config
        assert (config.model, list(config.language_codes)) == ("chirp_3", ["en-GB"])
        assert config.explicit_decoding_config.sample_rate_hertz == 16_000
        phrases = config.adaptation.phrase_sets[0].inline_phrase_set
        assert [phrase.value for phrase in phrases.phrases] == ["Antiphon", "espresso"]
        assert phrases.boost == 10
        assert config.features.enable_word_time_offsets
        assert first.streaming_config.streaming_features.interim_results
        await stream.aclose()
        await stt.aclose()


async def test_between_utterances_there_is_no_stream() -> None:
    async with GoogleSpeech("yes", "no") as fake:
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        speak(stream, 50)
        stream.begin(1, 0)
        speak(stream, 10)
        await until(lambda: fake.calls and len(fake.calls[0].received) == 6)
        stream.end(1)
        await until(lambda: fake.heard_ms == [200])
        assert (await say(stream, 2)).text == "no"
        assert len(fake.calls) == 2
        await stream.aclose()
        await stt.aclose()


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (403, False), (409, True), (429, True), (503, True)]
)
async def test_refusals(status: int, retryable: bool) -> None:
    async with GoogleSpeech() as fake:
        fake.faults.status = status
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert (error.status, error.retryable) == (status, retryable)
        assert "refused" in str(error)
        assert len(fake.calls) == (3 if retryable else 1)
        await stt.aclose()


async def test_a_stream_that_is_ended_in_mid_utterance_is_begun_again() -> None:
    async with GoogleSpeech("yes please") as fake:
        fake.faults.close_after = 4
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: len(fake.calls) >= 2)
        fake.faults.close_after = None
        speak(stream, 20)
        stream.finalize(1, 1)
        final, _ = await read_final(stream)
        assert final.text == "yes please"
        assert fake.heard_ms == [800]
        await stream.aclose()
        await stt.aclose()


async def test_half_open() -> None:
    async with GoogleSpeech() as fake:
        fake.faults.silent = True
        stt = make(fake, final_ms=60)
        await stt.start()
        error = await failure(await stt.open())
        assert "no final text within 60 ms" in str(error)
        assert error.retryable
        await until(lambda: all(call.cancelled for call in fake.calls))
        await stt.aclose()


async def test_closing_in_mid_stream_cancels_it() -> None:
    async with GoogleSpeech() as fake:
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: fake.calls and len(fake.calls[0].received) > 5)
        async with asyncio.timeout(20):
            await stream.aclose()
        await until(lambda: fake.calls[0].cancelled)
        await stt.aclose()


async def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    options = GoogleStt.Options(base_url="http://127.0.0.1:9", project="p", connect_ms=100)
    stt = GoogleStt(options, AgentHints())
    await stt.start()
    assert "google not ready" in caplog.text
    error = await failure(await stt.open())
    assert "does not answer" in str(error)
    assert error.retryable
    await stt.aclose()


def key_file(path: Path) -> rsa.RSAPrivateKey:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "from-file",
                "private_key_id": "id-1",
                "private_key": pem.decode(),
                "client_email": "agent@p.iam.gserviceaccount.com",
            }
        ),
        encoding="utf-8",
    )
    return key


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


async def test_a_service_account_signs_its_own_tokens(tmp_path: Path) -> None:
    key = key_file(tmp_path / "key.json")
    async with GoogleSpeech() as fake:
        stt = make(fake, api_key=None, project=None, credentials_file=tmp_path / "key.json")
        await stt.start()
        stream = await stt.open()
        await say(stream)
        await say(stream, 2)
        tokens = {call.metadata["authorization"] for call in fake.calls}
        assert len(tokens) == 1
        head, claims, signature = tokens.pop().removeprefix("Bearer ").split(".")
        assert decoded(head) == {"alg": "RS256", "typ": "JWT", "kid": "id-1"}
        content = decoded(claims)
        assert content["aud"] == "https://speech.googleapis.com/"
        assert content["iss"] == content["sub"] == "agent@p.iam.gserviceaccount.com"
        assert content["exp"] - content["iat"] == 3600
        key.public_key().verify(
            base64.urlsafe_b64decode(signature + "=="),
            f"{head}.{claims}".encode(),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
        assert fake.calls[0].received[0].recognizer.startswith("projects/from-file/")
        await stream.aclose()
        await stt.aclose()


async def test_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(UserFacingError, match="GOOGLE_API_KEY"):
        await GoogleStt(GoogleStt.Options(project="p"), AgentHints()).start()
    (tmp_path / "bad.json").write_text('{"type": "authorized_user"}', encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "bad.json"))
    with pytest.raises(UserFacingError, match="no key file"):
        await GoogleStt(GoogleStt.Options(project="p"), AgentHints()).start()
    async with GoogleSpeech() as fake:
        with pytest.raises(UserFacingError, match="`project`"):
            await make(fake, project=None).start()
    with pytest.raises(ValueError, match="not an address"):
        GoogleStt.Options(base_url="http://speech.googleapis.com")
