"""`antiphon bench load --channel webrtc`: what it prints, and when it fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.bench.test_rtc_figures import MEASURED, call
from typer.testing import CliRunner

from antiphon.bench.rtc_figures import summarize
from antiphon.bench.rtc_load import RtcLoad
from antiphon.cli import app, bench_rtc


def run(
    monkeypatch: pytest.MonkeyPatch, figures: dict[str, Any], *more: str
) -> tuple[int, str, RtcLoad]:
    loads: list[RtcLoad] = []

    async def load(load: RtcLoad, tell: Any) -> dict[str, Any]:
        loads.append(load)
        return figures

    monkeypatch.setattr(bench_rtc, "run_rtc_load", load)
    arguments = ["bench", "load", "--channel", "webrtc", "--calls", "3", *more]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, loads[0]


def test_the_figures_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {**summarize([call(20, 50)], []), **MEASURED}
    code, said, load = run(monkeypatch, figures, "--seconds", "7", "--quiet-agent")
    assert code == 0
    assert "departure gap: p50 20.0 ms" in said
    assert (load.calls, load.seconds, load.vad, load.quiet_agent) == (3, 7.0, "silero", True)
    code, said, load = run(
        monkeypatch, figures, "--json", "--loss", "5", "--jitter", "40", "--vad", "energy"
    )
    assert json.loads(said)["connected"] == 1
    assert (load.loss, load.jitter_ms, load.vad) == (0.05, 40.0, "energy")


def test_a_call_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {**summarize([call(20, 50)], []), **MEASURED, "calls_left": 1.0}
    code, said, _ = run(monkeypatch, figures)
    assert code == 1
    assert "PROBLEM calls that did not end: 1" in said
