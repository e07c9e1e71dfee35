"""What was heard, by the caller and by the record."""

from __future__ import annotations

import json
from typing import Any

from antiphon.bench.phone_heard import Spoken, compare, read_trace


def _step(event: dict[str, Any], *commands: dict[str, Any]) -> str:
    return json.dumps({"event": event, "commands": list(commands)})


def _heard(text: str) -> dict[str, Any]:
    return {"type": "ReportHeard", "response_id": 2, "text": text}


def test_a_trace_tells_when_and_how_many_words() -> None:
    lines = [
        json.dumps({"antiphon_trace": 1, "setup": {}}),
        _step({"type": "PlaybackStarted", "at_ms": 100, "response_id": 2}),
        _step({"type": "PlaybackProgressed", "at_ms": 600, "response_id": 2}, _heard("Good day.")),
        _step({"type": "PlaybackFlushed", "at_ms": 900, "response_id": 2}, _heard("Are")),
        _step({"type": "PlaybackFlushed", "at_ms": 950, "response_id": 3}),
    ]
    assert read_trace(lines) == [Spoken(100, 3, 900)]


def test_calls_are_found_by_when_they_were_interrupted() -> None:
    calls: list[dict[str, Any]] = [
        {"cleared": [2000], "answers": [(100, 1000, False), (1200, 760, True)]},
        {"cleared": [5000], "answers": [(4000, 1000, True)]},
        {"cleared": [], "answers": []},
        {"cleared": [9000], "answers": []},
    ]
    first = [Spoken(80, 4), Spoken(1180, 3, 1990), Spoken(9000, 0, 9100)]
    second = [Spoken(3990, 2, 4980)]
    compared = compare(calls, [second, first], ms_per_word=250)
    assert [round(words, 2) for words in compared.apart] == [0.04, 2.0]
    assert (compared.calls, compared.not_matched) == (2, 1)
    assert compared.within_one == 0.5


def test_a_response_that_was_paused_counts_in_all_its_parts() -> None:
    calls = [{"cleared": [1500, 3000], "answers": [(1000, 500, True), (2000, 1000, True)]}]
    trace = [Spoken(990, 6, 2990)]
    assert compare(calls, [trace], 250).not_matched == 1, "a clear without a flush is half of them"
    trace.insert(0, Spoken(100, 0, 1490))
    assert compare(calls, [trace], 250).calls == 1
