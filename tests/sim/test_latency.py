"""Published latencies."""

from __future__ import annotations

from random import Random

from antiphon.sim.latency import LLM_FIRST, STT_FINAL, TTS_FIRST, Latency


def test_median_and_tail_are_as_published() -> None:
    rng, latency = Random(1), Latency(637, 1615)
    drawn = sorted(latency.draw(rng) for _ in range(20_000))
    assert 610 < drawn[10_000] < 665
    assert 1500 < drawn[19_000] < 1730
    assert drawn[-1] > 3000
    assert drawn[0] > 0


def test_there_are_fast_and_slow_ones_of_each() -> None:
    for kind in (STT_FINAL, LLM_FIRST, TTS_FIRST):
        medians = [sorted(x.draw(Random(n)) for n in range(99))[49] for x in kind]
        assert medians == sorted(medians)
