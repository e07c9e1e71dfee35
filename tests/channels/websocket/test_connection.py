"""One connection of a call, with the test for its other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.channels.websocket.scripted_wire import ScriptedWire
from tests.support.fake_host import FakeHost, FakeSession
from tests.support.socket_caller import eventually, tone

from antiphon.channels.client_events import Playout
from antiphon.channels.voice.calls import VoiceCalls
from antiphon.channels.websocket import connection as module
from antiphon.channels.websocket.connection import SocketConnection
from antiphon.channels.websocket.format import AudioFormat, SocketFormats

PCM = AudioFormat("pcm16", 16_000)
FORMATS = SocketFormats(PCM, PCM)


class Line:
    """A call with one connection that runs."""

    def __init__(self, host: FakeHost, calls: VoiceCalls) -> None:
        self.host, self.calls = host, calls
        self.wire = ScriptedWire()

    async def begin(self, wire: ScriptedWire) -> SocketConnection:
        self.wire = wire
        self.call, self.ticket = await self.calls.start("websocket", None)
        self.calls.launch(self.call, self.ticket)
        connection = SocketConnection(self.call, wire, FORMATS)
        assert connection.open(self.ticket, resumed=False) is None
        self.running = asyncio.create_task(connection.run())
        await eventually(lambda: wire.heard)
        return connection

    @property
    def session(self) -> FakeSession:
        return self.host.sessions[-1]


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    host = FakeHost()
    one = Line(host, VoiceCalls(host))
    yield one
    await one.calls.aclose()
    one.wire.over.set()


async def test_it_opens_speaks_and_hears(line: Line) -> None:
    connection = await line.begin(ScriptedWire())
    first = line.wire.events[0]
    assert (first["type"], first["session_id"]) == ("antiphon.socket.opened", "call_1")
    assert first["token"] == line.ticket.token
    assert (first["resume_s"], first["leave_s"]) == (60.0, 60.0)
    await eventually(lambda: len(line.wire.sound) > 3)
    line.wire.say(tone(440, 30, 16_000))
    assert line.session.heard_frames >= 1
    assert connection.stats.packets == 1
    assert connection.stats.sent == len(line.wire.sound)


async def test_the_far_end_is_as_far_as_it_says(line: Line) -> None:
    connection = await line.begin(ScriptedWire())
    assert connection.delay_ms == 100
    connection.on_playout(Playout(jitter_buffer_ms=250, output_ms=60))
    assert connection.delay_ms == 310
    connection.on_playout(Playout(jitter_buffer_ms=0, output_ms=0))
    assert connection.delay_ms == 0


async def test_what_was_flushed_is_dropped_by_the_client_at_once(line: Line) -> None:
    connection = await line.begin(ScriptedWire())
    connection.on_playout(Playout(jitter_buffer_ms=200, output_ms=40))
    await eventually(lambda: line.session.heard_by_caller > 1)
    heard, count = line.session.heard_by_caller, len(line.wire.sound)
    line.session.frames.clear()
    assert line.call.clear()
    assert line.wire.sent[-1] == module.CLEAR
    # 40 ms are in the sound device; of what was sent, 200 ms are dropped.
    assert heard <= line.session.heard_by_caller <= count - 9
    dropped = line.session.heard_by_caller
    await asyncio.sleep(0.3)
    assert len(line.wire.sound) == count, "no silence follows to end the run"
    assert line.session.heard_by_caller == dropped


async def test_on_a_server_without_pings_an_open_connection_works(line: Line) -> None:
    connection = await line.begin(ScriptedWire(pings=False))
    connection.on_playout(Playout(round_trip_ms=80))
    assert connection.clear() == pytest.approx(0.06)
    assert connection.delay_ms == 140
    assert connection.alive_s(1e9) == 1e9


async def test_who_does_not_answer_is_away_and_hears_nothing_until_they_do(line: Line) -> None:
    await line.begin(ScriptedWire(answers=False))
    line.session.frames.extend(line.session.frames[0] for _ in range(500))
    await eventually(lambda: line.session.holds == [True])
    count = len(line.wire.sound)
    await asyncio.sleep(0.1)
    # The run ends with a frame of silence.
    assert len(line.wire.sound) <= count + 1
    line.wire.answers = True
    await eventually(lambda: line.session.holds == [True, False])
    await eventually(lambda: len(line.wire.sound) > count + 3)
    kinds = ["sound" if isinstance(one, bytes) else "event" for one in line.wire.sent]
    assert module.CLEAR in line.wire.sent
    assert kinds[line.wire.sent.index(module.CLEAR) + 1] == "sound"


async def test_a_lost_connection_keeps_the_call_and_1000_ends_it(line: Line) -> None:
    await line.begin(ScriptedWire())
    line.wire.closed_with = 1006
    line.wire.over.set()
    await line.running
    assert line.session.holds == [True]
    assert not line.call.ended

    again = ScriptedWire()
    connection = SocketConnection(line.call, again, FORMATS)
    connection.open(line.ticket, resumed=True)
    assert again.events[0]["resumed"] is True
    running = asyncio.create_task(connection.run())
    await eventually(lambda: again.heard)
    again.closed_with = 1000
    again.over.set()
    await running
    assert line.call.ended
    await line.session.wait_closed()
    assert line.session.hung_up[0] == "caller closed the connection"


async def test_closing_has_a_deadline(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.05)
    connection = await line.begin(ScriptedWire(closes=False))
    async with asyncio.timeout(20):
        await connection.aclose()
        await connection.aclose()
    assert line.wire.closing == (4001, "the call goes on without this connection")
    assert "a connection did not close" in caplog.messages
