"""`antiphon bench`: the table and its budgets. What is measured is run by `make bench`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from antiphon.cli import bench
from antiphon.errors import UserFacingError

FIGURES = {key: 0.001 for row in bench.ROWS for key in row.keys}


def test_every_row_is_printed_beside_its_budget_and_the_peers() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(bench._table(FIGURES))
    text = console.export_text()
    for row in bench.ROWS:
        assert row.what in text
    assert "36 to 41" in text
    assert "0.046" in text


def test_a_figure_over_its_budget_is_seen() -> None:
    row = next(row for row in bench.ROWS if row.keys[0] == "frame_puts")
    assert not bench._over(row, FIGURES)
    assert bench._over(row, FIGURES | {"frame_puts": 2})


def test_history_is_a_line_of_json_per_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench").mkdir()
    monkeypatch.setattr(bench, "_CHECKOUT", tmp_path)
    bench._append(FIGURES)
    bench._append(FIGURES)
    lines = (tmp_path / "bench" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["answer_p50_ms"] for line in lines] == [0.001, 0.001]


def test_an_installed_package_has_no_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "_CHECKOUT", tmp_path)
    with pytest.raises(UserFacingError, match="checkout"):
        bench._module("core")
