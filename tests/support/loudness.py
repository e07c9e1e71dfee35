"""Sounds that the models made for tests hear as words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from antiphon.types import FRAME_BYTES

QUIET, YES, NO = 0, 1000, 10_000


def sound(*parts: tuple[int, int]) -> Iterator[bytes]:
    """Frames of noise: amplitude and frames of each part."""
    random = np.random.default_rng(7)
    for amplitude, frames in parts:
        for _ in range(frames):
            noise = random.normal(0, amplitude, FRAME_BYTES // 2).clip(-32_768, 32_767)
            yield noise.astype(np.int16).tobytes()
