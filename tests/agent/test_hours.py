"""Opening hours: the notation, and clocks of places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.agent.hours import Hours, parse_hours, zone_named

BERLIN = "Europe/Berlin"
# 2026-03-02 is a Monday; Berlin is an hour ahead of UTC then.
MONDAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_a_week_of_work() -> None:
    hours = parse_hours("Mon-Fri 09:00-17:00, Sat 10:00-14:00")
    assert hours.week[:5] == (((540, 1020),),) * 5
    assert hours.week[5:] == (((600, 840),), ())
    assert hours.open(MONDAY, BERLIN)
    assert not hours.open(MONDAY - timedelta(minutes=1), BERLIN)
    assert not hours.open(MONDAY + timedelta(hours=8), BERLIN), "the end is outside"
    assert not hours.open(MONDAY, "America/New_York")


@pytest.mark.parametrize(
    ("text", "day", "spans"),
    [
        ("always", 6, ((0, 1440),)),
        ("Mon 9:00-12:00 13:00-17:00", 0, ((540, 720), (780, 1020))),
        ("Mon Wed friday 00:00-24:00", 4, ((0, 1440),)),
        ("Fri 22:00-02:00", 4, ((1320, 1440),)),
        ("Fri 22:00-02:00", 5, ((0, 120),)),
        ("Fri 22:00-00:00", 5, ()),
        ("Sat-Mon 10:00-11:00", 0, ((600, 660),)),
        ("Mon 09:00-12:00, Mon 11:00-13:00", 0, ((540, 780),)),
    ],
)
def test_the_notation(text: str, day: int, spans: tuple[tuple[int, int], ...]) -> None:
    assert parse_hours(text).week[day] == spans


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lacks a day"),
        ("09:00-17:00", "lacks a day"),
        ("Mon-Fri", "lacks a time"),
        ("Mon 09:00-17:00,", "lacks a day"),
        ("Mo 09:00-17:00", "`Mo` is not a day"),
        ("Mon 9-17", "`9-17` is not a time"),
        ("Mon 09:00-25:00", "00:00 to 24:00"),
        ("Mon 09:60-10:00", "00:00 to 24:00"),
        ("Mon 09:00-09:00", "no time at all"),
        ("09:00-10:00 Mon", "before the times"),
        ("x" * 301, "more than 300"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_hours(text)


def test_the_next_opening() -> None:
    hours = parse_hours("Mon-Fri 09:00-17:00")
    assert hours.opens(MONDAY, BERLIN) == MONDAY
    early = hours.opens(MONDAY - timedelta(hours=3), BERLIN)
    assert early == MONDAY
    evening = hours.opens(MONDAY + timedelta(hours=10), BERLIN)
    assert evening == MONDAY + timedelta(days=1)
    weekend = hours.opens(MONDAY + timedelta(days=4, hours=10), BERLIN)
    assert weekend == MONDAY + timedelta(days=7)
    once = parse_hours("Mon 09:00-10:00")
    assert once.opens(MONDAY + timedelta(hours=2), BERLIN) == MONDAY + timedelta(days=7)
    assert Hours("", ((),) * 7).opens(MONDAY, BERLIN) is None


def test_the_clock_change_moves_the_opening_in_utc() -> None:
    hours = parse_hours("Mon-Sun 09:00-17:00")
    # Summer time begins in Berlin on 2026-03-29.
    night = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)
    assert hours.opens(night, BERLIN) == datetime(2026, 3, 29, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Nowhere", "", "../etc/passwd", "Europe", "a\0b", "/etc/passwd"])
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_named(name)
    with pytest.raises(ValueError, match="without a time zone"):
        parse_hours("always").open(MONDAY.replace(tzinfo=None), BERLIN)


@given(st.text(max_size=60) | st.from_regex(r"(Mon|Sun|x)-?(Tue)? [0-9]{1,2}:[0-9]{2}-[0-9:]{5}"))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        hours = parse_hours(text)
    except ValueError:
        return
    for spans in hours.week:
        flat = [minute for span in spans for minute in span]
        assert flat == sorted(set(flat))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_it_is_open_when_it_opens(at: datetime) -> None:
    hours = parse_hours("Tue-Thu 08:30-12:00, Sat 22:00-01:00")
    opens = hours.opens(at.replace(tzinfo=UTC), "Asia/Tokyo")
    assert opens is not None
    assert opens >= at.replace(tzinfo=UTC)
    assert hours.open(opens, "Asia/Tokyo")
