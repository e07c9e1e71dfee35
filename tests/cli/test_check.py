"""`antiphon check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.command import run

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


def test_check_says_what_the_line_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "support.yaml"
    assert run(monkeypatch, "check", str(example)) == 0
    out = " ".join(capsys.readouterr().out.split())
    for part in (
        "flow: billing a transfer to billing",
        "(then asks for consent)",
        "recording kept for 30 days",
        "digits account_number (secret), account (secret)",
        "transfer: billing +493012345678, warm, Mon-Fri 09:00-17:00",
    ):
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


def test_a_model_that_is_not_here_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    path = tmp_path / "agent.yaml"
    path.write_text("name: a\nllm: scripted\ntts: {provider: kokoro, model: kokoro-v1.0-int8}\n")
    assert run(monkeypatch, "check", str(path)) == 0
    assert "antiphon models pull kokoro-v1.0-int8" in capsys.readouterr().out
