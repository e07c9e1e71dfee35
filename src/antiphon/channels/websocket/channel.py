"""Calls over WebSockets: one that begins a call, and one that comes back to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from antiphon.channels.client_events import error_event
from antiphon.channels.phone.wire import POLICY_VIOLATION, TRY_AGAIN_LATER, Wire
from antiphon.channels.rtp.opus import CLEAR
from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.websocket.connection import SocketConnection
from antiphon.channels.websocket.format import SocketFormats, read_formats
from antiphon.errors import CapacityError, ForbiddenError, GoneError, UserFacingError

TOKEN_TIMEOUT_S = 5.0
REFUSE_TIMEOUT_S = 2.0
MOST_ID_CHARS = 100


class SocketChannel:
    """Carries calls over accepted WebSockets. One per process.

    Args:
        calls: of this process.
        bitrate: of Opus to clients, in bits per second.
    """

    def __init__(self, calls: VoiceCalls, bitrate: int = CLEAR.bitrate) -> None:
        self._calls, self._bitrate = calls, bitrate

    async def serve(self, wire: Wire, asked: Mapping[str, str]) -> None:
        """One connection, from its first message to its end. `asked` are the parameters of its
        address.

        Raises:
            UserFacingError: it was refused, and the client was told.
        """
        try:
            formats = read_formats(asked)
            session_id = asked.get("session")
            if session_id is None:
                connection, ticket = await self._begin(wire, formats, asked.get("agent"))
            else:
                ticket = Ticket(session_id[:MOST_ID_CHARS], await _token(wire))
                call = self._calls.find(ticket.session_id, ticket.token)
                connection = SocketConnection(call, wire, formats, self._bitrate)
        except UserFacingError as error:
            await _refuse(wire, error)
            raise
        before = connection.open(ticket, resumed=session_id is not None)
        if before is not None:
            self._calls.let_go(before)
        await connection.run()

    async def _begin(
        self, wire: Wire, formats: SocketFormats, agent: str | None
    ) -> tuple[SocketConnection, Ticket]:
        call, ticket = await self._calls.start("websocket", self._calls.check(agent))
        try:
            connection = SocketConnection(call, wire, formats, self._bitrate)
        except BaseException:
            await self._calls.abandon(call)
            raise
        self._calls.launch(call, ticket)
        return connection, ticket


async def _token(wire: Wire) -> str:
    """The token, which comes as the first message.

    Raises:
        UserFacingError: it does not come, or is none.
    """
    try:
        async with asyncio.timeout(TOKEN_TIMEOUT_S):
            message = await wire.first()
    except TimeoutError:
        message = None
    try:
        event = json.loads(message) if isinstance(message, str) else None
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or event.get("type") != "antiphon.socket.resume":
        event = {}
    token = event.get("token")
    if not isinstance(token, str):
        raise UserFacingError(
            "To come back to a call, the first message is "
            '{"type": "antiphon.socket.resume", "token": "..."}, '
            f"within {TOKEN_TIMEOUT_S:.0f} s."
        )
    return token.encode("utf-8", "ignore").decode()[:MOST_ID_CHARS]


async def _refuse(wire: Wire, error: UserFacingError) -> None:
    """A browser cannot read the status of a refused WebSocket, so a refusal is an event."""
    kind, code = "invalid_request_error", POLICY_VIOLATION
    if isinstance(error, CapacityError):
        kind, code = "capacity_error", TRY_AGAIN_LATER
    elif isinstance(error, ForbiddenError | GoneError):
        kind = "session_error"
    wire.send(json.dumps(error_event(str(error), kind)))
    wire.close(code, kind)
    try:
        async with asyncio.timeout(REFUSE_TIMEOUT_S):
            await wire.run(lambda message: None)
    except TimeoutError:
        pass
