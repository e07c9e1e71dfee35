"""A telephone company as a line for outbound calls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from antiphon.channels.base import CallFacts, TelephoneIO
from antiphon.channels.phone.vendor import DialOrder, Status, Stream, Vendor
from antiphon.errors import ConfigError
from antiphon.phone.dialer_record import LineCall

MAX_LISTENING = 20_000
"""Calls whose end was never told keep their listener until so many newer ones were made."""
_OVER = ("completed", "busy", "no_answer", "failed", "canceled")


class CompanyService(Protocol):
    """What is needed of the server's telephone service."""

    def stream_for(self, agent: str, facts: CallFacts, vendor: str, ttl_s: float) -> Stream: ...
    def url(self, vendor: str, what: str) -> str: ...
    def subscribe(
        self, line_call_id: str, listener: Callable[[Status], None]
    ) -> Callable[[], None]: ...
    def session_for(self, line_call_id: str) -> TelephoneIO | None: ...


class CompanyLine:
    """Calls through one company.

    Raises:
        ConfigError: it makes no calls, or does not tell machines from people where that is wanted.
    """

    def __init__(self, service: CompanyService, vendor: Vendor, *, machines: bool) -> None:
        self._service, self._vendor = service, vendor
        self._detects = "detect_machine" in vendor.can
        self._listening: OrderedDict[str, Callable[[], None]] = OrderedDict()
        if "dial" not in vendor.can:
            message = f"`{vendor.name}` makes no calls; choose another of `vendors`, or `sip`"
            raise ConfigError(message, path="phone.yaml", key="outbound.vendor")
        if machines and not self._detects:
            message = f"`{vendor.name}` does not detect answering machines; write `machine: ignore`"
            raise ConfigError(message, path="phone.yaml", key="outbound.machine")

    async def dial(self, call: LineCall, told: Callable[[Status], None]) -> str:
        name = self._vendor.name
        facts = CallFacts("outbound", call.sender, call.to, variables=call.variables)
        detects = call.detect_machine and self._detects
        # The stream comes when somebody has answered.
        stream = self._service.stream_for(call.agent, facts, name, call.ring_s + 60.0)
        line_call_id = await self._vendor.dial(
            DialOrder(
                to=call.to,
                sender=call.sender,
                stream=stream,
                status_url=self._service.url(name, "status"),
                machine_url=self._service.url(name, "machine") if detects else "",
                ring_s=call.ring_s,
                longest_s=call.longest_s,
            )
        )
        self._listen(line_call_id, told)
        return line_call_id

    async def hang_up(self, line_call_id: str) -> None:
        if "hang_up" in self._vendor.can:
            await self._vendor.hang_up(line_call_id)

    def session(self, line_call_id: str) -> TelephoneIO | None:
        return self._service.session_for(line_call_id)

    def _listen(self, line_call_id: str, told: Callable[[Status], None]) -> None:
        over = False

        def hear(status: Status) -> None:
            nonlocal over
            told(status)
            over = over or status.status in _OVER
            if over and (stop := self._listening.pop(line_call_id, None)) is not None:
                stop()

        # What was told before is heard at once.
        stop = self._service.subscribe(line_call_id, hear)
        if over:
            stop()
            return
        self._listening[line_call_id] = stop
        if len(self._listening) > MAX_LISTENING:
            _, oldest = self._listening.popitem(last=False)
            oldest()
