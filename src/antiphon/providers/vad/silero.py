"""Silero VAD, version 6: a small recurrent network that hears speech in windows of 32 ms.

The model (models/README.md) takes 512 samples at 16 kHz together with the 64 before them, and a
state that is carried from window to window (https://github.com/snakers4/silero-vad).
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Sequence
from importlib import resources

import numpy as np
import onnxruntime
from pydantic import Field

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, ProviderOptions, VadEdge
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

_MODEL = "silero_vad_op18_ifless.onnx"
_WINDOW = 512
_CONTEXT = 64
_WINDOW_MS = _WINDOW * 1000 // INPUT_RATE_HZ
_S16 = np.dtype("<i2")
_SCALE = np.float32(1.0 / 32768.0)
_RATE = np.array(INPUT_RATE_HZ, dtype=np.int64)
# A window that is not louder than this (-72 dBFS) is what a muted microphone sends. No voice
# survives there, so the network is not asked.
_MUTED_ENERGY = _WINDOW * (8 / 32768) ** 2
# So many windows are asked about together where there are as many calls: the network's weights are
# then read once for all of them, at less than half the cost. A window waits for others until the
# next frame of its call, 20 ms, at the longest; with fewer calls it does not wait.
_TOGETHER = 8
# The network answers late: by the first window of speech about so much of it has been heard, and it
# goes on hearing speech for so long after its end. Medians over 80 recorded utterances.
_ONSET_LAG_MS = 20
_OFFSET_LAG_MS = 50


class SileroOptions(ProviderOptions):
    """Options of the voice activity detector."""

    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which a window counts as speech."""
    neg_threshold: float = Field(default=0.35, ge=0, lt=1)
    """Probability below which a window counts as silence; between the two nothing changes."""
    min_speech_ms: int = Field(default=64, ge=0, le=2_000)
    """Speech as long as this is a beginning; rounded up to windows of 32 ms."""
    min_silence_ms: int = Field(default=32, ge=0, le=2_000)
    """Silence as long as this is an end; rounded up to windows of 32 ms. It is short, because
    whether a turn is over is decided elsewhere; when speech goes on, a new beginning follows."""


class SileroVad:
    """A small neural network on the CPU, 0.1 ms per window. It is shared by the whole process, and
    asked for several calls at once; a stream has its own state."""

    Options = SileroOptions

    def __init__(self, options: SileroOptions, hints: AgentHints) -> None:
        self._options = options
        self._network: _Network | None = None

    async def start(self) -> None:
        """Load the model.

        Raises:
            UserFacingError: `neg_threshold` is above `threshold`.
        """
        if self._options.neg_threshold > self._options.threshold:
            raise UserFacingError(
                f"vad: neg_threshold ({self._options.neg_threshold}) must not be above threshold"
                f" ({self._options.threshold})."
            )
        loop = asyncio.get_running_loop()
        self._network = await loop.run_in_executor(None, _network)

    async def aclose(self) -> None:
        self._network = None

    def open(self) -> SileroStream:
        if self._network is None:
            raise RuntimeError("SileroVad.start has not been awaited")
        return SileroStream(self._network, self._options)


class SileroStream:
    """Voice activity of one call."""

    def __init__(self, network: _Network, options: SileroOptions) -> None:
        self._network = network
        self._edges = _Edges(options)
        self._found: list[VadEdge] = []
        self._pending = bytearray()
        self._asked = False
        self.input = np.zeros((1, _CONTEXT + _WINDOW), dtype=np.float32)
        self._context, self._end = self.input[0, :_CONTEXT], self.input[0, -_CONTEXT:]
        self._newest = self.input[0, _CONTEXT:]
        self.state = np.zeros((2, 1, 128), dtype=np.float32)

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        """Take 20 ms of 16 kHz mono s16 PCM; return the edges found, oldest first.

        Raises:
            ValueError: not 640 bytes.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")
        if self._asked:
            self._network.answer()
        self._pending += pcm
        if len(self._pending) >= 2 * _WINDOW:
            window = np.frombuffer(self._pending[: 2 * _WINDOW], _S16)
            del self._pending[: 2 * _WINDOW]
            self._take(window)
        if not self._found:
            return ()
        found, self._found = self._found, []
        return found

    def _take(self, window: np.ndarray[tuple[int], np.dtype[np.int16]]) -> None:
        newest = self._newest
        self._context[:] = self._end
        np.multiply(window, _SCALE, out=newest, casting="unsafe")
        if np.dot(newest, newest) <= _MUTED_ENERGY:
            self.told(0.0)
        else:
            self._asked = True
            self._network.ask(self)

    def told(self, probability: float) -> None:
        """What the network says of the newest window."""
        self._asked = False
        edge = self._edges.advance(probability)
        if edge is not None:
            self._found.append(edge)


class _Network:
    """The network, and the windows that wait to be asked about."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._lately: deque[int] = deque(maxlen=2 * _TOGETHER)
        """Who asked last."""
        self._waiting: list[SileroStream] = []

    def ask(self, stream: SileroStream) -> None:
        """About the stream's newest window; it is `told` now, or by `answer`."""
        self._waiting.append(stream)
        self._lately.append(id(stream))
        if len(self._waiting) >= _TOGETHER or len(set(self._lately)) < _TOGETHER:
            self.answer()

    def answer(self) -> None:
        """Tell everybody who waits."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) == 1:
            inputs, states = waiting[0].input, waiting[0].state
        else:
            inputs = np.concatenate([stream.input for stream in waiting])
            states = np.concatenate([stream.state for stream in waiting], axis=1)
        feed = {"input": inputs, "state": states, "sr": _RATE}
        found, states = self._session.run(None, feed)
        probabilities = found[:, 0].tolist()
        for number, stream in enumerate(waiting):
            stream.state = states[:, number : number + 1]
            stream.told(probabilities[number])


class _Edges:
    """Turns probabilities of windows into edges, with hysteresis."""

    def __init__(self, options: SileroOptions) -> None:
        self._threshold, self._neg_threshold = options.threshold, options.neg_threshold
        self._min_speech = max(1, -(-options.min_speech_ms // _WINDOW_MS))
        self._min_silence = max(1, -(-options.min_silence_ms // _WINDOW_MS))
        self._speaking = False
        self._window = 0
        self._last_ms = 0
        self._since: int | None = None
        """First window of the change that may be under way."""

    def advance(self, probability: float) -> VadEdge | None:
        window = self._window
        self._window += 1
        if self._speaking:
            changing, unchanged = probability < self._neg_threshold, probability >= self._threshold
        else:
            changing, unchanged = probability >= self._threshold, probability < self._neg_threshold
        if unchanged:
            self._since = None
        elif changing and self._since is None:
            self._since = window
        needed = self._min_silence if self._speaking else self._min_speech
        if self._since is None or window + 1 - self._since < needed:
            return None
        self._speaking = not self._speaking
        since, self._since = self._since, None
        lag_ms = _ONSET_LAG_MS if self._speaking else _OFFSET_LAG_MS
        # The correction is an estimate: it must not put an edge before the previous one.
        self._last_ms = max(self._last_ms, since * _WINDOW_MS - lag_ms)
        return VadEdge(self._speaking, self._last_ms)


@functools.cache
def _network() -> _Network:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # A spinning thread would burn the processor between two windows of 0.1 ms.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    model = resources.files("antiphon.providers.vad").joinpath("models", _MODEL).read_bytes()
    return _Network(
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    )
