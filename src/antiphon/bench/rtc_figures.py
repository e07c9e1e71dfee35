"""Figures of calls over WebRTC, and the lines that people read. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.bench.phone_figures import share, spread_of

if TYPE_CHECKING:
    from antiphon.bench.rtc_peer import Peer

MOST_GAP_MS = 25.0
"""The 99th percentile of the gaps between packets may be so long; a packet is due every 20 ms."""


@dataclass(slots=True)
class RtcCall:
    """What is measured of one call. Times are those of an event loop; 0: it did not happen."""

    peer: Peer | None = None
    offered_s: float = 0.0
    answered_s: float = 0.0
    failed: str = ""
    lost: bool = False


def summarize(calls: Sequence[RtcCall], late_ms: Sequence[float]) -> dict[str, Any]:
    """Figures over all calls; times in ms. `late_ms` are the ticks of the callers' own clock."""
    pairs = [(one, one.peer) for one in calls if one.peer is not None and not one.failed]
    peers = [peer for _, peer in pairs]
    gaps: array[float] = array("f")
    for peer in peers:
        gaps.extend(peer.arrivals.gaps_ms)
    looked_at = sum(peer.looked_at for peer in peers if peer.decodes)
    late = sorted(late_ms)
    return {
        "calls": len(calls),
        "connected": len(peers),
        "failed": dict(Counter(one.failed for one in calls if one.failed)),
        "lost": sum(one.lost for one in calls),
        "answered_ms": spread_of((one.answered_s - one.offered_s) * 1000 for one, _ in pairs),
        "connected_ms": spread_of((p.connected_s - one.offered_s) * 1000 for one, p in pairs),
        "first_audio_ms": spread_of(
            (peer.sound_s - one.offered_s) * 1000 for one, peer in pairs if peer.sound_s
        ),
        "silent_calls": sum(not peer.sound_s for peer in peers),
        "gap_ms": gap_figures(gaps),
        "gap_p99_worst_call_ms": max(
            (share(sorted(p.arrivals.gaps_ms), 0.99) or 0.0 for p in peers), default=None
        ),
        "packets": sum(peer.arrivals.packets for peer in peers),
        "missing": sum(peer.arrivals.missing for peer in peers),
        "jumps": sum(peer.arrivals.jumps for peer in peers),
        "bytes_per_packet": round(
            sum(peer.arrivals.bytes for peer in peers)
            / max(1, sum(peer.arrivals.packets for peer in peers))
        ),
        "audible": round(sum(p.audible for p in peers if p.decodes) / max(1, looked_at), 3),
        "events": sum(peer.messages for peer in peers),
        "client_late_p99_ms": share(late, 0.99),
        "client_late_max_ms": share(late, 1.0),
    }


def gap_figures(gaps_ms: Sequence[float]) -> dict[str, float | None]:
    """Quantiles of the gaps between packets."""
    ordered = sorted(gaps_ms)
    parts = (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
    return {"count": len(ordered), **{name: share(ordered, part) for name, part in parts}}


def problems(figures: dict[str, Any]) -> list[str]:
    """What must not be, whatever the machine: calls that fail, break off, hang or say nothing."""
    found = [f"{count} calls failed: {why}" for why, count in figures["failed"].items()]
    if figures["lost"]:
        found.append(f"{figures['lost']} calls were lost")
    if figures["silent_calls"] and not figures["quiet_agent"]:
        found.append(f"nothing was heard in {figures['silent_calls']} calls")
    if figures["calls_left"]:
        found.append(f"calls that did not end: {figures['calls_left']:.0f}")
    if figures["provider_errors"]:
        found.append(f"failures of providers: {figures['provider_errors']:.0f}")
    return found


def text_of(figures: dict[str, Any]) -> str:
    """The figures for people."""
    gap, late, lag = (figures[n] for n in ("gap_ms", "server_frame_late", "server_loop_lag"))

    def spread(name: str) -> str:
        one = figures[name]
        if not one["count"]:
            return "none"
        return f"p50 {one['p50']:.0f}, p95 {one['p95']:.0f}, longest {one['max']:.0f} ms"

    def ms(one: dict[str, Any]) -> str:
        return ", ".join(f"{part} {one[part]} ms" for part in ("p50", "p99", "p99.9"))

    network = figures["network"]
    lines = [
        f"calls: {figures['connected']} of {figures['calls']} connected, "
        f"{figures['seconds']:.0f} s, {figures['processes']} process(es), VAD {figures['vad']}; "
        f"agent audible {100 * figures['audible']:.0f} % of the time",
        f"offer to answer: {spread('answered_ms')}; to connected: {spread('connected_ms')}; "
        f"to the first sound: {spread('first_audio_ms')}",
        f"departure gap: {ms(gap)}, longest {gap['max']} ms; worst call's p99 "
        f"{figures['gap_p99_worst_call_ms']} ms",
        f"packets: {figures['packets']} of {figures['bytes_per_packet']} bytes, "
        f"{figures['missing']} missing, {figures['jumps']} jumps in time",
        f"CPU of the server: {1000 * figures['server_cpu_per_call_s']:.2f} ms per second of a "
        f"call, {figures['server_cores']} cores in all; callers {figures['client_cores']} cores",
        f"memory: {figures['rss_mb_one_call']} MB with one call, {figures['rss_mb_all_calls']} "
        f"with all, {figures['rss_mb_per_further_call']} MB per further call",
        f"the server's own: frames late {ms(late)}; event loop late {ms(lag)}",
        f"callers late themselves: p99 {figures['client_late_p99_ms']}, "
        f"longest {figures['client_late_max_ms']} ms",
    ]
    if network["passed"]:
        lines.append(f"network: {network['lost']} lost of {network['lost'] + network['passed']}")
    lines += [f"PROBLEM {problem}" for problem in problems(figures)]
    lines += [f"the server said: {text}" for text in figures["server_complaints"]]
    return "\n".join(lines)
