"""Transactions: a request with its responses, sent again where the network may lose them (RFC 3261
section 17, with the Accepted states of RFC 6026). Pure: it sends by a function and waits by
`Timers`."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from antiphon.channels.sip.message import Request, Response, respond
from antiphon.channels.sip.uri import Via
from antiphon.channels.sip.wire import Flow, Timer, Timers

T1_S = 0.5
"""A round trip."""
T2_S = 4.0
"""Longest pause between two copies."""
T4_S = 5.0
"""How long a message may linger in the network."""
GIVE_UP_S = 64 * T1_S
MAGIC = "z9hG4bK"
MOST_TRANSACTIONS = 8_192
"""At once, of each kind; beyond, requests are answered with 503."""
RETRY_AFTER_S = 5
Key = tuple[str, ...]
State = Literal["trying", "proceeding", "completed", "accepted", "over"]


class TransactionUser(Protocol):
    """Who deals with what is new."""

    def on_request(self, request: Request, flow: Flow) -> None:
        """A request that belongs to no transaction; ACK among them."""
        ...

    def via(self, flow: Flow) -> Via:
        """Our own, without a branch, for a request that goes there."""
        ...


def server_key(request: Request, method: str = "") -> Key:
    """By what a request is known again (section 17.2.3); `method` finds another one's."""
    via = request.via
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    if via.branch.startswith(MAGIC):
        return via.branch, via.sent_by, method
    # RFC 2543 knew no branches that are unique.
    number = str(request.cseq[0])
    return request.call_id, number, request.from_.tag, via.sent_by, request.uri, method


class ServerTransaction:
    """A request that came in."""

    def __init__(self, owner: Transactions, request: Request, flow: Flow, key: Key) -> None:
        self._owner = owner
        self.request, self.flow, self.key = request, flow, key
        self.state: State = "proceeding"
        self.on_cancel: Callable[[], None] = _nothing
        self.on_no_ack: Callable[[], None] = _nothing
        """A 2xx was not acknowledged in 32 s."""
        self._last: Response | None = None
        self._again: Timer | None = None
        self._end: Timer | None = None
        self._pause_s = T1_S

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    def respond(self, response: Response) -> None:
        """Send a response; after a final one, nothing is sent any more."""
        if self.state not in ("trying", "proceeding"):
            return
        self._last = response
        self._owner.send_response(response, self.flow)
        if response.status < 200:
            return
        timers = self._owner.timers
        self.state = "accepted" if self.is_invite and response.status < 300 else "completed"
        if not self.is_invite:
            self._end = timers.after(0 if self.flow.reliable else GIVE_UP_S, self.finish)
            return
        self._end = timers.after(GIVE_UP_S, self._give_up)
        # A 2xx is repeated over TCP too: a proxy on the way may use UDP (section 13.3.1.4).
        if self.state == "accepted" or not self.flow.reliable:
            self._again = timers.after(self._pause_s, self._repeat)

    def seen_again(self) -> None:
        """The other side has sent the request once more."""
        if self._last is not None and self.state != "over":
            self._owner.send_response(self._last, self.flow)

    def acknowledged(self) -> None:
        """The final response has arrived."""
        if self._again is not None:
            self._again.cancel()
        # Whoever acknowledges has no reason to send the INVITE again; copies may be on their way.
        if self.state in ("completed", "accepted") and self.is_invite and self._end is not None:
            self._end.cancel()
            self._end = self._owner.timers.after(0 if self.flow.reliable else T4_S, self.finish)
        self.on_no_ack = _nothing

    def finish(self) -> None:
        """Forget it."""
        self.state = "over"
        for timer in (self._again, self._end):
            if timer is not None:
                timer.cancel()
        self._owner.forget_server(self)

    def _repeat(self) -> None:
        assert self._last is not None
        self._owner.send_response(self._last, self.flow)
        self._pause_s = min(2 * self._pause_s, T2_S)
        self._again = self._owner.timers.after(self._pause_s, self._repeat)

    def _give_up(self) -> None:
        tell = self.on_no_ack
        self.finish()
        tell()


class ClientTransaction:
    """A request of ours. `on_response` gets every response but copies; of a 2xx to INVITE also the
    copies, because each has to be acknowledged. `on_failed`: nobody answered."""

    def __init__(
        self,
        owner: Transactions,
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._owner = owner
        self.request, self.flow = request, flow
        self._on_response, self._on_failed = on_response, on_failed
        self.state: State = "trying"
        self._cancelled = False
        self._pause_s = T1_S
        self._again: Timer | None = None
        self._end = owner.timers.after(GIVE_UP_S, self._give_up)
        owner.send(bytes(request), flow)
        if not flow.reliable:
            self._again = owner.timers.after(self._pause_s, self._repeat)

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def key(self) -> Key:
        return self.request.via.branch, self.request.method

    def cancel(self) -> None:
        """Take an INVITE back. Before anything was heard of it that has to wait (section 9.1)."""
        if self._cancelled or not self.is_invite or self.state not in ("trying", "proceeding"):
            return
        self._cancelled = True
        if self.state == "proceeding":
            self._send_cancel()

    def received(self, response: Response) -> None:
        """A response to it."""
        if response.status < 200:
            self._provisional(response)
        elif self.state in ("trying", "proceeding"):
            self._final(response)
        elif self.is_invite and self.state == "accepted" and response.status < 300:
            self._on_response(response)
        elif self.is_invite and self.state == "completed" and response.status >= 300:
            self._acknowledge(response)

    def finish(self) -> None:
        """Forget it."""
        self.state = "over"
        for timer in (self._again, self._end):
            if timer is not None:
                timer.cancel()
        self._owner.forget_client(self)

    def _provisional(self, response: Response) -> None:
        if self.state not in ("trying", "proceeding"):
            return
        first, self.state = self.state == "trying", "proceeding"
        if self.is_invite:
            if self._again is not None:
                self._again.cancel()
            # How long it may ring is for the user to say; `cancel` sets a new limit.
            if not self._cancelled:
                self._end.cancel()
            elif first:
                self._send_cancel()
        self._on_response(response)

    def _final(self, response: Response) -> None:
        if self._again is not None:
            self._again.cancel()
        self._end.cancel()
        if self.is_invite and response.status >= 300:
            self._acknowledge(response)
        self.state = "accepted" if self.is_invite and response.status < 300 else "completed"
        linger_s = 0.0 if self.flow.reliable else T4_S
        if self.is_invite:
            linger_s = GIVE_UP_S if self.state == "accepted" or not self.flow.reliable else 0.0
        self._end = self._owner.timers.after(linger_s, self.finish)
        self._on_response(response)

    def _acknowledge(self, response: Response) -> None:
        self._owner.send(bytes(_follow_up(self.request, "ACK", response.get("to"))), self.flow)

    def _send_cancel(self) -> None:
        self._end.cancel()
        self._end = self._owner.timers.after(GIVE_UP_S, self._give_up)
        cancel = _follow_up(self.request, "CANCEL", self.request.get("to"))
        self._owner.add_client(
            ClientTransaction(self._owner, cancel, self.flow, lambda _: None, _nothing)
        )

    def _repeat(self) -> None:
        self._owner.send(bytes(self.request), self.flow)
        longest_s = GIVE_UP_S if self.is_invite else T2_S
        self._pause_s = min(2 * self._pause_s, longest_s)
        self._again = self._owner.timers.after(self._pause_s, self._repeat)

    def _give_up(self) -> None:
        self.finish()
        self._on_failed()


class Transactions:
    """All of them.

    Args:
        send: hands bytes to the network; never fails.
        user: who deals with new requests.
        limit: at once, of each kind.
    """

    def __init__(
        self,
        send: Callable[[bytes, Flow], None],
        timers: Timers,
        user: TransactionUser,
        limit: int = MOST_TRANSACTIONS,
    ) -> None:
        self.send, self.timers = send, timers
        self._user, self._limit = user, limit
        self._servers: dict[Key, ServerTransaction] = {}
        self._merged: dict[Key, Key] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._secret = secrets.token_bytes(16)

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    @property
    def full(self) -> bool:
        return len(self._servers) >= self._limit

    # ---- what comes in -----------------------------------------------------------------------

    def on_request(self, request: Request, flow: Flow) -> None:
        """A request was read."""
        request = stamped(request, flow)
        known = self._servers.get(server_key(request))
        if request.method == "ACK":
            if known is not None and known.state == "completed":
                known.acknowledged()
            else:
                self._user.on_request(request, flow)
        elif known is not None:
            known.seen_again()
        elif request.method == "CANCEL":
            self._cancel(request, flow)
        else:
            self._user.on_request(request, flow)

    def on_response(self, response: Response) -> None:
        """A response was read. One that belongs to nothing of ours is dropped."""
        client = self._clients.get((response.via.branch, response.cseq[1]))
        if client is not None:
            client.received(response)

    def _cancel(self, request: Request, flow: Flow) -> None:
        invite = self._servers.get(server_key(request, "INVITE"))
        self.reply(request, flow, 481 if invite is None else 200)
        if invite is not None and invite.state == "proceeding":
            invite.on_cancel()

    # ---- what goes out -----------------------------------------------------------------------

    def accept(self, request: Request, flow: Flow) -> ServerTransaction | None:
        """A transaction for a request; None when it has been answered already, because there are
        too many, or it is the same one by another way (482, section 8.2.2.2)."""
        if self.full:
            self.reply(request, flow, 503, ("retry-after", str(RETRY_AFTER_S)))
            return None
        key = server_key(request)
        if not request.to.tag:
            same = self._merged_key(request)
            if same in self._merged:
                self.reply(request, flow, 482)
                return None
            self._merged[same] = key
        made = ServerTransaction(self, request, flow, key)
        self._servers[key] = made
        return made

    def reply(self, request: Request, flow: Flow, status: int, *headers: tuple[str, str]) -> None:
        """Answer without keeping anything (section 8.2.7)."""
        tag = f"s{hash((self._secret, request.call_id, request.get('from'))) & (2**63 - 1):x}"
        response = respond(request, status, *headers, tag="" if status == 100 else tag)
        self.send_response(response, flow)

    def request(
        self,
        request: Request,
        flow: Flow,
        on_response: Callable[[Response], None],
        on_failed: Callable[[], None],
    ) -> ClientTransaction | None:
        """Send a request, with a `Via` put on it. None when too many are under way: then
        `on_failed` has been called."""
        if len(self._clients) >= self._limit:
            on_failed()
            return None
        via = self._user.via(flow).with_param("branch", MAGIC + secrets.token_hex(12))
        request = replace(request, headers=(("via", str(via)), *request.headers))
        made = ClientTransaction(self, request, flow, on_response, on_failed)
        self.add_client(made)
        return made

    def send_response(self, response: Response, flow: Flow) -> None:
        """To where the request came from (RFC 3581 section 4)."""
        if not flow.reliable:
            via = response.via
            if "rport" not in dict(via.params):
                flow = Flow(flow.transport, flow.host, via.port or 5060)
        self.send(bytes(response), flow)

    # ---- books -------------------------------------------------------------------------------

    def add_client(self, made: ClientTransaction) -> None:
        if made.state != "over":
            self._clients[made.key] = made

    def forget_client(self, made: ClientTransaction) -> None:
        self._clients.pop(made.key, None)

    def forget_server(self, made: ServerTransaction) -> None:
        self._servers.pop(made.key, None)
        if not made.request.to.tag:
            self._merged.pop(self._merged_key(made.request), None)

    def close(self) -> None:
        """Forget everything."""
        for server in list(self._servers.values()):
            server.finish()
        for client in list(self._clients.values()):
            client.finish()

    @staticmethod
    def _merged_key(request: Request) -> Key:
        number, method = request.cseq
        return request.call_id, str(number), method, request.from_.tag


def stamped(request: Request, flow: Flow) -> Request:
    """With what is known of its sender on the topmost `Via` (section 18.2.1, RFC 3581)."""
    via = request.via
    if via.host != flow.host or "rport" in dict(via.params):
        via = via.with_param("received", flow.host)
    if "rport" in dict(via.params):
        via = via.with_param("rport", str(flow.port))
    vias = [str(via), *request.all("via")[1:]]
    others = tuple(pair for pair in request.headers if pair[0] != "via")
    made = replace(request, headers=(*(("via", one) for one in vias), *others))
    # What was read of the request need not be read again: each message of a flood costs this.
    for name in ("call_id", "cseq", "from_", "to"):
        made.__dict__[name] = getattr(request, name)
    made.__dict__["via"] = via
    return made


def _follow_up(invite: Request, method: str, to: str) -> Request:
    """An ACK or CANCEL of the same transaction (sections 9.1 and 17.1.1.3)."""
    same = ("from", "call-id", "route")
    headers = [("via", invite.all("via")[0]), ("max-forwards", "70"), ("to", to)]
    headers += [pair for pair in invite.headers if pair[0] in same]
    headers.append(("cseq", f"{invite.cseq[0]} {method}"))
    return Request(tuple(headers), b"", method, invite.uri)


def _nothing() -> None:
    pass
