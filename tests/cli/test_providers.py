"""`antiphon providers`."""

from __future__ import annotations

import pytest

from tests.support.command import run


def test_providers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "providers") == 0
    out = capsys.readouterr().out
    for part in ("openai", "scripted", "pocketsphinx", "flite", "silero", "ready"):
        assert part in out
