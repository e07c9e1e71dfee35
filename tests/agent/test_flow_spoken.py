"""Spoken numbers, times, dates."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.agent.flow_spoken import (
    find_date,
    find_number,
    find_time,
    number_at,
    say_date,
    say_number,
    say_time,
    to_date,
)

FRIDAY = date(2026, 11, 20)


@given(st.integers(0, 999_999))
def test_numbers_are_heard_as_they_are_said(number: int) -> None:
    tokens = say_number(number).split()
    assert number_at(tokens, 0) == (number, len(tokens))


@given(st.integers(0, 23), st.integers(0, 59))
def test_times_are_heard_as_they_are_said(hour: int, minute: int) -> None:
    found = find_time(say_time(hour, minute).split())
    assert found is not None
    assert found.value == f"{hour:02d}:{minute:02d}"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("half past three", "15:30"),
        ("at quarter to nine", "08:45"),
        ("a quarter past ten in the morning", "10:15"),
        ("twenty past four", "16:20"),
        ("three thirty", "15:30"),
        ("ten oh five", "10:05"),
        ("noon", "12:00"),
        ("nine a m", "09:00"),
        ("three pm", "15:00"),
        ("seven in the evening", "19:00"),
        ("16:30", "16:30"),
        ("eleven", "11:00"),
        ("ten to one", "12:50"),
    ],
)
def test_times(said: str, value: str) -> None:
    found = find_time(said.split())
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("next tuesday please", date(2026, 11, 24)),
        ("on tuesday", date(2026, 11, 24)),
        ("this friday", date(2026, 11, 27)),
        ("friday next week", date(2026, 11, 27)),
        ("tomorrow", date(2026, 11, 21)),
        ("the day after tomorrow", date(2026, 11, 22)),
        ("in two weeks", date(2026, 12, 4)),
        ("in a week", date(2026, 11, 27)),
        ("the third of may", date(2027, 5, 3)),
        ("on the fourth of may", date(2027, 5, 4)),
        ("may third", date(2027, 5, 3)),
        ("december twenty first", date(2026, 12, 21)),
        ("on the first", date(2026, 12, 1)),
        ("monday the twenty third of november", date(2026, 11, 23)),
        ("2026-12-24", date(2026, 12, 24)),
    ],
)
def test_dates(said: str, value: date) -> None:
    found = find_date(said.split())
    assert found is not None
    assert to_date(str(found.value), FRIDAY) == value


@given(st.dates(date(2026, 11, 20), date(2027, 11, 18)))
def test_dates_are_heard_as_they_are_said(day: date) -> None:
    found = find_date(say_date(day).lower().split())
    assert found is not None
    assert to_date(str(found.value), FRIDAY) == day


def test_no_such_day() -> None:
    with pytest.raises(ValueError, match="no such day"):
        to_date("february 31", FRIDAY)


def test_numbers_within_bounds() -> None:
    found = find_number(["i", "would", "like", "twenty", "no", "two", "of", "them"], 1, 9)
    assert found is not None
    assert found.value == 2
