"""Hours of a week, such as `Mon-Fri 09:00-17:00, Sat 10:00-14:00`, by the clock of a place.

Parts are separated by commas: days, then one or more spans of time. A span whose end is not after
its beginning goes on past midnight; `00:00-24:00` is a whole day, `always` the whole week. The end
itself is outside. Pure: the moment comes in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_MINUTES = 24 * 60
MAX_CHARS = 300
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_EXAMPLE = "write them like `Mon-Fri 09:00-17:00, Sat 10:00-14:00`"

Span = tuple[int, int]
"""First minute of a day and the one after the last, 0 to 1440."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When it is open, day by day."""

    text: str
    """As it was written."""
    week: tuple[tuple[Span, ...], ...]
    """Seven days from Monday on, each with its spans, none overlapping, in order."""

    def open(self, at: datetime, zone: str | tzinfo) -> bool:
        """Whether it is open at a moment, by the clock of a zone such as `Europe/Berlin`.

        Raises:
            ValueError: `at` has no zone of its own, or there is no such zone.
        """
        here = _there(at, zone)
        minute = here.hour * 60 + here.minute
        return any(begin <= minute < end for begin, end in self.week[here.weekday()])

    def opens(self, at: datetime, zone: str | tzinfo) -> datetime | None:
        """The next moment at which it is open, `at` itself when it is open now, in that zone; None
        when it never is. Raises as `open` does."""
        here = _there(at, zone)
        if self.open(at, zone):
            return here
        minute = here.hour * 60 + here.minute
        # The eighth day is today's weekday again, with what was already over today.
        for days in range(8):
            day = here + timedelta(days=days)
            for begin, _ in self.week[day.weekday()]:
                if days or begin > minute:
                    return day.replace(
                        hour=begin // 60, minute=begin % 60, second=0, microsecond=0, fold=0
                    )
        return None


def parse_hours(text: str) -> Hours:
    """Read the notation.

    Raises:
        ValueError: it is not written like that; the text says what to write, for a settings file.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"hours of more than {MAX_CHARS} characters; {_EXAMPLE}")
    if text.strip().lower() == "always":
        return Hours(text, (((0, DAY_MINUTES),),) * 7)
    week: list[list[Span]] = [[] for _ in _DAYS]
    for part in text.split(","):
        days, spans = _part(part)
        for day in days:
            for begin, end in spans:
                if begin < end:
                    week[day].append((begin, end))
                else:
                    week[day].append((begin, DAY_MINUTES))
                    week[(day + 1) % 7].append((0, end))
    return Hours(text, tuple(_merged(spans) for spans in week))


def zone_named(name: str) -> ZoneInfo:
    """A time zone. Raises ValueError where there is none of that name."""
    try:
        return _zone(name)
    # A name of a folder, or one with odd characters, raises another error each.
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"there is no time zone `{name[:40]}`; write one like `Europe/Berlin`"
        ) from None


@lru_cache(512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _there(at: datetime, zone: str | tzinfo) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone")
    return at.astimezone(zone_named(zone) if isinstance(zone, str) else zone)


def _part(part: str) -> tuple[list[int], list[Span]]:
    days: list[int] = []
    spans: list[Span] = []
    for word in part.split():
        if word[0].isdigit():
            spans.append(_span(word))
        elif spans:
            raise ValueError(f"`{part.strip()}`: days come before the times; {_EXAMPLE}")
        else:
            days += _days(word)
    if not days or not spans:
        missing = "a day" if not days else "a time"
        raise ValueError(f"`{part.strip()}` lacks {missing}; {_EXAMPLE}")
    return days, spans


def _days(word: str) -> list[int]:
    first, dash, last = word.partition("-")
    begin = _day(first)
    end = _day(last) if dash else begin
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _day(word: str) -> int:
    name = word.lower()
    for number, day in enumerate(_DAYS):
        if name in (day, day[:3]):
            return number
    raise ValueError(f"`{word[:20]}` is not a day; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun")


def _span(word: str) -> Span:
    match = _SPAN.fullmatch(word)
    if match is None:
        raise ValueError(f"`{word[:20]}` is not a time; {_EXAMPLE}")
    numbers = [int(number) for number in match.groups()]
    begin, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or begin >= DAY_MINUTES or end > DAY_MINUTES:
        raise ValueError(f"`{word}`: a day has the times 00:00 to 24:00")
    if begin == end:
        raise ValueError(f"`{word}` is no time at all; a whole day is 00:00-24:00")
    return begin, end


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if begin == end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return tuple(merged)
