"""Dialogs: what two ends remember of each other (RFC 3261 section 12). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.channels.sip.message import Headers, Request, Response
from antiphon.channels.sip.uri import Address, AddressError, Uri, parse_address
from antiphon.channels.sip.wire import Flow, is_literal, reachable_from

MAX_ROUTES = 16


@dataclass(slots=True)
class Dialog:
    """One of them. `local` and `remote` carry the tags; `flow` is where requests go."""

    call_id: str
    local: Address
    remote: Address
    target: Uri
    routes: tuple[Address, ...]
    local_seq: int
    remote_seq: int
    flow: Flow
    contact: str
    """Ours, as a header value."""

    @classmethod
    def incoming(cls, invite: Request, flow: Flow, tag: str, contact: str) -> Dialog | None:
        """Of an INVITE that came in; None where its `Contact` or routes are not usable."""
        target, routes = invite.contact(), _routes(invite)
        if target is None or routes is None:
            return None
        local = invite.to if invite.to.tag else invite.to.with_param("tag", tag)
        made = cls(
            *(invite.call_id, local, invite.from_, target.uri, routes),
            *(0, invite.cseq[0], flow, contact),
        )
        made._follow(target.uri)
        return made

    @classmethod
    def outgoing(cls, invite: Request, response: Response, flow: Flow) -> Dialog | None:
        """Of a 2xx to an INVITE of ours; None where it cannot be one."""
        target, routes = response.contact(), _routes(response)
        if target is None or routes is None or not response.to.tag:
            return None
        made = cls(
            *(invite.call_id, invite.from_, response.to, target.uri, routes[::-1]),
            *(invite.cseq[0], -1, flow, invite.get("contact")),
        )
        made._follow(target.uri)
        return made

    @property
    def key(self) -> tuple[str, str]:
        """By what it is found: the Call-ID, and our tag."""
        return self.call_id, self.local.tag

    def request(self, method: str, headers: Headers = (), seq: int | None = None) -> Request:
        """A request inside it. `seq` is given for an ACK."""
        if seq is None:
            self.local_seq += 1
            seq = self.local_seq
        uri, routes = self.target, [*self.routes]
        if routes and "lr" not in dict(routes[0].uri.params):
            # A router of RFC 2543 wants its own address first (section 12.2.1.1).
            uri = routes.pop(0).uri
            routes.append(Address(self.target))
        return Request(
            (
                ("max-forwards", "70"),
                *(("route", str(route)) for route in routes),
                ("from", str(self.local)),
                ("to", str(self.remote)),
                ("call-id", self.call_id),
                ("cseq", f"{seq} {method}"),
                ("contact", self.contact),
                *headers,
            ),
            b"",
            method,
            str(uri),
        )

    def in_order(self, request: Request) -> bool:
        """Whether a request is newer than those before it (section 12.2.2); then it is noted."""
        if request.cseq[0] <= self.remote_seq:
            return False
        self.remote_seq = request.cseq[0]
        return True

    def refresh(self, message: Request | Response) -> None:
        """Another `Contact` of the other side."""
        found = message.contact()
        if found is not None:
            self.target = found.uri
            self._follow(found.uri)

    def _follow(self, target: Uri) -> None:
        """Where requests go: along the routes, else to the target; where that cannot be reached,
        to where messages come from."""
        if self.flow.reliable:
            return
        hop = self.routes[0].uri if self.routes else target
        if is_literal(hop.host) and reachable_from(hop.host, self.flow.host):
            self.flow = Flow("udp", hop.host.strip("[]"), hop.port or 5060)


def _routes(message: Request | Response) -> tuple[Address, ...] | None:
    values = message.all("record-route")
    if len(values) > MAX_ROUTES:
        return None
    try:
        routes = tuple(parse_address(value) for value in values)
    except AddressError:
        return None
    return routes if all(route.uri.is_sip for route in routes) else None
