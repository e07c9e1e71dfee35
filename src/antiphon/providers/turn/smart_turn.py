"""Smart Turn v3: a small network that hears whether somebody is done, in 23 languages.

https://github.com/pipecat-ai/smart-turn (BSD 2-clause). Its ONNX model takes Whisper's log-mel
features of the last 8 seconds at 16 kHz (`input_features`, 1 x 80 x 800) and gives a probability.
Shorter audio is preceded by zeros; samples are brought to mean 0 and variance 1 before.
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from antiphon import models
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import AgentHints, ProviderOptions, Traits
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

Floats = NDArray[np.float32]

_SECONDS = 8
_SAMPLES = _SECONDS * INPUT_RATE_HZ
_KEPT_BYTES = _SAMPLES * 2
_MELS, _FRAMES = 80, 800
# Whisper's: 25 ms every 10 ms.
_WINDOW, _HOP = 400, 160
# By path and threads: agents of one process share a model while one of them is there.
_LOADED: WeakValueDictionary[tuple[str, int], Any] = WeakValueDictionary()


class SmartTurnOptions(ProviderOptions):
    """Options of Smart Turn."""

    model: str = Field(
        default="smart-turn-v3",
        min_length=1,
        description="A model that was pulled (`antiphon models pull smart-turn-v3`), or the path "
        "of its `.onnx` file.",
    )
    threads: int = Field(default=1, ge=1, le=8, description="Processor threads for a prediction.")


class SmartTurn:
    """Hears whether the caller is done, with Pipecat's Smart Turn v3. Its model is not part of the
    package; some 30 to 100 ms of one processor per pause."""

    Options = SmartTurnOptions
    traits = Traits(can=("languages",))

    def __init__(self, options: SmartTurnOptions, hints: AgentHints) -> None:
        self._options = options
        self._session: Any = None

    @staticmethod
    def missing(options: SmartTurnOptions | None = None) -> str | None:
        """What this machine lacks: the model that is named."""
        if options is None:
            return None
        try:
            models.find(options.model, "*.onnx")
        except UserFacingError as error:
            return str(error)
        return None

    async def start(self) -> None:
        """Load the model.

        Raises:
            UserFacingError: it is not there, or is another one.
        """
        if self._session is None:
            self._session = await threads.run("smart-turn", _load, self._options)

    async def aclose(self) -> None:
        self._session = None

    def open(self) -> SmartTurnStream:
        if self._session is None:
            raise RuntimeError("SmartTurn.start has not been awaited")
        return SmartTurnStream(self._session)


class SmartTurnStream:
    """The last eight seconds of one call."""

    __slots__ = ("_pcm", "_session")

    def __init__(self, session: Any) -> None:
        self._session = session
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> None:
        """Take 20 ms of 16 kHz mono s16 PCM.

        Raises:
            ValueError: not 640 bytes.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")
        self._pcm += pcm
        # Moving the rest takes as long as many frames: it is done twice a second.
        if len(self._pcm) > _KEPT_BYTES + INPUT_RATE_HZ:
            del self._pcm[:-_KEPT_BYTES]

    async def predict(self) -> float:
        """How likely the caller is done, 0 to 1, by the last eight seconds."""
        return await threads.run(
            "smart-turn", _predict, self._session, bytes(self._pcm[-_KEPT_BYTES:])
        )


def features(samples: Floats) -> Floats:
    """Whisper's log-mel features of 8 s of 16 kHz samples, shape (80, 800)."""
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:_FRAMES]
    spectrum = np.fft.rfft(frames * _HANN)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    levels = np.log10(np.maximum(_BANDS @ power.T, 1e-10))
    levels = np.maximum(levels, levels.max() - 8.0)
    return np.asarray((levels + 4.0) / 4.0, dtype=np.float32)


def prepare(pcm: bytes) -> Floats:
    """The last 8 s of 16 kHz mono s16 PCM as samples of mean 0 and variance 1, after zeros."""
    samples = np.zeros(_SAMPLES, dtype=np.float32)
    given = np.frombuffer(pcm, dtype="<i2")[-_SAMPLES:]
    if len(given):
        samples[-len(given) :] = given.astype(np.float32) / np.float32(32768)
    # The zeros count, as they did when the network was trained.
    return np.asarray((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7), np.float32)


def _predict(session: Any, pcm: bytes) -> float:
    (found, *_) = session.run(None, {"input_features": features(prepare(pcm))[None]})
    probability = float(np.asarray(found).ravel()[0])
    if not 0 <= probability <= 1:
        message = f"the model gives {probability:g}, which is no probability"
        raise ProviderError(message, provider="smart-turn", retryable=False)
    return probability


def _load(options: SmartTurnOptions) -> Any:
    path = models.find(options.model, "*.onnx")
    key = str(path), options.threads
    if (loaded := _LOADED.get(key)) is not None:
        return loaded
    try:
        session = threads.onnx_session(str(path), options.threads)
        taken = [one.name for one in session.get_inputs()]
        if taken != ["input_features"]:
            raise ValueError(f"it takes {', '.join(taken)}, not input_features")
        _predict(session, bytes(FRAME_BYTES))  # The first run is the slowest.
    except Exception as error:
        raise UserFacingError(
            f"turn_detector smart-turn: {path} is not a model of Smart Turn v3: {error}"
        ) from error
    _LOADED[key] = session
    return session


# ---- Whisper's mel bands -------------------------------------------------------------------


def _mel(hz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, logarithmic from there."""
    return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    high = 1000 * np.exp((mel - 15) * math.log(6.4) / 27)
    return np.where(mel < 15, mel * 200 / 3, high)


def _mel_bands() -> Floats:
    """Triangles of equal area, 0 to 8 kHz, shape (80, 201)."""
    edges = _hz(np.linspace(0, _mel(INPUT_RATE_HZ / 2), _MELS + 2))[:, None]
    hz = np.linspace(0, INPUT_RATE_HZ / 2, _WINDOW // 2 + 1)[None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle))
    return np.asarray(np.maximum(0, triangles) * 2 / (high - low), dtype=np.float32)


_BANDS = _mel_bands()
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
