"""The command line itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.support.command import run

from antiphon import __version__, cli
from antiphon.errors import UserFacingError


def test_an_error_for_the_user_is_said_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: str) -> None:
        raise UserFacingError("The kettle is cold. Heat it.")

    monkeypatch.setattr(cli, "_function", fail)
    assert run(monkeypatch, "check", "x") == 2
    assert capsys.readouterr().err == "The kettle is cold. Heat it.\n"


def test_a_misspelt_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "chek") == 2
    assert "Did you mean 'check'?" in capsys.readouterr().err


def test_version_and_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"antiphon {__version__}\n"
    assert run(monkeypatch, "--help") == 0
    assert "Say what is wrong in an agent's file" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from antiphon.cli import main\n"
        "sys.argv = ['antiphon', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'pydantic', 'yaml', 'httpx', 'numpy', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
