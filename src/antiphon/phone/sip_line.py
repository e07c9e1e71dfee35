"""Our SIP endpoint as a line for outbound calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from antiphon.channels.base import TelephoneIO
from antiphon.channels.phone.vendor import LineStatus, Status
from antiphon.channels.sip.outbound import DialFailed
from antiphon.errors import UserFacingError
from antiphon.phone.dialer_record import LineCall, NotTaken

BEGINS_S = 10.0
"""After which a call that nothing was told of counts as taken by the line."""
NOT_ALLOWED = (401, 403, 407)
"""The trunk does not let us call; it is not about the number."""


class Endpoint(Protocol):
    """What is needed of `SipEndpoint`. A call has `wait_ended()` and `end(reason)`."""

    async def dial(
        self,
        to: str,
        *,
        trunk: str | None = None,
        sender: str = "",
        ring_s: float = 30.0,
        variables: Mapping[str, str] | None = None,
        on_status: Callable[[Any], None] | None = None,
    ) -> Any: ...
    async def run_call(self, call: Any, agent: str | None) -> TelephoneIO: ...


class SipLine:
    """Calls by SIP. The dialer's `at_once` bounds how many there are."""

    def __init__(self, endpoint: Endpoint, trunk: str | None = None) -> None:
        self._endpoint, self._trunk = endpoint, trunk
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[str, Any] = {}
        self._sessions: dict[str, TelephoneIO] = {}

    async def dial(self, call: LineCall, told: Callable[[Status], None]) -> str:
        name = f"sip_{secrets.token_hex(8)}"
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(name, call, told, begun), name="sip-outbound")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))
        try:
            await asyncio.wait([begun], timeout=BEGINS_S)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not begun.done():
            begun.set_result(None)
        begun.result()
        return name

    async def hang_up(self, line_call_id: str) -> None:
        if (call := self._calls.get(line_call_id)) is not None:
            call.end("hung up")
        elif (task := self._tasks.get(line_call_id)) is not None:
            task.cancel()

    def session(self, line_call_id: str) -> TelephoneIO | None:
        return self._sessions.get(line_call_id)

    async def _run(
        self,
        name: str,
        order: LineCall,
        told: Callable[[Status], None],
        begun: asyncio.Future[None],
    ) -> None:
        """One call from the INVITE to its end."""

        def tell(status: LineStatus, detail: str = "") -> None:
            if not begun.done():
                begun.set_result(None)
            told(Status(name, status, detail=detail))

        def refuse(why: str) -> None:
            if begun.done():
                tell("failed", why)
            else:
                begun.set_exception(NotTaken(why, provider="sip", retryable=True))

        rang: list[LineStatus] = []

        def progress(status: LineStatus) -> None:
            if status in ("ringing", "answered"):
                rang.append(status)
                tell(status)

        try:
            call = await self._endpoint.dial(
                order.to,
                trunk=self._trunk,
                sender=order.sender,
                ring_s=order.ring_s,
                variables=order.variables,
                on_status=progress,
            )
            self._calls[name] = call
            self._sessions[name] = await self._endpoint.run_call(call, order.agent)
            # No deadline: the dialer keeps the longest time of a call.
            await call.wait_ended()
            tell("completed")
        except DialFailed as error:
            if error.code in NOT_ALLOWED and not rang:
                refuse(f"the trunk does not allow it: {error.code}")
            else:
                tell(error.status, str(error))
        except UserFacingError as error:
            refuse(str(error))
        except asyncio.CancelledError:
            tell("canceled")
            raise
        finally:
            self._calls.pop(name, None)
            self._sessions.pop(name, None)
