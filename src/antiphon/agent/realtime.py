"""What holds for an agent that has a speech-to-speech model."""

from __future__ import annotations

from dataclasses import replace

from antiphon.agent.config import AgentConfig
from antiphon.providers import registry

DECIDES_MS = 2500
"""A vendor that ends the caller's turns itself has at least so long for it."""


def for_realtime(config: AgentConfig) -> AgentConfig:
    """The configuration that the agent runs with: no answer is prepared, since the model has one
    conversation only; its text is left as it is written, so that it is found again in what it says;
    and a model that ends the caller's turns itself does so."""
    if config.realtime is None:
        return config
    model = registry.provider_class("realtime", config.realtime.provider)
    turn = config.turn
    ends = turn.endpointing
    if model.decides_turns:
        limit_ms = max(ends.stt_deadline_ms, DECIDES_MS)
        ends = replace(ends, mode="stt", stt_deadline_ms=limit_ms)
    speculation = replace(turn.speculation, prepare="nothing")
    return config.model_copy(
        update={
            "turn": replace(turn, endpointing=ends, speculation=speculation),
            "speech": config.speech.model_copy(update={"as_written": True}),
        }
    )
