"""What the process counts, for Prometheus. No names, numbers or words of callers are in here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_INTERVAL_S = 0.05
Refusal = Literal["capacity", "lag", "busy", "bad_request", "origin"]
"""Why a call was not taken."""

_LATENCY_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
_DELAY_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
_FRAME_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
_LAG_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """One set of counters. The process has one (`METRICS`); tests make their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._active = Gauge("antiphon_calls_active", "Calls at this moment.", registry=registry)
        self._calls = Counter(
            "antiphon_calls", "Calls taken.", ["channel", "agent"], registry=registry
        )
        self._refused = Counter(
            "antiphon_calls_refused", "Calls not taken.", ["reason"], registry=registry
        )
        self._turns = Counter("antiphon_turns", "Turns of callers answered.", registry=registry)
        self._answer = Histogram(
            "antiphon_answer_latency_seconds",
            "From the end of the caller's speech to the first sample of the answer.",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self._endpoint = Histogram(
            "antiphon_end_of_turn_delay_seconds",
            "From the end of the caller's speech to the decision that the turn is over.",
            buckets=_DELAY_S,
            registry=registry,
        )
        self._interruptions = Counter(
            "antiphon_interruptions", "Answers stopped by the caller.", registry=registry
        )
        self._false_interruptions = Counter(
            "antiphon_false_interruptions",
            "Answers lowered or paused for a sound that was no interruption.",
            registry=registry,
        )
        self._speculations = Counter(
            "antiphon_speculations",
            "Answers begun before the caller's turn was over, adopted or dropped.",
            ["outcome"],
            registry=registry,
        )
        self._wasted = Counter(
            "antiphon_speculation_wasted",
            "What dropped ones have cost: characters written and voiced, tokens in and out.",
            ["unit"],
            registry=registry,
        )
        self._add_money(registry)
        self._add_lines(registry)
        self._add_telephone(registry)
        self._provider_errors = Counter(
            "antiphon_provider_errors",
            "Failures of providers.",
            ["kind", "provider"],
            registry=registry,
        )
        self._add_loop(registry)

    def _add_loop(self, registry: CollectorRegistry) -> None:
        self._lag_listeners: list[Callable[[float, float], None]] = []
        self._lag = Histogram(
            "antiphon_loop_lag_seconds",
            "How late the event loop woke up; 20 ms is one audio frame.",
            buckets=_LAG_S,
            registry=registry,
        )
        self._lag_now = Gauge(
            "antiphon_loop_lag_latest_seconds", "The latest such delay.", registry=registry
        )
        self._busy = Gauge(
            "antiphon_loop_busy_ratio",
            "How much of a core the event loop's thread has used over the last two seconds.",
            registry=registry,
        )

    def _add_money(self, registry: CollectorRegistry) -> None:
        self._cost = Counter(
            "antiphon_cost_dollars",
            "What calls have cost, by the price book; what has no price there is missing.",
            ["agent", "part"],
            registry=registry,
        )
        self._budgets = Counter(
            "antiphon_budgets_reached",
            "Levels of budgets that calls have reached, and calls refused for the day's.",
            ["agent", "scope", "level"],
            registry=registry,
        )

    def _add_lines(self, registry: CollectorRegistry) -> None:
        self._sound = Counter(
            "antiphon_lost_sound_seconds",
            "Sound of callers that was lost on the way: recovered from a copy, or concealed.",
            ["how"],
            registry=registry,
        )
        self._outages = Counter(
            "antiphon_line_outages",
            "How often a caller was out of reach, and came back or not.",
            registry=registry,
        )

    def _add_telephone(self, registry: CollectorRegistry) -> None:
        self._forged = Counter(
            "antiphon_phone_requests_refused",
            "Requests of telephone companies that were forged, stale or sent twice.",
            ["vendor", "reason"],
            registry=registry,
        )
        self._frame = Histogram(
            "antiphon_frame_late_seconds",
            "How late 20 ms of audio went out to a caller.",
            buckets=_FRAME_S,
            registry=registry,
        )
        self._dialed = Counter(
            "antiphon_outbound_calls",
            "Calls that were ordered, by what became of them or the rule that refused them.",
            ["outcome"],
            registry=registry,
        )
        self._transfers = Counter(
            "antiphon_transfers", "Callers passed on to a person.", ["outcome"], registry=registry
        )

    def phone_request_refused(self, vendor: str, reason: str) -> None:
        self._forged.labels(vendor, reason).inc()

    def frame_late(self, late_s: float) -> None:
        self._frame.observe(late_s)

    def line_closed(self, recovered_ms: int, concealed_ms: int, outages: int) -> None:
        """A call that counts it is over."""
        self._sound.labels("recovered").inc(recovered_ms / 1000)
        self._sound.labels("concealed").inc(concealed_ms / 1000)
        self._outages.inc(outages)

    def dialed(self, outcome: str) -> None:
        """`outcome` is a line's status, or `refused_` and the name of the rule."""
        self._dialed.labels(outcome).inc()

    def transferred(self, outcome: str) -> None:
        self._transfers.labels(outcome).inc()

    def calls_active(self, count: int) -> None:
        self._active.set(count)

    def call_started(self, channel: str, agent: str) -> None:
        self._calls.labels(channel, agent).inc()

    def call_refused(self, reason: Refusal) -> None:
        self._refused.labels(reason).inc()

    def turn_answered(self, latency_ms: float | None = None) -> None:
        """A turn got its answer; `latency_ms` where it was spoken."""
        self._turns.inc()
        if latency_ms is not None:
            self._answer.observe(latency_ms / 1000)

    def turn_ended(self, delay_ms: float) -> None:
        self._endpoint.observe(delay_ms / 1000)

    def interrupted(self, *, false: bool = False) -> None:
        (self._false_interruptions if false else self._interruptions).inc()

    def speculated(
        self, outcome: str, written: int, voiced: int, input_tokens: int, output_tokens: int
    ) -> None:
        """An answer that was begun early was `adopted` or `dropped`."""
        self._speculations.labels(outcome).inc()
        if outcome == "dropped":
            self._wasted.labels("characters_written").inc(written)
            self._wasted.labels("characters_voiced").inc(voiced)
            self._wasted.labels("input_tokens").inc(input_tokens)
            self._wasted.labels("output_tokens").inc(output_tokens)

    def spent(self, agent: str, part: str, dollars: float) -> None:
        """A part of a call has cost so much more."""
        self._cost.labels(agent, part).inc(dollars)

    def budget_reached(self, agent: str, scope: str, level: str) -> None:
        """`level` is `warn`, `cheaper`, `end`, or `refused` for a call that was not taken."""
        self._budgets.labels(agent, scope, level).inc()

    def provider_failed(self, kind: str, provider: str) -> None:
        """`kind` is the entry-point group without its prefix: `stt`, `llm`, `tts`, `vad`."""
        self._provider_errors.labels(kind, provider).inc()

    def on_lag(self, listener: Callable[[float, float], None]) -> Callable[[], None]:
        """Tell a listener each delay of the event loop, in milliseconds, and the loop's time;
        returns what ends that."""
        self._lag_listeners.append(listener)
        return lambda: self._lag_listeners.remove(listener)

    def loop_lagged(self, lag_ms: float, now_s: float) -> None:
        """`now_s` is the loop's time."""
        self._lag.observe(lag_ms / 1000)
        self._lag_now.set(lag_ms / 1000)
        for listener in tuple(self._lag_listeners):
            listener(lag_ms, now_s)

    def loop_busy(self, share: float) -> None:
        """Of a core, what the loop's thread has used lately."""
        self._busy.set(share)

    def render(self) -> bytes:
        """Prometheus' text format, of type `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    async def watch_loop(self, interval_s: float = LAG_INTERVAL_S) -> None:
        """Measure the event loop until cancelled. One task per process."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + interval_s
            await asyncio.sleep(interval_s)
            now_s = loop.time()
            self.loop_lagged(max(0.0, now_s - due_s) * 1000, now_s)


METRICS = Metrics()
"""The process's own."""
