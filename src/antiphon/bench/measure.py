"""What else is measured: how soon the voice is lowered, what became of false stops, what the
detector leaves to win, and the items that went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.bench.items import Item
from antiphon.bench.play import Outcome
from antiphon.bench.score import Figures, barge_in, end_of_turn, in_ms

Outcomes = Mapping[str, Outcome]

_SLOW_TURN_S = 1.0
_SLOW_STOP_S = 0.48


def decisions(outcomes: Outcomes) -> dict[str, dict[str, list[float]]]:
    """What a scorer takes, by item."""
    return {
        name: {"end_of_turn": one.end_of_turn, "stop": one.stop} for name, one in outcomes.items()
    }


def measure(items: Sequence[Item], outcomes: Outcomes) -> dict[str, Figures]:
    """Figures by name, for the sets that there are."""
    played = [item for item in items if item.id in outcomes]
    found: dict[str, Figures] = {}
    eot = [item for item in played if item.kind == "eot"]
    barge = [item for item in played if item.kind == "bargein"]
    if eot:
        turns = [t for item in eot for t in outcomes[item.id].turns]
        found["words"] = {
            "turns": len(turns),
            "without_words_said": sum(t.missing > 0 for t in turns),
        }
        found["vad.eot"] = _edges(eot, outcomes)
    if natural := [item for item in played if item.kind == "eot_natural"]:
        found["vad.eot_natural"] = _edges(natural, outcomes)
    if barge:
        found["lowered"] = _lowered(barge, outcomes)
        found["vad.bargein"] = _edges(barge, outcomes)
        found["bargein_with_echo"] = barge_in(
            [item.row for item in barge if "echo" in item.row["category"]], decisions(outcomes)
        )
    if calm := [i for i in played if i.kind in ("bargein", "echo_real") and i.row["expected"]]:
        found["false_stops"] = _false_stops(calm, outcomes)
    heard_s = sum(float(item.row["duration"]) for item in played)
    computed_s = sum(outcomes[item.id].computing_s for item in played)
    found["computing"] = {"audio_s": round(heard_s), "cores": round(computed_s / heard_s, 4)}
    return found


def _percentiles(name: str, values: Sequence[float]) -> Figures:
    return {
        f"{name}_p50_ms": in_ms(values, 0.5),
        f"{name}_p95_ms": in_ms(values, 0.95),
        f"{name}_max_ms": in_ms(values, 1.0),
    }


def _edges(items: Sequence[Item], outcomes: Outcomes) -> Figures:
    """How far the detector's edges are from the truth, and when they were told."""
    on: list[tuple[float, float]] = []
    off: list[tuple[float, float]] = []
    for item in items:
        starts, ends = _truth(item)
        edges = outcomes[item.id].edges
        for truths, speaking, into in ((starts, True, on), (ends, False, off)):
            some = [edge for edge in edges if edge.speaking is speaking]
            for at_s in truths if some else ():
                edge = min(some, key=lambda one: abs(one.position_s - at_s))
                if abs(edge.position_s - at_s) < 1.0:
                    into.append((edge.position_s - at_s, edge.told_s - at_s))
    found: Figures = {"starts": len(on), "ends": len(off)}
    for name, pairs in (("start", on), ("end", off)):
        found |= _percentiles(f"{name}_off", [pair[0] for pair in pairs])
        found |= _percentiles(f"{name}_told", [pair[1] for pair in pairs])
    return found


def _truth(item: Item) -> tuple[list[float], list[float]]:
    events = item.row["events"]
    if item.kind == "bargein":
        spoken = [event for event in events if item.row["expected"] == "stop"]
        return [event["onset"] for event in spoken], [event["offset"] for event in spoken]
    starts = [item.row["speech_start"]] if "speech_start" in item.row else []
    return starts, [event["time"] for event in events if event["type"] == "end_of_turn"]


def _lowered(items: Sequence[Item], outcomes: Outcomes) -> Figures:
    """From the onset of an interruption, and from the detector's edge, to a softer voice."""
    after_onset: list[float] = []
    after_edge: list[float] = []
    interruptions = [item for item in items if item.row["expected"] == "stop"]
    for item in interruptions:
        event, outcome = item.row["events"][0], outcomes[item.id]
        until = event["offset"] + 1.0
        found = [t for t in sorted(outcome.lowered) if event["onset"] - 0.05 <= t <= until]
        if not found:
            continue
        after_onset.append(found[0] - event["onset"])
        told = [e.told_s for e in outcome.edges if e.speaking and e.told_s <= found[0]]
        if told and told[-1] >= event["onset"] - 0.05:
            after_edge.append(found[0] - told[-1])
    figures = {"interruptions": len(interruptions), "lowered": len(after_onset)}
    return (
        figures | _percentiles("after_onset", after_onset) | _percentiles("after_edge", after_edge)
    )


def _false_stops(items: Sequence[Item], outcomes: Outcomes) -> Figures:
    """Silences for what was no interruption: how many ended by themselves, and when."""
    silences = [s for item in items for s in outcomes[item.id].silences if _is_false(item, s.at_s)]
    gaps = [s.again_s - s.at_s for s in silences if s.again_s is not None]
    repeated = [s.repeated_ms for s in silences if s.repeated_ms is not None]
    return {
        "silences": len(silences),
        "resumed": len(gaps),
        **_percentiles("sound_again", gaps),
        "repeated_max_ms": max(repeated) if repeated else None,
    }


def _is_false(item: Item, at_s: float) -> bool:
    if item.row["expected"] == "stop":
        return bool(at_s < item.row["events"][0]["onset"] - 0.05)
    return bool(item.row["expected"] == "carry_on")


# ---- what went wrong ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Miss:
    """Something in an item that was not as it should be. `at_s` is a moment of the stream,
    `wait_ms` the time from the end of speech that the detector found last."""

    what: str
    item_id: str
    at_s: float | None
    wait_ms: int | None
    text: str


def misses(items: Sequence[Item], outcomes: Outcomes) -> list[Miss]:
    """Cut-ins, late ends, wrong, missing and slow stops, in the order of the items."""
    found: list[Miss] = []
    for item in items:
        outcome = outcomes.get(item.id)
        if outcome is None:
            continue
        find = _turn_misses if item.kind.startswith("eot") else _stop_misses
        found += find(item, outcome)
    return found


def _turn_misses(item: Item, outcome: Outcome) -> list[Miss]:
    found = []
    natural = item.kind == "eot_natural"
    for turn in outcome.turns:
        if turn.at_s not in outcome.end_of_turn:
            continue
        alone: Any = {item.id: {"end_of_turn": [turn.at_s]}}
        figures = end_of_turn([item.row], alone, natural=natural)
        wait_ms = _wait_ms(outcome, turn.at_s)
        if figures["cut_in"] or figures["items_cut"]:
            found.append(Miss("cut-in", item.id, turn.at_s, wait_ms, turn.text))
        if turn.missing:
            text = f"{turn.text} [{turn.missing} missing]"
            found.append(Miss("words missing", item.id, turn.at_s, wait_ms, text))
    for event in item.row["events"]:
        if event["type"] != "end_of_turn":
            continue
        limit = event.get("end", float("inf")) if natural else float("inf")
        times = [t for t in outcome.end_of_turn if event["time"] - 0.1 <= t <= limit]
        text = "" if natural else str(item.row.get("transcript") or "")
        if not times:
            found.append(Miss("never", item.id, event["time"], None, text))
        elif times[0] - event["time"] > _SLOW_TURN_S:
            late_ms = round((times[0] - event["time"]) * 1000)
            found.append(Miss(f"{late_ms} ms late", item.id, times[0],
                              _wait_ms(outcome, times[0]), text))  # fmt: skip
    return found


def _stop_misses(item: Item, outcome: Outcome) -> list[Miss]:
    expected, text = item.row["expected"], " ".join(word for _, word in item.words or ())
    if expected not in ("stop", "carry_on"):
        return []
    figures = barge_in([item.row], {item.id: {"stop": outcome.stop}})
    about = f"{item.row['category']}: {text}"
    if figures["missed"]:
        return [Miss("not stopped", item.id, None, None, about)]
    found = []
    for silence in outcome.silences:
        if _is_false(item, silence.at_s):
            again = silence.again_s
            after = "" if again is None else f", again after {(again - silence.at_s) * 1000:.0f} ms"
            found.append(Miss("false stop" + after, item.id, silence.at_s, None, about))
    if (took_ms := figures["stop_p50_ms"]) is not None and took_ms > _SLOW_STOP_S * 1000:
        found.append(Miss(f"{took_ms} ms to stop", item.id, outcome.stop[0], None, about))
    return found


def _wait_ms(outcome: Outcome, at_s: float) -> int | None:
    ends = [e.position_s for e in outcome.edges if not e.speaking and e.told_s <= at_s]
    return round((at_s - ends[-1]) * 1000) if ends else None
