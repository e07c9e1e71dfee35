"""Outbound calls by SIP, between two endpoints on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from antiphon.channels.base import Call
from antiphon.channels.phone.vendor import Status
from antiphon.channels.sip.config import SipConfig
from antiphon.channels.sip.endpoint import SipEndpoint
from antiphon.errors import CapacityError
from antiphon.phone.dialer_record import LineCall
from antiphon.phone.sip_line import SipLine


class Talk:
    call_id = "call_1"
    output_rate_hz = 8000

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def on_audio(self, pcm: bytes) -> None: ...
    def read_frame(self) -> bytes | None:
        return None

    def on_text(self, text: str) -> None: ...
    def on_key(self, key: str) -> None: ...
    def on_talk_key(self, held: bool) -> None: ...
    def on_heard(self, frames: int) -> None: ...
    def on_hold(self, held: bool) -> None: ...
    def on_machine(self, message: str) -> None: ...
    def hang_up(self, reason: str) -> None:
        self.closed.set()

    async def wait_closed(self) -> None:
        await self.closed.wait()


class Host:
    def __init__(self) -> None:
        self.full = self.slow = False
        self.calls: list[Call] = []

    def check(self, agent: str | None) -> str:
        if self.full:
            raise CapacityError("All lines are in use.")
        return agent or "first"

    async def start_call(self, call: Call, agent: str | None) -> Talk:
        while self.slow:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.calls.append(call)
        return Talk()


class Two:
    """Our endpoint, its line, and the one that is called."""

    def __init__(self) -> None:
        settings = {"host": "127.0.0.1", "port": 0, "peers": ("127.0.0.1",)}
        ports = {"rtp_ports": (50_000, 58_999)}
        self.host, self.there = Host(), Host()
        self.ours = SipEndpoint(self.host, SipConfig.model_validate({**settings, **ports}))
        self.theirs = SipEndpoint(self.there, SipConfig.model_validate({**settings, **ports}))
        self.line = SipLine(self.ours)
        self.told: list[Status] = []

    def order(self, **changes: object) -> LineCall:
        to = f"sip:person@127.0.0.1:{self.theirs.port}"
        values: dict[str, object] = {"to": to, "sender": "+1", "agent": "first", "variables": {}}
        values |= {"ring_s": 5, "longest_s": 60, "detect_machine": False}
        return LineCall(**{**values, **changes})  # type: ignore[arg-type]

    async def until(self, status: str) -> None:
        async with asyncio.timeout(5):
            while status not in [one.status for one in self.told]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    made = Two()
    await made.ours.start()
    await made.theirs.start()
    yield made
    await made.line.aclose()
    await made.ours.aclose()
    await made.theirs.aclose()


async def test_a_call_is_told_from_its_ring_to_its_end(two: Two) -> None:
    name = await two.line.dial(two.order(variables={"name": "Ada"}), two.told.append)
    await two.until("answered")
    async with asyncio.timeout(5):
        while two.line.session(name) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert two.host.calls[0].facts.variables == {"name": "Ada"}  # type: ignore[attr-defined]
    await two.line.hang_up(name)
    await two.until("completed")
    assert [one.status for one in two.told] == ["ringing", "answered", "completed"]
    await two.line.hang_up(name)
    assert two.line.session("unknown") is None


async def test_a_call_that_nobody_takes(two: Two) -> None:
    two.there.full = True
    await two.line.dial(two.order(), two.told.append)
    await two.until("failed")
    two.there.full, two.there.slow = False, True
    two.told.clear()
    await two.line.dial(two.order(ring_s=0.2), two.told.append)
    await two.until("no_answer")
    two.told.clear()
    name = await two.line.dial(two.order(), two.told.append)
    await two.until("ringing")
    await two.line.hang_up(name)
    await two.until("canceled")
    two.there.slow = False


async def test_a_number_without_a_trunk_fails(two: Two) -> None:
    await two.line.dial(two.order(to="+49301"), two.told.append)
    await two.until("failed")
    assert "trunk" in two.told[0].detail


async def test_the_longest_time_ends_it(two: Two) -> None:
    await two.line.dial(two.order(longest_s=0.1), two.told.append)
    await two.until("completed")


async def test_a_full_server_of_ours_ends_it(two: Two) -> None:
    async def full(call: Call, agent: str | None) -> Talk:
        raise CapacityError("All lines are in use.")

    two.host.start_call = full  # type: ignore[method-assign]
    await two.line.dial(two.order(), two.told.append)
    await two.until("failed")
