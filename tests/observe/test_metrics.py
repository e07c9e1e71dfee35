from __future__ import annotations

import asyncio
import contextlib

from antiphon.observe.metrics import Metrics


def test_counts() -> None:
    metrics = Metrics()
    metrics.calls_active(3)
    metrics.call_started("webrtc", "cafe")
    metrics.turn_answered(450)
    metrics.turn_answered()
    metrics.turn_ended(210)
    metrics.interrupted()
    metrics.interrupted(false=True)
    metrics.provider_failed("stt", "pocketsphinx")
    text = metrics.render().decode()
    for line in (
        "antiphon_calls_active 3.0",
        'antiphon_calls_total{agent="cafe",channel="webrtc"} 1.0',
        "antiphon_turns_total 2.0",
        'antiphon_answer_latency_seconds_bucket{le="0.4"} 0.0',
        'antiphon_answer_latency_seconds_bucket{le="0.5"} 1.0',
        "antiphon_end_of_turn_delay_seconds_sum 0.21",
        "antiphon_interruptions_total 1.0",
        "antiphon_false_interruptions_total 1.0",
        'antiphon_provider_errors_total{kind="stt",provider="pocketsphinx"} 1.0',
    ):
        assert line in text


async def test_the_loop_is_watched() -> None:
    metrics = Metrics()
    told: list[tuple[float, float]] = []
    forget = metrics.on_lag(lambda lag_ms, now_s: told.append((lag_ms, now_s)))
    watching = asyncio.create_task(metrics.watch_loop(interval_s=0.001))
    async with asyncio.timeout(20):
        while len(told) < 3:  # noqa: ASYNC110 - a listener is no event
            await asyncio.sleep(0.001)
    forget()
    count = len(told)
    await asyncio.sleep(0.01)
    assert len(told) == count
    assert all(lag_ms >= 0 for lag_ms, _ in told)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert "antiphon_loop_lag_seconds_count 0.0" not in metrics.render().decode()
