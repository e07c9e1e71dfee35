"""`antiphon sim` and `antiphon replay`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from antiphon.cli import app
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation

runner = CliRunner()


def test_promises_kept() -> None:
    result = runner.invoke(app, ["sim", "--seeds", "30", "--start", "5"])
    assert result.exit_code == 0, result.output
    assert "30 conversations (seeds 5 to 34)" in result.output
    assert "No promise broken." in result.output


def test_one_seed_can_be_written_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    made = runner.invoke(app, ["sim", "--seeds", "1", "--start", "9", "--trace", str(path)])
    assert made.exit_code == 0, made.output
    again = runner.invoke(app, ["replay", str(path), "--script"])
    assert again.exit_code == 0, again.output
    assert "the call begins" in again.output
    assert "every decision as recorded" in again.output


def test_a_broken_promise_is_shown_and_can_be_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = Conversation.handle

    def never_resumes(self: Conversation, event: e.Event) -> list[c.Command]:
        return [x for x in whole(self, event) if not isinstance(x, c.ResumeAudio)]

    with monkeypatch.context() as broken:
        broken.setattr(Conversation, "handle", never_resumes)
        result = runner.invoke(app, ["sim", "--seeds", "300", "--faults", "none"])
    assert result.exit_code == 1
    assert "Broken: 4 one speaks, and never stays paused" in result.output
    assert "conversations broke a promise" in result.output
    (trace,) = tmp_path.glob("sim-*.jsonl")
    assert f"antiphon replay {trace.name}" in result.output
    # The engine that is not broken decides differently.
    again = runner.invoke(app, ["replay", str(trace)])
    assert again.exit_code == 1
    assert "the engine decides differently now" in again.output
    assert "ResumeAudio" in again.output


def test_an_unknown_fault_is_named() -> None:
    result = runner.invoke(app, ["sim", "--faults", "gremlins"])
    assert "unknown fault 'gremlins'" in str(result.exception)
