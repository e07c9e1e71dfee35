"""Callers over WebRTC, against a server that is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.bench.rtc_client import Callers, Job, run_job

from .rtc_double import Server, stock_server

AUDIO = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_ec21e470.flac")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with stock_server() as made:
        yield made


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.bench.rtc_client.SETTLE_S", 0.3)


async def test_both_sides_hear_each_other(server: Server) -> None:
    job = Job((server.url,), (AUDIO,), calls=3, seconds=1.0, spread_s=0.05)
    figures = await Callers(job).run()
    assert (figures["calls"], figures["connected"], figures["lost"]) == (3, 2, 0)
    assert figures["failed"] == {"503: All lines are busy.": 1}
    assert figures["silent_calls"] == 0
    assert figures["audible"] > 0.9
    assert figures["connected_ms"]["count"] == figures["first_audio_ms"]["count"] == 2
    assert 60 < figures["packets"] < 140
    assert figures["gap_ms"]["count"] > 50
    assert 10 < figures["gap_ms"]["p50"] < 30
    assert figures["missing"] == figures["jumps"] == 0
    assert max(server.levels) > 200, "the server hears the recording"
    assert '{"type": "antiphon.hang_up"}' in server.messages


async def test_through_a_bad_network(server: Server) -> None:
    job = Job((server.url,), (AUDIO,), calls=1, seconds=1.0, loss=0.05, jitter_ms=5.0, events=False)
    figures = await Callers(job).run()
    assert figures["connected"] == 1
    assert figures["missing"] > 0
    assert figures["network"]["lost"] > 0


async def test_who_is_not_there_is_told() -> None:
    job = Job(("http://127.0.0.1:9",), (AUDIO,), calls=1, seconds=0.1)
    figures = await Callers(job).run()
    assert figures["failed"] == {"no answer: ConnectError": 1}
    apart = await run_job(replace(job, quiet=True), lambda stage: None)
    assert apart["failed"] == {"no answer: ConnectError": 1}
