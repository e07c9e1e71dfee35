"""Voice activity by loudness alone: what is so much louder than the quiet of the last seconds.

The floor is a low quantile of the levels of the last seconds, so that it follows a room up and
down. People pause often enough that it does not follow them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, ProviderOptions, Traits, VadEdge
from antiphon.providers.vad._edges import FrameEdges
from antiphon.types import FRAME_BYTES, FRAME_MS

_FULL_SCALE = 32768.0
_QUANTILE = 0.15
# The floor is looked for every so many frames; levels change little from one to the next.
_EVERY = 10
_FIRST_FLOOR_DB = -60.0
# The end of a last word is too quiet for it; the median over 86 recorded turns.
_END_LAG_MS = -50
# 50 Hz hum and a microphone's drift are no sound of a voice.
_DIFFERENCE = 0.97


class EnergyVadOptions(ProviderOptions):
    """Options of voice activity by loudness."""

    above_floor_db: float = Field(
        default=8.0, ge=3, le=40, description="So much louder than the noise is speech."
    )
    stays_above_db: float = Field(
        default=4.0, ge=1, le=40, description="Speech goes on while it is so much louder."
    )
    least_db: float = Field(
        default=-50.0, ge=-90, le=-10, description="Quieter than this (dBFS) is never speech."
    )
    floor_s: float = Field(
        default=4.0, ge=1, le=30, description="How far back the noise is looked for."
    )
    min_speech_ms: int = Field(
        default=60, ge=20, le=2000, description="So much speech in a row is a beginning."
    )
    min_silence_ms: int = Field(
        default=200, ge=20, le=2000, description="Silence as long as this is an end."
    )


class EnergyVad:
    """Whatever is louder than the room. For quiet rooms and tests; needs nothing."""

    Options = EnergyVadOptions
    traits = Traits()

    def __init__(self, options: EnergyVadOptions, hints: AgentHints) -> None:
        self._options = options

    async def start(self) -> None:
        """Check the options.

        Raises:
            UserFacingError: `stays_above_db` is above `above_floor_db`.
        """
        options = self._options
        if options.stays_above_db > options.above_floor_db:
            raise UserFacingError(
                f"vad energy: stays_above_db ({options.stays_above_db:g}) must not be above"
                f" above_floor_db ({options.above_floor_db:g})."
            )

    async def aclose(self) -> None: ...

    def open(self) -> EnergyVadStream:
        return EnergyVadStream(self._options)


class EnergyVadStream:
    """Voice activity of one call."""

    def __init__(self, options: EnergyVadOptions) -> None:
        self._options = options
        onset = -(-options.min_speech_ms // FRAME_MS)
        hangover = -(-options.min_silence_ms // FRAME_MS)
        self._edges = FrameEdges(FRAME_MS, onset, onset, hangover, _END_LAG_MS)
        self._levels: deque[float] = deque(maxlen=round(options.floor_s * 1000 / FRAME_MS))
        self._floor = _FIRST_FLOOR_DB
        self._last = 0.0
        self._frames = 0

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        """Take 20 ms of 16 kHz mono s16 PCM; return the edge found, if any.

        Raises:
            ValueError: not 640 bytes.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")
        level = self._level(pcm)
        self._levels.append(level)
        if self._frames % _EVERY == 0:
            ordered = sorted(self._levels)
            self._floor = ordered[int(_QUANTILE * len(ordered))]
        self._frames += 1
        options = self._options
        above = options.stays_above_db if self._edges.speaking else options.above_floor_db
        edge = self._edges.advance(level > max(self._floor + above, options.least_db))
        return () if edge is None else (edge,)

    def _level(self, pcm: bytes) -> float:
        """dBFS of the differences of samples, which are those of the higher sounds."""
        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        sharp = samples - _DIFFERENCE * np.concatenate(([np.float32(self._last)], samples[:-1]))
        self._last = float(samples[-1])
        power = float(np.dot(sharp, sharp)) / len(sharp)
        return 10 * math.log10(power / _FULL_SCALE**2 + 1e-10)
