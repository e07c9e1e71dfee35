"""Loads of telephone calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.bench.phone_load import PhoneLoad, run_phone_load

AUDIO = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_ec21e470.flac")


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
