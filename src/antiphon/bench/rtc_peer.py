"""A caller over WebRTC that costs little: aiortc makes the connection, and the packets of sound go
past it. They are encoded before the call and, but for a few, never decoded.

Only this module of the bench knows aiortc's and aioice's insides: the session keys of a DTLS
transport, the chosen pair of an ICE connection, and the sockets below.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

from antiphon.bench.rtc_heard import TICKS, Arrivals, is_audible
from antiphon.types import FRAME_MS

REPORT_EVERY = 5 * 1000 // FRAME_MS
"""Chromium reports on sound every five seconds."""
PLAYOUT_EVERY = 1000 // FRAME_MS
MOST_AT_ONCE = 5
"""Frames that a late tick makes up for."""
CLOSE_TIMEOUT_S = 5.0
_SIOCGSTAMPNS = 0x8907
_TIMESPEC = struct.Struct("ll")
_PLAYOUT = json.dumps(
    {"type": "antiphon.playout", "jitter_buffer_ms": 40, "output_ms": 30, "round_trip_ms": 1}
)
_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
_ONE_BYTE_EXTENSIONS = 0xBEDE


class Peer:
    """One caller.

    Args:
        packets: what it says, 20 ms each.
        late: told how late each tick is, in ms: that of this process.
        decodes: look at all that comes, and not only until the first sound.
        events: open the data channel that a browser has.
    """

    def __init__(
        self,
        packets: Iterator[bytes],
        late: Callable[[float], None] = lambda ms: None,
        *,
        decodes: bool = False,
        events: bool = True,
    ) -> None:
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender
        from aiortc.rtcconfiguration import RTCBundlePolicy

        from antiphon.channels.rtp.opus import OpusDecoder

        self.arrivals = Arrivals()
        self.connected = asyncio.Event()
        self.gone = asyncio.Event()
        self.sounded = asyncio.Event()
        self.connected_s = self.sound_s = 0.0
        self.last_sound_s = 0.0
        """When the last audible packet that was looked at came, Unix time."""
        self.audible = self.looked_at = self.messages = 0
        self._loop = asyncio.get_running_loop()
        self.decodes = decodes
        self._packets, self._late = packets, late
        self._decoder = OpusDecoder()
        self._timer: asyncio.TimerHandle | None = None
        self._frames = self._octets = 0
        self._due_s = 0.0
        self._their_ssrc = self._last_sr = 0
        self._last_sr_s = 0.0
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        _be_quiet(self._pc)
        self._pc.on("connectionstatechange", self._on_state)
        self._line = self._pc.addTransceiver("audio", "sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        self._line.setCodecPreferences([one for one in codecs if one.mimeType == "audio/opus"])
        # What aiortc calls when the transport is there. Its own encodes, decodes and keeps threads.
        self._line.sender.send = self._begin_sending  # type: ignore[method-assign]
        self._line.receiver.receive = self._begin_receiving  # type: ignore[method-assign]
        self._data = self._pc.createDataChannel("oai-events") if events else None
        if self._data is not None:
            self._data.on("message", self._on_message)

    # ---- its life ----------------------------------------------------------------------------

    async def offer(self) -> str:
        await self._pc.setLocalDescription(await self._pc.createOffer())
        sdp: str = self._pc.localDescription.sdp
        return sdp

    async def take(self, answer_sdp: str) -> None:
        from aiortc import RTCSessionDescription

        await self._pc.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))

    def hang_up(self) -> None:
        """Say so, where there is a way."""
        self.tell(json.dumps({"type": "antiphon.hang_up"}))

    def tell(self, text: str) -> None:
        """Send an event, where there is a way."""
        if self._data is not None and self._data.readyState == "open":
            self._data.send(text)

    def throw(self, datagram: bytes) -> None:
        """Send what is no packet of this call."""
        self._send(datagram)

    async def aclose(self) -> None:
        """Idempotent."""
        self._stop()
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self._pc.close()
        self.gone.set()

    def vanish(self) -> None:
        """As a telephone that is thrown into water: nothing more is said, nothing answered."""
        self._stop()
        for protocol in self._protocols():
            if not protocol.transport.is_closing():
                protocol.transport.abort()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _protocols(self) -> list[Any]:
        return list(self._line.receiver.transport.transport._connection._protocols)

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self.connected_s = self._loop.time()
            self.connected.set()
        elif state in ("failed", "closed"):
            self._stop()
            self.gone.set()

    def _on_message(self, message: object) -> None:
        self.messages += 1

    # ---- what it says ------------------------------------------------------------------------

    async def _begin_sending(self, parameters: Any) -> None:
        self._dtls = self._line.sender.transport
        self._ice = self._dtls.transport._connection
        self._type = parameters.codecs[0].payloadType
        self._ssrc = self._line.sender._ssrc
        self._extension = _extension(parameters)
        self._due_s = self._loop.time()
        self._tick()

    def _tick(self) -> None:
        now_s = self._loop.time()
        self._late((now_s - self._due_s) * 1000)
        due = 1 + int((now_s - self._due_s) * 1000 / FRAME_MS)
        for _ in range(min(due, MOST_AT_ONCE)):
            self._say(next(self._packets))
        if self._frames % REPORT_EVERY < due:
            self._report()
        if self._frames % PLAYOUT_EVERY < due:
            self.tell(_PLAYOUT)
        self._due_s += due * FRAME_MS / 1000
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _say(self, payload: bytes) -> None:
        self._frames += 1
        self._octets += len(payload)
        head = struct.pack(
            "!BBHII",
            0x90 if self._extension else 0x80,
            self._type,
            self._frames & 0xFFFF,
            self._frames * TICKS & 0xFFFFFFFF,
            self._ssrc,
        )
        self._send(self._dtls._tx_srtp.protect(head + self._extension + payload))

    def _send(self, data: bytes) -> None:
        pair = self._ice._nominated.get(1)
        if pair is not None and not pair.protocol.transport.is_closing():
            pair.protocol.transport.sendto(data, pair.remote_addr)

    def _report(self) -> None:
        from antiphon.channels.rtp.packet import Report, ReportBlock, make_report, ntp_time

        heard, unix_s = self.arrivals, time.time()
        delay = int((unix_s - self._last_sr_s) * 65536) if self._last_sr else 0
        highest = max(0, heard.highest)
        block = ReportBlock(self._their_ssrc, 0, heard.missing, highest, 0, self._last_sr, delay)
        report = Report(
            self._ssrc,
            ntp_time(unix_s),
            self._frames * TICKS & 0xFFFFFFFF,
            self._frames,
            self._octets,
            (block,) if self._their_ssrc else (),
            sends=True,
        )
        self._send(self._dtls._tx_srtp.protect_rtcp(make_report(report, "caller")))

    # ---- what it hears -----------------------------------------------------------------------

    async def _begin_receiving(self, parameters: Any) -> None:
        for protocol in self._protocols():
            # Sound is told apart before anybody tries to read it as STUN.
            protocol.datagram_received = self._sorted(protocol.datagram_received, protocol)

    def _sorted(self, others: Callable[..., None], protocol: Any) -> Callable[..., None]:
        file = protocol.transport.get_extra_info("socket").fileno()

        def received(data: bytes, address: tuple[Any, ...]) -> None:
            if not 128 <= data[0] < 192 or len(data) < 12:
                others(data, address)
            elif 192 <= data[1] < 224:
                self._read_report(data)
            else:
                self._hear(data, _arrived_s(file))

        return received

    def _hear(self, data: bytes, at_s: float) -> None:
        sequence, timestamp, ssrc = struct.unpack_from("!HII", data, 2)
        self._their_ssrc = ssrc
        self.arrivals.add(sequence, timestamp, len(data) - 12, at_s)
        if self.decodes or not self.sound_s:
            self._listen(data, at_s)

    def _listen(self, data: bytes, at_s: float) -> None:
        from pylibsrtp import Error

        from antiphon.channels.rtp.packet import parse_rtp

        try:
            packet = parse_rtp(self._dtls._rx_srtp.unprotect(data))
        except Error:
            return
        if packet is None:
            return
        self.looked_at += 1
        if is_audible(self._decoder.decode(packet.payload)):
            self.audible += 1
            self.last_sound_s = at_s
            if not self.sound_s:
                self.sound_s = self._loop.time()
                self.sounded.set()

    def _read_report(self, data: bytes) -> None:
        from pylibsrtp import Error

        from antiphon.channels.rtp.packet import Report, parse_rtcp

        try:
            reports = parse_rtcp(self._dtls._rx_srtp.unprotect_rtcp(data))
        except Error:
            return
        for one in reports:
            if isinstance(one, Report) and one.sends:
                self._last_sr, self._last_sr_s = one.ntp >> 16 & 0xFFFFFFFF, time.time()


def _be_quiet(pc: Any) -> None:
    """Closed in mid-handshake, aiortc's task of connecting fails, and nobody asks it why."""
    from aiortc.exceptions import InvalidStateError

    connect = pc._RTCPeerConnection__connect

    async def quietly() -> None:
        with contextlib.suppress(InvalidStateError, ConnectionError):
            await connect()

    pc._RTCPeerConnection__connect = quietly


def _arrived_s(file: int) -> float:
    """When the kernel got the packet that was read last from a socket: how late this process reads
    it does not count. Unix time."""
    try:
        seconds, nanoseconds = _TIMESPEC.unpack(fcntl.ioctl(file, _SIOCGSTAMPNS, bytes(16)))
    except OSError:
        # The first question is what makes the kernel look at the clock.
        return time.time()
    return float(seconds) + float(nanoseconds) / 1e9


def _extension(parameters: Any) -> bytes:
    """The header extension that a browser sends: which line this is (RFC 8843 section 9.2), as one
    element of the short form (RFC 8285 section 4.2)."""
    for one in parameters.headerExtensions:
        if one.uri == _MID:
            mid: bytes = parameters.muxId.encode()
            element = bytes((one.id << 4 | len(mid) - 1,)) + mid
            element += bytes(-len(element) % 4)
            return struct.pack("!HH", _ONE_BYTE_EXTENSIONS, len(element) // 4) + element
    return b""
