"""Our SIP endpoint as a line for outbound calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from antiphon.channels.base import TelephoneIO
from antiphon.channels.phone.vendor import Status
from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.endpoint import SipEndpoint
from antiphon.channels.sip.outbound import DialFailed, DialStatus
from antiphon.errors import UserFacingError
from antiphon.phone.dialer_record import LineCall


class SipLine:
    """Calls by a trunk. Answering machines are not told from people.

    Args:
        trunk: None: the first.
    """

    def __init__(self, endpoint: SipEndpoint, trunk: str | None = None) -> None:
        self._endpoint, self._trunk = endpoint, trunk
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._calls: dict[str, tuple[SipCall, TelephoneIO]] = {}

    async def dial(self, call: LineCall, told: Callable[[Status], None]) -> str:
        line_call_id = f"sip_{secrets.token_hex(8)}"
        task = asyncio.create_task(self._run(line_call_id, call, told), name="sip-dial")
        self._tasks[line_call_id] = task
        task.add_done_callback(lambda _: self._forget(line_call_id))
        return line_call_id

    async def hang_up(self, line_call_id: str) -> None:
        if line_call_id in self._calls:
            self._calls[line_call_id][0].end("hung up")
        elif line_call_id in self._tasks:
            # It rings: that is taken back.
            self._tasks[line_call_id].cancel()

    def session(self, line_call_id: str) -> TelephoneIO | None:
        found = self._calls.get(line_call_id)
        return None if found is None else found[1]

    async def aclose(self) -> None:
        """End all of them."""
        for line_call_id in list(self._tasks):
            await self.hang_up(line_call_id)
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=5.0)

    async def _run(self, name: str, order: LineCall, told: Callable[[Status], None]) -> None:
        """One call from its first ring to its end. Says once what became of it."""

        def on_status(status: DialStatus) -> None:
            if status == "ringing":
                told(Status(name, "ringing"))

        loop = asyncio.get_running_loop()
        try:
            call = await self._endpoint.dial(
                order.to,
                trunk=self._trunk,
                sender=order.sender,
                ring_s=order.ring_s,
                variables=order.variables,
                on_status=on_status,
            )
            since_s = loop.time()
            told(Status(name, "answered", answered_by="unknown" if order.detect_machine else ""))
            io = await self._endpoint.run_call(call, order.agent)
        except DialFailed as error:
            told(Status(name, error.status, detail=str(error)))
            return
        except UserFacingError as error:
            told(Status(name, "failed", detail=str(error)))
            return
        except asyncio.CancelledError:
            told(Status(name, "canceled"))
            raise
        self._calls[name] = (call, io)
        longest = loop.call_later(order.longest_s, call.end, "longest time reached")
        try:
            await call.wait_ended()
        finally:
            longest.cancel()
            told(Status(name, "completed", duration_s=round(loop.time() - since_s)))

    def _forget(self, line_call_id: str) -> None:
        self._tasks.pop(line_call_id, None)
        self._calls.pop(line_call_id, None)
