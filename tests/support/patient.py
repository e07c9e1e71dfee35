"""Agents for machines with too much to do: what their recogniser and their voice need is waited
for, so that a test tells what is done and not how fast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.channels.base import Call, MeasuredCall
from antiphon.engine.policy import TurnPolicy
from antiphon.session.clock import Clock
from antiphon.session.session import Session
from antiphon.session.supervisor import Supervisor

WAITS = {
    # Sound that comes late has pauses that nobody made.
    "endpointing": {"min_ms": 1500, "unknown_ms": 1500, "max_ms": 2500, "stt_deadline_ms": 10_000},
    "dead_air": {"filler_ms": 10_000, "tts_deadline_ms": 30_000, "playback_deadline_ms": 30_000},
    "silence": {"check_in_ms": 120_000},
}
"""As in an agent's file, under `turn`."""


def patient_policy(turn: TurnPolicy) -> TurnPolicy:
    groups = {name: replace(getattr(turn, name), **waits) for name, waits in WAITS.items()}
    return replace(turn, **groups)


def patient(path: Path, **changes: Any) -> LoadedAgent:
    """The agent of a file; `changes` of its configuration are made besides."""
    agent = load_agent(path)
    changes = {"turn": patient_policy(agent.config.turn), **changes}
    return replace(agent, config=agent.config.model_copy(update=changes))


class Watched(Supervisor):
    """Remembers the channel's side of its calls."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.calls: list[Call] = []

    async def start_call(
        self, call: Call, agent: str | None = None, clock: Clock | None = None
    ) -> Session:
        self.calls.append(call)
        return await super().start_call(call, agent, clock)

    def missed_ms(self) -> int:
        """How much of what callers said has not come in time, in all calls: as much was made up."""
        facts = [one.line_facts()["caller"] for one in self.calls if isinstance(one, MeasuredCall)]
        return sum(one["concealed_ms"] + one["recovered_ms"] for one in facts)
