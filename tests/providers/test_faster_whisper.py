"""The real package with a model made on the spot."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.support.stt_talk import FRAME, failure, read_final
from tests.support.tiny_whisper import make_whisper

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, FinalText, PartialText
from antiphon.providers.stt import faster_whisper as module
from antiphon.providers.stt.faster_whisper import FasterWhisperOptions, FasterWhisperStt
from antiphon.types import Word

NOISE = np.random.default_rng(1).normal(0, 3000, (100, 320)).astype(np.int16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_whisper(tmp_path_factory.mktemp("models") / "faster-whisper-mini")


async def started(
    model: Path | str, hints: AgentHints | None = None, **more: Any
) -> FasterWhisperStt:
    options = FasterWhisperOptions.model_validate({"model": str(model), "threads": 1, **more})
    stt = FasterWhisperStt(options, hints or AgentHints())
    await stt.start()
    return stt


@pytest.fixture
async def stt(model: Path) -> AsyncIterator[FasterWhisperStt]:
    one = await started(model)
    yield one
    await one.aclose()


async def talk(stt: FasterWhisperStt, sound: Any = NOISE) -> FinalText:
    stream = await stt.open()
    stream.begin(1, 0)
    for frame in sound:
        stream.push(bytes(frame))
    stream.finalize(1, 1)
    final, _ = await read_final(stream, within_s=20)
    await stream.aclose()
    return final


async def test_words_with_times_and_confidence(stt: FasterWhisperStt) -> None:
    assert await talk(stt) == FinalText(
        1,
        1,
        "Hello there.",
        1.0,
        words=(Word("Hello", 0, 320, 1.0), Word("there.", 320, 640, 1.0)),
        language="en",
    )


async def test_silence_is_not_given_to_it(stt: FasterWhisperStt) -> None:
    assert (await talk(stt, [FRAME] * 50)).text == ""
    hum = (30 * np.sin(np.arange(320 * 50) / 10)).astype(np.int16).reshape(-1, 320)
    assert (await talk(stt, hum)).text == ""
    assert (await talk(stt, [])).text == ""


async def test_what_it_says_of_silence_is_dropped(tmp_path: Path) -> None:
    sure_of_silence = make_whisper(tmp_path / "m", ("nospeech", "Thank", "Ġyou"))
    assert (await talk(await started(sure_of_silence))).text == ""
    believing = await started(sure_of_silence, no_speech_threshold=1.0)
    assert (await talk(believing)).text == "Thank you"


async def test_inventions_are_known_by_their_figures(stt: FasterWhisperStt) -> None:
    good = {"no_speech_prob": 0.1, "avg_logprob": -0.3, "compression_ratio": 1.2}
    assert stt._is_speech(SimpleNamespace(**good))
    for bad in ({"no_speech_prob": 0.7}, {"avg_logprob": -1.2}, {"compression_ratio": 2.5}):
        assert not stt._is_speech(SimpleNamespace(**{**good, **bad}))


async def test_partial_texts(model: Path) -> None:
    stream = await (await started(model, interim_ms=400)).open()
    stream.begin(1, 0)
    for frame in NOISE[:30]:
        stream.push(bytes(frame))
    async with asyncio.timeout(20):
        assert await anext(aiter(stream.events())) == PartialText(1, "Hello there.")
    await stream.aclose()


async def test_what_it_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hints = AgentHints(language="en-GB", vocabulary=("Ximena", "Okonkwo"))
    stt = await started(model, hints, beam_size=3, initial_prompt="Dates.", word_times=False)
    told: dict[str, Any] = {}
    real = stt._model.transcribe
    monkeypatch.setattr(
        stt._model,
        "transcribe",
        lambda pcm, **options: told.update(options) or real(pcm, **options),
    )
    final = await talk(stt)
    assert (final.text, final.words) == ("Hello there.", ())
    assert told["language"] == "en"
    assert told["hotwords"] == "Ximena, Okonkwo"
    assert (told["beam_size"], told["initial_prompt"]) == (3, "Dates.")
    assert told["condition_on_previous_text"] is False
    assert (await started(model, hints, hotwords=False))._hotwords is None


async def test_a_cancelled_utterance_makes_no_further_segments(
    stt: FasterWhisperStt, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, began = [], threading.Event()

    def segments() -> Iterator[Any]:
        for number in range(50):
            made.append(number)
            began.set()
            time.sleep(0.03)
            yield SimpleNamespace(no_speech_prob=1)

    monkeypatch.setattr(stt, "_begin", lambda *_: (segments(), None))
    stream = await stt.open()
    stream.begin(1, 0)
    stream.push(bytes(NOISE[0]))
    stream.finalize(1, 1)
    assert await asyncio.to_thread(began.wait, 5)
    stream.end(1)
    await stream.aclose()
    await asyncio.sleep(0.1)
    assert len(made) <= 2


async def test_as_many_at_once_as_there_are_workers(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stt = await started(model, workers=1)
    now, most = 0, 0

    def slow(*_: Any) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        time.sleep(0.01)
        now -= 1
        return (), SimpleNamespace(language="en")

    monkeypatch.setattr(stt, "_begin", slow)
    await asyncio.gather(*(talk(stt, NOISE[:2]) for _ in range(5)))
    assert most == 1


async def test_failures_are_said(stt: FasterWhisperStt, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(stt, "_begin", fail)
    monkeypatch.setattr(module, "_has_sound", lambda _: True)
    error = await failure(await stt.open())
    assert "faster-whisper: RuntimeError: CUDA out of memory" in str(error)
    assert not error.retryable
    await stt.aclose()
    with pytest.raises(ProviderError, match="closed"):
        await stt._transcribe(bytes(NOISE))


async def test_models_that_cannot_be_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(model.parent))
    assert (await talk(await started("mini"))).text == "Hello there."
    assert FasterWhisperStt.missing() is None
    assert FasterWhisperStt.missing(FasterWhisperOptions(model="mini")) is None
    assert "pull" in str(FasterWhisperStt.missing(FasterWhisperOptions()))
    with pytest.raises(UserFacingError, match="antiphon models pull faster-whisper-small"):
        await started("small")
    with pytest.raises(UserFacingError, match=r"model.bin is missing"):
        await started(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(UserFacingError, match=r"tokenizer.json is missing"):
        await started(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    with pytest.raises(UserFacingError, match="cannot load"):
        await started(tmp_path)
    with pytest.raises(UserFacingError, match="mini does not understand 'de', but en"):
        await started("mini", language="de-DE")
