"""`antiphon cost`."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.command import run

from antiphon.cost.ledger import Ledger
from antiphon.errors import UserFacingError
from antiphon.providers import registry

AGENT = """\
name: Tea
stt: {provider: deepgram, api_key: "${TEA_KEY}", model: nova-3}
llm: {provider: openai, api_key: "${TEA_KEY}", model: gpt-4.1-mini}
tts: {provider: scripted}
"""
EXAMPLE = (
    *("--minutes", "3", "--telephony", "0.014", "--stt", "0.0043", "--stt-minutes", "3"),
    *("--llm", "0.005", "--llm-tokens", "1000", "--tts", "0.30", "--characters", "500"),
)


@pytest.fixture
def tea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEA_KEY", "not-a-key")
    path = tmp_path / "tea.yaml"
    path.write_text(AGENT, encoding="utf-8")
    return path


def test_the_example_of_the_issue(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "cost", str(tea), *EXAMPLE) == 0
    out = capsys.readouterr().out
    (total,) = (line for line in out.splitlines() if "total" in line)
    assert "0.21" in total
    for part in ("0.042", "0.0129", "0.005", "0.15", "--caller-share", "3 minutes"):
        assert part in out


def test_an_estimate_as_json(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--json", "--channel", "twilio", "--prompt-tokens", "0")
    assert run(monkeypatch, "cost", str(tea), *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["part"] for one in told["parts"]] == ["telephony", "stt", "llm", "tts"]
    assert told["parts"][2]["model"] == "gpt-4.1-mini"
    assert sum(Decimal(one["dollars"]) for one in told["parts"]) == Decimal(told["total"])
    assert told["assumptions"]["wasted"] == "0.25"


def test_what_has_no_price_is_said(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "cost", str(tea), "--channel", "carrier-pigeon") == 0
    assert "No price is known for telephony carrier-pigeon" in capsys.readouterr().out


def test_what_cannot_be_made_here_is_named_as_the_file_says(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise UserFacingError("pip install more")

    monkeypatch.setattr(registry, "make", missing)
    assert run(monkeypatch, "cost", str(tea), "--json") == 0
    assert json.loads(capsys.readouterr().out)["parts"][1]["model"] == "nova-3"


def test_the_book_is_listed_with_the_prices_of_the_agent(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tea.parent / "ours.yaml").write_text(
        "prices:\n  - {kind: llm, provider: openai, model: gpt-4o, per_1k_tokens: 0.02}\n",
        encoding="utf-8",
    )
    tea.write_text(AGENT + "prices: ours.yaml\n", encoding="utf-8")
    assert run(monkeypatch, "cost", str(tea), "--prices", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    ours = [x for x in told if (x["provider"], x["model"]) == ("openai", "gpt-4o")]
    assert [one["price"] for one in ours] == ["0.02/1k tokens"]
    assert run(monkeypatch, "cost", str(tea), "--prices") == 0
    out = capsys.readouterr().out
    assert "runs here" in out
    assert "0.0077/minute" in out


def test_wrong_prices_are_an_error_with_a_line(
    tea: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tea.parent / "ours.yaml"
    ours.write_text("prices:\n  - {kind: llm, provder: x}\n", encoding="utf-8")
    monkeypatch.setenv("ANTIPHON_PRICES", str(ours))
    assert run(monkeypatch, "cost", str(tea)) == 2
    assert f"{ours}:2: prices[0].provder: unknown key" in capsys.readouterr().err


def test_what_the_days_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    Ledger(tmp_path / "spending.db").exchange("2026-03-01", {"agent:tea": Decimal("1.5")})
    assert run(monkeypatch, "cost", "--spent") == 0
    assert "tea" in capsys.readouterr().out
    assert run(monkeypatch, "cost", "--spent", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {"day": "2026-03-01", "scope": "agent:tea", "dollars": "1.5"}
    ]
