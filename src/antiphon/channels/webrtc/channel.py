"""Calls from a browser: an SDP offer becomes a call, or another connection of a call."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.webrtc.answer import finish
from antiphon.channels.webrtc.config import RtcConfig
from antiphon.channels.webrtc.connection import WebRtcConnection
from antiphon.channels.webrtc.ice import IceRules
from antiphon.channels.webrtc.offer import check_offer
from antiphon.channels.webrtc.trickle import Trickled
from antiphon.channels.webrtc.turn import ice_servers
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

    def __init__(self, calls: VoiceCalls, config: RtcConfig | None = None) -> None:
        self._calls = calls
        self._config = config or RtcConfig()
        self._rules = IceRules.of(self._config)
        # Each lives as long as its call keeps it.
        self._newest: WeakValueDictionary[str, WebRtcConnection] = WeakValueDictionary()
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
                sdp = await self._negotiate(call, offer_sdp, ticket)
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
            sdp = await self._negotiate(call, offer_sdp, ticket)
            return Answer(sdp, ticket.session_id, ticket.token)

    async def trickle(self, ticket: Ticket, told: Sequence[Trickled]) -> bool:
        """Addresses of the caller's that came after the offer, for the newest connection of the
        call. False: there is none.

        Raises:
            BadOffer: one is of a line that the offer does not have.
            ForbiddenError: it is not the caller's call.
            GoneError: the call is over.
        """
        self._calls.find(ticket.session_id, ticket.token)
        connection = self._newest.get(ticket.session_id)
        if connection is None:
            return False
        await connection.add_candidates(told)
        return True

    def ice_servers(self) -> dict[str, Any]:
        """What the page gives to its `RTCPeerConnection`; see `turn.ice_servers`."""
        return ice_servers(self._config, secrets.token_hex(4), time.time())

    async def _negotiate(self, call: VoiceCall, offer_sdp: str, ticket: Ticket) -> str:
        connection = WebRtcConnection(call, self._calls.let_go, self._rules, self._config.audio)
        try:
            await connection.accept(offer_sdp)
            sdp = await connection.answer()
        except BaseException:
            await connection.aclose()
            raise
        self._newest[ticket.session_id] = connection
        return finish(sdp, self._config.advertise)

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
