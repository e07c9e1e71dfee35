"""Figures of calls made over a telephone line, and whether they are what was expected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.bench.phone_caller import SimCall

LEAST_GAP_MS = 5.0
"""A shorter silence inside an answer is not heard, and not counted."""


def share(ordered: Sequence[float], part: float) -> float | None:
    """The value that `part` of them do not exceed; None of none."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1)


def spread_of(values: Iterable[float]) -> dict[str, float | None]:
    """How many there are, and how large."""
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50": share(ordered, 0.5),
        "p95": share(ordered, 0.95),
        "max": share(ordered, 1.0),
    }


def summarize(calls: Sequence[SimCall]) -> dict[str, Any]:
    """Figures over all calls; times in ms."""
    measured = [call.measured for call in calls]
    answers = [answer for call in calls for answer in call.playout.answers]
    gaps = [gap for answer in answers for gap in answer.gaps_ms if gap >= LEAST_GAP_MS]
    late = sorted(ms for answer in answers for ms in answer.late_ms)
    return {
        "calls": len(calls),
        "ended": dict(Counter(one.ended for one in measured)),
        "turns": sum(one.turns for one in measured),
        "unanswered": sum(one.unanswered for one in measured),
        "answers": len(answers),
        "agent_audio_s": round(sum(answer.sound_ms for answer in answers) / 1000, 2),
        "first_audio_ms": spread_of(ms for one in measured for ms in one.first_audio_ms),
        "gap_ms": spread_of(gaps),
        "frame_late_ms": {
            "count": len(late),
            "p50": share(late, 0.5),
            "p99": share(late, 0.99),
            "p99.9": share(late, 0.999),
            "max": share(late, 1.0),
        },
        "clear_ms": spread_of(ms for one in measured for ms in one.clear_ms),
        "silent_ms": spread_of(ms for one in measured for ms in one.silent_ms),
        "not_cleared": sum(one.not_cleared for one in measured),
        "audio_after_clear": sum(one.audio_after_clear for one in measured),
        "marks": {
            "returned": sum(one.marks for one in measured),
            "dropped_by_clear": sum(one.marks_dropped for one in measured),
            "late": sum(len(one.late_marks_ms) for one in measured),
            "lost": sum(one.marks_lost for one in measured),
        },
        "buffered_max_ms": round(max((c.playout.max_buffered_ms for c in calls), default=0.0), 1),
        "protocol_errors": [error for one in measured for error in one.protocol_errors][:20],
    }


@dataclass(frozen=True, slots=True)
class Expected:
    """The longest that anything may take, in ms; None is not looked at."""

    max_first_audio_ms: float | None = None
    max_gap_ms: float | None = None
    max_clear_ms: float | None = None

    def failures(self, figures: dict[str, Any]) -> list[str]:
        """What was not as expected, a sentence each. A server that writes what Twilio does not
        accept, or loses a connection, never is."""
        failed = [f"the server wrote: {error}" for error in figures["protocol_errors"]]
        if lost := figures["ended"].get("connection lost"):
            failed.append(f"connections lost: {lost}")
        for what, name, most in (
            ("first audio", "first_audio_ms", self.max_first_audio_ms),
            ("a gap in the agent's audio", "gap_ms", self.max_gap_ms),
            ("clear after an interruption", "clear_ms", self.max_clear_ms),
        ):
            longest = figures[name]["max"]
            if name == "clear_ms" and longest is None:
                # SIP has no such word: the agent falls silent.
                longest = figures["silent_ms"]["max"]
            if most is not None and longest is not None and longest > most:
                failed.append(f"{what}: {longest:.0f} ms, expected at most {most:.0f}")
        if self.max_first_audio_ms is not None and figures["unanswered"]:
            failed.append(f"turns without an answer: {figures['unanswered']}")
        if self.max_clear_ms is not None and figures["not_cleared"]:
            failed.append(f"interruptions without a clear: {figures['not_cleared']}")
        return failed


def told(figures: dict[str, Any]) -> str:
    """The figures for people."""

    def spread(name: str) -> str:
        one = figures[name]
        if not one["count"]:
            return "none"
        return (
            f"p50 {one['p50']:.0f}, p95 {one['p95']:.0f}, longest {one['max']:.0f} ms "
            f"({one['count']})"
        )

    late, marks = figures["frame_late_ms"], figures["marks"]
    ended = ", ".join(f"{reason} {count}" for reason, count in figures["ended"].items())
    lines = [
        f"calls: {figures['calls']} ({ended})",
        f"turns: {figures['turns']}, not answered {figures['unanswered']}",
        f"agent's audio: {figures['agent_audio_s']} s in {figures['answers']} answers",
        f"caller's last sound to the agent's first: {spread('first_audio_ms')}",
        f"gaps in the agent's audio: {spread('gap_ms')}",
        "messages later than the pace: none"
        if late["p50"] is None
        else f"messages later than the pace: p50 {late['p50']}, p99 {late['p99']}, "
        f"p99.9 {late['p99.9']}, longest {late['max']} ms",
        f"interruption to clear: {spread('clear_ms')}; to silence: {spread('silent_ms')}; "
        f"never {figures['not_cleared']}",
        f"sound after a clear, while the caller spoke: {figures['audio_after_clear']} messages",
        f"marks: {marks['returned']} returned, of them {marks['dropped_by_clear']} dropped by a "
        f"clear and {marks['late']} late; {marks['lost']} lost",
        f"most that was buffered: {figures['buffered_max_ms']:.0f} ms",
    ]
    return "\n".join(lines)
