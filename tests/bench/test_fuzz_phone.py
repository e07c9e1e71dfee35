"""A small part of `bench/fuzz_phone.py`: 20,000 broken SIP, RTP and media stream messages."""

from __future__ import annotations

import pytest
from bench import fuzz_phone as fuzz


@pytest.mark.timeout(240)
def test_nothing_breaks_and_nothing_is_left() -> None:
    result = fuzz.run(20_000, 20_000, list(fuzz.TARGETS), lambda text: None)
    assert result.failures == []
    assert sum(result.inputs.values()) == 20_000
    assert all(tasks == 1 for _, tasks in result.objects)
    assert result.growth < 2000
