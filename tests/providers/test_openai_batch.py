from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.openai_stt import OpenAiTranscription
from tests.fakes.whisper_cpp import form
from tests.support.stt_talk import failure, read_final, say, speak

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints
from antiphon.providers.secret import Secret
from antiphon.providers.stt.openai_batch import OpenAiBatchStt
from antiphon.types import Word

HINTS = AgentHints("en-GB", vocabulary=("Antiphon", "espresso"))


def make(fake: OpenAiTranscription, **options: Any) -> OpenAiBatchStt:
    given = {"base_url": f"{fake.http_url}/v1", "api_key": Secret("sk-1"), **options}
    return OpenAiBatchStt(OpenAiBatchStt.Options.model_validate(given), HINTS)


async def test_whisper_tells_word_times_and_takes_a_prompt() -> None:
    async with OpenAiTranscription("one espresso please") as fake:
        stt = make(fake, model="whisper-1", prompt="Orders in a cafe.", temperature=0)
        await stt.start()
        stream = await stt.open()
        final = await say(stream)
        assert final.words == (
            Word("one", 0, 250),
            Word("espresso", 300, 550),
            Word("please", 600, 850),
        )
        assert (final.text, final.language) == ("one espresso please", "en")
        assert 0.7 < final.confidence < 0.8
        assert fake.last.headers["authorization"] == "Bearer sk-1"
        fields = form(fake.last)
        del fields["file"]
        assert fields == {
            "model": ["whisper-1"],
            "language": ["en"],
            "response_format": ["verbose_json"],
            "timestamp_granularities[]": ["word", "segment"],
            "temperature": ["0.0"],
            "prompt": ["Orders in a cafe. Antiphon, espresso."],
        }
        await stream.aclose()
        await stt.aclose()


async def test_newer_models_take_keywords_and_tell_logprobs() -> None:
    async with OpenAiTranscription("yes") as fake:
        for model, more in (
            ("gpt-transcribe", {"keywords[]": ["Antiphon", "espresso"]}),
            ("gpt-4o-transcribe", {"include[]": ["logprobs"], "prompt": ["Antiphon, espresso."]}),
        ):
            stt = make(fake, model=model)
            await stt.start()
            stream = await stt.open()
            final = await say(stream)
            assert final.text == "yes"
            assert final.confidence == pytest.approx(
                1.0 if model == "gpt-transcribe" else 0.905, abs=0.01
            )
            fields = form(fake.last)
            assert fields["response_format"] == ["json"]
            assert more.items() <= fields.items()
            await stream.aclose()
            await stt.aclose()


async def test_a_newer_final_closes_the_request_under_way() -> None:
    async with OpenAiTranscription("a", "a small coffee") as fake:
        fake.faults.first_ms = 30
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 10)
        stream.finalize(1, 1)
        speak(stream, 10)
        stream.finalize(1, 2)
        final, _ = await read_final(stream)
        assert final.revision == 2
        assert 400 in fake.heard_ms
        await stream.aclose()
        await stt.aclose()


@pytest.mark.parametrize(
    ("status", "retryable"), [(401, False), (400, False), (429, True), (503, True)]
)
async def test_refusals(status: int, retryable: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with OpenAiTranscription() as fake:
        fake.faults.status = status
        stt = make(fake)
        await stt.start()
        assert ("refuses the key" in caplog.text) is (status == 401)
        error = await failure(await stt.open())
        assert (error.status, error.retryable) == (status, retryable)
        assert "sk-1" not in str(error) + caplog.text
        await stt.aclose()


@pytest.mark.parametrize("fault", ["silent", "garbage"])
async def test_no_answer_and_nonsense(fault: str) -> None:
    async with OpenAiTranscription() as fake:
        setattr(fake.faults, fault, True)
        stt = make(fake, final_ms=80)
        await stt.start()
        error = await failure(await stt.open())
        assert error.retryable
        await stt.aclose()


async def test_openai_wants_a_key_and_others_do_not_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserFacingError, match="OPENAI_API_KEY"):
        await OpenAiBatchStt(OpenAiBatchStt.Options(), AgentHints()).start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    async with OpenAiTranscription() as fake:
        stt = make(fake, api_key=None)
        await stt.start()
        stream = await stt.open()
        await say(stream)
        assert "authorization" not in fake.last.headers
        await stream.aclose()
        await stt.aclose()
    with pytest.raises(ValueError, match="not an address"):
        OpenAiBatchStt.Options(base_url="api.openai.com")


def test_a_long_vocabulary_is_cut() -> None:
    hints = AgentHints(vocabulary=tuple(f"word{n:04}" for n in range(500)))
    stt = OpenAiBatchStt(OpenAiBatchStt.Options(model="whisper-1"), hints)
    assert len(stt._fields["prompt"]) <= 802
    assert stt.model == "whisper-1"


async def test_a_language_that_is_not_known() -> None:
    async with OpenAiTranscription() as fake:
        stt = make(fake, language="auto")
        await stt.start()
        stream = await stt.open()
        await say(stream)
        assert "language" not in form(fake.last)
        await stream.aclose()
        await stt.aclose()
