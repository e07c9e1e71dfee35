"""Loads of telephone calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.bench.phone_load import PhoneLoad, histogram, run_phone_load

AUDIO = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_ec21e470.flac")


def test_a_histogram_is_what_came_in_between() -> None:
    def reading(*counts: float) -> dict[str, float]:
        edges = ("0.01", "0.02", "0.05", "+Inf")
        return {f'late_bucket{{le="{edge}"}}': n for edge, n in zip(edges, counts, strict=True)}

    before, after = reading(5, 5, 5, 5), reading(95, 103, 105, 105)
    assert histogram([before], [after], "late") == {
        "count": 100, "p50": 5.56, "p99": 35.0, "p99.9": 48.5, "within_20_ms": 0.98,
    }  # fmt: skip
    beyond = histogram([reading(0, 0, 0, 0)], [reading(0, 0, 0, 4)], "late")
    assert beyond["p50"] is None, "nothing is known beyond the last edge"
    assert histogram([before], [before], "late")["count"] == 0
    both = histogram([before, before], [after, after], "late")
    assert both["count"] == 200


@pytest.mark.e2e
async def test_calls_to_a_real_server() -> None:
    load = PhoneLoad((AUDIO,), calls=2, seconds=14.0, vad="energy")
    said: list[str] = []
    figures = await run_phone_load(load, said.append)
    assert figures["calls"] == 2
    assert figures["ended"] == {"the caller hung up": 2}
    assert not figures["protocol_errors"]
    assert not figures["not_connected"]
    assert figures["first_audio_ms"]["count"] >= 2
    assert figures["clear_ms"]["count"] >= 1
    assert figures["calls_left"] == 0
    assert figures["server_frame_late"]["count"] > 500
    assert figures["rss_mb_one_call"] > 20
    assert figures["heard"]["interrupted"] >= 1
    assert len(said) == 3
