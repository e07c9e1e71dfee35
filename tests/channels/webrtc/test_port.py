"""Sound past aiortc's own sender and receiver: what this relies on in aiortc and aioice, and calls
with stock peers and with itself."""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import os
import struct
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aioice
import numpy as np
import pytest
from aioice import stun, turn
from tests.support.rtc_client import RtcCaller
from tests.support.rtc_end import End, until

from antiphon.channels.rtp.packet import Report, make_report, parse_rtcp, parse_rtp
from antiphon.channels.rtp.send import Stream
from antiphon.channels.webrtc.ear import Ear
from antiphon.channels.webrtc.mouth import Mouth
from antiphon.channels.webrtc.port import MOST_WAITING, MediaPort

HZ = 440.0


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[End, End]]:
    caller, called = End(), End()
    await caller.take(await called.answer(await caller.offer()))
    await caller.ready()
    await called.ready()
    try:
        yield caller, called
    finally:
        await caller.aclose()
        await called.aclose()


def say(port: MediaPort, stream: Stream, payload: bytes = b"sound") -> None:
    assert port.send_rtp(stream.packet(port.payload_type, payload, marker=False))
    stream.skip(960)


# ---- what is relied on -----------------------------------------------------------------------


def test_the_versions_whose_insides_are_known() -> None:
    """Look through rtcdtlstransport, rtcrtpsender, rtcrtpreceiver, ice and turn before this is
    changed."""
    assert importlib.metadata.version("aiortc") == "1.16.0"
    assert importlib.metadata.version("aioice") == "0.13.0"


async def test_the_names_that_are_used_are_there() -> None:
    end = End()
    await end.offer()
    line: Any = end.pc.getTransceivers()[0]
    assert isinstance(line.sender._ssrc, int)
    assert f"a=ssrc:{line.sender._ssrc} " in end.pc.localDescription.sdp
    assert isinstance(line._codecs, list)
    assert isinstance(line._headerExtensions, list)
    dtls = line.receiver.transport
    assert dtls is line.sender.transport
    assert dtls._rx_srtp is None
    assert dtls._tx_srtp is None
    assert asyncio.iscoroutinefunction(dtls._handle_rtp_data)
    assert asyncio.iscoroutinefunction(dtls._handle_rtcp_data)
    ice = dtls.transport._connection
    assert isinstance(ice, aioice.Connection)
    assert isinstance(ice._queue, asyncio.Queue)
    assert ice._nominated == {}
    assert ice._protocols
    for protocol in ice._protocols:
        assert protocol.transactions == {}
        assert protocol.local_candidate.type == "host"
    assert callable(ice.build_request)
    client: Any = turn.TurnClientUdpProtocol(("192.0.2.1", 3478), "a", "b", 600, 500)
    assert turn.TurnTransport(client)._TurnTransport__inner_protocol is client  # type: ignore
    assert client.peer_to_channel == client.channel_refresh_at == {}
    assert callable(client._send)
    await end.aclose()


# ---- calls -----------------------------------------------------------------------------------


async def test_two_ports_speak_to_each_other() -> None:
    async with pair() as (caller, called):
        for one, other in ((caller, called), (called, caller)):
            stream = Stream(one.port.ssrc)
            for _ in range(5):
                say(one.port, stream)
            one.port.send_rtcp(make_report(stream.report(time.time()), "name"))
            await until(lambda other=other: len(other.rtp) == 5 and other.rtcp)
            packets = [parse_rtp(datagram) for datagram in other.rtp]
            assert {packet.ssrc for packet in packets if packet} == {one.port.ssrc}
            assert {packet.payload for packet in packets if packet} == {b"sound"}
            assert isinstance(parse_rtcp(other.rtcp[0])[0], Report)
            assert other.port.stats.taken == 6
            assert one.port.stats.sent >= 6


async def talk(caller: RtcCaller, end: End) -> list[bytes]:
    """For a second, or longer where the peer is slow to begin: what was heard of it."""
    await caller.take(await end.answer(await caller.offer()))
    await end.ready()
    mouth, ear = Mouth(end.port.payload_type, end.port.ssrc), Ear(end.port.payload_type)
    at = np.arange(24_000) / 24_000
    tone = (8000 * np.sin(2 * np.pi * HZ * at)).astype("<i2").tobytes()
    heard: list[bytes] = []
    number = 0
    while number < 50 or len(heard) < 40:
        at_frame = number % 50 * 960
        assert end.port.send_rtp(mouth.frame(tone[at_frame : at_frame + 960]))
        number += 1
        for datagram in end.rtp:
            heard += ear.push(datagram, number * 0.02)
        end.rtp.clear()
        await asyncio.sleep(0.02)
    assert ear.stats.lost == 0
    # A frame for a packet, and nothing made up.
    assert len(heard) <= ear.stats.packets
    return heard


async def hears_and_is_heard() -> None:
    caller, end = RtcCaller(), End()
    try:
        assert len(await talk(caller, end)) >= 40
    except BaseException:
        await end.aclose()
        await caller.close()
        raise
    sound = np.frombuffer(bytes(caller.pcm), "<i2").astype(float)
    sound = sound[np.flatnonzero(np.abs(sound) > 1000)[0] :][4800:28_800]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert abs(float(np.argmax(spectrum)) * 48_000 / len(sound) - HZ) < 3
    assert not [one for one in threading.enumerate() if one.name == "audio-decoder"][1:]
    await end.aclose()
    async with asyncio.timeout(20):
        await caller.closed.wait()
    await caller.close()


async def test_with_a_stock_peer() -> None:
    await hears_and_is_heard()


def on_uvloop(work: Coroutine[Any, Any, None]) -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def test_with_a_stock_peer_on_uvloop() -> None:
    on_uvloop(hears_and_is_heard())


def tasks() -> set[str]:
    return {str(task.get_coro()) for task in asyncio.all_tasks()}


async def test_it_takes_neither_tasks_nor_threads() -> None:
    before = len(asyncio.all_tasks())
    threads = threading.active_count()
    async with pair():
        await asyncio.sleep(0.05)
        # Of each end: ICE's two, DTLS's.
        assert len(asyncio.all_tasks()) - before == 6, tasks()
        assert threading.active_count() <= threads


async def test_fifty_connects_and_closes_leave_nothing() -> None:
    async def once() -> None:
        async with pair() as (caller, called):
            say(caller.port, Stream(caller.port.ssrc))
            await until(lambda: called.rtp)

    def left() -> tuple[int, int, int, int]:
        gc.collect()
        ports = sum(isinstance(one, MediaPort) for one in gc.get_objects())
        files = len(os.listdir("/proc/self/fd"))
        return ports, files, threading.active_count(), len(asyncio.all_tasks())

    await once()
    await asyncio.sleep(0.05)
    before = left()
    for _ in range(50):
        await once()
    await asyncio.sleep(0.05)
    after = left()
    assert after[0] <= before[0] + 1
    assert after[1:] == before[1:], tasks()


# ---- what nobody should send -------------------------------------------------------------------


async def test_what_is_not_from_the_peer_is_dropped_and_counted() -> None:
    async with pair() as (caller, called):
        protocol = called.sockets[0]
        stream = Stream(7)
        for rubbish in (
            b"\x80", b"\x80\xc8", bytes([128]) * 1500, bytes([191]) * 3000, os.urandom(64),
            stream.packet(96, b"not encrypted", marker=False),
            make_report(stream.report(0.0), "x"),
        ):  # fmt: skip
            protocol.datagram_received(b"\x80" + rubbish[1:], ("192.0.2.9", 9))
        assert called.port.stats.broken == 7
        for rubbish in (b"", b"\x48\x00\x00\x00", b"\xff" * 20, b"\x05\x06"):
            protocol.datagram_received(rubbish, ("192.0.2.9", 9))
        assert called.port.stats.dropped == 4
        assert (called.rtp, called.rtcp) == ([], [])
        say(caller.port, Stream(caller.port.ssrc))
        await until(lambda: called.rtp)


async def test_a_packet_that_comes_twice_is_taken_once() -> None:
    async with pair() as (caller, called):
        protocol = called.sockets[0]
        taken = protocol.datagram_received
        seen: list[bytes] = []

        def received(data: bytes, addr: tuple[str, int]) -> None:
            seen.append(data)
            taken(data, addr)

        protocol.datagram_received = received
        say(caller.port, Stream(caller.port.ssrc))
        await until(lambda: called.rtp)
        taken(next(one for one in seen if one[0] == 128), ("192.0.2.9", 9))
        assert called.port.stats.broken == 1
        assert len(called.rtp) == 1


async def test_before_the_keys_nothing_is_kept() -> None:
    end = End()
    await end.offer()
    protocol = end.sockets[0]
    for _ in range(1000):
        protocol.datagram_received(bytes([128]) * 100, ("192.0.2.9", 9))
        protocol.datagram_received(bytes([22]) * 100, ("192.0.2.9", 9))
    assert end.port.stats.early == 1000
    assert end.port._ice._queue.qsize() == MOST_WAITING
    assert not end.port.send_rtp(bytes(20))
    assert not end.port.send_rtcp(bytes(20))
    await end.aclose()


async def test_closed_it_takes_and_sends_nothing() -> None:
    async with pair() as (caller, called):
        protocol = called.sockets[0]
        called.port.close()
        called.port.close()
        assert "datagram_received" not in vars(protocol)
        caller.port.send_rtp(Stream(caller.port.ssrc).packet(96, b"x", marker=False))
        await asyncio.sleep(0.02)
        assert not called.rtp
        assert not called.port.send_rtp(bytes(20))
        called.port.ask()


async def test_where_the_socket_is_gone_nothing_is_sent() -> None:
    class Gone:
        def is_closing(self) -> bool:
            return True

    async with pair() as (caller, _):
        protocol = caller.port._ice._nominated[1].protocol
        original, protocol.transport = protocol.transport, Gone()
        assert not caller.port.send_rtp(Stream(1).packet(96, b"x", marker=False))
        protocol.transport = original


# ---- is the peer there? ------------------------------------------------------------------------


async def test_a_peer_that_is_there_answers() -> None:
    async with pair() as (caller, called):
        assert not caller.port.answered()
        caller.port.ask()
        await until(caller.port.answered)
        assert not caller.port.answered()
        for protocol in called.sockets:
            protocol.transport.abort()
        for _ in range(20):
            caller.port.ask()
        assert sum(len(one.transactions) for one in caller.sockets) == 1
        await asyncio.sleep(0.05)
        assert not caller.port.answered()


async def test_an_answer_of_somebody_else_is_none() -> None:
    async with pair() as (caller, _):
        forged = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE)
        forged.add_message_integrity(b"guess")
        parsed = stun.parse_message(bytes(forged))
        caller.port.response_received(parsed, ("192.0.2.9", 9))
        assert not caller.port.answered()


# ---- by a TURN server ----------------------------------------------------------------------------


class Relay:
    """As much of aioice's TURN transport and its client as the port knows."""

    def __init__(self) -> None:
        self._TurnTransport__inner_protocol = self
        self.transport = self
        self.peer_to_channel: dict[tuple[str, int], int] = {}
        self.channel_refresh_at: dict[int, float] = {}
        self.direct: list[bytes] = []
        self.by_task: list[bytes] = []

    def is_closing(self) -> bool:
        return False

    def _send(self, data: bytes) -> None:
        self.direct.append(data)

    def sendto(self, data: bytes, addr: tuple[str, int]) -> None:
        self.by_task.append(data)


async def test_by_a_relay_a_packet_makes_no_task() -> None:
    async with pair() as (caller, _):
        port, relay, stream = caller.port, Relay(), Stream(caller.port.ssrc)
        nominated = port._ice._nominated[1]
        original = nominated.protocol.transport
        nominated.protocol.transport = relay
        nominated.local_candidate.type = "relay"
        port._pair = None
        say(port, stream)
        assert (len(relay.by_task), len(relay.direct)) == (1, 0)
        relay.peer_to_channel[nominated.remote_addr] = 0x4001
        relay.channel_refresh_at[0x4001] = time.time() + 60
        say(port, stream)
        assert (len(relay.by_task), len(relay.direct)) == (1, 1)
        assert struct.unpack("!HH", relay.direct[0][:4]) == (0x4001, len(relay.direct[0]) - 4)
        # A channel that has to be refreshed: aioice does it, once.
        relay.channel_refresh_at[0x4001] = time.time() - 1
        for _ in range(10):
            say(port, stream)
        assert (len(relay.by_task), len(relay.direct)) == (2, 10)
        nominated.protocol.transport = original
        nominated.local_candidate.type = "host"
