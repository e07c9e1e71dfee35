"""Figures of calls over WebRTC."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from antiphon.bench.rtc_figures import RtcCall, gap_figures, problems, summarize, text_of
from antiphon.bench.rtc_heard import TICKS, Arrivals

SPREAD = {"count": 1, "p50": 1.0, "p99": 2.0, "p99.9": 3.0}
MEASURED: dict[str, Any] = {
    "seconds": 5.0,
    "processes": 1,
    "vad": "silero",
    "quiet_agent": False,
    "network": {"passed": 0, "lost": 0},
    "server_frame_late": SPREAD,
    "server_loop_lag": SPREAD,
    "server_cpu_per_call_s": 0.0101,
    "server_cores": 0.1,
    "client_cores": 0.1,
    "rss_mb_one_call": 150.0,
    "rss_mb_all_calls": 160.0,
    "rss_mb_per_further_call": 0.5,
    "calls_left": 0.0,
    "provider_errors": 0,
    "server_complaints": [],
}


def call(gap_ms: float, packets: int, sound_s: float = 10.3) -> RtcCall:
    arrivals = Arrivals()
    for number in range(packets):
        arrivals.add(number, number * TICKS, 100, 10 + number * gap_ms / 1000)
    peer = SimpleNamespace(
        arrivals=arrivals,
        connected_s=10.05,
        sound_s=sound_s,
        decodes=True,
        looked_at=100,
        audible=90 if sound_s else 0,
        messages=3,
    )
    return RtcCall(cast("Any", peer), offered_s=10.0, answered_s=10.02)


def test_all_calls_together() -> None:
    calls = [call(20, 101), call(22, 101), RtcCall(failed="503: all lines are busy")]
    figures = summarize(calls, [1.0, 2.0, 3.0])
    assert (figures["calls"], figures["connected"]) == (3, 2)
    assert figures["failed"] == {"503: all lines are busy": 1}
    assert figures["gap_ms"]["count"] == 200
    assert figures["gap_ms"]["p99"] == 22.0
    assert figures["gap_p99_worst_call_ms"] == 22.0
    assert round(figures["connected_ms"]["p50"]) == 50
    assert round(figures["first_audio_ms"]["p50"]) == 300
    assert figures["audible"] == 0.9
    assert figures["bytes_per_packet"] == 100


def test_nothing_measured_is_no_number() -> None:
    assert gap_figures([]) == {"count": 0, "p50": None, "p99": None, "p99.9": None, "max": None}
    figures = {**summarize([], []), **MEASURED}
    assert "to the first sound: none" in text_of(figures)
    assert not problems(figures)


def test_what_people_read() -> None:
    figures = {**summarize([call(20, 50)], []), **MEASURED}
    said = text_of(figures)
    assert "1 of 1 connected" in said
    assert "10.10 ms per second of a call" in said
    assert "network" not in said
    figures["network"] = {"passed": 95, "lost": 5}
    assert "network: 5 lost of 100" in text_of(figures)


def test_what_must_not_be() -> None:
    lost = call(20, 50)
    lost.lost = True
    bad = [lost, call(20, 50, sound_s=0.0), RtcCall(failed="no answer")]
    figures = {**summarize(bad, []), **MEASURED, "calls_left": 2.0, "provider_errors": 1}
    assert len(problems(figures)) == 5
    assert text_of(figures).count("PROBLEM") == 5
    figures["quiet_agent"] = True
    assert len(problems(figures)) == 4
