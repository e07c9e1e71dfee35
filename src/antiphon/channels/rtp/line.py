"""One call's sound over RTP: two UDP ports, a clock, no task."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from antiphon.audio.tones import ToneDetector
from antiphon.channels.pacer import STEP_S, Pacer
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.coding import is_audio, pcm_rate_hz
from antiphon.channels.rtp.ends import Crossing, LineEnd, Nobody, Playing, Reading
from antiphon.channels.rtp.keys import KeyReceiver
from antiphon.channels.rtp.packet import (
    COMFORT_NOISE,
    RtpPacket,
    is_rtcp,
    parse_rtp,
)
from antiphon.channels.rtp.receive import LineStats, Receiver
from antiphon.channels.rtp.reports import Reports
from antiphon.channels.rtp.send import Sender
from antiphon.channels.rtp.source import Address, Source
from antiphon.errors import CapacityError
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

__all__ = ["Nobody", "RtpLine", "pcm_rate_hz"]

LOST_AFTER_S = 20.0
REPORT_EVERY_S = 5.0
PLAY_SLACK_S = 5.0
SESSION_KEYS = "0123456789*#"
_BUFFER_BYTES = 128 * 1024
_TAKEN = (errno.EADDRINUSE, errno.EACCES)


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What the two sides agreed on."""

    codec: Codec
    accepts: Mapping[int, Codec]
    keys_type: int | None
    sends: bool
    receives: bool

    def is_keys(self, payload_type: int) -> bool:
        named = self.accepts.get(payload_type)
        if named is not None:
            return named.name.lower() == "telephone-event"
        return payload_type == self.keys_type

    @property
    def codecs(self) -> dict[int, Codec]:
        """What may come, keys among it."""
        known = {self.codec.payload_type: self.codec, **self.accepts}
        if self.keys_type is not None and self.keys_type not in known:
            known[self.keys_type] = Codec("telephone-event", self.keys_type, self.codec.clock_hz)
        return known


class RtpLine:
    """The sound of one call. Made by `open`, runs from `start` to `aclose`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._rtp: asyncio.DatagramTransport | None = None
        self._rtcp: asyncio.DatagramTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._end: LineEnd = Nobody()
        self._stats = LineStats()
        self._pacer: Pacer | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._lost_after_s = LOST_AFTER_S
        self._heard_s = self._report_s = self._began_s = 0.0
        self._frames = 0

    @classmethod
    async def open(cls, host: str, ports: tuple[int, int]) -> RtpLine:
        """Take an even port and the next one, for reports.

        Raises:
            CapacityError: there is none free between the two.
            OSError: `host` is no address of this machine.
        """
        loop = asyncio.get_running_loop()
        port, rtp, rtcp = _free_ports(host, ports)
        line = cls(port)
        line._rtp, _ = await loop.create_datagram_endpoint(lambda: _Port(line._on_rtp), sock=rtp)
        line._rtcp, _ = await loop.create_datagram_endpoint(lambda: _Port(line._on_rtcp), sock=rtcp)
        return line

    def start(
        self,
        io: LineEnd,
        *,
        remote: Address,
        codec: Codec,
        accepts: Mapping[int, Codec],
        keys_type: int | None,
        sends: bool = True,
        receives: bool = True,
        on_lost: Callable[[str], None],
        late: Callable[[float], None] | None = None,
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        """Begin to send and to listen. Once.

        Args:
            io: the session, or `Nobody`.
            remote: the address in the peer's SDP.
            codec: what is sent.
            accepts: what may come, by payload type; also of telephone events.
            keys_type: the payload type of telephone events; None: keys are tones, both ways.
            sends: False while the peer holds the line: no frame is read.
            receives: False while nothing is to come.
            on_lost: called once when nothing came for `lost_after_s` although it should.
            late: told how late each frame is, in seconds.

        Raises:
            UserFacingError: Opus was agreed on and there is no libopus.
        """
        self._agreed = _Agreed(codec, accepts, keys_type, sends, receives)
        self._sender = Sender(codec, accepts, keys_type)
        self._receiver = Receiver(self._agreed.codecs)
        self._stats = self._receiver.stats
        self._reports = Reports(self._stats)
        self._source = Source(remote)
        self._on_lost, self._lost_after_s = on_lost, lost_after_s
        now_s = self._loop.time()
        self._heard_s = now_s
        self._report_s = now_s + REPORT_EVERY_S * (0.5 + secrets.randbelow(100) / 200)
        self._use(io)
        self._agree()
        self._pacer = Pacer(self._tick, late)
        self._pacer.start()

    def change(
        self,
        *,
        remote: Address,
        codec: Codec,
        accepts: Mapping[int, Codec],
        keys_type: int | None,
        sends: bool,
        receives: bool,
    ) -> None:
        """Something else is agreed on, as after a re-INVITE. Arguments as of `start`."""
        self._sender.change(codec, accepts, keys_type)
        if receives != self._agreed.receives:
            self._receiver.pause()
        self._agreed = _Agreed(codec, accepts, keys_type, sends, receives)
        self._receiver.change(self._agreed.codecs)
        self._source.change(remote)
        self._heard_s = self._loop.time()
        self._use(self._end)
        self._agree()

    def press(self, digits: str) -> None:
        """Send keys, `0-9*#A-D`; `w` is half a second. Sound waits for them. What is beyond 128
        waiting keys is left out."""
        if self._pacer is not None and not self._closed:
            self._sender.press(digits)

    def bridge(self, other: RtpLine) -> None:
        """From now on each of two started lines says what the other hears; their sessions are let
        go of."""
        here, there = Crossing(other.press), Crossing(self.press)
        here.other, there.other = there, here
        self._use(here)
        other._use(there)

    async def play(self, pcm: bytes, rate_hz: int) -> None:
        """Play a recording, mono s16, and return when its last frame was sent. Nothing is read of
        the session meanwhile.

        Raises:
            TimeoutError: the line was held or closed for too long.
        """
        behind = self._end
        playing = Playing(pcm, rate_hz, behind)
        self._use(playing)
        try:
            async with asyncio.timeout(len(pcm) / 2 / rate_hz + PLAY_SLACK_S):
                await playing.played()
        finally:
            if self._end is playing:
                self._use(behind)

    @property
    def stats(self) -> LineStats:
        """What came and was sent so far."""
        return replace(self._stats)

    @property
    def remote(self) -> Address:
        """Where sound is sent now."""
        return self._source.address

    async def aclose(self) -> None:
        """Say goodbye and free the ports. Idempotent."""
        if self._closed:
            return
        if self._pacer is not None:
            self._pacer.stop()
            self._send_report(bye=True)
        self._closed = True
        self._end = Nobody()
        for transport in (self._rtp, self._rtcp):
            if transport is not None:
                transport.close()

    # ---- the clock -------------------------------------------------------------------------

    def _tick(self, frames: int) -> None:
        now_s = self._loop.time()
        if not self._frames:
            self._began_s = now_s
        # Frames that the pacer left out after a halt have their time too.
        left_out = int((now_s - self._began_s) / STEP_S) + 1 - self._frames - frames
        if left_out > 0:
            self._sender.skip(left_out)
            self._frames += left_out
        self._frames += frames
        for _ in range(frames):
            if self._closed:
                return
            self._send_frame()
        if self._agreed.receives:
            for frame in self._receiver.poll(now_s):
                self._hear(frame)
        if self._closed:
            return
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_EVERY_S
            self._send_report()
        if not self._agreed.receives:
            self._heard_s = now_s
        elif now_s - self._heard_s > self._lost_after_s and self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost("no audio from the line")

    def _send_frame(self) -> None:
        if not self._agreed.sends:
            self._sender.skip()
            return
        pcm = None if self._sender.busy else self._reading.read()
        datagram = self._sender.frame(pcm)
        if datagram is not None and self._rtp is not None:
            self._stats.sent += 1
            self._rtp.sendto(datagram, self._source.address)

    def _send_report(self, *, bye: bool = False) -> None:
        if self._rtcp is None or self._closed:
            return
        now_s = self._loop.time()
        report = self._sender.report(time.time())
        datagram = self._reports.make(report, self._receiver.report(), now_s, bye=bye)
        host, port = self._source.address
        self._rtcp.sendto(datagram, (host, min(port + 1, 65_535)))

    # ---- what comes ------------------------------------------------------------------------

    def _on_rtp(self, datagram: bytes, source: Address) -> None:
        if self._pacer is None or self._closed:
            return
        if is_rtcp(datagram):
            self._on_rtcp(datagram, source)
            return
        packet = parse_rtp(datagram)
        if packet is None:
            self._stats.unknown += 1
            return
        now_s = self._loop.time()
        admitted = self._source.admit(packet, source, self._types, now_s)
        if not admitted:
            self._stats.strangers += 1
        for one in admitted:
            self._heard_s = now_s
            if self._agreed.receives and not self._closed:
                self._take(one, now_s)

    def _take(self, packet: RtpPacket, now_s: float) -> None:
        if self._agreed.is_keys(packet.payload_type):
            key = self._keys.push(packet)
            if key is not None:
                self._on_key(key)
        for frame in self._receiver.push(packet, now_s):
            self._hear(frame)

    def _hear(self, frame: bytes) -> None:
        if self._detector is not None:
            for key in self._detector.feed(frame):
                self._on_key(key)
            if self._detector.sounding:
                frame = bytes(FRAME_BYTES)
        if not self._closed:
            self._end.on_audio(frame)

    def _on_key(self, key: str) -> None:
        self._stats.keys += 1
        if key in SESSION_KEYS:
            self._end.on_key(key)

    def _on_rtcp(self, datagram: bytes, source: Address) -> None:
        if self._pacer is None or self._closed or not self._source.is_peer(source[0]):
            return
        now_s = self._loop.time()
        if self._reports.take(datagram, self._sender.ssrc, now_s, time.time())[0]:
            self._heard_s = now_s

    # ---- parts -----------------------------------------------------------------------------

    def _use(self, end: LineEnd) -> None:
        self._end = end
        self._reading = Reading(end, pcm_rate_hz(self._agreed.codec))

    def _agree(self) -> None:
        agreed = self._agreed
        self._types = {*agreed.codecs, COMFORT_NOISE}
        clocks = [c.clock_hz for c in agreed.codecs.values() if is_audio(c)]
        self._keys = KeyReceiver(max(clocks, default=8000))
        # A peer that sends events may send tones besides: each key would be heard twice.
        by_sound = not any(agreed.is_keys(kind) for kind in agreed.codecs)
        self._detector = ToneDetector(INPUT_RATE_HZ) if by_sound else None


class _Port(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self._take(data, cast(Address, addr[:2]))

    def error_received(self, exc: Exception) -> None:
        """The peer's port is closed, for now or for good: `on_lost` will tell."""


def _free_ports(host: str, ports: tuple[int, int]) -> tuple[int, socket.socket, socket.socket]:
    """The first free pair from a random place on: hard to guess, and seldom in use."""
    first, last = ports[0] + ports[0] % 2, ports[1]
    count = max(0, (last - first + 1) // 2)
    begin = secrets.randbelow(count) if count else 0
    for number in range(count):
        port = first + (begin + number) % count * 2
        pair = _bind(host, port)
        if pair is not None:
            return port, *pair
    raise CapacityError(
        f"no free UDP port for a call's sound between {ports[0]} and {ports[1]}: widen `rtp_ports`"
    )


def _bind(host: str, port: int) -> tuple[socket.socket, socket.socket] | None:
    opened: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (port, port + 1):
        one = socket.socket(family, socket.SOCK_DGRAM)
        opened.append(one)
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            one.bind((host, number))
        except OSError as error:
            for other in opened:
                other.close()
            if error.errno not in _TAKEN:
                raise
            return None
    return opened[0], opened[1]
