"""How long providers take, as published: a median and a 95th percentile of a lognormal."""

from __future__ import annotations

from math import exp, log
from random import Random
from statistics import NormalDist

_STEPS = 256
_P95 = NormalDist().inv_cdf(0.95)


class Latency:
    """Milliseconds with a long tail, drawn from a table: quick, and the same on every machine."""

    __slots__ = ("_table",)

    def __init__(self, p50_ms: int, p95_ms: int) -> None:
        normal, spread = NormalDist(), log(p95_ms / p50_ms) / _P95
        self._table = tuple(
            round(p50_ms * exp(normal.inv_cdf((step + 0.5) / _STEPS) * spread))
            for step in range(_STEPS)
        )

    def draw(self, rng: Random) -> int:
        """One of them."""
        return self._table[int(rng.random() * _STEPS)]


# From the end of the caller's speech to the final transcript: a fast and a usual service, and a
# model of our own on a busy machine.
STT_FINAL = (Latency(221, 238), Latency(247, 298), Latency(330, 620))
# From the request to the first text: a small model on fast hardware, a middling one, a large one.
LLM_FIRST = (Latency(98, 217), Latency(350, 800), Latency(637, 1615))
# From the text of a segment to its first sound.
TTS_FIRST = (Latency(150, 210), Latency(220, 290), Latency(290, 420))
