"""Whose call it is, and how one comes back to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.channels.voice.test_call import FakeConnection
from tests.support.fake_host import FakeHost

from antiphon.channels.voice import calls as voice_calls
from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.errors import CapacityError, ForbiddenError, GoneError


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
async def calls(host: FakeHost) -> AsyncIterator[VoiceCalls]:
    calls = VoiceCalls(host)
    yield calls
    await calls.aclose()


async def launch(calls: VoiceCalls) -> tuple[VoiceCall, Ticket, FakeConnection]:
    call, ticket = await calls.start("webrtc", None)
    calls.launch(call, ticket)
    connection = FakeConnection()
    call.connected(connection)
    return call, ticket, connection


async def test_a_ticket_is_one_persons(calls: VoiceCalls) -> None:
    call, ticket, _ = await launch(calls)
    _, other, _ = await launch(calls)
    assert ticket.token != other.token
    assert calls.find(ticket.session_id, ticket.token) is call
    for token in ("", "x", other.token, "ü"):
        with pytest.raises(ForbiddenError):
            calls.find(ticket.session_id, token)
    with pytest.raises(ForbiddenError):
        calls.find("call_99", ticket.token)


async def test_a_call_that_is_over_is_gone_and_still_nobody_elses(
    calls: VoiceCalls, host: FakeHost
) -> None:
    _, ticket, connection = await launch(calls)
    calls.hang_up(ticket.session_id, ticket.token)
    with pytest.raises(GoneError):
        calls.find(ticket.session_id, ticket.token)
    async with asyncio.timeout(20):
        await host.sessions[0].wait_closed()
        while calls._tasks:  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0)
    assert connection.closed == 1
    with pytest.raises(GoneError):
        calls.find(ticket.session_id, ticket.token)
    with pytest.raises(ForbiddenError):
        calls.find(ticket.session_id, "x")


async def test_only_so_many_are_remembered(
    calls: VoiceCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_calls, "MOST_REMEMBERED", 1)
    _, first, _ = await launch(calls)
    _, second, _ = await launch(calls)
    await calls.aclose()
    await asyncio.sleep(0)
    gone = 0
    for ticket in (first, second):
        with pytest.raises((ForbiddenError, GoneError)) as error:
            calls.find(ticket.session_id, ticket.token)
        gone += error.type is GoneError
    assert gone == 1


async def test_who_leaves_may_come_back(calls: VoiceCalls, host: FakeHost) -> None:
    call, ticket, connection = await launch(calls)
    calls.leave(ticket.session_id, ticket.token)
    await asyncio.sleep(0)
    assert call.away
    assert connection.closed == 1
    assert calls.find(ticket.session_id, ticket.token) is call
    call.connected(FakeConnection())
    assert host.sessions[0].holds == [True, False]


async def test_a_call_that_is_not_taken_leaves_nothing(calls: VoiceCalls, host: FakeHost) -> None:
    host.max_calls = 0
    with pytest.raises(CapacityError):
        await calls.start("webrtc", None)
    assert not calls._calls


async def test_a_call_that_does_not_come_about_is_closed(calls: VoiceCalls, host: FakeHost) -> None:
    call, ticket = await calls.start("webrtc", None)
    await calls.abandon(call)
    assert host.sessions[0].closed.is_set()
    with pytest.raises(ForbiddenError):
        calls.find(ticket.session_id, ticket.token)
