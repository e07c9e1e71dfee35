"""The measure of speech that arrived: it finds what is there, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.delivered import FRAME, delivered
from tests.support.microphone import speech

SAID = speech(("s2i_ec21e470",), 0.2)
SPOKEN = delivered(SAID, SAID)


def test_what_arrives_whole() -> None:
    assert SPOKEN.share == 1.0
    assert 40 < SPOKEN.said < 190
    late = np.concatenate([np.zeros(12_345, np.int16), SAID // 2])
    assert delivered(SAID, late).share == 1.0, "later and softer is as good"
    early = np.concatenate([SAID[2_000:], SAID[:100]])
    assert delivered(SAID, early).share > 0.95


def test_what_does_not_arrive() -> None:
    assert delivered(SAID, np.zeros_like(SAID)).share == 0.0
    noise = np.random.default_rng(0).normal(0, 2000, len(SAID)).astype(np.int16)
    assert delivered(SAID, noise).share < 0.1


@pytest.mark.parametrize("instead", ["silence", "nothing"])
def test_a_part_that_is_missing(instead: str) -> None:
    """Replaced by silence, or left out so that everything after it comes earlier."""
    loud = np.flatnonzero(np.abs(SAID) > 3000)
    begin = int(loud[len(loud) // 2]) // FRAME * FRAME
    gap = np.zeros(10 * FRAME if instead == "silence" else 0, np.int16)
    found = delivered(SAID, np.concatenate([SAID[:begin], gap, SAID[begin + 10 * FRAME :]]))
    assert 5 <= found.said - found.arrived <= 14
    assert all(begin / 16_000 - 0.1 < at < begin / 16_000 + 0.3 for at in found.missing_at_s)
