"""What one call adds to the process's metrics and to its own costs, taken from its events and
commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from antiphon.agent.config import AgentConfig
from antiphon.channels.base import Call
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import Usage
from antiphon.session import notices
from antiphon.session.spending import Spending

log = logging.getLogger(__name__)


class Tally:
    """Counts what happens in a call. It sees every event, and every command once it is done.

    Args:
        call_id: for the log.
        config: the agent's.
        call: told what it costs.
        metrics: counted here.
        usage: tokens that a response has cost so far.
        spending: the call's costs; None where nobody wants to know them.
        post: told when a budget is reached.
    """

    def __init__(
        self,
        call_id: str,
        config: AgentConfig,
        call: Call,
        metrics: Metrics,
        usage: Callable[[int], Usage],
        spending: Spending | None,
        post: Callable[[e.Event], None],
    ) -> None:
        self._call_id, self._config, self._call = call_id, config, call
        self._metrics, self._usage, self._spending, self._post = metrics, usage, spending, post
        self._llm = self._voice = 0  # which of them are in use
        self._events: dict[type[e.Event], Callable[[Any], None]] = {
            e.TranscriptionFailed: lambda event: self._failed("stt", event.reason),
            e.GenerationFailed: lambda event: self._failed("llm", event.reason),
            e.SynthesisFailed: lambda event: self._failed("tts", event.reason),
            e.AudioSynthesized: self._on_audio,
            e.SegmentSynthesized: self._on_audio,
        }
        self._commands: dict[type[c.Command], Callable[[Any], None]] = {
            c.StartGeneration: self._on_generation,
            c.SynthesizeText: self._on_text,
            c.ReportLatency: self._on_latency,
            c.ReportOverlap: self._on_overlap,
            c.ReportSpeculation: self._on_speculation,
            c.ReportTurn: self._on_turn,
            c.ReportBudget: self._on_budget,
        }
        if spending is not None:
            self._commands |= {
                c.BeginUtterance: lambda k: spending.utterance_begun(
                    k.utterance_id, k.speech_at_ms
                ),
                c.EndUtterance: lambda k: spending.utterance_ended(k.utterance_id),
                c.ReportResponse: self._on_response,
            }

    def event(self, event: e.Event) -> None:
        """The engine has been told of it."""
        if (count := self._events.get(type(event))) is not None:
            count(event)
        if self._spending is not None:
            self._spending.at(event.at_ms)
            for level, scope in self._spending.reached():
                self._post(e.BudgetReached(event.at_ms, level, scope))

    def command(self, command: c.Command) -> None:
        """It has been carried out, or is under way."""
        if (count := self._commands.get(type(command))) is not None:
            count(command)

    def voiced(self, command: c.SynthesizeText, characters: int) -> None:
        """The voice was given so much for a segment."""
        if self._spending is not None:
            self._spending.voiced(command.response_id, command.voice, characters)

    def close(self, reason: str) -> None:
        """The call is over: keep what it has cost, and tell."""
        if self._spending is not None:
            bill = self._spending.close(self._call_id, reason)
            self._call.notify(notices.cost(bill, final=True))

    def _on_generation(self, command: c.StartGeneration) -> None:
        self._llm = command.attempt

    def _on_text(self, command: c.SynthesizeText) -> None:
        self._voice = command.voice

    def _on_latency(self, command: c.ReportLatency) -> None:
        self._metrics.turn_answered(command.total_ms)
        self._metrics.turn_ended(dict(command.contributions)["endpointing"])

    def _on_turn(self, command: c.ReportTurn) -> None:
        if command.outcome == "answered" and not self._call.has_audio:
            self._metrics.turn_answered()

    def _on_overlap(self, command: c.ReportOverlap) -> None:
        if command.decision == "stop":
            self._metrics.interrupted()
        elif command.decision == "resume":
            self._metrics.interrupted(false=True)

    def _on_audio(self, event: e.AudioSynthesized | e.SegmentSynthesized) -> None:
        if self._spending is not None:
            self._spending.sounded(
                event.response_id, event.segment_id, event.duration_ms, self._voice
            )

    def _on_response(self, command: c.ReportResponse) -> None:
        if self._spending is not None and command.status != "in_progress":
            self._call.notify(notices.cost(self._spending.bill()))

    def _on_budget(self, command: c.ReportBudget) -> None:
        agent, level, scope = self._config.name, command.level, command.scope
        self._metrics.budget_reached(agent, scope, level)
        log.warning(
            "budget of %s reached: %s, agent %s", scope, level, agent,
            extra={"call_id": self._call_id},
        )  # fmt: skip

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
        if self._spending is not None and command.outcome == "dropped":
            self._spending.meter.drop(command.response_id)
        usage = self._usage(command.response_id)
        self._metrics.speculated(
            command.outcome,
            command.written,
            command.voiced,
            usage.input_tokens,
            usage.output_tokens,
        )

    def _failed(self, kind: str, why: str) -> None:
        config = self._config
        named = {
            "stt": config.recognisers[-1:],
            "llm": (*config.realtimes, *config.brains)[self._llm :],
            "tts": (*config.realtimes, *config.voices)[self._voice :],
        }
        provider = named[kind][0].provider if named[kind] else "recorded"
        self._metrics.provider_failed(kind, provider)
        log.warning("%s %s failed: %s", kind, provider, why, extra={"call_id": self._call_id})
