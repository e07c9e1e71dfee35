"""Recordings as a caller's line sends them, and when they are spoken."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from antiphon.bench.phone_wire import FRAME_BYTES

RATE_HZ = 8000
SILENCE = base64.b64encode(b"\xff" * FRAME_BYTES).decode()
_BELOW_LOUD = 10 ** (-25 / 20)
_LEAST = 104.0  # -50 dBFS
_STEADY = 5


@dataclass(frozen=True, slots=True)
class Speech:
    """A recording in frames of 20 ms, base64 of mu-law, with the numbers of the first and the last
    in which somebody speaks: at most 25 dB below the loudest, above -50 dBFS, and for a tenth of a
    second, as a click or a breath is not where speech begins."""

    frames: tuple[str, ...]
    first: int
    last: int

    @classmethod
    def of(cls, pcm: bytes) -> Speech:
        """S16 PCM at 8 kHz."""
        # It loads numpy; the command line imports this module for its types.
        from antiphon.audio.g711 import encode

        size = FRAME_BYTES * 2
        pcm += bytes(-len(pcm) % size)
        pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
        levels = [math.sqrt(sum(x * x for x in array("h", one)) / FRAME_BYTES) for one in pieces]
        least = max(_LEAST, max(levels, default=0.0) * _BELOW_LOUD)
        loud = _steady([level >= least for level in levels]) or [0]
        frames = tuple(base64.b64encode(encode(piece, "mulaw")).decode() for piece in pieces)
        return cls(frames, loud[0], loud[-1])

    def trimmed(self) -> Speech:
        """Without most of the silence at both ends."""
        begin = max(0, self.first - 10)
        frames = self.frames[begin : self.last + 6]
        return Speech(frames, self.first - begin, self.last - begin)

    @classmethod
    def read(cls, path: Path) -> Speech:
        """From a file of any kind and rate.

        Raises:
            UserFacingError: it cannot be read.
        """
        from antiphon.audio.wav import read_pcm

        return cls.of(read_pcm(path, RATE_HZ))


def _steady(loud: list[bool]) -> list[int]:
    """Frames of runs that are long enough; all that are loud where no run is."""
    found = [
        at
        for at, is_loud in enumerate(loud)
        if is_loud and _run(loud, at, -1) + _run(loud, at, 1) - 1 >= _STEADY
    ]
    return found or [at for at, is_loud in enumerate(loud) if is_loud]


def _run(loud: list[bool], at: int, step: int) -> int:
    length = 0
    while 0 <= at < len(loud) and loud[at] and length < _STEADY:
        at, length = at + step, length + 1
    return length


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller says, and when: when the agent has finished, or with `barge_in_ms` so long
    after the agent's first sound, whatever it says."""

    speech: Speech
    barge_in_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a caller does.

    Each turn begins `lead_ms` after the agent has finished; the first after the greeting, or after
    `patience_ms` without one. An answer is waited for as long, and the call's end for `linger_ms`
    after the agent's last sound. `keys` are pressed before the first turn. With `repeat` the turns
    begin anew until `longest_ms`; a call ends after that in any case.
    """

    turns: Sequence[Turn] = ()
    lead_ms: int = 400
    linger_ms: int = 1500
    patience_ms: int = 8000
    keys: str = ""
    hang_up_after_ms: int | None = None
    longest_ms: int = 600_000
    repeat: bool = False

    @property
    def limit_ms(self) -> int:
        """When the caller hangs up at the latest."""
        return min(self.longest_ms, self.hang_up_after_ms or self.longest_ms)
