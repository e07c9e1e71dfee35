"""A small part of `bench/fuzz_phone.py`: 20,000 broken SIP, RTP and media stream messages."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.timeout(240)
def test_nothing_breaks_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    fuzz = importlib.import_module("fuzz_phone")
    result = fuzz.run(20_000, 20_000, list(fuzz.TARGETS), lambda text: None)
    assert result.failures == []
    assert sum(result.inputs.values()) == 20_000
    assert all(tasks == 1 for _, tasks in result.objects)
    assert result.growth < 2000
