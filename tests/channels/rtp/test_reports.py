"""What the two sides of a line report of each other."""

from __future__ import annotations

import pytest

from antiphon.channels.rtp.packet import (
    Bye,
    Report,
    ReportBlock,
    make_report,
    ntp_time,
    parse_rtcp,
)
from antiphon.channels.rtp.receive import LineStats
from antiphon.channels.rtp.reports import MOST_ROUND_TRIP_MS, Reports

OURS, THEIRS = 7, 8
NOW_S, UNIX_S = 100.0, 1_700_000_000.0


def theirs(block: ReportBlock | None = None, *, sends: bool = True) -> bytes:
    blocks = () if block is None else (block,)
    return make_report(Report(THEIRS, ntp_time(UNIX_S), 1, 2, 3, blocks, sends), "peer")


def middle(unix_s: float) -> int:
    return ntp_time(unix_s) >> 16 & 0xFFFFFFFF


def test_what_the_peer_lost_and_how_far_away_it_is() -> None:
    stats = LineStats()
    sent_s = UNIX_S - 1.5
    block = ReportBlock(OURS, 64, 12, 1000, 5, middle(sent_s), int(1.4 * 65536))
    told, about = Reports(stats).take(theirs(block), OURS, NOW_S, UNIX_S)
    assert told
    assert about is not None
    assert about.fraction_lost == 64
    assert stats.their_lost == 12
    assert stats.round_trip_ms == pytest.approx(100, abs=1)


@pytest.mark.parametrize("ago_s", [-5.0, 3600.0])
def test_a_round_trip_that_cannot_be_is_left_out(ago_s: float) -> None:
    stats = LineStats(round_trip_ms=40.0)
    block = ReportBlock(OURS, 0, 0, 0, 0, middle(UNIX_S - ago_s), 0)
    Reports(stats).take(theirs(block), OURS, NOW_S, UNIX_S)
    assert stats.round_trip_ms == 40.0
    assert MOST_ROUND_TRIP_MS < 3_600_000


def test_reports_about_others_say_nothing_of_us() -> None:
    stats = LineStats()
    told, about = Reports(stats).take(theirs(ReportBlock(9, 255, 99, 0, 0)), OURS, NOW_S, UNIX_S)
    assert (told, about, stats) == (True, None, LineStats())


def test_what_is_no_report() -> None:
    for rubbish in (b"", b"\x80", b"\x81\xcb\x00\x01\x00\x00\x00\x08", b"\xff" * 40):
        assert Reports(LineStats()).take(rubbish, OURS, NOW_S, UNIX_S) == (False, None)


def test_what_was_received_goes_back_with_the_time_of_their_report() -> None:
    reports = Reports(LineStats())
    block = ReportBlock(THEIRS, 1, 2, 3, 4)
    first = parse_rtcp(reports.make(Report(OURS), block, NOW_S))[0]
    assert isinstance(first, Report)
    assert (first.blocks[0].last_sr, first.blocks[0].delay) == (0, 0)
    reports.take(theirs(), OURS, NOW_S, UNIX_S)
    second = parse_rtcp(reports.make(Report(OURS), block, NOW_S + 0.5))[0]
    assert isinstance(second, Report)
    assert second.blocks[0].last_sr == middle(UNIX_S)
    assert second.blocks[0].delay == 32_768


def test_a_receivers_report_has_no_time_to_answer_to() -> None:
    reports = Reports(LineStats())
    reports.take(theirs(sends=False), OURS, NOW_S, UNIX_S)
    made = parse_rtcp(reports.make(Report(OURS), ReportBlock(THEIRS, 0, 0, 0, 0), NOW_S + 1))[0]
    assert isinstance(made, Report)
    assert made.blocks[0].last_sr == 0


def test_goodbye() -> None:
    made = parse_rtcp(Reports(LineStats()).make(Report(OURS), None, NOW_S, bye=True))
    assert made[-1] == Bye((OURS,))
