"""The command line itself, `check` and `providers`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from antiphon import __version__, cli
from antiphon.errors import UserFacingError
from antiphon.providers.llm import auto

FLOW_AGENT = """\
name: Tea [house]
llm: auto
stt: scripted
tts: {provider: scripted}
flow:
  help: You can ask for the hours.
  intents:
    hours: {phrases: [when do you open], answer: At nine.}
"""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["antiphon", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def _no_local_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(auto.choose, "__defaults__", ((),))


def test_check_of_a_good_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text(FLOW_AGENT)
    assert run(monkeypatch, "check", str(path)) == 0
    out = capsys.readouterr().out
    for part in ("OK", "Tea [house]", "auto: the agent's flow", "flow: hours", "none"):
        assert part in out


def test_check_of_a_bad_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text("nmae: Tea\nlmm: auto\n")
    assert run(monkeypatch, "check", str(path)) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:1: nmae: unknown key; did you mean `name`?",
        f"{path}:2: lmm: unknown key; did you mean `llm`?",
    ]


def test_check_says_that_there_is_no_brain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tea.yaml"
    path.write_text("name: Tea\nstt: scripted\n")
    assert run(monkeypatch, "check", str(path)) == 1
    assert "No language model was found" in capsys.readouterr().err


def test_providers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "providers") == 0
    out = capsys.readouterr().out
    for part in ("openai", "scripted", "pocketsphinx", "flite", "silero", "ready"):
        assert part in out


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
