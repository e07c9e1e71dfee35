"""Outbound calls through a telephone company, with a scripted one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.vendor import DialOrder, Status, Stream, Vendor
from antiphon.errors import ConfigError
from antiphon.phone import company_line as module
from antiphon.phone.company_line import CompanyLine
from antiphon.phone.dialer_record import LineCall

ORDER = LineCall("+4930111111", "+4930999999", "Cafe", {"name": "Anna"}, 30, 600, True)


class ScriptedVendor:
    """No company: it names calls by their number."""

    name = "scripted"

    def __init__(self, *can: str) -> None:
        self.can = frozenset(can)
        self.orders: list[DialOrder] = []
        self.hung_up: list[str] = []

    async def dial(self, order: DialOrder) -> str:
        self.orders.append(order)
        return f"line-{len(self.orders)}"

    async def hang_up(self, line_call_id: str) -> None:
        self.hung_up.append(line_call_id)


class ScriptedService:
    """Not the server's: it keeps who listens, and what was told before."""

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[Status], None]] = {}
        self.before: dict[str, list[Status]] = {}
        self.streams: list[tuple[str, CallFacts, str, float]] = []

    def stream_for(self, agent: str, facts: CallFacts, vendor: str, ttl_s: float) -> Stream:
        self.streams.append((agent, facts, vendor, ttl_s))
        return Stream("wss://x/scripted/media", "token")

    def url(self, vendor: str, what: str) -> str:
        return f"https://x/{vendor}/{what}"

    def subscribe(
        self, line_call_id: str, listener: Callable[[Status], None]
    ) -> Callable[[], None]:
        self.listeners[line_call_id] = listener
        for status in self.before.get(line_call_id, ()):
            listener(status)
        return lambda: cast("None", self.listeners.pop(line_call_id, None))

    def session_for(self, line_call_id: str) -> Any:
        return SimpleNamespace(id=line_call_id)


def made(*can: str, machines: bool = False) -> tuple[CompanyLine, ScriptedVendor, ScriptedService]:
    vendor = ScriptedVendor(*(can or ("dial", "hang_up", "detect_machine")))
    service = ScriptedService()
    return CompanyLine(service, cast("Vendor", vendor), machines=machines), vendor, service


async def test_what_the_company_is_asked_for() -> None:
    line, vendor, service = made()
    told: list[Status] = []
    assert await line.dial(ORDER, told.append) == "line-1"
    (order,) = vendor.orders
    assert (order.to, order.sender, order.stream.token) == (ORDER.to, ORDER.sender, "token")
    assert (order.ring_s, order.longest_s) == (30, 600)
    assert order.status_url == "https://x/scripted/status"
    assert order.machine_url == "https://x/scripted/machine"
    ((agent, facts, name, ttl_s),) = service.streams
    assert (agent, name, ttl_s) == ("Cafe", "scripted", 90.0)
    assert (facts.direction, facts.called, facts.variables) == (
        "outbound",
        ORDER.to,
        {"name": "Anna"},
    )
    service.listeners["line-1"](Status("line-1", "ringing"))
    service.listeners["line-1"](Status("line-1", "completed"))
    assert [status.status for status in told] == ["ringing", "completed"]
    assert not service.listeners, "nobody listens to a call that is over"
    await line.hang_up("line-1")
    assert vendor.hung_up == ["line-1"]
    assert line.session("line-1") is not None


async def test_what_was_told_before_the_company_answered_is_heard() -> None:
    line, _, service = made()
    service.before["line-1"] = [Status("line-1", "busy")]
    told: list[Status] = []
    await line.dial(ORDER, told.append)
    assert [status.status for status in told] == ["busy"]
    assert not service.listeners


async def test_listeners_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LISTENING", 2)
    line, _, service = made()
    for _ in range(3):
        await line.dial(ORDER, lambda status: None)
    assert list(service.listeners) == ["line-2", "line-3"]


async def test_companies_that_can_do_less() -> None:
    with pytest.raises(ConfigError, match="makes no calls"):
        made("transfer")
    with pytest.raises(ConfigError, match="`machine: ignore`"):
        made("dial", machines=True)
    line, vendor, _ = made("dial")
    await line.dial(ORDER, lambda status: None)
    assert vendor.orders[0].machine_url == ""
    await line.hang_up("line-1")
    assert not vendor.hung_up
