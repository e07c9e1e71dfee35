"""Word lists by language."""

from __future__ import annotations

from dataclasses import fields

import pytest

from antiphon.engine.language import Language, language_of

TAGS = ("en", "de", "es", "fr")


@pytest.mark.parametrize(
    ("tag", "same"), [("en-GB", "en"), ("DE", "de"), ("es_MX", "es"), ("fr-CA", "fr")]
)
def test_a_region_has_its_language(tag: str, same: str) -> None:
    assert language_of(tag) is language_of(same)


@pytest.mark.parametrize("tag", ["", "xx", "fi-FI"])
def test_a_language_without_lists_has_the_english_ones(tag: str) -> None:
    assert language_of(tag) is language_of("en")


def test_languages_are_four() -> None:
    assert len({id(language_of(tag)) for tag in TAGS}) == len(TAGS)


@pytest.mark.parametrize("tag", TAGS)
def test_lists_are_lower_case_and_tidy(tag: str) -> None:
    language = language_of(tag)
    for one in fields(Language):
        for phrase in getattr(language, one.name):
            if isinstance(phrase, str):
                assert phrase == " ".join(phrase.lower().split())
                assert phrase
                assert len(phrase.split()) <= 4, phrase


@pytest.mark.parametrize("tag", TAGS)
def test_every_language_has_every_list(tag: str) -> None:
    language = language_of(tag)
    empty = {one.name for one in fields(Language) if not getattr(language, one.name)}
    assert empty <= {"units"}  # "a two hour drive" is an English construction


@pytest.mark.parametrize("tag", TAGS)
def test_a_word_that_cannot_end_a_phrase_is_no_answer(tag: str) -> None:
    language = language_of(tag)
    whole = language.yes | language.no | language.answers
    both = whole & (language.never_last | language.openings)
    assert both <= {"si"}  # "if", and "yes" as some recognisers write it
    assert not language.digits & language.tens
    assert not language.stop_words & language.backchannels


@pytest.mark.parametrize("tag", TAGS)
def test_probabilities_of_numbers_are_some(tag: str) -> None:
    ends = language_of(tag).number_ends
    assert all(0 < likely < 1 for likely in ends.values())
    assert ends[16] > 0.9
