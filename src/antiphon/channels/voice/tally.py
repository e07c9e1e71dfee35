"""What became of a call's sound on its way, over all of its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antiphon.channels.rtp.receive import LineStats


@dataclass(slots=True)
class LineTally:
    """Sums of one call; of what has no sum, the newest."""

    connections: int = 0
    outages: int = 0
    """How often nothing reached the caller."""
    outage_ms: int = 0
    packets: int = 0
    lost: int = 0
    recovered_ms: int = 0
    """Lost, and had from the copy in a packet that came later."""
    concealed_ms: int = 0
    """Lost, and made up."""
    sent: int = 0
    their_lost: int = 0
    jitter_ms: float = 0.0
    round_trip_ms: float = 0.0

    def add(self, stats: LineStats) -> LineTally:
        """With what a connection has counted."""
        return LineTally(
            self.connections,
            self.outages,
            self.outage_ms,
            self.packets + stats.packets,
            self.lost + stats.lost,
            self.recovered_ms + stats.recovered_ms,
            self.concealed_ms + stats.concealed_ms,
            self.sent + stats.sent,
            self.their_lost + stats.their_lost,
            stats.jitter_ms or self.jitter_ms,
            stats.round_trip_ms or self.round_trip_ms,
        )

    def facts(self) -> dict[str, Any]:
        """For the call's record."""
        return {
            "connections": self.connections,
            "outages": self.outages,
            "outage_ms": self.outage_ms,
            "caller": {
                "packets": self.packets,
                "lost": self.lost,
                "recovered_ms": self.recovered_ms,
                "concealed_ms": self.concealed_ms,
                "jitter_ms": round(self.jitter_ms, 1),
            },
            "agent": {"packets": self.sent, "lost": self.their_lost},
            "round_trip_ms": round(self.round_trip_ms, 1),
        }
