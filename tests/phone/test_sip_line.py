"""Outbound calls by SIP, over a scripted endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.fake_line import LineHost
from tests.support.scripted_line import ScriptedSession

from antiphon.channels.phone.vendor import Status
from antiphon.channels.sip.config import SipConfig, TrunkConfig
from antiphon.channels.sip.endpoint import SipEndpoint
from antiphon.channels.sip.outbound import DialFailed
from antiphon.errors import UserFacingError
from antiphon.phone import sip_line as module
from antiphon.phone.dialer_record import LineCall, NotTaken, certainly_not_dialled
from antiphon.phone.sip_line import SipLine

ORDER = LineCall("+4930111111", "+4930999999", "Cafe", {"name": "Anna"}, 30, 600, True)


class ScriptedCall:
    """One that goes on until it is ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def end(self, reason: str) -> None:
        self.ended.set()

    async def wait_ended(self) -> None:
        await self.ended.wait()


class ScriptedEndpoint:
    """Not a SIP endpoint: rings, and then waits for what the test does."""

    def __init__(self, *, rings: bool = True) -> None:
        self.rings = rings
        self.calls: list[ScriptedCall] = []
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.session = ScriptedSession()
        self.more: dict[str, Any] = {}

    async def dial(self, to: str, **more: Any) -> ScriptedCall:
        self.more = {"to": to, **more}
        tell: Callable[[str], None] = more["on_status"]
        if self.rings:
            tell("ringing")
        await self.answer
        tell("answered")
        self.calls.append(ScriptedCall())
        return self.calls[-1]

    async def run_call(self, call: ScriptedCall, agent: str | None) -> Any:
        self.more["agent"] = agent
        return self.session


class Told(list[Status]):
    @property
    def states(self) -> list[str]:
        return [status.status for status in self]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_call_to_its_end() -> None:
    endpoint, told = ScriptedEndpoint(), Told()
    line = SipLine(endpoint, "trunk")
    name = await line.dial(ORDER, told.append)
    assert told.states == ["ringing"]
    assert line.session(name) is None
    endpoint.answer.set_result(None)
    await settle()
    session: Any = line.session(name)
    assert session is endpoint.session
    more = endpoint.more
    assert (more["to"], more["sender"], more["trunk"]) == (ORDER.to, ORDER.sender, "trunk")
    assert (more["agent"], more["variables"], more["ring_s"]) == ("Cafe", {"name": "Anna"}, 30)
    await line.hang_up(name)
    await settle()
    assert told.states == ["ringing", "answered", "completed"]
    assert {status.line_call_id for status in told} == {name}
    await line.hang_up(name)
    assert line.session(name) is None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (DialFailed("busy", 486), "busy"),
        (DialFailed("no_answer"), "no_answer"),
        (DialFailed("failed", 403), "failed"),
        (UserFacingError("All lines are in use."), "failed"),
    ],
)
async def test_nobody_takes_it(error: Exception, state: str) -> None:
    endpoint, told = ScriptedEndpoint(), Told()
    await SipLine(endpoint).dial(ORDER, told.append)
    endpoint.answer.set_exception(error)
    await settle()
    assert told.states == ["ringing", state]


@pytest.mark.parametrize(
    "error", [DialFailed("failed", 403), UserFacingError("There is no trunk.")]
)
async def test_what_is_not_about_the_number_is_the_lines_trouble(error: Exception) -> None:
    endpoint, told = ScriptedEndpoint(rings=False), Told()
    endpoint.answer.set_exception(error)
    with pytest.raises(NotTaken) as caught:
        await SipLine(endpoint).dial(ORDER, told.append)
    assert certainly_not_dialled(caught.value)
    assert not told


async def test_hanging_up_while_it_rings() -> None:
    endpoint, told = ScriptedEndpoint(), Told()
    line = SipLine(endpoint)
    name = await line.dial(ORDER, told.append)
    await line.hang_up(name)
    await settle()
    assert told.states == ["ringing", "canceled"]
    assert not line._tasks


async def test_one_of_which_nothing_is_told_counts_as_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BEGINS_S", 0.01)
    endpoint, told = ScriptedEndpoint(rings=False), Told()
    line = SipLine(endpoint)
    name = await line.dial(ORDER, told.append)
    endpoint.answer.set_exception(UserFacingError("late"))
    await settle()
    assert told.states == ["failed"]
    assert line.session(name) is None


@pytest.mark.e2e
async def test_between_two_endpoints() -> None:
    """Real SIP on loopback: the order's agent and facts arrive, and either side may end it."""
    there_host, here_host = LineHost(), LineHost()
    there = SipEndpoint(there_host, SipConfig(host="127.0.0.1", port=0, peers=("127.0.0.1",)))
    await there.start()
    trunk = TrunkConfig(server=f"127.0.0.1:{there.port}", register_s=0)
    here = SipEndpoint(here_host, SipConfig(host="127.0.0.1", port=0, trunks={"pbx": trunk}))
    await here.start()
    line, told = SipLine(here), Told()
    try:
        name = await line.dial(ORDER, told.append)
        async with asyncio.timeout(20):
            while line.session(name) is None:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        (session,) = here_host.sessions
        facts = session.line.facts
        assert (facts.direction, facts.called, session.agent) == ("outbound", ORDER.to, "Cafe")
        assert dict(facts.variables) == {"name": "Anna"}
        assert there_host.sessions[0].line.facts.called.endswith("4930111111")
        there_host.sessions[0].hang_up("the test")
        async with asyncio.timeout(20):
            while told.states[-1] != "completed":  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        assert told.states[-2] == "answered"
    finally:
        await here.aclose()
        await there.aclose()
