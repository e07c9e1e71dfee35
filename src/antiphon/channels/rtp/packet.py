"""RTP and RTCP packets (RFC 3550): reading, writing, counting. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

VERSION = 2
HEADER_BYTES = 12
COMFORT_NOISE = 13
"""Payload type of comfort noise (RFC 3389)."""

_HEADER = struct.Struct("!BBHII")
_SEQUENCES = 1 << 16
_TICKS = 1 << 32
_RTCP_TYPES = range(192, 224)
"""The second byte of RTCP where both come by one port (RFC 5761 section 4)."""
_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_BLOCK = struct.Struct("!IB3sIIII")
_MOST_BLOCKS = 31
_MOST_REPORTS = 16
_NTP_EPOCH_S = 2_208_988_800
_CNAME = 1


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet of a stream. `extension` is the header extension's profile and words."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None


def parse_rtp(datagram: bytes) -> RtpPacket | None:
    """What a datagram carries, without its padding; None when it is no RTP."""
    if len(datagram) < HEADER_BYTES or datagram[0] >> 6 != VERSION:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    if second in _RTCP_TYPES:
        return None
    if first == VERSION << 6:
        # Nearly every packet: nothing but the header and the payload.
        payload = datagram[HEADER_BYTES:]
        return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, payload, second >= 128)
    at = HEADER_BYTES + 4 * (first & 0x0F)
    extension = None
    end = len(datagram)
    if at > end:
        return None
    csrcs = struct.unpack_from(f"!{first & 0x0F}I", datagram, HEADER_BYTES)
    if first & 0x10:
        if at + 4 > end:
            return None
        profile, words = struct.unpack_from("!HH", datagram, at)
        at += 4 + 4 * words
        if at > end:
            return None
        extension = (profile, datagram[at - 4 * words : at])
    if first & 0x20:
        padding = datagram[-1]
        if not 1 <= padding <= end - at:
            return None
        end -= padding
    return RtpPacket(
        second & 0x7F, sequence, timestamp, ssrc, datagram[at:end], second >= 128, csrcs, extension
    )


def make_rtp(packet: RtpPacket) -> bytes:
    """The datagram of a packet.

    Raises:
        struct.error: a field does not fit.
    """
    first = VERSION << 6 | (0x10 if packet.extension else 0) | len(packet.csrcs)
    second = packet.payload_type | (0x80 if packet.marker else 0)
    parts = [
        _HEADER.pack(first, second, packet.sequence, packet.timestamp, packet.ssrc),
        struct.pack(f"!{len(packet.csrcs)}I", *packet.csrcs),
    ]
    if packet.extension is not None:
        profile, words = packet.extension
        parts += (struct.pack("!HH", profile, len(words) // 4), words)
    return b"".join((*parts, packet.payload))


def sequence_step(newer: int, older: int) -> int:
    """How far one 16-bit number is ahead of another: -32768 to 32767."""
    return (newer - older + _SEQUENCES // 2) % _SEQUENCES - _SEQUENCES // 2


def timestamp_step(newer: int, older: int) -> int:
    """The same for 32-bit timestamps."""
    return (newer - older + _TICKS // 2) % _TICKS - _TICKS // 2


# ---- RTCP ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What somebody received of a stream (RFC 3550 section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Since the last report, in 1/256."""
    lost: int
    """Since the beginning; negative when there were duplicates."""
    highest_sequence: int
    """With the number of times that it began anew in the upper 16 bits."""
    jitter: int
    """In units of the stream's clock."""
    last_sr: int = 0
    """The middle 32 bits of the last sender report's NTP time; 0: none came."""
    delay: int = 0
    """Since that report, in 1/65536 s."""


@dataclass(frozen=True, slots=True)
class Report:
    """A sender's report, or with `ntp` 0 and nothing sent a receiver's. `ntp` is in 2^-32 s."""

    ssrc: int
    ntp: int = 0
    timestamp: int = 0
    packets: int = 0
    octets: int = 0
    blocks: tuple[ReportBlock, ...] = ()
    sends: bool = False


@dataclass(frozen=True, slots=True)
class Bye:
    """Streams that have ended."""

    ssrcs: tuple[int, ...]


def ntp_time(unix_s: float) -> int:
    """Unix time in the NTP format, 2^-32 s."""
    return int((unix_s + _NTP_EPOCH_S) * _TICKS) % (1 << 64)


def is_rtcp(datagram: bytes) -> bool:
    return len(datagram) >= 8 and datagram[0] >> 6 == VERSION and datagram[1] in _RTCP_TYPES


def make_report(report: Report, cname: str, *, bye: bool = False) -> bytes:
    """A compound packet: the report, who we are (the RFC wants that in each), and the end."""
    blocks = b"".join(
        _BLOCK.pack(
            one.ssrc,
            min(255, max(0, one.fraction_lost)),
            (min(0x7FFFFF, max(-0x800000, one.lost)) & 0xFFFFFF).to_bytes(3, "big"),
            one.highest_sequence % _TICKS,
            one.jitter % _TICKS,
            one.last_sr % _TICKS,
            one.delay % _TICKS,
        )
        for one in report.blocks[:_MOST_BLOCKS]
    )
    body = struct.pack("!I", report.ssrc)
    if report.sends:
        body += struct.pack(
            "!QIII",
            report.ntp,
            report.timestamp % _TICKS,
            report.packets % _TICKS,
            report.octets % _TICKS,
        )
    name = cname.encode()[:255]
    items = struct.pack("!IBB", report.ssrc, _CNAME, len(name)) + name + b"\0"
    items += bytes(-len(items) % 4)
    packets = _rtcp(_SR if report.sends else _RR, len(report.blocks), body + blocks)
    packets += _rtcp(_SDES, 1, items)
    return packets + (_rtcp(_BYE, 1, struct.pack("!I", report.ssrc)) if bye else b"")


def parse_rtcp(datagram: bytes) -> list[Report | Bye]:
    """The reports and farewells of a compound packet; what is neither is skipped, and what does not
    hold together ends it."""
    found: list[Report | Bye] = []
    at = 0
    while at + 4 <= len(datagram) and len(found) < _MOST_REPORTS:
        first, kind, words = struct.unpack_from("!BBH", datagram, at)
        end = at + 4 + 4 * words
        if first >> 6 != VERSION or end > len(datagram):
            break
        one = _parse_one(kind, first & 0x1F, datagram[at + 4 : end])
        if one is not None:
            found.append(one)
        at = end
    return found


def _rtcp(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", VERSION << 6 | count, kind, len(body) // 4) + body


def _parse_one(kind: int, count: int, body: bytes) -> Report | Bye | None:
    if kind == _BYE:
        whole = min(count, len(body) // 4)
        return Bye(struct.unpack_from(f"!{whole}I", body))
    if kind not in (_SR, _RR):
        return None
    fixed = 24 if kind == _SR else 4
    if len(body) < fixed:
        return None
    (ssrc,) = struct.unpack_from("!I", body)
    ntp, timestamp, packets, octets = (
        struct.unpack_from("!QIII", body, 4) if kind == _SR else (0, 0, 0, 0)
    )
    blocks = tuple(
        ReportBlock(to, fraction, int.from_bytes(lost, "big", signed=True), high, jitter, sr, delay)
        for to, fraction, lost, high, jitter, sr, delay in (
            _BLOCK.unpack_from(body, at)
            for at in range(fixed, fixed + count * _BLOCK.size, _BLOCK.size)
            if at + _BLOCK.size <= len(body)
        )
    )
    return Report(ssrc, ntp, timestamp, packets, octets, blocks, kind == _SR)
