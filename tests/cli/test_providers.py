"""`antiphon providers`: the table."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import run

from antiphon.cli import providers
from antiphon.cost.book import load_book
from antiphon.providers import registry
from antiphon.providers.base import Traits
from antiphon.providers.registry import ProviderInfo


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("DEEPGRAM_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path))


def listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> dict[tuple[str, str], dict[str, Any]]:
    assert run(monkeypatch, "providers", *arguments, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    return {(row["kind"], row["name"]): row for row in rows}


def test_every_provider_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "providers") == 0
    out = capsys.readouterr().out
    for part in ("pocketsphinx", "flite", "silero", "ready", "$0.0077/minute (nova-3)"):
        assert part in out
    rows = listed(monkeypatch, capsys)
    assert set(rows) == {(k, n) for k in registry.KINDS for n in registry.available(k)}
    for key, row in rows.items():
        assert row["summary"].endswith("."), key
        assert row["needs"] or row["ready"], key


def test_fits_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(providers, "Console", _narrow)
    assert run(monkeypatch, "providers", "stt") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "tts" not in out
    # What is to be typed is on a line of its own.
    assert "    run: antiphon models pull faster-whisper-small\n" in out


def _narrow(**options: Any) -> Any:
    from rich.console import Console

    return Console(**options, width=80)


def test_keys(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = listed(monkeypatch, capsys, "tts")["tts", "deepgram"]
    assert (row["where"], row["ready"]) == ("cloud", False)
    assert row["key"] == {"variable": "DEEPGRAM_API_KEY", "set": False}
    assert row["needs"] == ["its key: set the environment variable DEEPGRAM_API_KEY"]
    monkeypatch.setenv("DEEPGRAM_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    rows = listed(monkeypatch, capsys, "tts")
    assert rows["tts", "deepgram"]["ready"]
    assert rows["tts", "deepgram"]["key"]["set"]
    assert not any("key" in need for need in rows["tts", "google"]["needs"])


def test_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = listed(monkeypatch, capsys)
    for key, command in {
        ("turn", "smart-turn"): "antiphon models pull smart-turn-v3",
        ("stt", "vosk"): "antiphon models pull vosk-small-en",
        ("tts", "kokoro"): "antiphon models pull kokoro-v1.0",
        ("tts", "piper"): "antiphon models pull",
    }.items():
        assert any(command in need for need in rows[key]["needs"]), key
    (tmp_path / "faster-whisper-base").mkdir()
    row = listed(monkeypatch, capsys)["stt", "faster-whisper"]
    assert (row["needs"], row["hint"]) == ([], "`model: faster-whisper-base` is here")


def test_servers_and_options_that_must_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listed(monkeypatch, capsys)
    assert "http://127.0.0.1:11434/v1" in rows["llm", "ollama"]["hint"]
    assert rows["llm", "router"]["required_options"] == ["fast", "large"]
    assert "`fast` and `large`" in rows["llm", "router"]["hint"]


def test_one_that_cannot_be_imported_is_told_of_with_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def some(*, group: str) -> list[EntryPoint]:
        found = {"needy": "tests.support.needy:X", "flite": "antiphon.providers.tts.flite:FliteTts"}
        return [EntryPoint(name, value, group) for name, value in found.items()]

    monkeypatch.setattr(registry, "entry_points", some)
    assert run(monkeypatch, "providers", "tts") == 0
    out = capsys.readouterr().out
    assert "missing: the Python package no-such-package is not installed" in out
    assert "run: pip install no-such-package" in out
    assert "1 of 2 are ready" in out


def test_one_without_a_price() -> None:
    info = ProviderInfo("tts", "nobody", "Says.", "gone", Traits("cloud", "NOBODY_KEY"))
    found = providers.standing(info, load_book())
    assert (found.price, found.model) == ("", "")
    assert found.needs == ("gone", "its key: set the environment variable NOBODY_KEY")


def test_a_kind_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "providers", "sst") == 2
