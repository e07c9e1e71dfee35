"""WebRTC's voice activity detector: a mixture of Gaussians over six bands of the spectrum
(https://webrtc.googlesource.com/src/+/main/common_audio/vad/), by the package `webrtcvad-wheels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import webrtcvad
from pydantic import Field

from antiphon.providers.base import AgentHints, ProviderOptions, Traits, VadEdge
from antiphon.providers.vad._edges import FrameEdges
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

# It goes on hearing speech for so long; the median over 86 recorded turns.
_END_LAG_MS = 60


class WebrtcVadOptions(ProviderOptions):
    """Options of WebRTC's voice activity detector."""

    aggressiveness: Literal[0, 1, 2, 3] = Field(
        default=3, description="How much is taken for noise: 0 the least, 3 the most."
    )
    frame_ms: Literal[10, 20, 30] = Field(default=20, description="Length of what is judged.")
    min_speech_ms: int = Field(
        default=120,
        ge=10,
        le=2000,
        description="So much speech within the time of `window_ms` is a beginning.",
    )
    window_ms: int = Field(default=160, ge=10, le=3000, description="Where it is looked for.")
    min_silence_ms: int = Field(
        default=120, ge=10, le=2000, description="Silence as long as this is an end."
    )


class WebrtcVad:
    """The classic detector of browsers: a few microseconds, no model. Takes many noises, and music,
    for speech."""

    Options = WebrtcVadOptions
    traits = Traits()

    def __init__(self, options: WebrtcVadOptions, hints: AgentHints) -> None:
        self._options = options

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def open(self) -> WebrtcVadStream:
        return WebrtcVadStream(self._options)


class WebrtcVadStream:
    """Voice activity of one call."""

    def __init__(self, options: WebrtcVadOptions) -> None:
        frame_ms = options.frame_ms
        self._vad = webrtcvad.Vad(options.aggressiveness)
        self._bytes = INPUT_RATE_HZ * frame_ms // 1000 * 2
        self._pending = b""
        onset, window, hangover = (
            max(1, -(-length // frame_ms))
            for length in (options.min_speech_ms, options.window_ms, options.min_silence_ms)
        )
        self._edges = FrameEdges(frame_ms, onset, max(onset, window), hangover, _END_LAG_MS)

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        """Take 20 ms of 16 kHz mono s16 PCM; return the edges found, oldest first.

        Raises:
            ValueError: not 640 bytes.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")
        data, size = self._pending + pcm, self._bytes
        whole = len(data) // size * size
        self._pending = data[whole:]
        found = []
        for start in range(0, whole, size):
            speech = self._vad.is_speech(data[start : start + size], INPUT_RATE_HZ)
            if (edge := self._edges.advance(bool(speech))) is not None:
                found.append(edge)
        return found
