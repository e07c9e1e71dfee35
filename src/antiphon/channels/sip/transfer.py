"""Passing a caller to a person (RFC 5589): by REFER, and where the other side does not take that,
by calling the person ourselves and joining the two lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import quote

from antiphon.channels.base import TransferOutcome, TransferResult, TransferTarget
from antiphon.channels.rtp.ends import Nobody
from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.outbound import DialFailed, DialStatus
from antiphon.channels.sip.refer import outcome
from antiphon.channels.sip.uri import Uri
from antiphon.errors import UserFacingError

HOLD_TIMEOUT_S = 4.0
REFER_TIMEOUT_S = 8.0
"""Beyond the time that it may ring."""
REPLACE_TIMEOUT_S = 8.0
ACCEPT_S = 15.0
"""The person may think for so long after the message."""
ACCEPT_KEY = "1"
Speak = Callable[[str], Awaitable[tuple[bytes, int]]]
"""Speaks a text: mono s16 PCM and its rate."""
OUTCOMES: dict[DialStatus, TransferOutcome] = {"busy": "busy", "no_answer": "no_answer"}


class Dialler(Protocol):
    """Who makes the call to the person."""

    async def dial(self, to: str, *, trunk: str | None = None, ring_s: float) -> SipCall:
        """Raises DialFailed or UserFacingError."""
        ...

    def refer_to(self, call: SipCall, to: str) -> Uri:
        """How the other side of a call is to write somebody's address."""
        ...

    def keep(self, call: SipCall) -> None:
        """See to it that a call without a session is closed when it is over."""
        ...


class Transferring:
    """One caller being passed on."""

    def __init__(
        self, call: SipCall, target: TransferTarget, dialler: Dialler, speak: Speak | None
    ) -> None:
        self._call, self._target, self._dialler, self._speak = call, target, dialler, speak

    async def run(self) -> TransferResult:
        """What came of it. Unless the caller is connected, they are back with us."""
        leg = self._call.leg
        if leg is None or leg.state != "up":
            return TransferResult("failed", "the call is not up")
        try:
            await _hold(leg, True)
            result = await (self._warm(leg) if self._target.message else self._cold(leg))
        except BaseException:
            leg.hold(False, lambda _: None)
            raise
        if result.outcome != "connected":
            await _hold(leg, False)
        return result

    async def _cold(self, leg: Leg) -> TransferResult:
        target = self._target
        to = self._dialler.refer_to(self._call, target.to)
        status = await _refer(leg, f"<{to}>", target.ring_s + REFER_TIMEOUT_S)
        taken = leg.referral is not None and leg.referral.accepted
        if taken or self._call.ended:
            return TransferResult(outcome(status), f"SIP status {status}")
        # The other side does not pass callers on: then both stay with us.
        try:
            person = await self._dial()
        except DialFailed as error:
            return TransferResult(OUTCOMES.get(error.status, "failed"), str(error))
        except UserFacingError:
            return TransferResult("refused", f"SIP status {status}")
        await self._join(leg, person)
        return TransferResult("connected", "joined here")

    async def _warm(self, leg: Leg) -> TransferResult:
        try:
            person = await self._dial()
        except DialFailed as error:
            return TransferResult(OUTCOMES.get(error.status, "failed"), str(error))
        except UserFacingError as error:
            return TransferResult("failed", str(error))
        try:
            accepted = await self._ask(person)
        except BaseException:
            await person.release()
            raise
        if not accepted or self._call.ended:
            await person.release()
            return TransferResult("refused", "the person did not take the call")
        if await self._replace(leg, person):
            await person.release()
            return TransferResult("connected", "passed on")
        if person.ended:
            return TransferResult("failed", "the person has hung up")
        await self._join(leg, person)
        return TransferResult("connected", "joined here")

    async def _dial(self) -> SipCall:
        target = self._target
        trunk = self._call.trunk or None
        return await self._dialler.dial(target.to, trunk=trunk, ring_s=target.ring_s)

    async def _ask(self, person: SipCall) -> bool:
        """Tell the person, and wait for their key."""
        pressed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_key(key: str) -> None:
            if not pressed.done():
                pressed.set_result(key)

        person.attend(Nobody(on_key))
        told = asyncio.ensure_future(self._tell(person))
        gone = asyncio.ensure_future(person.wait_ended())
        try:
            # A key cuts the message short.
            waiting: set[asyncio.Future[Any]] = {pressed, told, gone}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not pressed.done() and not gone.done():
                waiting.discard(told)
                await asyncio.wait(waiting, timeout=ACCEPT_S, return_when=asyncio.FIRST_COMPLETED)
            return pressed.done() and not gone.done() and pressed.result() == ACCEPT_KEY
        finally:
            told.cancel()
            gone.cancel()

    async def _tell(self, person: SipCall) -> None:
        if self._speak is None:
            return
        pcm, rate_hz = await self._speak(self._target.message)
        await person.line.play(pcm, rate_hz)

    async def _replace(self, leg: Leg, person: SipCall) -> bool:
        """Attended transfer: the other side calls the person in the place of our call to them
        (RFC 3891). Only where both calls lead to the same server, which alone knows both."""
        theirs = person.leg
        if theirs is None or theirs.dialog.flow.host != leg.dialog.flow.host:
            return False
        dialog = theirs.dialog
        replaces = f"{dialog.call_id};to-tag={dialog.remote.tag};from-tag={dialog.local.tag}"
        to = f"<{dialog.target.bare()}?Replaces={quote(replaces, safe='')}>"
        status = await _refer(leg, to, REPLACE_TIMEOUT_S)
        return status < 300

    async def _join(self, leg: Leg, person: SipCall) -> None:
        await _hold(leg, False)
        person.attend(Nobody())
        self._call.bridge(person)
        self._dialler.keep(person)


async def _hold(leg: Leg, held: bool) -> None:
    """Whether it worked does not matter: the caller hears silence instead of music."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leg.hold(held, lambda _: None if done.done() else done.set_result(None))
    try:
        async with asyncio.timeout(HOLD_TIMEOUT_S):
            await done
    except TimeoutError:
        pass


async def _refer(leg: Leg, to: str, timeout_s: float) -> int:
    """The final status; 408 when there was none in time."""
    done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    leg.refer(to, lambda status: None if done.done() else done.set_result(status))
    try:
        async with asyncio.timeout(timeout_s):
            return await done
    except TimeoutError:
        return 408
