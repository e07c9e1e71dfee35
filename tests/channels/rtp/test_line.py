"""Lines over real sockets, to each other and to a peer that is only a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU, TELEPHONE_EVENT, Codec
from antiphon.channels.rtp.line import Nobody, RtpLine, pcm_rate_hz
from antiphon.channels.rtp.packet import Bye, Report, RtpPacket, make_rtp, parse_rtcp, parse_rtp
from antiphon.errors import CapacityError

PORTS = (31_000, 31_998)
HOST = "127.0.0.1"


class Session:
    """Says a tone and keeps what it hears."""

    def __init__(self, codec: Codec, hz: int = 440) -> None:
        self.output_rate_hz = pcm_rate_hz(codec)
        self.hz, self.read, self.keys = hz, 0, ""
        self.heard: list[bytes] = []

    def on_audio(self, pcm: bytes) -> None:
        self.heard.append(pcm)

    def on_key(self, key: str) -> None:
        self.keys += key

    def read_frame(self) -> bytes | None:
        size = self.output_rate_hz // 50
        at = np.arange(self.read * size, (self.read + 1) * size) / self.output_rate_hz
        self.read += 1
        return (8000 * np.sin(2 * np.pi * self.hz * at)).astype("<i2").tobytes()

    def pitch_hz(self) -> float:
        sound = np.frombuffer(b"".join(self.heard[5:]), "<i2").astype(float)
        return float(np.argmax(np.abs(np.fft.rfft(sound)))) * 16_000 / max(1, len(sound))


def agreed(codec: Codec, port: int, keys_type: int | None = 101, **other: Any) -> dict[str, Any]:
    accepts = {codec.payload_type: codec}
    if keys_type is not None:
        accepts[keys_type] = TELEPHONE_EVENT
    return {
        "remote": (HOST, port), "codec": codec, "accepts": accepts, "keys_type": keys_type,
        **other,
    }  # fmt: skip


@asynccontextmanager
async def lines(count: int) -> AsyncIterator[list[RtpLine]]:
    opened = [await RtpLine.open(HOST, PORTS) for _ in range(count)]
    try:
        yield opened
    finally:
        for line in opened:
            await line.aclose()
        await asyncio.sleep(0)


async def until(done: Any, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - a line has no event for it
            await asyncio.sleep(0.01)


def never(reason: str) -> None:
    raise AssertionError(reason)


@pytest.mark.parametrize("codec", [PCMU, PCMA, OPUS])
async def test_two_lines_hear_each_other(codec: Codec) -> None:
    async with lines(2) as (one, other):
        assert one.port % 2 == 0
        a, b = Session(codec, 440), Session(codec, 700)
        late: list[float] = []
        one.start(a, **agreed(codec, other.port), on_lost=never, late=late.append)
        other.start(b, **agreed(codec, one.port), on_lost=never)
        one.press("12#")
        await until(lambda: len(a.heard) > 40 and len(b.heard) > 40 and b.keys == "12#")
        # What a halt of the machine concealed was heard too, without a packet.
        await until(lambda: one.stats.packets > 40 and other.stats.keys == 3)
        assert a.pitch_hz() == pytest.approx(700, abs=25)
        assert b.pitch_hz() == pytest.approx(440, abs=25)
        assert {len(frame) for frame in a.heard} == {640}
        assert late
        assert one.stats.sent > 30


async def test_keys_as_tones_where_no_events_were_agreed_on() -> None:
    async with lines(2) as (one, other):
        b = Session(PCMU)
        one.start(Nobody(), **agreed(PCMU, other.port, None), on_lost=never)
        other.start(b, **agreed(PCMU, one.port, None), on_lost=never)
        await until(lambda: len(b.heard) > 3)
        one.press("4D")
        await until(lambda: other.stats.keys == 2)
        assert b.keys == "4"


class Peer:
    """A socket that is somebody's telephone."""

    def __init__(self, line: RtpLine, port: int = 0) -> None:
        self.line, self.sequence = line, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, port))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def send(self, count: int = 1, ssrc: int = 7) -> None:
        for _ in range(count):
            packet = RtpPacket(0, self.sequence, self.sequence * 160, ssrc, b"\x10" * 160)
            self.raw(make_rtp(packet))
            self.sequence += 1

    def raw(self, data: bytes) -> None:
        self.socket.sendto(data, (HOST, self.line.port))

    def got(self) -> list[RtpPacket]:
        found: list[RtpPacket] = []
        while True:
            try:
                packet = parse_rtp(self.socket.recv(2048))
            except BlockingIOError:
                return found
            if packet is not None:
                found.append(packet)


@asynccontextmanager
async def peer_and_line(**other: Any) -> AsyncIterator[tuple[Peer, RtpLine, Session]]:
    async with lines(1) as (line,):
        peer, session = Peer(line), Session(PCMU)
        try:
            named = other.pop("named", peer.port)
            lost = other.pop("on_lost", never)
            line.start(session, **agreed(PCMU, named, **other), on_lost=lost,
                       lost_after_s=0.15 if lost is not never else 20.0)  # fmt: skip
            yield peer, line, session
        finally:
            peer.socket.close()


async def test_sound_goes_to_where_sound_comes_from() -> None:
    async with peer_and_line(named=9) as (peer, line, session):
        peer.send(6)
        await until(lambda: len(session.heard) >= 6)
        assert line.remote == (HOST, peer.port)
        await until(lambda: peer.got())


async def test_strangers_are_not_heard() -> None:
    async with peer_and_line() as (peer, line, session):
        peer.send(3)
        await until(lambda: len(session.heard) == 3)
        stranger = Peer(line)
        try:
            stranger.send(10, ssrc=9)
            await until(lambda: line.stats.strangers == 10)
        finally:
            stranger.socket.close()
        assert line.remote == (HOST, peer.port)
        assert len(session.heard) <= 4


async def test_held_nothing_is_read_sent_or_heard() -> None:
    async with peer_and_line() as (peer, line, session):
        await until(lambda: session.read > 3)
        line.change(**agreed(PCMU, peer.port), sends=False, receives=False)
        read = session.read
        peer.got()
        peer.send(5)
        await asyncio.sleep(0.05)
        assert (session.read, session.heard, peer.got()) == (read, [], [])
        line.change(**agreed(PCMA, peer.port), sends=True, receives=True)
        await until(lambda: session.read > read)
        await until(lambda: any(p.payload_type == 8 for p in peer.got()))


async def test_a_line_that_is_silent_for_too_long_is_lost() -> None:
    lost: list[str] = []
    async with peer_and_line(on_lost=lost.append) as (peer, line, _):
        line.change(**agreed(PCMU, peer.port), sends=True, receives=False)
        await asyncio.sleep(0.25)
        assert lost == []
        line.change(**agreed(PCMU, peer.port), sends=True, receives=True)
        await until(lambda: lost)
        await asyncio.sleep(0.05)
        assert lost == ["no audio from the line"]


async def test_reports_and_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.channels.rtp.line.REPORT_EVERY_S", 0.05)
    async with lines(2) as (one, other):
        one.start(Session(PCMU), **agreed(PCMU, other.port), on_lost=never)
        other.start(Session(PCMU), **agreed(PCMU, one.port), on_lost=never)
        await until(lambda: 0 < one.stats.round_trip_ms < 20_000)
        assert one.stats.their_lost == 0


async def test_a_peer_gets_reports() -> None:
    async with lines(1) as (line,):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
            rtcp.bind((HOST, 0))
            rtcp.setblocking(False)
            port = rtcp.getsockname()[1]
            session = Session(PCMU)
            line.start(session, **agreed(PCMU, port - 1), on_lost=never)
            await until(lambda: session.read > 2)
            await line.aclose()
            await line.aclose()
            report, bye = parse_rtcp(rtcp.recv(2048))
    assert isinstance(report, Report)
    assert report.packets >= 2
    assert bye == Bye((report.ssrc,))


async def test_garbage_is_dropped() -> None:
    async with peer_and_line() as (peer, line, session):
        for data in (b"", b"\x80", b"\x80\xc8\0\1\0\0\0\0", b"\x80\xc8\xff\xff", b"\xff" * 1400):
            peer.raw(data)
        peer.send(2)
        await until(lambda: len(session.heard) == 2)
        assert line.stats.unknown >= 2


async def test_a_bridge() -> None:
    """Two callers with different codecs, each on a line of ours."""
    async with lines(4) as (one, ours_one, ours_two, two):
        a, b = Session(PCMU, 440), Session(OPUS, 700)
        one.start(a, **agreed(PCMU, ours_one.port), on_lost=never)
        ours_one.start(Nobody(), **agreed(PCMU, one.port), on_lost=never)
        two.start(b, **agreed(OPUS, ours_two.port), on_lost=never)
        ours_two.start(Nobody(), **agreed(OPUS, two.port), on_lost=never)
        await until(lambda: len(a.heard) > 2 and len(b.heard) > 2)
        ours_one.bridge(ours_two)
        a.heard.clear()
        b.heard.clear()
        one.press("7")
        await until(lambda: len(a.heard) > 60 and len(b.heard) > 60 and b.keys == "7")
        assert a.pitch_hz() == pytest.approx(700, abs=25)
        assert b.pitch_hz() == pytest.approx(440, abs=25)


async def test_a_recording_for_the_person_at_the_other_end() -> None:
    async with lines(2) as (one, other):
        pressed: list[str] = []
        heard = Session(PCMU)
        one.start(Nobody(pressed.append), **agreed(PCMU, other.port), on_lost=never)
        other.start(heard, **agreed(PCMU, one.port), on_lost=never)
        at = np.arange(16_000 * 0.4) / 16_000
        message = (8000 * np.sin(2 * np.pi * 600 * at)).astype("<i2").tobytes()
        other.press("1")
        await one.play(message, 16_000)
        await until(lambda: pressed == ["1"])
        loud = [frame for frame in heard.heard if np.abs(np.frombuffer(frame, "<i2")).max() > 4000]
        assert 19 <= len(loud) <= 22
        heard.heard = loud
        assert heard.pitch_hz() == pytest.approx(600, abs=30)


async def test_a_recording_on_a_closed_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.channels.rtp.line.PLAY_SLACK_S", 0.02)
    async with peer_and_line(sends=False) as (_, line, __):
        with pytest.raises(TimeoutError):
            await line.play(bytes(640), 16_000)


async def test_no_port_is_free() -> None:
    taken = await RtpLine.open(HOST, PORTS)
    try:
        with pytest.raises(CapacityError, match="rtp_ports"):
            await RtpLine.open(HOST, (taken.port, taken.port + 1))
        with pytest.raises(CapacityError):
            await RtpLine.open(HOST, (taken.port + 1, taken.port + 1))
        with pytest.raises(OSError, match="assign"):
            await RtpLine.open("192.0.2.1", PORTS)
    finally:
        await taken.aclose()


async def test_before_it_starts_nothing_matters() -> None:
    async with lines(1) as (line,):
        peer = Peer(line)
        peer.send(1)
        peer.socket.close()
        line.press("1")
        await asyncio.sleep(0.02)
        assert line.stats.packets == 0
