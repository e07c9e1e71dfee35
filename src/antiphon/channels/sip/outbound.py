"""Calls that we make, as something to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.dialing import CallOrder, Dialing
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.sdp import Agreed
from antiphon.channels.sip.user_agent import UserAgent
from antiphon.errors import AntiphonError

DialStatus = Literal["queued", "ringing", "answered", "busy", "no_answer", "failed", "canceled"]
OnStatus = Callable[[DialStatus], None]


class DialFailed(AntiphonError):
    """Nobody took the call. `code` is SIP's status, 0 when we gave up waiting."""

    def __init__(self, status: DialStatus, code: int = 0) -> None:
        super().__init__(f"{status} ({code})" if code else status)
        self.status: DialStatus = status
        self.code = code


def status_of(code: int) -> DialStatus:
    """What a final response means to who called."""
    if code in (486, 600):
        return "busy"
    if code in (408, 480, 487):
        return "no_answer"
    return "failed"


class Outgoing:
    """One call that rings. What happens after the answer goes to `call`."""

    def __init__(self, call: SipCall, on_status: OnStatus | None) -> None:
        self._call, self._on_status = call, on_status
        self._told = ""
        self.answer: asyncio.Future[Leg] = asyncio.get_running_loop().create_future()

    def on_progress(self, status: int) -> None:
        if status in (180, 183):
            self.tell("ringing")

    def on_answered(self, leg: Leg) -> None:
        self._call.leg = leg
        leg.user = self._call
        self.tell("answered")
        if not self.answer.done():
            self.answer.set_result(leg)

    def on_failed(self, status: int) -> None:
        if not self.answer.done():
            self.answer.set_exception(DialFailed(status_of(status), status))

    def tell(self, status: DialStatus) -> None:
        if self._on_status is not None and status != self._told:
            self._told = status
            self._on_status(status)

    # The leg is the call's from the answer on.
    def on_up(self, agreed: Agreed) -> None: ...

    def on_changed(self, agreed: Agreed) -> None: ...

    def on_key(self, key: str) -> None: ...

    def on_over(self, reason: str) -> None: ...


async def ring(
    agent: UserAgent,
    order: CallOrder,
    call: SipCall,
    ring_s: float,
    on_status: OnStatus | None = None,
) -> None:
    """Until somebody answers: then `call.leg` is set.

    Raises:
        DialFailed: nobody did. The call's line is closed then, as when this is cancelled.
    """
    outgoing = Outgoing(call, on_status)
    dialing = Dialing(agent, order, outgoing)
    try:
        async with asyncio.timeout(ring_s):
            await outgoing.answer
    except TimeoutError:
        dialing.cancel()
        outgoing.tell("no_answer")
        await call.release()
        raise DialFailed("no_answer") from None
    except DialFailed as error:
        outgoing.tell(error.status)
        await call.release()
        raise
    except BaseException:
        dialing.cancel()
        await call.release()
        raise
