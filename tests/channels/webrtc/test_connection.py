"""One connection of a call. The call is scripted; the peer is a port of ours, or stock aiortc in a
thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from tests.support.fake_host import FakeHost
from tests.support.rtc_client import RtcCaller
from tests.support.rtc_end import End, until

from antiphon.channels.client_events import Playout
from antiphon.channels.pacer import MOST_AT_ONCE
from antiphon.channels.rtp.packet import (
    Bye,
    Report,
    ReportBlock,
    make_report,
    parse_rtcp,
    parse_rtp,
)
from antiphon.channels.rtp.send import Stream
from antiphon.channels.voice.call import AWAY_AFTER_S, VoiceCall
from antiphon.channels.voice.calls import VoiceCalls
from antiphon.channels.webrtc.channel import WebRtcChannel
from antiphon.channels.webrtc.connection import WebRtcConnection
from antiphon.channels.webrtc.mouth import TICKS

SOUND = b"\x10\x00" * 480


class ScriptedCall:
    """What a connection knows of its call."""

    call_id = "call_1"

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.told: list[str] = []

    def expect(self, connection: object) -> None:
        self.told.append("expect")

    def connected(self, connection: object) -> None:
        self.told.append("connected")

    def lost(self, connection: object) -> None:
        self.told.append("lost")

    def on_frame(self, connection: object, pcm: bytes) -> None:
        assert len(pcm) == 640
        self.frames.append(pcm)

    def on_message(self, connection: object, raw: str | bytes) -> None:
        self.told.append(str(raw))


class Rig:
    """A connection, its call, its peer; `tick` is the call's clock."""

    def __init__(self, *, data_first: bool = False) -> None:
        self.call, self.peer = ScriptedCall(), End(data_first=data_first)
        self.let_go: list[Any] = []
        self.connection = WebRtcConnection(cast(VoiceCall, self.call), self.let_go.append)
        self.stream = Stream(self.peer.port.ssrc)
        self.loop = asyncio.get_running_loop()

    async def connect(self) -> None:
        await self.connection.accept(await self.peer.offer())
        await self.peer.take(await self.connection.answer())
        await self.peer.ready()
        await until(lambda: "connected" in self.call.told)

    def say(self, payload: bytes = b"\x08") -> None:
        """A packet of 20 ms; that of one byte is a frame without sound."""
        port = self.peer.port
        port.send_rtp(self.stream.packet(port.payload_type, payload, marker=False))
        self.stream.skip(TICKS)

    async def ticks(self, count: int, *, speaks: bool = False) -> None:
        for _ in range(count):
            if speaks:
                self.say()
            self.connection.poll(self.loop.time())
            self.connection.play(SOUND)
            await asyncio.sleep(0.02)

    async def aclose(self) -> None:
        await self.connection.aclose()
        await self.peer.aclose()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    await made.connect()
    yield made
    await made.aclose()


async def test_what_is_played_is_sent_at_once_and_what_comes_is_heard_at_once(rig: Rig) -> None:
    for number in range(5):
        rig.connection.play(SOUND if number else None)
        rig.say()
    await until(lambda: len(rig.peer.rtp) == 5 and len(rig.call.frames) == 5)
    packets = [packet for one in rig.peer.rtp if (packet := parse_rtp(one)) is not None]
    assert [packet.marker for packet in packets] == [False, True, False, False, False]
    assert rig.connection.stats.packets == 5
    assert rig.connection.stats.sent == 5


async def test_the_answer_asks_for_what_is_sent(rig: Rig) -> None:
    sdp = rig.connection._pc.localDescription.sdp
    assert f"a=ssrc:{rig.connection._port.ssrc} " in sdp
    assert "a=extmap" not in sdp
    rig.connection.play(None)
    await until(lambda: rig.peer.rtp)
    packet = parse_rtp(rig.peer.rtp[0])
    assert packet is not None
    assert (packet.ssrc, packet.extension) == (rig.connection._port.ssrc, None)


async def test_an_offer_whose_first_line_is_the_one_of_data() -> None:
    rig = Rig(data_first=True)
    offer = await rig.peer.offer()
    assert offer.index("m=application") < offer.index("m=audio")
    await rig.connection.accept(offer)
    await rig.peer.take(await rig.connection.answer())
    await rig.peer.ready()
    await until(lambda: "connected" in rig.call.told)
    rig.say()
    await until(lambda: rig.call.frames)
    await rig.aclose()


async def test_the_two_sides_tell_each_other_what_came(rig: Rig) -> None:
    while not rig.peer.rtcp:
        await rig.ticks(1, speaks=True)
    report = parse_rtcp(rig.peer.rtcp[0])[0]
    assert isinstance(report, Report)
    assert report.ssrc == rig.connection._port.ssrc
    assert [block.ssrc for block in report.blocks] == [rig.peer.port.ssrc]
    # The peer answers with what it got, a while later.
    middle = report.ntp >> 16 & 0xFFFFFFFF
    block = ReportBlock(report.ssrc, 40, 9, 1000, 0, middle, 0)
    theirs = Report(rig.peer.port.ssrc, blocks=(block,))
    await asyncio.sleep(0.03)
    rig.peer.port.send_rtcp(make_report(theirs, "peer"))
    await until(lambda: rig.connection.stats.their_lost)
    assert rig.connection.stats.their_lost == 9
    assert 20 < rig.connection.stats.round_trip_ms < 20_000
    assert rig.connection._mouth is not None
    assert rig.connection._mouth.robust


async def test_the_way_to_the_ear_is_as_long_as_it_is_told(rig: Rig) -> None:
    assert rig.connection.delay_ms == 90
    rig.connection.on_playout(Playout(jitter_buffer_ms=0.0, output_ms=12.0, round_trip_ms=50.0))
    assert rig.connection.delay_ms == 37
    rig.connection.stats.round_trip_ms = 100.0
    assert rig.connection.delay_ms == 62


async def test_a_caller_without_a_microphone_is_there_and_silent(rig: Rig) -> None:
    await rig.ticks(5, speaks=True)
    before_s, before = rig.loop.time(), len(rig.call.frames)
    late_s, halted_s = [], 0.0
    while (ticked_s := rig.loop.time()) - before_s < AWAY_AFTER_S * 1.5:
        await rig.ticks(1)
        now_s = rig.loop.time()
        halted_s += max(0.0, now_s - ticked_s - 0.04)
        late_s.append(now_s - rig.connection.alive_s(now_s))
    assert max(late_s) < AWAY_AFTER_S + halted_s
    heard_s = (len(rig.call.frames) - before) * 0.02
    assert rig.loop.time() - before_s - heard_s < 0.4 + halted_s


async def test_of_a_peer_that_is_gone_no_silence_is_heard(rig: Rig) -> None:
    await rig.ticks(3, speaks=True)
    for protocol in rig.peer.sockets:
        protocol.transport.close()
    rig.peer.port._ice._nominated.clear()
    began_s = rig.loop.time()
    while rig.loop.time() - began_s < AWAY_AFTER_S + 0.2:
        await rig.ticks(1)
    now_s = rig.loop.time()
    assert now_s - rig.connection.alive_s(now_s) > AWAY_AFTER_S
    heard = len(rig.call.frames)
    await rig.ticks(3)
    assert len(rig.call.frames) == heard


async def test_after_a_halt_the_clock_is_where_it_would_be(rig: Rig) -> None:
    now_s = 100.0
    for _ in range(3):
        rig.connection.poll(now_s)
        rig.connection.play(None)
        now_s += 0.02
    now_s += 2.0
    rig.connection.poll(now_s)
    for _ in range(MOST_AT_ONCE):
        rig.connection.play(None)
    await until(lambda: len(rig.peer.rtp) == 3 + MOST_AT_ONCE)
    times = [packet.timestamp for one in rig.peer.rtp if (packet := parse_rtp(one)) is not None]
    frames = (times[-1] - times[0]) % 2**32 // TICKS
    assert abs(frames - 103) <= 2


async def test_it_says_goodbye_and_closes_once(rig: Rig) -> None:
    await rig.ticks(2)
    await rig.connection.aclose()
    await rig.connection.aclose()
    rig.connection.play(SOUND)
    rig.connection.poll(rig.loop.time())
    await until(lambda: any(isinstance(one, Bye) for d in rig.peer.rtcp for one in parse_rtcp(d)))
    assert rig.let_go == []


async def test_what_does_not_close_keeps_no_socket(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.channels.webrtc.connection.CLOSE_TIMEOUT_S", 0.05)
    held, close = asyncio.Event(), rig.connection._pc.close

    async def late() -> None:
        await held.wait()
        await close()

    monkeypatch.setattr(rig.connection._pc, "close", late)
    (ice,) = rig.connection._pc._ice
    sockets = [protocol.transport for protocol in ice._protocols]
    assert sockets
    await rig.connection.aclose()
    assert all(one.is_closing() for one in sockets)
    held.set()
    await until(lambda: rig.connection._pc.connectionState == "closed")


async def test_a_peer_that_closes_is_lost_and_the_connection_let_go_of(rig: Rig) -> None:
    await rig.peer.aclose()
    await until(lambda: "lost" in rig.call.told)
    assert rig.let_go
    assert set(rig.let_go) == {rig.connection}


# ---- what a call takes -------------------------------------------------------------------------


class Elsewhere:
    """Stock callers on an event loop of another thread, so that the tasks here are ours."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    async def run(self, work: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def aclose(self) -> None:
        await self.run(asyncio.sleep(0.05))
        self.loop.call_soon_threadsafe(self.loop.stop)
        await asyncio.to_thread(self._thread.join)
        self.loop.close()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Elsewhere]:
    made = Elsewhere()
    try:
        yield made
    finally:
        await made.aclose()


async def made() -> RtcCaller:
    return RtcCaller()


async def connected(caller: RtcCaller) -> None:
    async with asyncio.timeout(20):
        await caller.connected.wait()
        await caller.until("session.created")


async def test_a_call_takes_few_tasks() -> None:
    host = FakeHost()
    calls = VoiceCalls(host)
    channel = WebRtcChannel(calls)
    before = len(asyncio.all_tasks())
    async with elsewhere() as there:
        callers = [await there.run(made()) for _ in range(3)]
        for caller in callers:
            answer = await channel.answer(await there.run(caller.offer()), None)
            await there.run(caller.take(answer.sdp))
            await there.run(connected(caller))
        await asyncio.sleep(0.3)
        each = (len(asyncio.all_tasks()) - before) / 3
        assert each <= 4, [str(task.get_coro()) for task in asyncio.all_tasks()]
        assert all(session.heard_frames > 5 for session in host.sessions)
        for caller in callers:
            await there.run(caller.close())
        await calls.aclose()
