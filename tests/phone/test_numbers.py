"""Numbers and the list of those that are never called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.phone.numbers import (
    BadNumber,
    DoNotCall,
    is_bare_emergency,
    normal,
    parse_number,
    zones_of,
)


@pytest.mark.parametrize(
    ("text", "e164", "country"),
    [
        ("+49 (0)30 123456", "+4930123456", "DE"),
        ("0049 30 12 34 56", "+4930123456", "DE"),
        ("+1 212-555-0123", "+12125550123", "US"),
        ("+1 416 555 0123", "+14165550123", "CA"),
        ("+39 06 1234 5678", "+390612345678", "IT"),
    ],
)
def test_numbers_as_people_write_them(text: str, e164: str, country: str) -> None:
    number = parse_number(text)
    assert (number.e164, number.country, number.in_use) == (e164, country, True)
    assert not number.premium
    assert normal(text) == e164


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "country code"),
        ("030 123456", "country code"),
        ("+", "not a number"),
        ("+49", "not a number"),
        ("+491", "not a number"),
        ("+1 800 FLOWERS", "letters"),
        ("+1212555012345", "too long"),
        ("+1212555", "too short"),
        ("+" + "1" * 50, "at most"),
    ],
)
def test_what_is_no_number_is_told_without_it(text: str, says: str) -> None:
    with pytest.raises(BadNumber, match=says):
        parse_number(text)


def test_kinds_that_are_never_called() -> None:
    assert parse_number("+49 900 1123456").premium
    assert parse_number("+1 900 555 0123").premium
    assert parse_number("+49 110").emergency
    assert parse_number("+44 999").emergency
    assert is_bare_emergency("1-1-2")
    assert is_bare_emergency("+911")
    assert not is_bare_emergency("+4930123456")


def test_numbers_of_no_country_have_no_clock() -> None:
    assert parse_number("+882 12345678").country == "001"
    assert zones_of("001") == ()
    assert zones_of("FR") == ("Europe/Paris",)
    assert len(zones_of("US")) > 4


def test_every_country_has_a_clock() -> None:
    import phonenumbers

    without = {c for c in phonenumbers.SUPPORTED_REGIONS if not zones_of(c)}
    assert not without


def test_a_list_of_numbers_never_to_call(tmp_path: Path) -> None:
    file = tmp_path / "never.txt"
    file.write_text(
        "\ufeff# asked us\n+49 30 123456, 2026\n\n0044 20 7946 0000 # shop\n+49030999999\n"
    )
    assert DoNotCall.read(file).numbers == {"+4930123456", "+442079460000", "+4930999999"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"+4930123456\n030 12\n", "line 2"), (b"\xff\xfe\x00", "UTF-8"), (b"+49 30 x1234", "line 1")],
)
def test_a_list_that_is_not_understood_is_a_problem(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "never.txt"
    file.write_bytes(content)
    assert says in DoNotCall.read(file).problem
    assert DoNotCall.read(tmp_path / "none").problem
    assert DoNotCall.read(tmp_path).problem


def test_a_list_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.phone.numbers.MAX_LIST_NUMBERS", 2)
    assert "more than 2" in DoNotCall.of(f"+4930123456{n}" for n in range(3)).problem


@given(st.text(max_size=50) | st.from_regex(r"\+?[0-9 ()/.-]{1,30}", fullmatch=True))
def test_anything_is_a_number_or_refused(text: str) -> None:
    try:
        number = parse_number(text)
    except BadNumber:
        return
    assert number.e164.startswith("+")
    assert number.e164[1:].isdigit()
    if number.in_use:
        assert parse_number(number.e164).e164 == number.e164
        assert normal(number.e164) == number.e164
