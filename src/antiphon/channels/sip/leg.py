"""One call's signalling once there is a dialog: answering, holding, changing, passing on, ending it
(RFC 3261 sections 13 to 15). Pure, by `Timers` and `Transactions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from antiphon.channels.sip import sdp
from antiphon.channels.sip.dialog import Dialog
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.keypad import keys_of_info
from antiphon.channels.sip.leg_audio import LegAudio
from antiphon.channels.sip.leg_user import ABLE, ALLOW, Agent, LegUser, proof_for
from antiphon.channels.sip.message import Headers, Request, Response, respond
from antiphon.channels.sip.refer import Referral
from antiphon.channels.sip.sdp import Agreed, Description, SdpError
from antiphon.channels.sip.session_timer import (
    LEAST_S,
    SessionTimer,
    TooBrief,
    as_client,
    as_server,
)
from antiphon.channels.sip.transaction import ServerTransaction
from antiphon.channels.sip.wire import Flow

GLARE_S = 2.5
CALLER_GONE = "caller hung up"
State = Literal["offered", "answered", "up", "over"]
Answered = Callable[[Response | None], None]


class Leg:
    """One call. `offer` is theirs, None when they left that to us."""

    def __init__(
        self, agent: Agent, dialog: Dialog, user: LegUser, credentials: Credentials | None = None
    ) -> None:
        self._agent, self.dialog, self.user = agent, dialog, user
        self._credentials = credentials
        self.state: State = "offered"
        self.offer: Description | None = None
        self.allowed: frozenset[str] = frozenset()
        self.referral: Referral | None = None
        self.audio = LegAudio(agent.codecs)
        self._invite: ServerTransaction | None = None
        self._inviting = False
        self._wants_bye = ""
        self._session = SessionTimer(agent.timers, self._refresh, self._expired)

    # ---- a call that came in -----------------------------------------------------------------

    def invited(self, invite: ServerTransaction, offer: Description | None) -> None:
        """It begins with this INVITE."""
        self._invite, self.offer = invite, offer
        self.allowed = invite.request.tokens("allow")
        invite.on_cancel = self._cancelled

    def ring(self) -> None:
        """180."""
        if self._invite is not None and self.state == "offered":
            contact = ("contact", self.dialog.contact)
            self._invite.respond(self._response(self._invite.request, 180, contact))

    def accept(self, host: str, port: int) -> None:
        """200, with where we want the audio. Nothing when the caller has gone meanwhile."""
        invite = self._invite
        if invite is None or self.state != "offered":
            return
        try:
            terms, headers = as_server(invite.request)
            self.audio.place(host, port)
            if self.offer is not None:
                self.audio.take_offer(self.offer)
        except TooBrief:
            self.refuse(422, ("min-se", str(LEAST_S)))
            return
        except SdpError:
            self.refuse(488)
            return
        body = self.audio.describe(self.offer)
        self.state = "answered"
        self._answer(invite, body, headers)
        self._session.begin(terms)

    def refuse(self, status: int, *headers: tuple[str, str]) -> None:
        """A final response that is no 2xx."""
        if self._invite is not None and self.state == "offered":
            self._invite.respond(self._response(self._invite.request, status, *headers))
            self._over("refused")

    def _cancelled(self) -> None:
        if self._invite is not None and self.state == "offered":
            self._invite.respond(self._response(self._invite.request, 487))
            self._over(CALLER_GONE)

    # ---- a call of ours ----------------------------------------------------------------------

    def answered(self, response: Response, audio: LegAudio, agreed: Agreed) -> None:
        """Our INVITE was taken."""
        self.audio = audio
        self.allowed = response.tokens("allow")
        self.state = "up"
        self._session.begin(as_client(response))
        self.user.on_up(agreed)

    # ---- what we want ------------------------------------------------------------------------

    def hang_up(self, reason: str) -> None:
        """End it, whatever it is at. Idempotent."""
        if self.state == "offered":
            self.refuse(480)
        elif self.state == "answered":
            # No BYE before the ACK (section 15).
            self._wants_bye = self._wants_bye or reason
        elif self.state == "up":
            self.send("BYE", (("reason", 'SIP;cause=200;text="Call completed"'),))
            self._over(reason)

    def hold(self, held: bool, done: Answered) -> None:
        """Put the other side on hold, or take it back."""
        self.audio.holding = held
        self._reinvite(done)

    def refer(self, to: str, done: Callable[[int], None], by: str = "") -> None:
        """Ask the other side to call somebody else. `done` gets the final status of that call, or
        of the request when that was refused."""
        self.referral = Referral(done)
        by = by or str(self.dialog.local.uri)
        headers = (("refer-to", to), ("referred-by", f"<{by}>"))
        self.send("REFER", headers, done=self.referral.answered)

    def send(
        self,
        method: str,
        headers: Headers = (),
        *,
        body: tuple[str, bytes] = ("", b""),
        done: Answered | None = None,
        proof: Headers = (),
    ) -> None:
        """A request inside the dialog. `done` gets the final response, None for none."""
        request = self.dialog.request(method, (*headers, *proof))
        if body[1]:
            request = request.with_body(*body)

        def on_response(response: Response) -> None:
            if response.status < 200:
                return
            if response.status in (401, 407) and not proof:
                found = proof_for(response, request, self._credentials)
                if found:
                    self.send(method, headers, body=body, done=done, proof=found)
                    return
            if response.status in (408, 481) and method != "BYE":
                self._over("connection lost")
            if done is not None:
                done(response)

        def on_failed() -> None:
            if method != "BYE":
                self._over("connection lost")
            if done is not None:
                done(None)

        self._agent.transactions.request(request, self.dialog.flow, on_response, on_failed)

    def _reinvite(self, done: Answered, again: bool = True, proof: Headers = ()) -> None:
        if self.state == "up" and (self._inviting or self._invite_open) and again:
            # Another change is under way: ours waits for it.
            self._agent.timers.after(GLARE_S, lambda: self._reinvite(done, False, proof))
            return
        if self.state != "up" or self._inviting or self._invite_open:
            done(None)
            return
        self._inviting = True
        offer = self.audio.offer()
        headers = (*ABLE, *self._session.offered(), *proof)
        request = self.dialog.request("INVITE", headers).with_body(sdp.CONTENT_TYPE, offer)
        acks: list[Callable[[], None]] = []

        def on_response(response: Response) -> None:
            if response.status < 200:
                return
            if response.status < 300 and acks:
                acks[0]()
                return
            self._inviting = False
            if response.status < 300:
                self.dialog.refresh(response)
                ack = self.dialog.request("ACK", proof, seq=request.cseq[0])
                acks.append(self._agent.send_ack(ack, self.dialog.flow))
                self._changed_by(response)
                done(response)
            elif response.status in (401, 407) and not proof:
                found = proof_for(response, request, self._credentials)
                self._reinvite(done, again, found) if found else done(response)
            elif response.status == 491 and again:
                self._agent.timers.after(GLARE_S, lambda: self._reinvite(done, False))
            else:
                if response.status in (408, 481):
                    self._over("connection lost")
                done(response)

        def on_failed() -> None:
            self._inviting = False
            self._over("connection lost")
            done(None)

        self._agent.transactions.request(request, self.dialog.flow, on_response, on_failed)

    def _changed_by(self, response: Response) -> None:
        if self.state != "up":
            return
        self._session.begin(as_client(response) or self._session.terms)
        try:
            agreed = self.audio.take_answer(response.body)
        except SdpError:
            return
        self.user.on_changed(agreed)

    # ---- what they want ----------------------------------------------------------------------

    def on_request(self, request: Request, flow: Flow) -> None:
        """A request inside the dialog, with its tags checked."""
        if request.method == "ACK":
            self._acknowledged(request)
            return
        transaction = self._agent.transactions.accept(request, flow)
        if transaction is None:
            return
        if not self.dialog.in_order(request):
            transaction.respond(self._response(request, 500))
            return
        self.dialog.flow = flow if flow.reliable else self.dialog.flow
        match request.method:
            case "BYE":
                self._bye(transaction)
            case "INVITE" | "UPDATE":
                self._change(transaction)
            case "INFO":
                self._info(transaction)
            case "NOTIFY":
                self._notified(transaction)
            case "OPTIONS":
                transaction.respond(self._response(request, 200, *ABLE))
            case _:
                transaction.respond(self._response(request, 405, ("allow", ALLOW)))

    def _acknowledged(self, ack: Request) -> None:
        invite = self._invite
        # Nothing can be acknowledged before it is answered; the INVITE is needed for that.
        if invite is None or self.state == "offered" or ack.cseq[0] != invite.request.cseq[0]:
            return
        invite.acknowledged()
        self._invite = None
        if self.state not in ("answered", "up"):
            return
        first, self.state = self.state == "answered", "up"
        if self._wants_bye:
            self.hang_up(self._wants_bye)
            return
        try:
            if self.offer is None:
                self.audio.take_answer(ack.body)
        except SdpError:
            self.hang_up("no codec in common")
            return
        assert self.audio.agreed is not None
        if first:
            self.user.on_up(self.audio.agreed)
        elif self.offer is None:
            self.user.on_changed(self.audio.agreed)

    def _bye(self, transaction: ServerTransaction) -> None:
        if self._invite is not None and self.state == "offered":
            self._invite.respond(self._response(self._invite.request, 487))
        transaction.respond(self._response(transaction.request, 200))
        self._over(CALLER_GONE)

    def _change(self, transaction: ServerTransaction) -> None:
        """A re-INVITE or UPDATE: a refresh, or another offer."""
        request = transaction.request
        if self.state != "up" or self._invite_open:
            transaction.respond(self._response(request, 500, ("retry-after", "1")))
            return
        if self._inviting:
            transaction.respond(self._response(request, 491))
            return
        try:
            offer = sdp.parse_sdp(request.body) if request.body else None
            terms, headers = as_server(request)
            if offer is not None:
                self.audio.take_offer(offer)
        except TooBrief:
            least = ("min-se", str(LEAST_S))
            transaction.respond(self._response(request, 422, least))
            return
        except SdpError:
            transaction.respond(self._response(request, 488))
            return
        self.dialog.refresh(request)
        self._session.begin(terms or self._session.terms)
        if request.method == "UPDATE":
            body = self.audio.describe(offer) if offer is not None else b""
            self._answer(transaction, body, headers)
        else:
            self._invite, self.offer = transaction, offer
            self._answer(transaction, self.audio.describe(offer), headers)
        if offer is not None and self.audio.agreed is not None:
            self.user.on_changed(self.audio.agreed)

    def _info(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        keys = keys_of_info(request.content_type, request.body)
        if keys is None:
            transaction.respond(self._response(request, 415, ("accept", "application/dtmf-relay")))
            return
        transaction.respond(self._response(request, 200))
        for key in keys:
            self.user.on_key(key)

    def _notified(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        event = request.get("event").partition(";")[0].strip().lower()
        if event != "refer" or self.referral is None:
            transaction.respond(self._response(request, 489))
            return
        transaction.respond(self._response(request, 200))
        self.referral.notified(request)

    # ---- helpers -----------------------------------------------------------------------------

    @property
    def _invite_open(self) -> bool:
        return self._invite is not None and self._invite.state in ("proceeding", "accepted")

    def _answer(self, transaction: ServerTransaction, body: bytes, headers: Headers) -> None:
        contact = ("contact", self.dialog.contact)
        response = self._response(transaction.request, 200, contact, *ABLE, *headers)
        if body:
            response = response.with_body(sdp.CONTENT_TYPE, body)
        transaction.on_no_ack = self._no_ack
        transaction.respond(response)

    def _response(self, request: Request, status: int, *headers: tuple[str, str]) -> Response:
        return respond(request, status, *headers, tag=self.dialog.local.tag)

    def _no_ack(self) -> None:
        if self.state in ("answered", "up"):
            self.state = "up"
            self.hang_up(self._wants_bye or "connection lost")

    def _refresh(self) -> None:
        if self.state != "up":
            return
        # Fails when nobody answers, and that ends the call.
        if "update" in self.allowed:
            self.send("UPDATE", (*ABLE, *self._session.offered()), done=self._refreshed)
        else:
            self._reinvite(lambda _: self._session.begin(self._session.terms))

    def _refreshed(self, response: Response | None) -> None:
        if response is None or self.state != "up":
            return
        if response.status < 300:
            self._session.begin(as_client(response) or self._session.terms)
        else:
            self._session.begin(self._session.terms)

    def _expired(self) -> None:
        self.hang_up("connection lost")

    def _over(self, reason: str) -> None:
        if self.state == "over":
            return
        self.state = "over"
        self._session.stop()
        self._agent.forget(self.dialog.key)
        if self.referral is not None:
            self.referral.over(by_them=reason == CALLER_GONE)
        self.user.on_over(reason)
