"""Telephone keys as tones (DTMF, ITU-T Q.23): making them, and finding them in sound."""

from __future__ import annotations

import functools

import numpy as np

LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477, 1633)
KEYPAD = ("123A", "456B", "789C", "*0#D")
TONE_MS, GAP_MS, PAUSE_MS = 100, 60, 500
PAUSE = "w"

_LEVEL = 0.2
"""Peak of each of the two tones, of full scale: together -11 dBm0, between the -9 and -14 or so
that networks expect (ITU-T Q.24)."""
_RAMP_MS = 2
_PLACE = {key: (row, column) for row, keys in enumerate(KEYPAD) for column, key in enumerate(keys)}

_BLOCK_S = 0.0256
_QUIET = 0.0025
"""RMS of full scale below which nothing is looked for: about -52 dBFS."""
_OFF = (0.988, 1.0, 1.012)
"""Tones may be 1.5 % off (ITU-T Q.24, table 1), more than one filter takes."""
_SHARE = 0.8
"""Of a block's energy that has to be in the two tones. Speech has most of it elsewhere."""
_LIKELY = 0.3
"""The same at the exact frequencies, below which it is not worth looking further."""
_OTHERS = 0.16
"""Power of the next tone of a group, of the strongest's: -8 dB."""
_TWIST_DB = (-9.0, 9.0)
"""The high tone's level above the low one's."""
_BLOCKS = 3
"""Blocks in a row that have to agree: at least 52 ms of the key."""
_GAP_BLOCKS = 3


def tones(digits: str, rate_hz: int) -> bytes:
    """The sound of keys, s16 PCM: 100 ms of each of `0-9*#A-D` and 60 ms of silence, 500 ms of
    silence for `w`. Other characters mean nothing. Its length is a multiple of 20 ms."""
    return b"".join(
        bytes(rate_hz * PAUSE_MS // 1000 * 2) if key == PAUSE else _tone(key, rate_hz)
        for key in digits.upper().replace("W", PAUSE)
        if key == PAUSE or key in _PLACE
    )


@functools.cache
def _tone(key: str, rate_hz: int) -> bytes:
    row, column = _PLACE[key]
    at = np.arange(rate_hz * TONE_MS // 1000) / rate_hz
    wave = sum(np.sin(2 * np.pi * hz * at) for hz in (LOW_HZ[row], HIGH_HZ[column]))
    ramp = np.minimum(1.0, np.arange(1, len(at) + 1) / (rate_hz * _RAMP_MS / 1000))
    samples = wave * ramp * ramp[::-1] * _LEVEL * 32767
    return np.round(samples).astype("<i2").tobytes() + bytes(rate_hz * GAP_MS // 1000 * 2)


class ToneDetector:
    """Finds keys in a stream of s16 PCM. A key is told once, after about 65 ms of it.

    Args:
        rate_hz: of the sound, at least 8000.
    """

    def __init__(self, rate_hz: int) -> None:
        self._size = round(rate_hz * _BLOCK_S)
        self._hop = self._size // 2 * 2  # in bytes: half a block
        at = np.arange(self._size)
        turn = -2j * np.pi / rate_hz
        # Goertzel's filter at many frequencies is a product with as many waves.
        centres = np.outer(_OFF, (*LOW_HZ, *HIGH_HZ)).ravel()
        waves = np.exp(turn * np.outer(centres, at)).reshape(len(_OFF), -1, self._size)
        self._waves = np.stack((waves.real, waves.imag)).astype(np.float32)
        self._exact = np.ascontiguousarray(self._waves[:, len(_OFF) // 2 :][:, :1])
        self._rest = b""
        self._key, self._count, self._gap = "", 0, _GAP_BLOCKS
        self._told = ""

    @property
    def sounding(self) -> bool:
        """Whether the last sound was a key's."""
        return self._count > 0

    def feed(self, pcm: bytes) -> str:
        """The keys that are found now, mostly none."""
        self._rest += pcm
        found = ""
        while len(self._rest) >= self._size * 2:
            block = np.frombuffer(self._rest, "<i2", self._size).astype(np.float32) / 32768
            self._rest = self._rest[self._hop :]
            found += self._hear(self._listen(block))
        return found

    def _hear(self, key: str) -> str:
        if not key:
            self._gap += 1
            self._key, self._count = "", 0
            if self._gap >= _GAP_BLOCKS:
                self._told = ""
            return ""
        self._gap = 0
        self._count = self._count + 1 if key == self._key else 1
        self._key = key
        if self._count != _BLOCKS or key == self._told:
            return ""
        self._told = key
        return key

    def _listen(self, block: np.ndarray) -> str:
        """The key that a block is the sound of."""
        energy = float(np.dot(block, block))
        if energy < _QUIET**2 * self._size:
            return ""
        # A sine of the whole block has |X|^2 = energy * size / 2.
        whole = energy * self._size / 2
        power = _power(self._exact, block)
        if power[:4].max() + power[4:].max() < _LIKELY * whole:
            return ""
        power = _power(self._waves, block)
        low, high = power[:4], power[4:]
        row, column = int(np.argmax(low)), int(np.argmax(high))
        if low[row] + high[column] < _SHARE * whole:
            return ""
        if np.partition(low, -2)[-2] > _OTHERS * low[row]:
            return ""
        if np.partition(high, -2)[-2] > _OTHERS * high[column]:
            return ""
        twist = 10 * float(np.log10(high[column] / max(float(low[row]), 1e-12)))
        return KEYPAD[row][column] if _TWIST_DB[0] <= twist <= _TWIST_DB[1] else ""


def _power(waves: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Of each of the eight tones. `waves` is (2, variants, 8, samples)."""
    # Not `@`: its library may wake threads, which for so little costs more than it saves.
    parts = np.einsum("pvts,s->pvt", waves, block)
    return np.asarray((parts**2).sum(axis=0).max(axis=0))
