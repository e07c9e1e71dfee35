"""The figures of a turn benchmark, from what a system decided and what is true.

End of turn: the delay is from the true end to the first decision from 0.1 s before it on, and never
below 0; `late` is more than 3 s, `never` not in the item. A cut-in is a decision inside a pause in
mid-turn ("hold"), or after it but before the caller's next words have been taken in (0.7 s);
`items_cut` are items with any decision before the end. Barge-in: a stop from 0.05 s before the
onset to 1 s after the interruption's end is right, one before that is early, and any is false where
the agent is to carry on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon.bench.items import Item, Row

Decisions = Mapping[str, Mapping[str, Sequence[float]]]
"""By item: `end_of_turn` and `stop`, the moments at which a decision was there, in seconds."""
Figures = dict[str, Any]

_HOLDS = ("hold", "hold_with_backchannel")
_EARLY_S, _TAKEN_IN_S, _LATE_S = 0.1, 0.7, 3.0
_STOP_FROM_S, _STOP_TO_S = 0.05, 1.0


def score(items: Iterable[Item], decisions: Decisions) -> dict[str, Figures]:
    """The table: a row of figures by name, for the sets that there are."""
    rows: dict[str, list[Row]] = {}
    for item in items:
        rows.setdefault(item.kind, []).append(item.row)
    table: dict[str, Figures] = {}
    if eot := rows.get("eot"):
        table["eot"] = end_of_turn(eot, decisions)
        for kind in sorted({row["kind"] for row in eot}):
            table[f"eot.{kind}"] = end_of_turn([r for r in eot if r["kind"] == kind], decisions)
    if natural := rows.get("eot_natural"):
        table["eot_natural"] = end_of_turn(natural, decisions, natural=True)
    if barge := rows.get("bargein"):
        table["bargein"] = barge_in(barge, decisions)
        plain = [row for row in barge if "echo" not in row["category"]]
        table["bargein_without_echo"] = barge_in(plain, decisions)
    if echo := rows.get("echo_real"):
        real = [row for row in echo if row["category"] == "residual_echo_real"]
        stopped = sum(bool(_of(decisions, row, "stop")) for row in real)
        table["echo_real"] = {"stops": stopped, "items": len(real)}
    return table


def percentile(values: Sequence[float], share: float) -> float:
    """Between the two nearest values, by distance; `share` is 0 to 1."""
    ranked = sorted(values)
    place = (len(ranked) - 1) * share
    low = math.floor(place)
    high, rest = min(low + 1, len(ranked) - 1), place - low
    return ranked[low] + (ranked[high] - ranked[low]) * rest


def in_ms(values: Sequence[float], share: float) -> int | None:
    """A percentile of seconds in milliseconds; None of nothing."""
    return round(percentile(values, share) * 1000) if values else None


def end_of_turn(rows: Sequence[Row], decisions: Decisions, *, natural: bool = False) -> Figures:
    """See the module. A turn of a natural call has to be noticed before its `end`."""
    delays: list[float] = []
    late = never = holds = cut = items_cut = turns = 0
    for row in rows:
        times = _of(decisions, row, "end_of_turn")
        events = sorted(row["events"], key=_at)
        any_cut = False
        for number, event in enumerate(events):
            if event["type"] == "pause" and event["label"] in _HOLDS:
                holds += 1
                hit = _cuts(event, events[number + 1 : number + 2], times)
                cut += hit
                any_cut |= hit
            elif event["type"] == "end_of_turn":
                turns += 1
                true_end = event["time"]
                limit = event.get("end", math.inf) if natural else math.inf
                found = [t for t in times if true_end - _EARLY_S <= t <= limit]
                any_cut |= not natural and any(t < true_end - _EARLY_S for t in times)
                if found:
                    delays.append(max(0.0, found[0] - true_end))
                    late += found[0] - true_end > _LATE_S
                else:
                    never += 1
        items_cut += any_cut
    return {
        "turns": turns,
        "delay_p50_ms": in_ms(delays, 0.5),
        "delay_p90_ms": in_ms(delays, 0.9),
        "delay_p95_ms": in_ms(delays, 0.95),
        "delay_mean_ms": round(1000 * math.fsum(delays) / len(delays)) if delays else None,
        "late": late,
        "never": never,
        "holds": holds,
        "cut_in": cut,
        "cut_in_rate": round(cut / max(1, holds), 3),
        "items": len(rows),
        "items_cut": items_cut,
    }


def _cuts(pause: Row, following: Sequence[Row], times: Sequence[float]) -> bool:
    after = pause["end"] + _TAKEN_IN_S
    if following:
        after = min(after, _at(following[0]) - _EARLY_S)
    return any(pause["start"] - 0.05 <= t < max(pause["end"], after) for t in times)


def _at(event: Row) -> float:
    return float(event.get("start", event.get("time", 0)))


def barge_in(rows: Sequence[Row], decisions: Decisions) -> Figures:
    """See the module."""
    right = early = missed = false_stops = 0
    latency: list[float] = []
    categories: dict[str, list[int]] = {}
    for row in rows:
        times = _of(decisions, row, "stop")
        counts = categories.setdefault(row["category"], [0, 0])
        counts[1] += 1
        if row["expected"] == "stop":
            onset, offset = row["events"][0]["onset"], row["events"][0]["offset"]
            found = [t for t in times if onset - _STOP_FROM_S <= t <= offset + _STOP_TO_S]
            if any(t < onset - _STOP_FROM_S for t in times):
                early += 1
            elif found:
                right += 1
                latency.append(found[0] - onset)
                counts[0] += 1
            else:
                missed += 1
        elif row["expected"] == "carry_on" and times:
            false_stops += 1
            counts[0] += 1
    wrong = early + false_stops
    return {
        "precision": round(right / max(1, right + wrong), 3),
        "recall": round(right / max(1, right + early + missed), 3),
        "stop_p50_ms": in_ms(latency, 0.5),
        "stop_p95_ms": in_ms(latency, 0.95),
        "early": early,
        "missed": missed,
        "false_stops": false_stops,
        "stops_by_category": {k: f"{a}/{b}" for k, (a, b) in sorted(categories.items())},
    }


def _of(decisions: Decisions, row: Row, kind: str) -> list[float]:
    return sorted(decisions.get(str(row["id"]), {}).get(kind, ()))
