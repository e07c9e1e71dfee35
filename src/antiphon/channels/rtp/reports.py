"""The two sides of a line tell each other what came (RFC 3550 section 6.4). Pure."""

from __future__ import annotations

from dataclasses import replace

from antiphon.channels.rtp.packet import (
    Report,
    ReportBlock,
    make_report,
    ntp_time,
    parse_rtcp,
)
from antiphon.channels.rtp.receive import LineStats

Heard = tuple[bool, ReportBlock | None]
"""Whether there was a report, and what it says of our stream."""
MOST_ROUND_TRIP_MS = 10_000
"""More is a report that was made up, or a clock that jumped."""


class Reports:
    """Of one line.

    Args:
        stats: of the line, where what the peer tells is written.
    """

    def __init__(self, stats: LineStats) -> None:
        self._stats = stats
        self._last_sr = (0, 0.0)
        """The middle of the NTP time of the peer's last report, and when it came."""

    def take(self, datagram: bytes, ssrc: int, now_s: float, unix_s: float) -> Heard:
        """What came by RTCP, to who sends the stream `ssrc`."""
        reports, about = 0, None
        for one in parse_rtcp(datagram):
            if not isinstance(one, Report):
                continue
            reports += 1
            if one.sends:
                self._last_sr = (one.ntp >> 16 & 0xFFFFFFFF, now_s)
            for block in one.blocks:
                if block.ssrc == ssrc:
                    about = block
                    self._note(block, unix_s)
        return reports > 0, about

    def make(
        self, report: Report, received: ReportBlock | None, now_s: float, *, bye: bool = False
    ) -> bytes:
        """The datagram that tells what was sent and received."""
        if received is not None:
            middle, came_s = self._last_sr
            delay = int((now_s - came_s) * 65536) if middle else 0
            received = replace(received, last_sr=middle, delay=delay)
            report = replace(report, blocks=(received,))
        return make_report(report, f"{report.ssrc:08x}", bye=bye)

    def _note(self, block: ReportBlock, unix_s: float) -> None:
        self._stats.their_lost = block.lost
        if block.last_sr:
            units = (ntp_time(unix_s) >> 16) - block.last_sr - block.delay
            round_trip_ms = (units & 0xFFFFFFFF) / 65.536
            if round_trip_ms <= MOST_ROUND_TRIP_MS:
                self._stats.round_trip_ms = round_trip_ms
