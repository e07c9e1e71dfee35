from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.tiny_models import kokoro_voices

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment, TtsSegmentDone
from antiphon.providers.tts.kokoro import KokoroOptions, KokoroTts


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    model, voices = kokoro_voices(tmp_path_factory.mktemp("kokoro"))
    return {"model": str(model), "voices_path": voices}


def make(hints: AgentHints | None = None, **options: Any) -> KokoroTts:
    return KokoroTts(KokoroOptions.model_validate(options), hints or AgentHints())


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def spoken(tts: KokoroTts, *texts: str) -> list[bytes]:
    await tts.start()
    sounds = [b""] * len(texts)
    done: list[int] = []
    try:
        async for event in tts.stream(segments(*texts)):
            if isinstance(event, TtsAudio):
                sounds[event.segment_id] += event.pcm
            elif isinstance(event, TtsSegmentDone):
                done.append(event.segment_id)
    finally:
        await tts.aclose()
    assert done == list(range(len(texts)))
    return sounds


def loudest(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, "<i2").astype(int)).max() / 32767)


async def test_the_package_speaks_with_a_model_of_files(files: dict[str, Any]) -> None:
    first, mark, second = await spoken(
        make(voice="af_low", **files), "Hello there, my friend.", " — ", "Yes."
    )
    assert 0.5 < len(first) / 48_000 < 3
    assert not mark
    assert len(second) < len(first)
    assert loudest(first) == pytest.approx(0.1, abs=0.01)
    (other,) = await spoken(make(voice="bf_high", **files), "Hello there, my friend.")
    assert loudest(other) == pytest.approx(0.4, abs=0.01)


async def test_speed_and_the_agents_rate(files: dict[str, Any]) -> None:
    text = "I would like a large latte with oat milk, please."
    (usual,) = await spoken(make(voice="af_low", **files), text)
    (faster,) = await spoken(make(voice="af_low", speed=1.5, **files), text)
    (slow_agent,) = await spoken(make(AgentHints(rate=100), voice="af_low", **files), text)
    assert len(faster) / len(usual) == pytest.approx(1 / 1.5, abs=0.05)
    assert len(slow_agent) / len(usual) == pytest.approx(1.5, abs=0.05)


async def test_a_text_longer_than_the_model_takes_comes_in_parts(files: dict[str, Any]) -> None:
    tts = make(voice="af_low", **files)
    await tts.start()
    text = "We have coffee, tea, juice and water. " * 40
    events = [event async for event in tts.stream(segments(text))]
    assert len([event for event in events if isinstance(event, TtsAudio)]) > 2
    await tts.aclose()


@pytest.mark.parametrize(
    ("language", "voice", "reads"),
    [
        ("en", "af_heart", "en-us"),
        ("fr-CA", "ff_siwis", "fr-fr"),
        ("pt-BR", "pf_dora", "pt-br"),
        ("sw", "af_heart", "en-us"),
    ],
)
def test_a_voice_of_the_agents_language(language: str, voice: str, reads: str) -> None:
    tts = make(AgentHints(language=language))
    assert (tts._name, tts._language) == (voice, reads)


async def test_what_is_wrong_with_the_files_is_explained(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    with pytest.raises(UserFacingError, match=r"run: antiphon models pull kokoro-v1\.0"):
        await make().start()
    with pytest.raises(UserFacingError, match=r"no file .*voices-v1\.0\.bin"):
        await make(model=files["model"]).start()
    with pytest.raises(UserFacingError, match="no voice `af_heart`; it has af_low, bf_high"):
        await make(**files).start()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(UserFacingError, match=r"broken\.onnx"):
        await make(model=str(broken), voices_path=files["voices_path"]).start()
    with pytest.raises(ProviderError, match="not started"):
        await anext(make(**files).stream(segments("Hello.")))


async def test_what_is_cancelled_makes_no_further_part(
    files: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tts = make(voice="af_low", **files)
    await tts.start()
    began, made = threading.Event(), []
    real = tts._model.create

    def counted(*args: Any, **more: Any) -> Any:
        made.append(1)
        began.set()
        return real(*args, **more)

    monkeypatch.setattr(tts._model, "create", counted)

    async def speak() -> None:
        async for _ in tts.stream(segments("We have coffee, tea, juice and water. " * 100)):
            pass

    task = asyncio.create_task(speak())
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()
    await asyncio.sleep(0.02)
    assert len(made) <= 2
    await tts.aclose()
