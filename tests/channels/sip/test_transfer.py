"""Passing callers on, where the other side takes REFER."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from tests.support.sip_world import World

from antiphon.channels.base import TransferTarget
from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.message import Response
from antiphon.channels.sip.outbound import DialFailed, DialStatus
from antiphon.channels.sip.refer import Referral
from antiphon.channels.sip.transfer import Dialler, Transferring
from antiphon.channels.sip.uri import Uri, parse_uri


class ScriptedLeg:
    """Holds, and answers REFER as it is told."""

    state = "up"

    def __init__(self, status: int, *, taken: bool) -> None:
        self._status, self._taken = status, taken
        self.did: list[str] = []
        self.referral: Referral | None = None

    def hold(self, held: bool, done: Callable[[object], None]) -> None:
        self.did.append("hold" if held else "back")
        done(None)

    def refer(self, to: str, done: Callable[[int], None]) -> None:
        self.did.append(f"refer {to}")
        self.referral = Referral(done)
        self.referral.accepted = self._taken
        done(self._status)


class ScriptedCall:
    ended = False
    trunk = ""

    def __init__(self, leg: ScriptedLeg) -> None:
        self.leg = leg


class ScriptedDialler:
    def __init__(self, status: DialStatus) -> None:
        self._status: DialStatus = status
        self.dialled: list[str] = []

    async def dial(self, to: str, *, trunk: str | None = None, ring_s: float) -> SipCall:
        self.dialled.append(to)
        raise DialFailed(self._status)

    def refer_to(self, call: SipCall, to: str) -> Uri:
        return parse_uri(to)

    def keep(self, call: SipCall) -> None: ...


def passing(leg: ScriptedLeg, dialler: ScriptedDialler, message: str = "") -> Transferring:
    call = cast(SipCall, ScriptedCall(leg))
    target = TransferTarget("desk", "sip:desk@192.0.2.5", message=message)
    return Transferring(call, target, cast(Dialler, dialler), None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "connected"), (486, "busy"), (480, "no_answer"), (603, "refused"), (500, "failed")],
)
async def test_the_other_side_calls_the_person(status: int, outcome: str) -> None:
    leg, dialler = ScriptedLeg(status, taken=True), ScriptedDialler("busy")
    result = await passing(leg, dialler).run()
    assert result.outcome == outcome
    back = [] if outcome == "connected" else ["back"]
    assert leg.did == ["hold", "refer <sip:desk@192.0.2.5>", *back]
    assert not dialler.dialled


@pytest.mark.parametrize(
    ("status", "outcome"), [("busy", "busy"), ("no_answer", "no_answer"), ("failed", "failed")]
)
@pytest.mark.parametrize("message", ["", "Ada is on the line."])
async def test_we_call_the_person_who_is_not_there(
    status: DialStatus, outcome: str, message: str
) -> None:
    leg, dialler = ScriptedLeg(405, taken=False), ScriptedDialler(status)
    result = await passing(leg, dialler, message).run()
    assert result.outcome == outcome
    assert dialler.dialled == ["sip:desk@192.0.2.5"]
    assert leg.did[-1] == "back"


async def test_a_transfer_that_is_given_up_takes_the_caller_back() -> None:
    leg, dialler = ScriptedLeg(200, taken=True), ScriptedDialler("busy")
    leg.refer = lambda to, done: None  # type: ignore[method-assign]
    task = asyncio.create_task(passing(leg, dialler).run())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert leg.did == ["hold", "back"]


def test_a_refer_on_the_wire() -> None:
    world = World()
    world.drop = lambda data: data.startswith(b"REFER")
    caller, _ = world.a.dial(world.b)
    world.run(1)
    there = world.b.porter.people[0].leg
    assert isinstance(there, Leg)
    assert caller.leg is not None
    told: list[int] = []
    there.refer("<sip:desk@192.0.2.5>", told.append)
    sent = next(data for data, _ in world.sent if data.startswith(b"REFER"))
    assert b"Refer-To: <sip:desk@192.0.2.5>" in sent
    assert b"Referred-By: <sip:agent@192.0.2.2>" in sent
    assert there.referral is not None
    there.referral.answered(Response((), b"", 202, ""))
    event = (("event", "refer"), ("subscription-state", "active"))
    for body in (b"SIP/2.0 180 Ringing\r\n", b"SIP/2.0 200 OK\r\n"):
        caller.leg.send("NOTIFY", event, body=("message/sipfrag", body))
        world.run(1)
    assert told == [200]
    caller.leg.send("NOTIFY", (("event", "presence"),))
    world.run(1)
    assert world.log[-1] == "2:489"
