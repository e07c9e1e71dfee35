"""Traces: written, read, replayed, and shown as a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import UserFacingError
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.replay import read_trace, replay, write_trace
from antiphon.sim.run import hash_of, run_world
from antiphon.sim.script import script_lines


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    write_trace(path, run_world(7, FAULT_NAMES))
    return path


@pytest.mark.parametrize("seed", range(12))
def test_a_trace_replays(seed: int, tmp_path: Path) -> None:
    world = run_world(seed, FAULT_NAMES)
    write_trace(tmp_path / "t.jsonl", world)
    assert replay(tmp_path / "t.jsonl") is None
    setup, steps = read_trace(tmp_path / "t.jsonl")
    assert setup == world.setup
    assert steps == world.trace
    assert hash_of(steps) == hash_of(world.trace)


def test_another_decision_is_a_difference(trace: Path) -> None:
    lines = trace.read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if "ReportState" in line)
    lines[at] = lines[at].replace("listening", "away")
    trace.write_text("\n".join(lines), encoding="utf-8")
    difference = replay(trace)
    assert difference is not None
    assert difference.line == at + 1
    assert difference.recorded != difference.got


def test_an_event_that_the_engine_refuses_is_a_difference(trace: Path) -> None:
    lines = trace.read_text(encoding="utf-8").splitlines()
    lines[1:1] = ['{"event":{"type":"PlaybackStarted","at_ms":0,"response_id":1},"commands":[]}']
    trace.write_text("\n".join(lines), encoding="utf-8")
    difference = replay(trace)
    assert difference is not None
    assert difference.line == 2
    assert difference.got[0]["type"] == "IllegalEvent"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a trace"),
        ('{"hello": 1}', "not a trace"),
        ("{", "1: not JSON"),
        ("[]", "1: not a JSON object"),
        ('{"antiphon_trace": 2, "setup": {}}', "not a trace"),
        ('{"antiphon_trace": 1}', "not a setup"),
        ('{"antiphon_trace": 1, "setup": {"type": "Setup", "x": 1}}', "has no field x"),
        ('{"antiphon_trace": 1, "setup": {"type": "Setup"}}\n{}', "2: not a step"),
    ],
)
def test_what_is_no_trace_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8")
    for read in (replay, read_trace):
        with pytest.raises(UserFacingError, match=complaint):
            read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="cannot be read"):
        replay(tmp_path / "none.jsonl")


def test_the_script_tells_who_did_what() -> None:
    step: list[tuple[e.Event, list[c.Command]]] = [
        (e.CallStarted(0), []),
        (e.TextReceived(1500, "a latte"), [c.ReportTurn(1, "a latte", "answered", "text")]),
        (e.PlaybackProgressed(1600, 1, 100), [c.ReportHeard(1, "One")]),
        (e.PlaybackProgressed(1700, 1, 200), [c.PauseAudio()]),
        (e.DeadlineReached(1800), []),
        (e.DeadlineReached(1900), [c.ResumeAudio()]),
    ]
    assert list(script_lines(step)) == [
        "    0.000          the call begins",
        "    1.500  caller  types 'a latte'",
        "                       -> turn 1 answered: 'a latte'",
        "    1.700  agent   was heard up to 200 ms",
        "                       -> PauseAudio()",
        "    1.900          the deadline has come",
        "                       -> ResumeAudio()",
    ]


def test_every_event_has_words_in_the_script() -> None:
    wanted = {"LLM fails", "voice fails", "STT fails", "types", "overlap: stop", "tool call_"}
    for seed in range(1500):  # the rarest comes about once in two hundred
        for line in script_lines(run_world(seed, FAULT_NAMES).trace):
            wanted -= {words for words in wanted if words in line}
        if not wanted:
            return
    assert not wanted
