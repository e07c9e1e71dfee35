"""Beginning a call over a WebSocket and coming back to it, with the test for the other end."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.channels.websocket.scripted_wire import ScriptedWire
from tests.support.fake_host import FakeHost
from tests.support.socket_caller import eventually

from antiphon.channels.rtp import opus
from antiphon.channels.voice.calls import VoiceCalls
from antiphon.channels.websocket import channel as module
from antiphon.channels.websocket.channel import SocketChannel
from antiphon.errors import CapacityError, ForbiddenError, UserFacingError


async def refused(calls: VoiceCalls, wire: ScriptedWire, **asked: str) -> UserFacingError:
    async with asyncio.timeout(20):
        with pytest.raises(UserFacingError) as caught:
            await SocketChannel(calls).serve(wire, asked)
    assert wire.events[-1]["error"]["message"] == str(caught.value)
    return caught.value


async def test_a_call_is_begun_and_taken_over() -> None:
    host = FakeHost()
    calls = VoiceCalls(host)
    channel = SocketChannel(calls)
    first, second = ScriptedWire(), ScriptedWire()
    serving = asyncio.create_task(channel.serve(first, {"agent": "Clinic"}))
    await eventually(lambda: first.sent)
    opened = first.events[0]
    second.firsts.put_nowait(
        json.dumps({"type": "antiphon.socket.resume", "token": opened["token"]})
    )
    again = asyncio.create_task(channel.serve(second, {"session": opened["session_id"]}))
    async with asyncio.timeout(20):
        await serving
    assert first.closing is not None
    assert first.closing[0] == 4001
    await eventually(lambda: second.sound)
    assert len(host.sessions) == 1
    await calls.aclose()
    async with asyncio.timeout(20):
        await again
    assert second.closing == (1000, "the call is over")


async def test_a_token_has_to_come_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKEN_TIMEOUT_S", 0.02)
    calls = VoiceCalls(FakeHost())
    wire = ScriptedWire()
    assert "first message" in str(await refused(calls, wire, session="call_1"))
    assert wire.closing == (1008, "invalid_request_error")
    gone = ScriptedWire()
    gone.firsts.put_nowait(None)
    assert "first message" in str(await refused(calls, gone, session="call_1"))


@pytest.mark.parametrize(
    "first",
    [b"\0\1", "", "{", "[" * 10_000, "5", '{"type": "antiphon.socket.resume", "token": 5}'],
)
async def test_a_first_message_that_is_none(first: str | bytes) -> None:
    wire = ScriptedWire()
    wire.firsts.put_nowait(first)
    error = await refused(VoiceCalls(FakeHost()), wire, session="call_1")
    assert "antiphon.socket.resume" in str(error)


async def test_a_token_of_no_call() -> None:
    wire = ScriptedWire()
    wire.firsts.put_nowait('{"type": "antiphon.socket.resume", "token": "\\ud800 x"}')
    error = await refused(VoiceCalls(FakeHost()), wire, session="x" * 5000)
    assert isinstance(error, ForbiddenError)
    assert wire.closing == (1008, "session_error")


async def test_no_line_is_free() -> None:
    wire = ScriptedWire()
    error = await refused(VoiceCalls(FakeHost(max_calls=0)), wire)
    assert isinstance(error, CapacityError)
    assert wire.closing == (1013, "capacity_error")


async def test_without_libopus_the_call_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_library", lambda: None)
    host = FakeHost()
    wire = ScriptedWire()
    assert "libopus" in str(await refused(VoiceCalls(host), wire, format="opus"))
    await eventually(lambda: not host.active_calls)


async def test_who_does_not_read_the_refusal_does_not_keep_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFUSE_TIMEOUT_S", 0.02)
    await refused(VoiceCalls(FakeHost()), ScriptedWire(closes=False), format="mp3")
