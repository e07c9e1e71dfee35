"""RTP and RTCP against bytes written by hand from RFC 3550, and against aiortc's reader."""

from __future__ import annotations

import aiortc.rtp
import pytest

from antiphon.channels.rtp.packet import (
    Bye,
    Report,
    ReportBlock,
    RtpPacket,
    is_rtcp,
    make_report,
    make_rtp,
    ntp_time,
    parse_rtcp,
    parse_rtp,
    sequence_step,
    timestamp_step,
)

GOLDEN = {
    "plain": (
        "80 00 0001 000000a0 deadbeef ffff",
        RtpPacket(0, 1, 160, 0xDEADBEEF, b"\xff\xff"),
    ),
    "marked": (
        "80 88 ffff ffffffff 00000001 d5",
        RtpPacket(8, 65535, 0xFFFFFFFF, 1, b"\xd5", marker=True),
    ),
    "sources": (
        "82 00 0001 00000001 00000001 00000007 00000008 aa",
        RtpPacket(0, 1, 1, 1, b"\xaa", csrcs=(7, 8)),
    ),
    "extension": (
        "90 00 0001 00000001 00000001 bede 0001 10aa0000 bb",
        RtpPacket(0, 1, 1, 1, b"\xbb", extension=(0xBEDE, b"\x10\xaa\0\0")),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_and_packets(name: str) -> None:
    data, packet = bytes.fromhex(GOLDEN[name][0]), GOLDEN[name][1]
    assert parse_rtp(data) == packet
    assert make_rtp(packet) == data


def test_padding_is_taken_off() -> None:
    packet = parse_rtp(bytes.fromhex("a0 00 0001 00000001 00000001 aa 000003"))
    assert packet is not None
    assert packet.payload == b"\xaa"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "80 00 0001 000000a0 deadbe",
        "40 00 0001 000000a0 deadbeef",
        "8f 00 0001 000000a0 deadbeef 0001",
        "90 00 0001 000000a0 deadbeef",
        "90 00 0001 000000a0 deadbeef bede 0009 00",
        "a0 00 0001 000000a0 deadbeef 00",
        "a0 00 0001 000000a0 deadbeef 09",
        "a0 00 0001 000000a0 deadbeef",
        "80 c8 0006 000000a0 deadbeef",
    ],
)
def test_what_is_no_rtp(data: str) -> None:
    assert parse_rtp(bytes.fromhex(data)) is None


def test_numbers_that_begin_anew() -> None:
    assert sequence_step(0, 65535) == 1
    assert sequence_step(65530, 4) == -10
    assert timestamp_step(100, 0xFFFFFFFF) == 101
    assert timestamp_step(0xFFFFFF00, 0) == -256


BLOCK = ReportBlock(0x01020304, 64, -3, 0x0001FFFF, 12, 0xAABBCCDD, 65536)


@pytest.mark.parametrize("sends", [True, False])
def test_a_report_as_others_read_it(sends: bool) -> None:
    ntp = ntp_time(1_700_000_000.5)
    report = Report(9, *((ntp, 160, 5, 800) if sends else (0, 0, 0, 0)), (BLOCK,), sends)
    data = make_report(report, "name", bye=True)
    assert is_rtcp(data)
    assert parse_rtp(data) is None
    assert parse_rtcp(data) == [report, Bye((9,))]

    first, names, bye = aiortc.rtp.RtcpPacket.parse(data)
    assert isinstance(
        first, aiortc.rtp.RtcpSrPacket if sends else aiortc.rtp.RtcpRrPacket
    )  # fmt: skip
    assert first.ssrc == 9
    if isinstance(first, aiortc.rtp.RtcpSrPacket):
        assert first.sender_info.ntp_timestamp == ntp
        assert first.sender_info.packet_count == 5
    (block,) = first.reports
    assert (block.fraction_lost, block.packets_lost) == (64, -3)
    assert (block.highest_sequence, block.jitter) == (0x0001FFFF, 12)
    assert (block.lsr, block.dlsr) == (0xAABBCCDD, 65536)
    assert isinstance(names, aiortc.rtp.RtcpSdesPacket)
    assert names.chunks[0].items == [(1, b"name")]
    assert isinstance(bye, aiortc.rtp.RtcpByePacket)
    assert bye.sources == [9]


def test_reports_that_do_not_hold_together_end_the_reading() -> None:
    good = make_report(Report(9, blocks=(BLOCK,)), "name")
    assert parse_rtcp(good + b"\x80\xc9\xff\xff") == [Report(9, blocks=(BLOCK,))]
    assert parse_rtcp(good[:20]) == []
    assert parse_rtcp(b"\x9f\xcb\x00\x01\x00\x00\x00\x05") == [Bye((5,))]
    assert parse_rtcp(b"\x80\xc8\x00\x01\x00\x00\x00\x05") == []


def test_ntp_time_of_a_known_moment() -> None:
    # 2000-01-01T00:00:00Z is 3155673600 s after 1900.
    assert ntp_time(946_684_800.25) == 3_155_673_600 << 32 | 1 << 30
