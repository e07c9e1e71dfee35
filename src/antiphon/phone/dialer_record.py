"""What the dialer is asked for, what it asks of others, and what it keeps of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from antiphon.channels.phone.vendor import Status
from antiphon.errors import AntiphonError, ProviderError
from antiphon.phone.rules import Counts, Refusal

State = Literal[
    "queued", "ringing", "answered", "completed", "busy", "no_answer", "failed", "canceled"
] | Literal["refused"]  # fmt: skip

RANK = {"queued": 0, "ringing": 1, "answered": 2}
"""States of a call that goes on, in the order in which they come."""


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to call, and who talks."""

    to: str
    agent: str | None = None
    """None: the server's first."""
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineCall:
    """What a line is asked for."""

    to: str
    sender: str
    agent: str
    variables: Mapping[str, str]
    ring_s: int
    longest_s: int
    detect_machine: bool


class Conversation(Protocol):
    """A session, as far as the dialer talks to it: see `TelephoneIO`."""

    def on_machine(self, message: str) -> None: ...


class OutboundLine(Protocol):
    """What makes the calls: a telephone company, or our SIP endpoint."""

    async def dial(self, call: LineCall, told: Callable[[Status], None]) -> str:
        """Have it made; returns the line's own name of it. `told` hears of everything that becomes
        of it, on the event loop, perhaps before this returns, and out of order.

        Raises:
            ProviderError: it was refused, or cannot be asked.
        """
        ...

    async def hang_up(self, line_call_id: str) -> None:
        """End it; one that is over is no error. Raises ProviderError."""
        ...

    def session(self, line_call_id: str) -> Conversation | None:
        """The conversation on it, as soon as there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is written down before a number is called."""

    call_id: str
    number: str
    at_s: float
    row: tuple[str, int] | None = None
    """A campaign's row: its campaign and line."""
    key: str = ""
    """Made once, however often it is ordered with this key."""


class Journal(Protocol):
    """Remembers, across restarts, who was called."""

    async def counts(self, number: str, now_s: float) -> Counts:
        """Calls before; `active` is not filled in."""
        ...

    async def reserve(self, attempt: Attempt) -> bool:
        """Write it down for good. False: the row or the key is taken already; do not call."""
        ...


class Refused(AntiphonError):
    """The rules forbid this call."""

    def __init__(self, refusal: Refusal, record: Record) -> None:
        super().__init__(str(refusal))
        self.refusal, self.record = refusal, record


class NotTaken(ProviderError):
    """The line did not take a call, and it is certain that nobody was called."""


class Taken(AntiphonError):
    """It was called already, for this row or with this key."""


@dataclass(slots=True)
class Record:
    """What is known of a call. Times are Unix seconds."""

    id: str
    to: str
    agent: str
    variables: Mapping[str, str]
    state: State
    queued_s: float
    ringing_s: float | None = None
    answered_s: float | None = None
    ended_s: float | None = None
    answered_by: Literal["", "human", "machine", "unknown"] = ""
    duration_s: int | None = None
    reason: str = ""
    rule: str = ""
    line_call_id: str = ""
    certain: bool = False
    """Whether what became of it is known: the line told, or nobody can have been called."""
    message_left: bool = False
    machine_s: float | None = None
    listening: bool = False
    machine_done: bool = False
    ending_s: float | None = None
    """When it was asked to end."""

    @property
    def over(self) -> bool:
        return self.state not in RANK

    def shown(self) -> dict[str, Any]:
        """For the API."""
        shown: dict[str, Any] = {
            "id": self.id,
            "to": self.to,
            "agent": self.agent,
            "variables": dict(self.variables),
            "state": self.state,
            "answered_by": self.answered_by or None,
            "duration_s": self.duration_s,
            "message_left": self.message_left,
            "reason": self.reason or None,
        }
        for name in ("queued", "ringing", "answered", "ended"):
            shown[f"{name}_at"] = iso(getattr(self, f"{name}_s"))
        return shown | ({"rule": self.rule} if self.rule else {})


def iso(unix_s: float | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    if unix_s is None:
        return None
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def certainly_not_dialled(error: ProviderError) -> bool:
    """Whether a failure says that nobody was called: the company answered with a refusal, or was
    not reached at all. Anything else may have come after the call was made."""
    import httpx

    if isinstance(error, NotTaken):
        return True
    if error.status is not None:
        # 408 is the one of these that says nothing of what was done.
        return 400 <= error.status < 500 and error.status != 408
    never_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
    return isinstance(error.__cause__ or error.__context__, never_sent)
