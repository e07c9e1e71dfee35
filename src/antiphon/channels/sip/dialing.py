"""Calls of ours, from the INVITE until somebody answers (RFC 3261 section 13.2). Pure, by `Timers`
and `Transactions`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from antiphon.channels.sip import sdp
from antiphon.channels.sip.dialog import Dialog
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.leg_audio import LegAudio
from antiphon.channels.sip.leg_user import ABLE, LegUser, Nobody, proof_for
from antiphon.channels.sip.message import Headers, Request, Response
from antiphon.channels.sip.sdp import SdpError
from antiphon.channels.sip.session_timer import LEAST_S, USUAL_S, read_least
from antiphon.channels.sip.transaction import ClientTransaction
from antiphon.channels.sip.uri import Address, Uri
from antiphon.channels.sip.user_agent import UserAgent
from antiphon.channels.sip.wire import Flow

MOST_TRIES = 3
"""INVITEs of one call: a password may be asked for, and a longer session."""
TIMED_OUT = 408


@dataclass(frozen=True, slots=True)
class CallOrder:
    """Whom to call and how. `media` is where we want the audio."""

    target: Uri
    flow: Flow
    caller: Address
    media: tuple[str, int]
    credentials: Credentials | None = None
    headers: Headers = ()
    routes: tuple[str, ...] = ()


class DialUser(LegUser, Protocol):
    """Who wants the call."""

    def on_progress(self, status: int) -> None:
        """A provisional response: 180 and 183 mean that it rings."""
        ...

    def on_answered(self, leg: Leg) -> None:
        """Somebody has taken it; `on_up` follows."""
        ...

    def on_failed(self, status: int) -> None:
        """Nobody has: the final status, 408 for no answer at all."""
        ...


class Dialing:
    """One of them; begins at once."""

    def __init__(self, agent: UserAgent, order: CallOrder, user: DialUser) -> None:
        self._agent, self._order, self._user = agent, order, user
        self._call_id = secrets.token_hex(16)
        self._caller = order.caller.with_param("tag", secrets.token_hex(8))
        self._seq = secrets.randbits(16)
        self._tries = 0
        self._interval_s = USUAL_S
        self._least_s = LEAST_S
        self._proof: Headers = ()
        self._request = Request()
        self._transaction: ClientTransaction | None = None
        self._audio = LegAudio(agent.codecs)
        self._acks: dict[str, Callable[[], None]] = {}
        self._over = self._cancelled = False
        self._audio.place(*order.media)
        self._offer = self._audio.offer()
        self._invite()

    def cancel(self) -> None:
        """Take it back; `on_failed` follows, mostly with 487. After an answer, nothing."""
        self._cancelled = True
        if self._transaction is not None:
            self._transaction.cancel()

    def _invite(self) -> None:
        self._tries += 1
        self._seq += 1
        order = self._order
        headers: Headers = (
            ("max-forwards", "70"),
            *(("route", route) for route in order.routes),
            ("from", str(self._caller)),
            ("to", str(Address(order.target.bare()))),
            ("call-id", self._call_id),
            ("cseq", f"{self._seq} INVITE"),
            ("contact", self._agent.contact(order.flow)),
            *ABLE,
            ("session-expires", str(self._interval_s)),
            ("min-se", str(self._least_s)),
            *order.headers,
            *self._proof,
        )
        plain = Request(headers, b"", "INVITE", str(order.target))
        self._request = plain.with_body(sdp.CONTENT_TYPE, self._offer)
        self._transaction = self._agent.transactions.request(
            self._request, order.flow, self._on_response, self._timed_out
        )

    def _on_response(self, response: Response) -> None:
        if response.status < 200:
            if response.status > 100 and not self._over:
                self._user.on_progress(response.status)
        elif response.status < 300:
            self._on_success(response)
        elif not self._over and not self._again(response):
            self._fail(response.status)

    def _on_success(self, response: Response) -> None:
        if again := self._acks.get(response.to.tag):
            again()
            return
        dialog = Dialog.outgoing(self._request, response, self._order.flow)
        if dialog is None:
            self._fail(500)
            return
        # Also a second answer, from another telephone, is acknowledged and then ended.
        ack = dialog.request("ACK", self._proof, seq=self._request.cseq[0])
        if len(self._acks) < 16:
            self._acks[response.to.tag] = self._agent.send_ack(ack, dialog.flow)
        leg = Leg(self._agent, dialog, Nobody(), self._order.credentials)
        try:
            agreed = (
                None if self._over or self._cancelled else self._audio.take_answer(response.body)
            )
        except SdpError:
            agreed = None
        if agreed is None:
            leg.state = "up"
            leg.hang_up("not wanted")
            self._fail(487 if self._cancelled else 488)
            return
        self._over = True
        leg.user = self._user
        self._agent.add(leg)
        self._user.on_answered(leg)
        leg.answered(response, self._audio, agreed)

    def _again(self, response: Response) -> bool:
        """Whether it is tried once more, as the response asks for."""
        if self._tries >= MOST_TRIES or self._cancelled:
            return False
        if response.status in (401, 407):
            proof = proof_for(response, self._request, self._order.credentials)
            stale = any("stale=true" in value.lower() for _, value in response.headers)
            if not proof or (self._proof and not stale):
                return False
            self._proof = proof
        elif response.status == 422 and read_least(response):
            self._least_s = read_least(response)
            self._interval_s = max(self._interval_s, self._least_s)
        else:
            return False
        self._invite()
        return True

    def _timed_out(self) -> None:
        self._fail(TIMED_OUT)

    def _fail(self, status: int) -> None:
        if not self._over:
            self._over = True
            self._user.on_failed(status)
