"""Callers in a process of their own."""

from __future__ import annotations

import pytest

from antiphon.bench.child import run_child


async def test_figures_and_stages_come_back() -> None:
    stages: list[str] = []
    figures = await run_child("tests.bench.child_double", {"a": 1}, stages.append)
    assert figures == {"got": {"a": 1}}
    assert stages == ["begun", "over"]


async def test_a_process_that_breaks_down_is_told() -> None:
    with pytest.raises(RuntimeError, match="broke down"):
        await run_child("tests.bench.child_double", {"break": True})
