"""G.711, the telephone's code: a byte for a sample, mu-law or A-law, by table.

Made from the definitions in ITU-T G.711 (11/88), tables 1 and 2.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Law = Literal["mulaw", "alaw"]

SILENCE: dict[Law, int] = {"mulaw": 0xFF, "alaw": 0xD5}
"""The byte of a sample that is nothing."""


def decode(payload: bytes, law: Law) -> bytes:
    """Code to s16 PCM of twice its length."""
    return _DECODE[law][np.frombuffer(payload, np.uint8)].tobytes()


def encode(pcm: bytes, law: Law) -> bytes:
    """S16 PCM to code of half its length.

    Raises:
        ValueError: half a sample.
    """
    return _ENCODE[law][np.frombuffer(pcm, np.uint16)].tobytes()


def _mulaw_value(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _alaw_value(code: int) -> int:
    code ^= 0x55
    segment, step = (code & 0x70) >> 4, (code & 0x0F) << 4
    magnitude = step + 8 if segment == 0 else step + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def _encode_table(values: list[int]) -> np.ndarray:
    """The nearest code of every 16-bit sample."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    order = np.argsort(np.array(values), kind="stable")
    levels = np.array(values)[order]
    above = np.clip(np.searchsorted(levels, samples), 1, len(levels) - 1)
    lower, upper = levels[above - 1], levels[above]
    nearest = np.where(samples - lower < upper - samples, above - 1, above)
    return order[nearest].astype(np.uint8)


_VALUES: dict[Law, list[int]] = {
    "mulaw": [_mulaw_value(code) for code in range(256)],
    "alaw": [_alaw_value(code) for code in range(256)],
}
_DECODE = {law: np.array(values, dtype=np.int16) for law, values in _VALUES.items()}
_ENCODE = {law: _encode_table(values) for law, values in _VALUES.items()}
for _law, _code in SILENCE.items():
    _ENCODE[_law][0] = _code  # mu-law has two codes for nothing
