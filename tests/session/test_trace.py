"""The record of a call: every event with its commands, and only the newest calls."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from antiphon.engine import codec
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.policy import Setup
from antiphon.session import trace as trace_module
from antiphon.session.trace import TraceFolder, TraceWriter


def test_a_trace_has_its_setup_and_every_step(tmp_path: Path) -> None:
    setup = Setup(greeting="Grüß Gott")
    path = tmp_path / "deep" / "call.jsonl"
    writer = TraceWriter(path, setup)
    writer.step(e.CallStarted(0), [c.PlayAudio(1)])
    writer.close()
    writer.close()
    writer.step(e.CallEnded(9, "late"), [])
    header, step = path.read_text(encoding="utf-8").splitlines()
    assert header == codec.header_line(setup)
    assert codec.decode_setup(json.loads(header)["setup"]) == setup
    assert step == codec.step_line(e.CallStarted(0), [c.PlayAudio(1)])


def test_an_endless_call_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_module, "MAX_BYTES", 4000)
    writer = TraceWriter(tmp_path / "call.jsonl", Setup())
    for at_ms in range(1000):
        writer.step(e.DeadlineReached(at_ms), [])
    writer.close()
    text = (tmp_path / "call.jsonl").read_text()
    assert len(text) < 4300
    assert text.endswith("}\n")


def test_only_the_newest_traces_are_kept(tmp_path: Path) -> None:
    folder = TraceFolder(tmp_path, keep=2)
    (tmp_path / "notes.txt").write_text("not ours")
    for number in range(4):
        writer = folder.open(f"call_{number}", Setup())
        writer.close()
        os.utime(writer.path, (number, number))
    folder.open("call_4", Setup()).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "call_3.jsonl",
        "call_4.jsonl",
        "notes.txt",
    ]


def fill(folder: Path, process: int) -> None:
    """The calls of one of several processes."""
    traces = TraceFolder(folder, keep=3)
    for number in range(60):
        traces.open(f"w{process}_call_{number:02x}", Setup()).close()


def test_several_processes_share_a_folder(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        for one in [pool.submit(fill, tmp_path, process) for process in range(3)]:
            one.result()
    assert 1 <= len(list(tmp_path.iterdir())) <= 5


def test_a_trace_that_vanishes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = TraceFolder(tmp_path, keep=1)
    folder.open("call_1", Setup()).close()
    glob = Path.glob
    gone = tmp_path / "gone.jsonl"
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [*glob(path, pattern), gone])
    folder.open("call_2", Setup()).close()
    assert len(list(tmp_path.iterdir())) == 1
