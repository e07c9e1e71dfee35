"""Run the `antiphon` command in this process."""

from __future__ import annotations

import sys

import pytest

from antiphon import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Its exit code."""
    monkeypatch.setattr(sys, "argv", ["antiphon", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)
