"""Whether the server's record of what a caller heard is what the caller did hear.

The scripted voice speaks each word in the same time, so that sound that was played before a `clear`
is a number of words; the trace of the call says which words the session took to be heard. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SLACK_MS = 700.0
"""The clocks of a call and of its stream begin at different moments, and sound is on its way."""
MOST_APART_MS = 250.0
"""Mean distance of the interruptions of a call from those of the trace that is taken for its own.
"""


@dataclass(slots=True)
class Spoken:
    """One response, by the trace."""

    begun_ms: int
    words: int = 0
    flushed_ms: int | None = None


@dataclass(slots=True)
class Compared:
    """`apart` has a difference in words, heard by the caller minus recorded, for each response that
    was interrupted."""

    apart: list[float] = field(default_factory=list)
    calls: int = 0
    not_matched: int = 0

    @property
    def within_one(self) -> float:
        """Share that is right to within a word."""
        return sum(abs(words) <= 1.0 for words in self.apart) / max(1, len(self.apart))


def read_trace(lines: Iterable[str]) -> list[Spoken]:
    """The responses of a trace that were heard, in their order."""
    responses: dict[int, Spoken] = {}
    for line in lines:
        step = json.loads(line)
        event = step.get("event")
        if event is None:
            continue
        at_ms, number = event["at_ms"], event.get("response_id")
        if event["type"] == "PlaybackStarted":
            responses.setdefault(number, Spoken(at_ms))
        elif event["type"] == "PlaybackFlushed" and number in responses:
            responses[number].flushed_ms = at_ms
        for command in step["commands"]:
            if command["type"] == "ReportHeard" and command["response_id"] in responses:
                responses[command["response_id"]].words += len(command["text"].split())
    return list(responses.values())


def compare(
    calls: Sequence[dict[str, Any]], traces: Sequence[list[Spoken]], ms_per_word: int
) -> Compared:
    """Calls as the process with the callers tells of them, each with the trace whose interruptions
    were at the same times."""
    compared, left = Compared(), list(traces)
    for call in calls:
        if not call["cleared"]:
            continue
        trace = min(left, key=lambda one: _apart_ms(call, one), default=None)
        if trace is None or _apart_ms(call, trace) > MOST_APART_MS:
            compared.not_matched += 1
            continue
        left.remove(trace)
        compared.calls += 1
        for spoken in trace:
            # The end of a call flushes as well, and nobody is told.
            flushed_ms = spoken.flushed_ms
            if flushed_ms is not None and _nearest(call["cleared"], flushed_ms) <= MOST_APART_MS:
                heard_ms = _heard_ms(call, spoken.begun_ms, flushed_ms)
                compared.apart.append(heard_ms / ms_per_word - spoken.words)
    return compared


def _apart_ms(call: dict[str, Any], trace: list[Spoken]) -> float:
    """Mean distance of each clear from the nearest flush of the trace."""
    flushes = [one.flushed_ms for one in trace if one.flushed_ms is not None]
    cleared: list[float] = call["cleared"]
    return sum(_nearest(flushes, at_ms) for at_ms in cleared) / len(cleared)


def _nearest(times_ms: Sequence[float], at_ms: float) -> float:
    return min((abs(time_ms - at_ms) for time_ms in times_ms), default=float("inf"))


def _heard_ms(call: dict[str, Any], begun_ms: int, flushed_ms: int) -> float:
    """Sound of the answers that began in the time of a response. One that was paused and went on
    was cleared in between, and counts as several."""
    return float(
        sum(
            sound_ms
            for first_ms, sound_ms, _ in call["answers"]
            if begun_ms - SLACK_MS <= first_ms <= flushed_ms
        )
    )
