"""Calls from a browser: an SDP offer becomes a call, or another connection of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.webrtc.connection import WebRtcConnection
from antiphon.channels.webrtc.offer import check_offer
from antiphon.errors import CapacityError

NEGOTIATION_TIMEOUT_S = 10.0
NEGOTIATIONS_AT_ONCE = 4
MAX_WAITING = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """`token` proves later that a request about the call comes from who made it."""

    sdp: str
    session_id: str
    token: str


class WebRtcChannel:
    """Answers offers. One per process."""

    def __init__(self, calls: VoiceCalls) -> None:
        self._calls = calls
        self._negotiations = asyncio.Semaphore(NEGOTIATIONS_AT_ONCE)
        self._waiting = 0

    async def answer(self, offer_sdp: str, agent: str | None) -> Answer:
        """Make a call of an offer.

        Raises:
            UserFacingError: the offer is not usable, or the agent unknown.
            CapacityError: no more calls at present.
        """
        # The cheap questions first: a flood of offers that cannot be served costs a parse each.
        self._calls.check(agent)
        offer_sdp = check_offer(offer_sdp)
        async with self._turn():
            call, ticket = await self._calls.start("webrtc", self._calls.check(agent))
            try:
                sdp = await self._negotiate(call, offer_sdp)
            except BaseException:
                await self._calls.abandon(call)
                raise
            self._calls.launch(call, ticket)
            return Answer(sdp, ticket.session_id, ticket.token)

    async def resume(self, offer_sdp: str, ticket: Ticket) -> Answer:
        """Another connection of a call that is under way.

        Raises:
            UserFacingError: the offer is not usable.
            ForbiddenError: it is not the caller's call.
            GoneError: the call is over.
        """
        call = self._calls.find(ticket.session_id, ticket.token)
        offer_sdp = check_offer(offer_sdp)
        async with self._turn():
            sdp = await self._negotiate(call, offer_sdp)
            return Answer(sdp, ticket.session_id, ticket.token)

    async def _negotiate(self, call: VoiceCall, offer_sdp: str) -> str:
        connection = WebRtcConnection(call, self._calls.let_go)
        try:
            await connection.accept(offer_sdp)
            return await connection.answer()
        except BaseException:
            await connection.aclose()
            raise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A few negotiations at a time, and not too many that wait."""
        if self._waiting >= MAX_WAITING:
            raise CapacityError("Too many people are calling at this moment; try again shortly.")
        self._waiting += 1
        try:
            async with asyncio.timeout(NEGOTIATION_TIMEOUT_S), self._negotiations:
                yield
        except TimeoutError:
            raise CapacityError("The server is too busy to take the call; try again.") from None
        finally:
            self._waiting -= 1
