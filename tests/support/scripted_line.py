"""A telephone line that calls nobody: it keeps what it is asked for, and says what it is told to.

A double of `OutboundLine`, not of any company.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from antiphon.channels.phone.vendor import LineStatus, Status
from antiphon.errors import ProviderError
from antiphon.phone.dialer_record import LineCall

Told = Callable[[Status], None]


@dataclass
class ScriptedSession:
    """A conversation that hears of machines and nothing else."""

    messages: list[str] = field(default_factory=list)

    def on_machine(self, message: str) -> None:
        self.messages.append(message)


class ScriptedLine:
    """Calls by the order in which they are made: `c0`, `c1` ..."""

    def __init__(self) -> None:
        self.calls: list[LineCall] = []
        self.told: list[Told] = []
        self.hung_up: list[str] = []
        self.sessions: dict[str, ScriptedSession] = {}
        self.fails: list[ProviderError | None] = []
        """What the next calls fail with; None for one that does not."""
        self.at_once: tuple[LineStatus, ...] = ()
        """What every call goes through before `dial` returns."""

    @property
    def numbers(self) -> list[str]:
        return [call.to for call in self.calls]

    async def dial(self, call: LineCall, told: Told) -> str:
        name = f"c{len(self.calls)}"
        self.calls.append(call)
        self.told.append(told)
        if self.fails and (error := self.fails.pop(0)) is not None:
            raise error
        for status in self.at_once:
            told(Status(name, status))
        return name

    async def hang_up(self, line_call_id: str) -> None:
        self.hung_up.append(line_call_id)

    def session(self, line_call_id: str) -> ScriptedSession | None:
        return self.sessions.get(line_call_id)

    def say(self, number: int, *statuses: Status | LineStatus) -> None:
        """Tell of a call."""
        for status in statuses:
            made = status if isinstance(status, Status) else Status(f"c{number}", status)
            self.told[number](made)
