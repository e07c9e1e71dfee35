"""The price book: what it finds, and what it refuses."""

from __future__ import annotations

import datetime
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from antiphon.cost.book import KINDS, PACKAGE_BOOK, Price, PriceBook, load_book, read_prices
from antiphon.errors import ConfigError

HERE = ("pocketsphinx", "flite", "flow", "scripted", "ollama", "kokoro", "piper", "vosk")


def overlay(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text("prices:\n" + text, encoding="utf-8")
    return path


def test_every_price_of_the_package_has_a_date_and_a_source() -> None:
    for one in read_prices(PACKAGE_BOOK):
        if one.local:
            assert not one.rates
            continue
        datetime.date.fromisoformat(one.as_of)
        assert one.source, one
        assert all(price > 0 for price, _ in one.rates.values()), one


def test_no_price_of_the_package_is_written_twice() -> None:
    names = [(one.kind, one.provider, one.model.lower()) for one in read_prices(PACKAGE_BOOK)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "telephony"])
def test_every_provider_is_in_the_book_and_no_other(kind: str) -> None:
    known = {one.name for one in entry_points(group=f"antiphon.{kind}")}
    priced = {one.provider for one in read_prices(PACKAGE_BOOK) if one.kind == kind}
    passed_on = {"auto", "router", "openai-responses"}
    assert known - priced - passed_on == set()
    assert priced - known - {"local"} == set()


@pytest.mark.parametrize(
    ("kind", "provider", "model", "pattern"),
    [
        ("stt", "deepgram", "nova-3-general", "nova-3*"),
        ("llm", "openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini*"),
        ("llm", "openai", "gpt-4o", "gpt-4o*"),
        ("llm", "openai-responses", "gpt-4.1-mini", "gpt-4.1-mini*"),
        ("llm", "router", "claude-sonnet-4-5", "claude-sonnet-4*"),
        ("tts", "elevenlabs", "ELEVEN_FLASH_v2_5", "eleven_flash*"),
        ("realtime", "openai", "gpt-realtime-mini", "gpt-realtime-mini*"),
        ("llm", "flow", "", "*"),
    ],
)
def test_the_longest_pattern_counts(kind: str, provider: str, model: str, pattern: str) -> None:
    price = load_book().find(kind, provider, model)
    assert price is not None
    assert price.model == pattern


@pytest.mark.parametrize(
    ("kind", "provider", "model"),
    [
        ("llm", "openai", "llama3.2"),
        ("llm", "openai", ""),
        ("llm", "auto", "llama3.2"),
        ("llm", "router", "llama3.2"),
        ("telephony", "carrier-pigeon", ""),
        ("stt", "elevenlabs", "nova-3"),
    ],
)
def test_what_nobody_wrote_down_is_unknown(kind: str, provider: str, model: str) -> None:
    assert load_book().find(kind, provider, model) is None


@pytest.mark.parametrize("name", HERE)
def test_what_runs_here_costs_nothing(name: str) -> None:
    prices = [load_book().find(kind, name, "") for kind in ("stt", "llm", "tts")]
    assert any(price is not None and price.local for price in prices)


def test_a_file_of_ones_own_is_laid_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = overlay(
        tmp_path,
        "  - {kind: stt, provider: deepgram, model: '*', per_minute: 0.0043}\n"
        "  - {kind: llm, provider: openai, model: llama*, local: true}\n",
    )
    book = load_book(path)
    ours = book.find("stt", "deepgram", "nova-3")
    assert ours is not None
    assert ours.dollars({"seconds": 180}) == Decimal("0.0129")
    local = book.find("llm", "openai", "llama3.2")
    assert local is not None
    assert local.local
    assert book.find("tts", "flite", "") is not None
    assert [one.model for one in book.all()][:2] == ["*", "llama*"]
    monkeypatch.setenv("ANTIPHON_PRICES", str(path))
    assert load_book().find("llm", "openai", "llama3.2") == local


def test_an_entry_that_is_written_again_replaces_the_one_of_the_package(tmp_path: Path) -> None:
    path = overlay(tmp_path, "  - {kind: tts, provider: openai, model: TTS-1, per_minute: 1}\n")
    told = [one for one in load_book(path).all() if one.model.lower() == "tts-1"]
    assert [one.rates for one in told] == [{"seconds": (Decimal("1.0"), 60)}]


def test_tokens_of_one_price(tmp_path: Path) -> None:
    path = overlay(tmp_path, "  - {kind: llm, provider: openai, model: x, per_1k_tokens: 0.005}\n")
    (price,) = read_prices(path)
    assert price.dollars({"input_tokens": 700, "cached_tokens": 100, "output_tokens": 200}) == (
        Decimal("0.005")
    )


def test_time_is_charged_in_steps() -> None:
    price = Price("telephony", "twilio", "*", {"seconds": (Decimal("0.014"), 60)}, step_s=60)
    assert price.dollars({"seconds": 180}) == Decimal("0.042")
    assert price.dollars({"seconds": Decimal("180.02")}) == Decimal("0.056")
    assert price.dollars({"seconds": 0}) == 0


def test_a_cached_token_without_a_price_costs_as_much_as_any() -> None:
    price = Price("llm", "x", "*", {"input_tokens": (Decimal(2), 10**6)})
    assert price.dollars({"cached_tokens": 10**6}) == 2
    assert price.dollars({"output_tokens": 10**6, "characters": 5}) == 0


def test_an_empty_book_knows_nothing() -> None:
    assert PriceBook().find("llm", "openai", "gpt-4o") is None
    assert list(PriceBook().all()) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{kind: stt, provider: x, per_minit: 3}", "did you mean `per_minute`?"),
        ("{kind: stt, provider: x, per_1k_characters: 3}", "does not fit `kind: stt`"),
        ("{kind: sst, provider: x, per_minute: 3}", "did you mean `stt`?"),
        ("{kind: llm, provider: x, per_1k_tokens: -1}", "too small"),
        ("{kind: llm, provider: x}", "there is no price"),
        ("{kind: llm, provider: x, per_1k_tokens: 1, local: true}", "costs nothing"),
        ("{kind: llm, provider: x, per_1k_tokens: 1, as_of: last week}", "as_of"),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(tmp_path: Path, entry: str, said: str) -> None:
    path = overlay(tmp_path, f"  - {{kind: tts, provider: flite, local: true}}\n  - {entry}\n")
    with pytest.raises(ConfigError) as caught:
        read_prices(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert said in str(caught.value)


def test_a_file_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_book(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="a price file begins with `prices:`"):
        load_book(tmp_path / "empty.yaml")
