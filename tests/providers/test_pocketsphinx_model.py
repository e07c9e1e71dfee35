"""The language model and the dictionary that are made for pocketsphinx."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from antiphon.providers.stt import _pocketsphinx_model as model

SENTENCES = ("a small latte", "a small latte with milk", "a large latte", "yes", "yes")


def test_probabilities_after_any_context_sum_to_one(tmp_path: Path) -> None:
    files = model.make_model(SENTENCES, {}, tmp_path)
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    for line in files.language_model.read_text().splitlines():
        parts = line.split()
        if parts and parts[0].startswith(("-", "0")) and len(parts) > 1:
            try:
                weight, words = float(parts[-1]), parts[1:-1]
            except ValueError:
                weight, words = 0.0, parts[1:]
            grams[tuple(words)] = (10 ** float(parts[0]), 10**weight)
    vocabulary = [k[0] for k in grams if len(k) == 1 and k != ("<s>",)]

    def probability(words: tuple[str, ...]) -> float:
        if words in grams:
            return grams[words][0]
        return grams.get(words[:-1], (0, 1))[1] * probability(words[1:])

    for context in ((), ("<s>",), ("a",), ("a", "small"), ("small", "latte"), ("milk", "a")):
        total = sum(probability((*context, word)) for word in vocabulary)
        assert total == pytest.approx(1, abs=0.01)


def test_the_same_sentences_are_made_once(tmp_path: Path) -> None:
    first = model.make_model(SENTENCES, {}, tmp_path)
    made = first.language_model.stat().st_mtime_ns
    assert model.make_model(SENTENCES, {}, tmp_path) == first
    assert first.language_model.stat().st_mtime_ns == made
    assert model.make_model(SENTENCES[1:], {}, tmp_path) != first
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_pronunciations_override_and_unknown_words_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "letters_to_sound", lambda word: "")
    with caplog.at_level(logging.WARNING):
        files = model.make_model(
            ("a latte", "a zzyzxq", "a qwrx"),
            {"qwrx": "K W ER K S", "latte": "L AE T EY"},
            tmp_path,
        )
    assert "no pronunciation: zzyzxq" in caplog.text
    words = files.dictionary.read_text().splitlines()
    assert "qwrx K W ER K S" in words
    assert [w for w in words if w.startswith("latte")] == ["latte L AE T EY"]
    assert "zzyzxq" not in files.language_model.read_text()


def test_nothing_to_say_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sentence"):
        model.make_model(("",), {}, tmp_path)


def test_letters_to_sound_gives_phones_of_the_acoustic_model() -> None:
    phones = model.letters_to_sound("antiphon")
    if not phones:
        pytest.skip("flite is not installed")
    assert phones.split()[:3] == ["AE", "N", "T"]
    assert phones == phones.upper()
    assert not any(c.isdigit() for c in phones)


def test_completeness() -> None:
    ends = model.end_probabilities(dict.fromkeys(SENTENCES, 20))
    assert model.completeness(["yes"], ends) > 0.5
    assert model.completeness(["a", "large", "latte"], ends) > 0.5
    assert model.completeness(["a", "small"], ends) < 0.4
    assert model.completeness([], ends) == 0


def test_a_rare_context_leans_on_the_shorter_one() -> None:
    ends = model.end_probabilities({"a latte": 100, "a tea with milk": 1, "tea": 50})
    assert model.completeness(["a", "tea"], ends) > 0.5


def test_hums_are_pronounced_as_people_hum() -> None:
    phones = model.pronounce({"mhm", "mm", "latte"}, {"mm": "M M"})
    assert "M HH M" in phones["mhm"]
    assert phones["mm"] == ["M M"]
    assert "huh" not in phones
