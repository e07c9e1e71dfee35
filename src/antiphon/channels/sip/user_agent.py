"""What answers SIP: reads what the network delivers, and has calls, sign-ins and questions dealt
with (RFC 3261 section 8.2). Pure: it sends by a function and waits by `Timers`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from antiphon.channels.sip import sdp
from antiphon.channels.sip.dialog import Dialog
from antiphon.channels.sip.guard import Bucket
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.leg_user import ABLE, ALLOW, Nobody
from antiphon.channels.sip.message import (
    Headers,
    ParseError,
    Request,
    Response,
    parse,
    respond,
)
from antiphon.channels.sip.sdp import Description, SdpError
from antiphon.channels.sip.session_timer import LEAST_S, TooBrief, as_server
from antiphon.channels.sip.transaction import MAGIC, RETRY_AFTER_S, Transactions
from antiphon.channels.sip.uri import Via, parse_uri
from antiphon.channels.sip.wire import Flow, Timers

MOST_LEGS = 2_000
STRANGERS_PER_SECOND = 200
"""Answers to requests that belong to no call. Beyond it they are dropped, so that nobody is flooded
by us in somebody else's name."""
CONTACT_USER = "antiphon"
EXTENSIONS = frozenset({"timer"})
IN_DIALOG = ("BYE", "CANCEL", "INFO", "UPDATE", "NOTIFY", "PRACK", "REFER")


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may come in: who answers it, and by whom it was let in."""

    agent: str | None = None
    account: str = ""
    trunk: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that may not."""

    status: int
    headers: Headers = ()


class Gate(Protocol):
    """Who decides, and takes what comes in."""

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        """Whether an INVITE may come in. Has to be cheap."""
        ...

    def invited(self, leg: Leg, invite: Request, admission: Admission) -> None:
        """A call: answer it with `ring`, `accept` or `refuse`, now or later."""
        ...

    def register(self, request: Request, flow: Flow) -> Refusal:
        """What a REGISTER is answered."""
        ...


class Place(Protocol):
    """Where we are, as seen from another place."""

    def address(self, flow: Flow) -> tuple[str, int]:
        """Host and port of our signalling."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What it can, and how much of it. `user` is the user part of our contact."""

    codecs: tuple[str, ...] = ("opus", "PCMU", "PCMA")
    user: str = CONTACT_USER
    most_legs: int = MOST_LEGS
    strangers_per_second: float = STRANGERS_PER_SECOND


@dataclass(slots=True)
class Counts:
    """What came in, for metrics."""

    messages: int = 0
    broken: int = 0
    refused: int = 0
    dropped: int = 0
    by_status: dict[int, int] = field(default_factory=dict)


class UserAgent:
    """All calls of one endpoint.

    Args:
        send: hands bytes to the network; never fails.
    """

    def __init__(
        self,
        send: Callable[[bytes, Flow], None],
        timers: Timers,
        gate: Gate,
        place: Place,
        options: Options = Options(),
    ) -> None:
        self._send, self.timers, self._gate, self._place = send, timers, gate, place
        self._options = options
        self.codecs = options.codecs
        self.transactions = Transactions(send, timers, self)
        self.legs: dict[tuple[str, str], Leg] = {}
        self.counts = Counts()
        self._strangers = Bucket(options.strangers_per_second, timers.clock)

    # ---- the network -------------------------------------------------------------------------

    def received(self, data: bytes, flow: Flow) -> None:
        """A datagram, or one message of a stream."""
        if not data.strip(b"\r\n\0 "):
            return
        self.counts.messages += 1
        try:
            message = parse(data, stream=flow.reliable)
        except ParseError as error:
            self.counts.broken += 1
            if error.request is not None and self._strangers.take():
                self._answer_broken(error.request, error.status, flow)
            return
        if isinstance(message, Response):
            self.transactions.on_response(message)
        else:
            self.transactions.on_request(message, flow)

    def _answer_broken(self, request: Request, status: int, flow: Flow) -> None:
        """Without a transaction, and to where it came from: its headers are not to be trusted."""
        response = respond(request, status, tag=secrets.token_hex(6))
        self._send(bytes(response), flow)

    def via(self, flow: Flow) -> Via:
        host, port = self._place.address(flow)
        return Via(flow.transport.upper(), _bracketed(host), port, (("rport", ""),))

    def contact(self, flow: Flow) -> str:
        """Ours, as a header value."""
        host, port = self._place.address(flow)
        tcp = ";transport=tcp" if flow.reliable else ""
        return f"<sip:{self._options.user}@{_bracketed(host)}:{port}{tcp}>"

    def send_ack(self, ack: Request, flow: Flow) -> Callable[[], None]:
        via = self.via(flow).with_param("branch", MAGIC + secrets.token_hex(12))
        data = bytes(replace(ack, headers=(("via", str(via)), *ack.headers)))

        def again() -> None:
            self._send(data, flow)

        again()
        return again

    # ---- requests ----------------------------------------------------------------------------

    def on_request(self, request: Request, flow: Flow) -> None:
        if request.to.tag:
            leg = self.legs.get((request.call_id, request.to.tag))
            if leg is not None and request.from_.tag == leg.dialog.remote.tag:
                leg.on_request(request, flow)
            elif request.method != "ACK":
                self._reply(request, flow, 481)
        elif request.method == "INVITE":
            self._invite(request, flow)
        elif request.method == "ACK":
            pass
        elif refusal := self._cannot(request):
            self._reply(request, flow, refusal.status, *refusal.headers)
        elif request.method == "OPTIONS":
            self._reply(request, flow, 200, *ABLE, ("accept", sdp.CONTENT_TYPE))
        elif request.method == "REGISTER":
            answer = self._gate.register(request, flow)
            self._reply(request, flow, answer.status, *answer.headers)
        elif request.method in IN_DIALOG:
            self._reply(request, flow, 481)
        else:
            self._reply(request, flow, 405, ("allow", ALLOW))

    def _reply(self, request: Request, flow: Flow, status: int, *headers: tuple[str, str]) -> None:
        if not self._strangers.take():
            self.counts.dropped += 1
            return
        self.counts.by_status[status] = self.counts.by_status.get(status, 0) + 1
        self.transactions.reply(request, flow, status, *headers)

    @staticmethod
    def _cannot(request: Request) -> Refusal | None:
        """Why a request cannot be dealt with, whoever sends it."""
        uri = parse_uri(request.uri)
        if not uri.is_sip and uri.scheme != "tel":
            return Refusal(416)
        unknown = request.tokens("require") - EXTENSIONS
        if unknown:
            return Refusal(420, (("unsupported", ", ".join(sorted(unknown))),))
        return None

    def _invite(self, request: Request, flow: Flow) -> None:
        admitted = self._gate.admit(request, flow)
        if isinstance(admitted, Refusal):
            self.counts.refused += 1
            self._reply(request, flow, admitted.status, *admitted.headers)
            return
        refusal, offer = self._judged(request)
        if refusal is None and len(self.legs) >= self._options.most_legs:
            refusal = Refusal(503, (("retry-after", str(RETRY_AFTER_S)),))
        if refusal is not None:
            self._reply(request, flow, refusal.status, *refusal.headers)
            return
        transaction = self.transactions.accept(request, flow)
        if transaction is None:
            return
        request = transaction.request
        tag = secrets.token_hex(8)
        dialog = Dialog.incoming(request, flow, tag, self.contact(flow))
        if dialog is None:
            transaction.respond(respond(request, 400, tag=tag))
            return
        transaction.respond(respond(request, 100))
        leg = Leg(self, dialog, Nobody())
        leg.invited(transaction, offer)
        self.legs[dialog.key] = leg
        self._gate.invited(leg, request, admitted)

    def _judged(self, request: Request) -> tuple[Refusal | None, Description | None]:
        """Why an INVITE cannot be taken; its offer where it can, None when that is left to us."""
        if refusal := self._cannot(request):
            return refusal, None
        if request.get("content-encoding", "identity").lower() not in ("identity", ""):
            return Refusal(415, (("accept-encoding", "identity"),)), None
        if request.body and request.content_type != sdp.CONTENT_TYPE:
            return Refusal(415, (("accept", sdp.CONTENT_TYPE),)), None
        try:
            as_server(request)
        except TooBrief:
            return Refusal(422, (("min-se", str(LEAST_S)),)), None
        if not request.body:
            return None, None
        try:
            offer = sdp.parse_sdp(request.body)
        except SdpError:
            return Refusal(400), None
        try:
            if offer.audio < 0:
                return Refusal(488), None
            sdp.agree(offer.media[offer.audio], self.codecs)
        except SdpError:
            return Refusal(488), None
        return None, offer

    # ---- calls -------------------------------------------------------------------------------

    def add(self, leg: Leg) -> None:
        """A call of ours is up."""
        self.legs[leg.dialog.key] = leg

    def forget(self, key: tuple[str, str]) -> None:
        self.legs.pop(key, None)

    def close(self) -> None:
        """End all calls and forget everything."""
        for leg in list(self.legs.values()):
            leg.hang_up("server stopped")
        self.transactions.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
