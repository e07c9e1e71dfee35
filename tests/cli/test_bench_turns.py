"""`antiphon bench turns`, on a few items."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.bench.test_items import DATA
from typer.testing import CliRunner

from antiphon.cli import app, bench_turns

runner = CliRunner()


def run(*arguments: str) -> str:
    result = runner.invoke(app, ["bench", "turns", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_tables_and_the_scorer_s_input(tmp_path: Path) -> None:
    path = tmp_path / "system.jsonl"
    output = run(str(DATA), "--system-out", str(path), "--misses")
    for text in (
        "End of turn", "eot.pause_inserted", "Interruptions", "bargein_without_echo",
        "bargein_with_echo", "vad.bargein start", "Stopped: interruption", "Lowered in",
        "without words that had been said: 0", "Misses", "Agent: cafe.yaml",
    ):  # fmt: skip
        assert text in output, text
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [
        "cmd_full_fbc1060f", "cmd_pause_b7735b39", "int_s2i_cd4f04c1", "int_s2i_992464ee",
    ]  # fmt: skip
    assert all(set(row) == {"id", "end_of_turn", "stop"} for row in rows)
    assert rows[0]["end_of_turn"]
    assert rows[3]["stop"]


def test_figures_as_json() -> None:
    figures = json.loads(run(str(DATA), "--only", "eot", "--limit", "1", "--json"))
    assert figures["score"]["eot"]["turns"] == 1
    assert figures["score"]["eot"]["never"] == 0
    assert "bargein" not in figures["score"]
    assert figures["measured"]["computing"]["audio_s"] == 5


def test_an_agent_that_knows_nothing() -> None:
    assert "Agent: nothing but defaults" in run(str(DATA), "--plain", "--limit", "1")
    result = runner.invoke(app, ["bench", "turns", str(DATA), "--plain", "--stt", "embedded"])
    assert result.exit_code != 0
    assert "--plain is an agent without a file" in str(result.exception)


def test_delay_against_cut_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_turns, "PATIENCE", (0.6, 2.0))
    head, quick, slow = run(str(DATA), "--sweep", "--limit", "1").splitlines()
    assert head.split() == [
        "patience", "eot:", "p50", "mean", "p95", "cut", "in", "items", "cut", "never",
    ]  # fmt: skip
    assert quick.split()[0] == "0.6"
    assert int(quick.split()[1]) < int(slow.split()[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no such folder"),
        ([str(DATA), "--only", "eot_real"], "there is no set `eot_real`"),
        ([str(DATA), "--only", "bargein", "--sweep"], "needs the set eot"),
        ([str(DATA), "--only", "eot", "--agent", "no.yaml"], "no.yaml"),
        (
            [str(DATA), "--only", "eot", "--limit", "1", "--system-out", "/nowhere/a"],
            "/nowhere/a: cannot be written",
        ),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], message: str) -> None:
    result = runner.invoke(app, ["bench", "turns", *arguments])
    assert result.exit_code != 0
    assert message in str(result.exception)
