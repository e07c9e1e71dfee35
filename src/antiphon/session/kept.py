"""What is kept of a call: its trace, its costs, its recording, its record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from antiphon.agent.config import AgentConfig
from antiphon.channels.base import Call, CallFacts, MeasuredCall, Telephone
from antiphon.engine.commands import Command
from antiphon.engine.events import Event
from antiphon.session.record import CallRecord, Subject
from antiphon.session.recorder import Recorder, RecordingFolder
from antiphon.session.spending import Spending


class Steps(Protocol):
    """A trace, or somebody else who follows the engine."""

    def step(self, event: Event, commands: Sequence[Command]) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Each is None where nobody wants it."""

    trace: Steps | None = None
    spending: Spending | None = None
    recorder: Recorder | None = None
    record: CallRecord | None = None

    def step(self, event: Event, commands: Sequence[Command]) -> None:
        """The engine was told of an event, and this is to be done about it."""
        if self.trace is not None:
            self.trace.step(event, commands)
        if self.record is not None:
            self.record.event(event)

    def done(self, command: Command) -> None:
        """It has been carried out, or is under way."""
        if self.record is not None:
            self.record.command(command)

    async def aclose(self, reason: str) -> None:
        """The call is over: until all of it is on the disk."""
        if self.recorder is not None:
            await self.recorder.aclose()
        if self.record is not None:
            await self.record.aclose(reason)


class Archive:
    """Where an agent's recordings and the records of its calls are kept: a folder of its own, since
    each agent says for how long."""

    def __init__(self, folder: Path, agent: AgentConfig) -> None:
        name = re.sub(r"[^\w-]+", "-", agent.name).strip("-") or "agent"
        self._agent = agent
        self._recordings = RecordingFolder(folder / name, agent.recording.keep_days)

    def open(
        self, call_id: str, call: Call, now_ms: Callable[[], int]
    ) -> tuple[Recorder | None, CallRecord]:
        """For one call. Only what sounds is recorded, and only where the agent's file says so."""
        wanted = self._agent.recording.enabled and call.has_audio
        recorder = self._recordings.recorder(call_id, now_ms) if wanted else None
        facts = call.facts if isinstance(call, Telephone) else CallFacts()
        line = call.line_facts if isinstance(call, MeasuredCall) else None
        subject = Subject(call_id, self._agent.name, call.channel, datetime.now(UTC), facts, line)
        path = self._recordings.folder / f"{call_id}.call.json"
        return recorder, CallRecord(path, subject, self._recordings.writer, recorder)

    def close(self) -> None:
        """Once all calls are over: waits for the disk."""
        self._recordings.close()
