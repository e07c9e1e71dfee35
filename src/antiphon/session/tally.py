"""What one call adds to the process's metrics, taken from its events and commands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from antiphon.agent.config import AgentConfig
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import Usage

log = logging.getLogger(__name__)


class Tally:
    """Counts what happens in a call. It sees every event, and every command before it is done.

    Args:
        call_id: for the log.
        config: the agent's.
        spoken: whether the call has audio.
        metrics: counted here.
        usage: tokens that a response has cost so far.
    """

    def __init__(
        self,
        call_id: str,
        config: AgentConfig,
        spoken: bool,
        metrics: Metrics,
        usage: Callable[[int], Usage],
    ) -> None:
        self._call_id, self._config, self._spoken = call_id, config, spoken
        self._metrics, self._usage = metrics, usage
        self._llm = self._voice = 0  # which of them are in use
        self._events: dict[type[e.Event], Callable[[Any], None]] = {
            e.TranscriptionFailed: lambda event: self._failed("stt", event.reason),
            e.GenerationFailed: lambda event: self._failed("llm", event.reason),
            e.SynthesisFailed: lambda event: self._failed("tts", event.reason),
        }
        self._commands: dict[type[c.Command], Callable[[Any], None]] = {
            c.StartGeneration: self._on_generation,
            c.SynthesizeText: self._on_text,
            c.ReportLatency: self._on_latency,
            c.ReportOverlap: self._on_overlap,
            c.ReportSpeculation: self._on_speculation,
            c.ReportTurn: self._on_turn,
        }

    def event(self, event: e.Event) -> None:
        """The engine has been told of it."""
        if (count := self._events.get(type(event))) is not None:
            count(event)

    def command(self, command: c.Command) -> None:
        """It is about to be carried out."""
        if (count := self._commands.get(type(command))) is not None:
            count(command)

    def _on_generation(self, command: c.StartGeneration) -> None:
        self._llm = command.attempt

    def _on_text(self, command: c.SynthesizeText) -> None:
        self._voice = command.voice

    def _on_latency(self, command: c.ReportLatency) -> None:
        self._metrics.turn_answered(command.total_ms)
        self._metrics.turn_ended(dict(command.contributions)["endpointing"])

    def _on_turn(self, command: c.ReportTurn) -> None:
        if command.outcome == "answered" and not self._spoken:
            self._metrics.turn_answered()

    def _on_overlap(self, command: c.ReportOverlap) -> None:
        if command.decision == "stop":
            self._metrics.interrupted()
        elif command.decision == "resume":
            self._metrics.interrupted(false=True)

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
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
            "llm": config.brains[self._llm :],
            "tts": config.voices[self._voice :],
        }
        provider = named[kind][0].provider if named[kind] else "recorded"
        self._metrics.provider_failed(kind, provider)
        log.warning("%s %s failed: %s", kind, provider, why, extra={"call_id": self._call_id})
