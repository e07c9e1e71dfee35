from __future__ import annotations

import asyncio
import math
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from faster_whisper.feature_extractor import FeatureExtractor
from tests.support import tiny_models

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints
from antiphon.providers.turn import smart_turn
from antiphon.providers.turn.smart_turn import SmartTurn, SmartTurnOptions, features, prepare

SPEECH = Path(__file__).parent.parent / "data" / "speech_vad"


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.smart_turn(tmp_path_factory.mktemp("smart_turn"))


def make(path: Path) -> SmartTurn:
    return SmartTurn(SmartTurnOptions(model=str(path)), AgentHints())


def whisper(samples: np.ndarray) -> np.ndarray:
    """The features as faster-whisper's extractor makes them."""
    made = FeatureExtractor(chunk_length=8)(samples, padding=0)
    return np.asarray(made)[:, :800]


def test_features_are_whispers() -> None:
    rng = np.random.default_rng(0)
    speech, _ = soundfile.read(SPEECH / "LJ001-0002.flac", dtype="int16")
    for pcm in (speech, (rng.normal(size=128_000) * 3000).astype(np.int16), speech[:4000]):
        samples = prepare(pcm.tobytes())
        assert samples.shape == (128_000,)
        found = features(samples)
        assert found.shape == (80, 800)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, whisper(samples), atol=2e-3)


def test_audio_is_the_last_eight_seconds_after_zeros_of_variance_one() -> None:
    samples = prepare((np.arange(10) * 100).astype("<i2").tobytes())
    assert samples.mean() == pytest.approx(0, abs=1e-4)
    assert np.ptp(samples[:-10]) == 0
    long = (np.arange(200_000) % 5000).astype("<i2")
    given = long[-128_000:].astype(float) / 32768
    expected = (given - given.mean()) / np.sqrt(given.var() + 1e-7)
    np.testing.assert_allclose(prepare(long.tobytes()), expected, atol=1e-4)
    assert not prepare(b"").any()


async def test_the_model_is_asked_with_the_audio_up_to_now(model_path: Path) -> None:
    turn = make(model_path)
    await turn.start()
    stream = turn.open()
    pcm = (np.random.default_rng(1).normal(size=192_000) * 2000).astype("<i2").tobytes()
    for start in range(0, len(pcm), 640):
        stream.feed(pcm[start : start + 640])
    found = await stream.predict()
    mean = features(prepare(pcm[-256_000:]))[:, 700:].mean()
    assert found == pytest.approx(1 / (1 + math.exp(-mean)), abs=1e-4)
    for _ in range(60):
        stream.feed(bytes(640))
    assert await stream.predict() < found
    await turn.aclose()


async def test_agents_of_a_process_share_a_model(model_path: Path) -> None:
    one, other = make(model_path), make(model_path)
    await one.start()
    await other.start()
    assert one._session is other._session
    await one.aclose()
    assert 0 <= await other.open().predict() <= 1
    await other.aclose()


async def test_predictions_do_not_hold_the_loop(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = make(model_path)
    await turn.start()
    go_on = threading.Event()
    monkeypatch.setattr(smart_turn, "features", lambda samples: go_on.wait(20))
    stream = turn.open()
    predicting = asyncio.create_task(stream.predict())
    # Were it computed on the loop, nobody would let it go on.
    await asyncio.sleep(0.001)
    assert not predicting.done()
    go_on.set()
    with pytest.raises(ProviderError, match="smart-turn"):
        await predicting


async def test_what_is_missing_or_wrong_is_explained(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    with pytest.raises(UserFacingError, match="run: antiphon models pull smart-turn-v3"):
        await SmartTurn(SmartTurnOptions(), AgentHints()).start()
    assert "models pull smart-turn-v3" in (SmartTurn.missing(SmartTurnOptions()) or "")
    (tmp_path / "models" / "smart-turn-v3").mkdir(parents=True)
    shutil.copy(model_path, tmp_path / "models" / "smart-turn-v3" / "smart-turn-v3.2-cpu.onnx")
    assert SmartTurn.missing(SmartTurnOptions()) is None
    await SmartTurn(SmartTurnOptions(), AgentHints()).start()
    with pytest.raises(UserFacingError, match=r"no file or folder .*none\.onnx"):
        await make(tmp_path / "none.onnx").start()
    assert SmartTurn.missing() is None
    with pytest.raises(RuntimeError, match="start"):
        make(model_path).open()
    other, _ = tiny_models.kokoro_voices(tmp_path)
    with pytest.raises(UserFacingError, match="not a model of Smart Turn v3: it takes input_ids"):
        await make(other).start()
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(UserFacingError, match="not a model of Smart Turn"):
        await make(tmp_path / "broken.onnx").start()


async def test_what_is_no_probability_is_an_error(model_path: Path) -> None:
    class Wrong:
        def run(self, names: object, inputs: object) -> list[np.ndarray]:
            return [np.array([[3.0]])]

    with pytest.raises(ProviderError, match="3, which is no probability"):
        smart_turn._predict(Wrong(), bytes(640))
