"""Loads of calls over WebRTC."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.bench.rtc_load import RtcLoad, run_rtc_load

AUDIO = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_ec21e470.flac")


@pytest.mark.e2e
async def test_calls_to_a_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.bench.rtc_load.WARM_S", 1.0)
    load = RtcLoad((AUDIO,), calls=2, seconds=4.0, vad="energy")
    said: list[str] = []
    figures = await run_rtc_load(load, said.append)
    assert (figures["calls"], figures["connected"], figures["lost"]) == (2, 2, 0)
    assert not figures["failed"]
    assert figures["audible"] > 0.5, "the agent talks, whatever the caller says"
    assert figures["gap_ms"]["count"] > 250
    assert figures["missing"] == 0
    assert figures["first_audio_ms"]["count"] == 2
    assert figures["server_cpu_per_call_s"] > 0
    assert figures["server_loop_lag"]["count"] > 10
    assert figures["rss_mb_one_call"] > 20
    assert figures["calls_left"] == 0
    assert figures["provider_errors"] == 0
    assert len(said) == 3
