"""`antiphon bench load --channel twilio`: what it prints, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from antiphon.bench.phone_figures import summarize
from antiphon.cli import app, bench_phone
from antiphon.errors import UserFacingError

SPREAD = {"count": 1, "p50": 1.0, "p99": 2.0, "p99.9": 3.0, "within_20_ms": 1.0}
FIGURES: dict[str, Any] = {
    **summarize([]),
    "not_connected": [],
    "client_cores": 0.1,
    "client_late_p99_ms": 1.0,
    "client_late_max_ms": 2.0,
    "seconds": 5.0,
    "processes": 1,
    "vad": "silero",
    "server_frame_late": SPREAD,
    "server_loop_lag": SPREAD,
    "server_cpu_per_call_s": 0.01,
    "server_cores": 0.1,
    "rss_mb_one_call": 150.0,
    "rss_mb_all_calls": 160.0,
    "rss_mb_per_further_call": 0.5,
    "calls_left": 0.0,
    "provider_errors": 0,
    "heard": {
        "interrupted": 3,
        "within_one_word": 1.0,
        "most_apart_words": 0.8,
        "calls_without_a_trace": 0,
    },
    "server_complaints": [],
}


def run(monkeypatch: pytest.MonkeyPatch, figures: dict[str, Any], *more: str) -> tuple[int, str]:
    async def load(load: Any, tell: Any) -> dict[str, Any]:
        return figures

    monkeypatch.setattr(bench_phone, "run_phone_load", load)
    arguments = ["bench", "load", "--channel", "twilio", "--calls", "3", *more]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout


def test_the_figures_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run(monkeypatch, FIGURES)
    assert code == 0
    assert "frames late: p50 1.0 ms, p99 2.0 ms" in said
    assert "0.5 MB per further call" in said
    code, said = run(monkeypatch, FIGURES, "--json")
    assert json.loads(said)["heard"]["interrupted"] == 3


def test_a_call_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {
        **FIGURES,
        "ended": {"connection lost": 1},
        "calls_left": 2.0,
        "provider_errors": 1,
        "not_connected": ["no"],
        "protocol_errors": ["not JSON"],
    }
    code, said = run(monkeypatch, broken)
    assert code == 1
    assert said.count("PROBLEM") == 5


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--channel", "pigeon"], "--channel pigeon"),
        (["--channel", "twilio", "--audio", "nothing.wav"], "no such file"),
    ],
)
def test_what_cannot_be_done_is_told(more: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["bench", "load", *more])
    assert isinstance(result.exception, UserFacingError)
    assert complaint in str(result.exception)


def test_recordings_have_to_be_named_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench_phone, "_RECORDINGS", tmp_path)
    with pytest.raises(UserFacingError, match="Name recordings"):
        bench_phone.recordings_of_callers(None)
