"""The calls by browser or device of a process: who they belong to, and how one comes back to them.

A call is known by its session's id; the token that was given with it proves that whoever asks is
who made it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from antiphon.channels.voice.base import PATIENT, CallHost, Connection, Patience
from antiphon.channels.voice.call import VoiceCall
from antiphon.errors import ForbiddenError, GoneError

log = logging.getLogger(__name__)

RECORD_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 3.0
MOST_REMEMBERED = 2000
"""Calls that are over and still known, so that their callers are told so."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a caller needs to come back to a call: `token` is theirs alone."""

    session_id: str
    token: str


class VoiceCalls:
    """One per process.

    Args:
        host: who takes the calls.
        late: told how late each tick of 20 ms of a call is, in seconds.
        patience: how long a call waits for a caller who is away.
    """

    def __init__(
        self,
        host: CallHost,
        late: Callable[[float], None] | None = None,
        patience: Patience = PATIENT,
    ) -> None:
        self.host, self.patience = host, patience
        self._late = late
        self._calls: dict[str, tuple[VoiceCall, str]] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self, agent: str | None) -> str:
        """The agent's name.

        Raises:
            UserFacingError: there is none of that name.
            CapacityError: no call can be taken now.
        """
        return self.host.check(agent)

    async def start(self, channel: str, agent: str | None) -> tuple[VoiceCall, Ticket]:
        """A call that waits for its first connection; raises like `check`. `launch` it, or
        `abandon` it."""
        call = VoiceCall(channel, self._late, self.patience)
        try:
            io = await self.host.start_call(call, agent)
        except BaseException:
            await call.abandon("not taken")
            raise
        call.begin(io)
        return call, Ticket(io.call_id, secrets.token_urlsafe(24))

    def launch(self, call: VoiceCall, ticket: Ticket) -> None:
        """From here on the call lives by itself."""
        self._calls[ticket.session_id] = (call, ticket.token)
        task = asyncio.create_task(self._run(call), name="voice-call")
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(ticket, done))

    async def abandon(self, call: VoiceCall) -> None:
        """A call that did not come about."""
        call.end("connection could not be made")
        await self._run(call)

    def find(self, session_id: str, token: str) -> VoiceCall:
        """The call that a ticket is of.

        Raises:
            ForbiddenError: the token is not that call's, or there was never such a call.
            GoneError: the call is over.
        """
        call, expected = self._calls.get(session_id, (None, self._over.get(session_id, "")))
        if not expected or not compare_digest(expected.encode(), token.encode()):
            raise ForbiddenError("This is not your call: its token is another one.")
        if call is None or call.ended:
            raise GoneError("The call is over; begin a new one.")
        return call

    def hang_up(self, session_id: str, token: str) -> None:
        """The caller ends the call; raises like `find`."""
        self.find(session_id, token).end("caller left the page")

    def leave(self, session_id: str, token: str) -> None:
        """The page goes away, and may come back; raises like `find`."""
        connection = self.find(session_id, token).leaving()
        if connection is not None:
            self.let_go(connection)

    def let_go(self, connection: Connection) -> None:
        """Close a connection that a call does not need any more, without waiting for it."""
        task = asyncio.create_task(self._close(connection), name="voice-close")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End all calls."""
        for call, _ in list(self._calls.values()):
            call.end("server stopped")
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=RECORD_TIMEOUT_S)

    # ---- inside ------------------------------------------------------------------------------

    async def _run(self, call: VoiceCall) -> None:
        await call.run()
        if call.io is not None:
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await call.io.wait_closed()

    async def _close(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.aclose()
        except TimeoutError:
            log.warning("a connection did not close in time")

    def _forget(self, ticket: Ticket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._calls.pop(ticket.session_id, None)
        self._over[ticket.session_id] = ticket.token
        if len(self._over) > MOST_REMEMBERED:
            self._over.popitem(last=False)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call ended badly", exc_info=error, extra={"call_id": ticket.session_id})
