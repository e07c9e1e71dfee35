"""`antiphon bench providers`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.house.source import ROOT
from tests.support.command import run

SPEECH = str(ROOT / "tests" / "data" / "speech" / "s2i_ec21e470.flac")
AGENT = """
name: bench
vad: energy
stt: {provider: scripted, transcripts: [a mocha]}
llm: {provider: scripted, replies: [Of course.]}
tts: {provider: scripted}
fallback: {llm: {provider: scripted, fail_after_chunks: 0}}
"""


@pytest.fixture
def agent(tmp_path: Path) -> str:
    path = tmp_path / "agent.yaml"
    path.write_text(AGENT)
    return str(path)


def test_the_table(
    agent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--speech", SPEECH, "--rounds", "3", "--at-once", "3")
    assert run(monkeypatch, "bench", "providers", agent, *arguments) == 0
    captured = capsys.readouterr()
    for part in ("bench: 3 turns", "end of speech to final text", "p95", "text to first sound"):
        assert part in captured.out
    assert "3 of 3 turns" in captured.err


def test_as_json_with_those_that_step_in(
    agent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--speech", SPEECH, "--fallbacks", "--json")
    # One part never worked.
    assert run(monkeypatch, "bench", "providers", agent, *arguments) == 1
    found = json.loads(capsys.readouterr().out)
    rows = {(row["part"], row["provider"], row["what"]): row for row in found["rows"]}
    failed = rows["llm", "scripted (fallback 1)", "request to first text"]
    assert (failed["failed"], failed["p50_ms"]) == (1, None)
    whole = rows["all", "", "end of speech to first sound"]
    assert whole["count"] == 1
    assert whole["p50_ms"] == found["turns"][0]["caller_ms"] >= found["endpointing_min_ms"]
    assert found["turns"][0]["understood"] == "a mocha"


def test_failures_are_told(
    agent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "bench", "providers", agent, "--speech", SPEECH, "--fallbacks") == 1
    assert "llm: 1 times scripted: failed as scripted" in capsys.readouterr().out


def test_a_folder_without_recordings(
    agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "bench", "providers", agent, "--speech", str(tmp_path)) == 2
    assert "no recording is in this folder" in capsys.readouterr().err
