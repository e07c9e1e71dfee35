"""The calls of telephone companies: who may connect, which agent answers, what becomes of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from starlette.websockets import WebSocket

from antiphon.channels.base import Call, CallFacts, CallIO, TelephoneIO, TransferTarget
from antiphon.channels.phone.extras import AdmitsBySecret
from antiphon.channels.phone.stream import StreamCall
from antiphon.channels.phone.tokens import MAX_TOKEN_CHARS, Admission, Tokens
from antiphon.channels.phone.vendor import (
    BadMessage,
    Dialect,
    Forged,
    Started,
    Status,
    Stream,
    TransferOrder,
    Webhook,
)
from antiphon.channels.phone.wire import POLICY_VIOLATION, TRY_AGAIN_LATER, Wire
from antiphon.errors import CapacityError, UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import Company, make_vendors
from antiphon.server.direct import open_wire

log = logging.getLogger(__name__)

FIRST_WORD_S = 5.0
"""How long a stream may take to say who it is."""
CONNECT_S = 60.0
"""How long the company may take from our document to its stream."""
RECORD_S = 10.0
CLOSE_S = 1.0
MAX_STRANGERS = 200
"""Streams that have not said yet who they are; one more is sent away."""
MAX_UNCLAIMED = 1000
"""Calls whose status nobody listens to yet; the oldest are forgotten."""
MAX_STATUSES = 16


class Host(Protocol):
    """The supervisor, as the telephone sees it."""

    @property
    def agents(self) -> Mapping[str, Any]: ...
    def check(self, agent: str | None) -> str: ...
    async def start_call(self, call: Call, agent: str | None) -> CallIO: ...


class PhoneService:
    """All telephone companies of a process, and their calls.

    Args:
        host: takes the calls.
        companies: instead of those of the configuration, for tests.
        prefix: what the paths that companies are told to ask begin with, so that what belongs to
            a call comes to the process that has it.

    Raises:
        UserFacingError: a company is unknown, or a number belongs to an agent that is not here.
    """

    def __init__(
        self,
        host: Host,
        config: PhoneConfig,
        metrics: Metrics,
        companies: Mapping[str, Company] | None = None,
        prefix: str = "",
    ) -> None:
        self.host, self.config, self.metrics = host, config, metrics
        self.public_url = config.public_url.rstrip("/")
        self._own_url = self.public_url + prefix
        if companies is None:
            companies = make_vendors(config.model_copy(update={"public_url": self._own_url}))
        self.companies = companies
        secret = None if config.secret is None else config.secret.value.encode()
        self._tokens = Tokens(secret)
        self._calls: dict[str, StreamCall] = {}
        self._by_line: dict[str, StreamCall] = {}
        self._sessions: dict[str, TelephoneIO] = {}
        self._whispers: dict[str, str] = {}
        self._listeners: dict[str, Callable[[Status], None]] = {}
        self._unclaimed: OrderedDict[str, list[Status]] = OrderedDict()
        self._strangers = 0
        for name, company in self.companies.items():
            for number, agent in company.options.numbers.items():
                if agent not in host.agents:
                    known = ", ".join(host.agents)
                    raise UserFacingError(
                        f"{name}: the number {number} belongs to the agent {agent!r}, "
                        f"who is not here; there is {known}"
                    )

    # ---- for those who make calls -------------------------------------------------------------

    def stream_for(
        self, agent: str, facts: CallFacts, vendor: str, ttl_s: float = CONNECT_S, resume: str = ""
    ) -> Stream:
        """Where a call's stream is to connect, within `ttl_s`."""
        longest = getattr(self.companies[vendor].vendor, "token_chars", MAX_TOKEN_CHARS)
        token = self._tokens.issue(Admission(agent, facts, resume), ttl_s, time.time(), longest)
        scheme, _, rest = self._own_url.partition("://")
        url = f"{'ws' if scheme == 'http' else 'wss'}://{rest}/{vendor}/media"
        told = {"from": facts.caller, "to": facts.called, "call_id": facts.line_call_id}
        return Stream(url, token, parameters={key: one for key, one in told.items() if one})

    def url(self, vendor: str, what: str) -> str:
        """The address of a webhook about a call of this process: `status`, `machine`."""
        return f"{self._own_url}/{vendor}/{what}"

    def subscribe(
        self, line_call_id: str, listener: Callable[[Status], None]
    ) -> Callable[[], None]:
        """Hear what becomes of a call, also what came before; returns what ends that."""
        self._listeners[line_call_id] = listener
        for status in self._unclaimed.pop(line_call_id, ()):
            listener(status)
        return lambda: cast("None", self._listeners.pop(line_call_id, None))

    def call_for(self, line_call_id: str) -> StreamCall | None:
        """The call by the line's own name, while it goes on."""
        return self._by_line.get(line_call_id)

    def session_for(self, line_call_id: str) -> TelephoneIO | None:
        """The conversation on it."""
        call = self._by_line.get(line_call_id)
        return None if call is None else self._sessions.get(call.call_id)

    # ---- for the webhooks ---------------------------------------------------------------------

    def agent_for(self, vendor: str, called: str) -> str:
        """Who answers a number; empty for whoever is first."""
        numbers = self.companies[vendor].options.numbers
        wanted = _digits(called)
        plain = {_digits(number): agent for number, agent in numbers.items()}
        return numbers.get(called) or (plain.get(wanted, "") if wanted else "")

    def told(self, status: Status) -> None:
        """A company told what became of a call."""
        line = status.line_call_id
        if status.status in ("completed", "busy", "no_answer", "failed", "canceled"):
            call = self._by_line.get(line)
            if call is not None:
                call.gone()
        if listener := self._listeners.get(line):
            listener(status)
            return
        kept = self._unclaimed.setdefault(line, [])
        if len(kept) < MAX_STATUSES:
            kept.append(status)
        if len(self._unclaimed) > MAX_UNCLAIMED:
            self._unclaimed.popitem(last=False)

    def call(self, call_id: str) -> StreamCall | None:
        """The call by our own name."""
        return self._calls.get(call_id)

    def whisper(self, call_id: str) -> str:
        """What the person who is being called is told of the caller."""
        return self._whispers.get(call_id, "")

    # ---- streams ------------------------------------------------------------------------------

    async def serve(self, websocket: WebSocket, vendor: str, handshake: Webhook) -> None:
        """A media stream from its handshake to its end.

        Raises:
            Forged: it is not the company's, or nobody sent for it; nothing was accepted then.
        """
        company = self.companies[vendor].vendor
        if company.signs_handshake(handshake):
            company.verify(handshake)
        if self._strangers >= MAX_STRANGERS:
            await websocket.close(TRY_AGAIN_LATER)
            return
        # Asterisk offers it (RFC 6455, 4.2.2: one of those that are offered, or none).
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept("media" if "media" in offered else None)
        wire, dialect = open_wire(websocket), company.dialect()
        self._strangers += 1
        try:
            started, admission = await self._admit(wire, dialect, vendor, handshake)
        except (Forged, BadMessage) as error:
            reason = error.why if isinstance(error, Forged) else "forged"
            self.metrics.phone_request_refused(vendor, reason)
            wire.close(POLICY_VIOLATION, "this stream is not admitted")
            await wire.run(_ignore)
            return
        finally:
            self._strangers -= 1
        if admission.resume:
            await self._resume(wire, dialect, admission.resume)
        else:
            await self._begin(wire, dialect, vendor, started, admission)

    async def aclose(self) -> None:
        """End every call and let go of the companies, within a second."""
        sessions = list(self._sessions.values())
        for io in sessions:
            io.hang_up("the server is stopping")
        try:
            async with asyncio.timeout(CLOSE_S):
                for io in sessions:
                    await io.wait_closed()
        except TimeoutError:
            log.warning("calls did not end in time")
        for company in self.companies.values():
            await company.vendor.aclose()

    async def _admit(
        self, wire: Wire, dialect: Dialect, vendor: str, handshake: Webhook
    ) -> tuple[Started, Admission]:
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                while True:
                    message = await wire.first()
                    if message is None:
                        raise BadMessage("closed before it said who it is")
                    event = dialect.read(message)
                    if event is not None:
                        break
        except TimeoutError:
            raise BadMessage("did not say who it is") from None
        if not isinstance(event, Started):
            raise BadMessage("begins in the middle")
        token = event.parameters.get("token", "")
        company = self.companies[vendor].vendor
        if not token and isinstance(company, AdmitsBySecret) and company.admits(handshake):
            facts = CallFacts("inbound", event.caller, event.called, event.line_call_id)
            return event, Admission(self.agent_for(vendor, event.called), facts)
        return event, self._tokens.admit(token, time.time())

    async def _begin(
        self, wire: Wire, dialect: Dialect, vendor: str, started: Started, admission: Admission
    ) -> None:
        facts = admission.facts
        if started.line_call_id:
            facts = replace(facts, line_call_id=started.line_call_id)
        line = _Line(self, vendor)
        call = StreamCall(vendor, facts, dialect.rate_hz, line, self.metrics.frame_late)
        try:
            io = cast("TelephoneIO", await self.host.start_call(call, admission.agent or None))
        except UserFacingError as error:
            reason = error.reason if isinstance(error, CapacityError) else "bad_request"
            self.metrics.call_refused(reason)
            wire.close(TRY_AGAIN_LATER, "no line is free")
            await wire.run(_ignore)
            return
        call.begin(io)
        call_id = io.call_id
        self._calls[call_id], self._sessions[call_id] = call, io
        self._by_line[facts.line_call_id] = call
        try:
            await call.run(wire, dialect)
            # No deadline: the call may go on with another stream. It ends at the latest when that
            # does not come.
            await call.over.wait()
        finally:
            io.hang_up("internal error")
            self._forget(call_id, facts.line_call_id)
            async with asyncio.timeout(RECORD_S):
                await io.wait_closed()

    async def _resume(self, wire: Wire, dialect: Dialect, call_id: str) -> None:
        call = self._calls.get(call_id)
        if call is None:
            wire.close()
            await wire.run(_ignore)
            return
        await call.run(wire, dialect)

    def _forget(self, call_id: str, line_call_id: str) -> None:
        del self._calls[call_id], self._sessions[call_id]
        self._whispers.pop(call_id, None)
        self._by_line.pop(line_call_id, None)

    def order(self, vendor: str, call: StreamCall, target: TransferTarget) -> TransferOrder:
        """What a company is asked for to pass a caller on."""
        facts, call_id = call.facts, call.call_id
        self._whispers[call_id] = target.message
        sender = facts.called if facts.direction == "inbound" else facts.caller
        return TransferOrder(
            *(facts.line_call_id, target.to, sender),
            result_url=self.url(vendor, f"transfer/{call_id}"),
            answered_url="" if target.message else self.url(vendor, f"answered/{call_id}"),
            whisper_url=self.url(vendor, f"whisper/{call_id}") if target.message else "",
            ring_s=target.ring_s,
        )


class _Line:
    """A call's company, for the call."""

    def __init__(self, service: PhoneService, vendor: str) -> None:
        self._service, self._name = service, vendor
        self._vendor = service.companies[vendor].vendor
        self.can_transfer = "transfer" in self._vendor.can

    async def transfer(self, call: StreamCall, target: TransferTarget) -> None:
        await self._vendor.transfer(self._service.order(self._name, call, target))

    async def hang_up(self, call: StreamCall, *, streaming: bool) -> None:
        ends_by_itself = streaming and getattr(self._vendor, "ends_with_stream", False)
        if "hang_up" in self._vendor.can and not ends_by_itself:
            await self._vendor.hang_up(call.facts.line_call_id)


def _digits(number: str) -> str:
    return "".join(one for one in number if one.isdigit())


def _ignore(message: str | bytes) -> None:
    """A stream that is being closed has nothing more to say."""
