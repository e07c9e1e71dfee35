"""Spoken English numbers, times of day, dates and names: understood, and sampled.

Input is the recogniser's spelling: lower case words, no punctuation. Digits as a text channel
writes them are understood too. Nothing here reads a clock: a date stays the relative phrase that
was said ("next tuesday") until `to_date` is given today's date.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import date

from dateutil.relativedelta import FR, MO, SA, SU, TH, TU, WE, relativedelta, weekday
from num2words import num2words


def _words(text: str) -> list[str]:
    return text.split()


UNITS = {
    w: n
    for n, w in enumerate(
        _words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen"
        )
    )
}
TENS = {
    w: 10 * n
    for n, w in enumerate(_words("twenty thirty forty fifty sixty seventy eighty ninety"), 2)
}
ORDINALS = {str(num2words(n, to="ordinal")).replace("-", " "): n for n in range(1, 32)}
MONTHS = {
    w: n
    for n, w in enumerate(
        _words(
            "january february march april may june july august september october november december"
        ),
        1,
    )
}
DAYS: dict[str, weekday] = dict(
    zip(
        _words("monday tuesday wednesday thursday friday saturday sunday"),
        (MO, TU, WE, TH, FR, SA, SU),
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A value found in words `start` to `end` (excluded): what to say, and what a tool gets."""

    start: int
    end: int
    say: str
    value: str | int


def number_at(tokens: list[str], at: int) -> tuple[int, int] | None:
    """The number that begins at word `at`, and where it ends: "two hundred and five"."""
    if at < len(tokens) and tokens[at].isdecimal():
        return int(tokens[at][:9]), at + 1
    total, current, start = 0, 0, at
    last = 1000
    while at < len(tokens):
        word = tokens[at]
        if word in UNITS and last > 19 and (last != 20 or UNITS[word] in range(1, 10)):
            current += UNITS[word]
            last = 1
        elif word in TENS and last > 20:
            current += TENS[word]
            last = 20
        elif word == "hundred" and last == 1 and 0 < current < 10:
            current *= 100
            last = 100
        elif word == "thousand" and 0 < current < 1000:
            total, current, last = current * 1000, 0, 1000
        elif not (
            word == "and"
            and (last == 100 or total)
            and at + 1 < len(tokens)
            and tokens[at + 1] in UNITS | TENS
        ):
            break
        at += 1
    return (total + current, at) if at > start else None


def say_number(number: int) -> str:
    """17 -> "seventeen", as the voice should say it."""
    return str(num2words(number)).replace("-", " ").replace(",", "")


def find_number(tokens: list[str], lowest: int, highest: int) -> Spoken | None:
    """The first number within the bounds."""
    at = 0
    while at < len(tokens):
        if found := number_at(tokens, at):
            if lowest <= found[0] <= highest:
                return Spoken(at, found[1], say_number(found[0]), found[0])
            at = found[1]
        else:
            at += 1
    return None


# ---- time of day ---------------------------------------------------------------------------

_EVENING = {"pm", "afternoon", "evening", "tonight", "night"}


def find_time(tokens: list[str]) -> Spoken | None:
    """The first time of day: "half past three", "three thirty", "ten a m", "noon"; value "15:30".

    Without morning or afternoon, one to seven are taken for the afternoon: offices are open then.
    """
    for at, word in enumerate(tokens):
        if word in ("noon", "midday"):
            return Spoken(at, at + 1, "noon", "12:00")
        if word == "midnight":
            return Spoken(at, at + 1, "midnight", "00:00")
        if found := _clock_at(tokens, at):
            hour, minute, end = found
            half, end = _half_of_day(tokens, end)
            hour = _on_24_hours(hour, half)
            return Spoken(at, end, say_time(hour, minute), f"{hour:02d}:{minute:02d}")
    return None


def _clock_at(tokens: list[str], at: int) -> tuple[int, int, int] | None:
    """Hour, minute and end of a clock time that begins at word `at`."""
    if match := re.fullmatch(r"(\d{1,2})[:h](\d{2})", tokens[at]):
        return _valid(int(match[1]), int(match[2]), at + 1)
    if match := re.fullmatch(r"(\d{1,2})(am|pm)", tokens[at]):
        tokens[at : at + 1] = [match[1], match[2]]
    relation = _relation_at(tokens, at)
    if relation:
        minutes, past, end = relation
        hour = _unit(tokens, end)
        if hour is None or not 1 <= hour <= 12:
            return None
        return (hour, minutes, end + 1) if past else ((hour - 2) % 12 + 1, 60 - minutes, end + 1)
    hour = _unit(tokens, at)
    if hour is None or not 0 <= hour <= 23:
        return None
    end = at + 1
    if end < len(tokens) and tokens[end] in ("o'clock", "oclock"):
        return _valid(hour, 0, end + 1)
    if tokens[end : end + 1] in (["oh"], ["o"]) and (minute := _unit(tokens, end + 1)) is not None:
        return _valid(hour, minute, end + 2)
    if (found := number_at(tokens, end)) and 10 <= found[0] <= 59:
        return _valid(hour, found[0], found[1])
    if tokens[at] in ORDINALS or (end < len(tokens) and tokens[end] in MONTHS):
        return None
    return _valid(hour, 0, end)


def _relation_at(tokens: list[str], at: int) -> tuple[int, bool, int] | None:
    """ "half past", "a quarter to", "ten past": minutes, past, end."""
    skip = at + (tokens[at] == "a")
    if skip >= len(tokens):
        return None
    if tokens[skip] == "half":
        minutes, end = 30, skip + 1
    elif tokens[skip] == "quarter":
        minutes, end = 15, skip + 1
    elif found := number_at(tokens, skip):
        minutes, end = found
        end += tokens[end : end + 1] == ["minutes"]
    else:
        return None
    word = tokens[end] if end < len(tokens) else ""
    if word in ("past", "after", "to", "before") and 0 < minutes < 60:
        return minutes, word in ("past", "after"), end + 1
    return None


def _unit(tokens: list[str], at: int) -> int | None:
    if at >= len(tokens):
        return None
    if tokens[at].isdecimal():
        return int(tokens[at][:4])
    return UNITS.get(tokens[at])


def _valid(hour: int, minute: int, end: int) -> tuple[int, int, int] | None:
    return (hour, minute, end) if hour <= 23 and minute <= 59 else None


def _half_of_day(tokens: list[str], end: int) -> tuple[str, int]:
    """ "a m", "pm", "in the afternoon", "tonight" after a clock time."""
    rest = tokens[end : end + 3]
    if rest[:2] in (["a", "m"], ["p", "m"]):
        return rest[0] + "m", end + 2
    if rest[:1] in (["am"], ["pm"], ["tonight"]):
        return rest[0], end + 1
    if rest[:2] == ["in", "the"] and rest[2:] and rest[2] in {"morning", "afternoon", "evening"}:
        return rest[2], end + 3
    if rest[:2] == ["at", "night"]:
        return "night", end + 2
    return "", end


def _on_24_hours(hour: int, half: str) -> int:
    if half in _EVENING:
        return hour + 12 if hour < 12 else hour
    if half in ("am", "morning"):
        return 0 if hour == 12 else hour
    return hour + 12 if 1 <= hour <= 7 else hour


def say_time(hour: int, minute: int) -> str:
    """15, 30 -> "three thirty in the afternoon"."""
    half = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    clock = say_number((hour - 1) % 12 + 1)
    if minute:
        clock += f" {'oh ' if minute < 10 else ''}{say_number(minute)}"
    else:
        clock += " o'clock"
    return f"{clock} {half}"


# ---- dates ---------------------------------------------------------------------------------

_DAY = "|".join(DAYS)
_MONTH = "|".join(MONTHS)
_ORDINAL = "|".join(sorted(ORDINALS, key=len, reverse=True))
_DATE = re.compile(
    rf"\b(?:(?P<near>the day after tomorrow|tomorrow|today|tonight)"
    rf"|in (?P<count>\w+) (?P<unit>days?|weeks?)"
    rf"|(?P<week>a week from|the {_DAY} after next)?\s*"
    rf"(?:(?P<which>next|this|coming|on) )?(?P<day>{_DAY})(?: (?P<later>next week))?"
    rf"(?: the (?P<of_day>{_ORDINAL})(?: of (?P<of_month>{_MONTH}))?)?"
    rf"|(?:on )?(?:the )?(?P<first>{_ORDINAL})(?: of)? (?P<month1>{_MONTH})"
    rf"|(?P<month2>{_MONTH}) (?:the )?(?P<second>{_ORDINAL}|\d{{1,2}})(?:st|nd|rd|th)?"
    rf"|(?:on )?the (?P<alone>{_ORDINAL})|(?P<iso>\d{{4}}-\d\d-\d\d))\b"
)


def find_date(tokens: list[str]) -> Spoken | None:
    """The first date. Its value is a phrase in a normal form that `to_date` understands."""
    text = " ".join(tokens)
    for match in _DATE.finditer(text):
        value = _normal_date(match)
        if value:
            start = len(text[: match.start()].split())
            end = start + len(match.group().split())
            return Spoken(start, end, _say_date(value), value)
    return None


def _normal_date(match: re.Match[str]) -> str:
    g = match.groupdict()
    if g["iso"]:
        return str(g["iso"])
    if g["near"]:
        return str(g["near"]).replace("tonight", "today")
    if g["unit"]:
        count = number_at([{"a": "one"}.get(g["count"], g["count"])], 0)
        return f"in {count[0]} {g['unit'].rstrip('s')}s" if count else ""
    if g["of_day"]:
        month = g["of_month"]
        return f"{month} {ORDINALS[g['of_day']]}" if month else f"the {ORDINALS[g['of_day']]}"
    if g["day"]:
        later = g["later"] or g["week"] or g["which"] == "next"
        return f"next {g['day']}" if later else str(g["day"])
    month = g["month1"] or g["month2"]
    number = g["first"] or g["second"] or g["alone"]
    count_of = ORDINALS.get(number) or int(number)
    if not 1 <= count_of <= 31:
        return ""
    return f"{month} {count_of}" if month else f"the {count_of}"


def _say_date(value: str) -> str:
    words = value.split()
    if words[-1].isdecimal():
        ordinal = str(num2words(int(words[-1]), to="ordinal")).replace("-", " ")
        return f"the {ordinal} of {words[0]}" if words[0] in MONTHS else f"the {ordinal}"
    if words[0] == "in":
        return f"in {say_number(int(words[1]))} {words[2]}"
    return value


def to_date(phrase: str, today: date) -> date:
    """The date that a normal phrase means: "next tuesday", "tomorrow", "may 3", "in 2 weeks".

    "tuesday" is the coming one, today excluded; "next tuesday" is the one of next week, except
    that said on the weekend before they are the same. Raises ValueError for anything else.
    """
    words = phrase.split()
    if phrase in ("today", "tomorrow", "the day after tomorrow"):
        return today + relativedelta(days=("today", "tomorrow", phrase).index(phrase))
    if words[0] == "in" and len(words) == 3:
        count = int(words[1])
        return today + relativedelta(days=count * (7 if words[2].startswith("week") else 1))
    if words[-1] in DAYS:
        day = DAYS[words[-1]]
        if words[0] == "next":
            return today + relativedelta(weekday=MO(1), days=1) + relativedelta(weekday=day(1))
        return today + relativedelta(days=1, weekday=day(1))
    if words[0] in MONTHS or words[0] == "the":
        return _coming(MONTHS.get(words[0]), int(words[1]), today)
    return date.fromisoformat(phrase)


def _coming(month: int | None, day: int, today: date) -> date:
    """The next time that this day of the month comes; the 31st skips short months."""
    for ahead in range(60):
        first = today.replace(day=1) + relativedelta(months=ahead)
        if month in (None, first.month) and (first + relativedelta(day=31)).day >= day:
            found = first.replace(day=day)
            if found >= today:
                return found
    raise ValueError(f"there is no such day: {month} {day}")


def say_date(day: date) -> str:
    """2026-05-05 -> "Tuesday the fifth of May"."""
    ordinal = str(num2words(day.day, to="ordinal")).replace("-", " ")
    return f"{day:%A} the {ordinal} of {day:%B}"


# ---- samples -------------------------------------------------------------------------------

FIRST_NAMES = _words(
    "james john robert michael william david richard joseph thomas charles daniel matthew "
    "anthony "
    "mark steven paul andrew joshua kevin brian george edward jason jeffrey ryan jacob gary eric "
    "jonathan stephen larry justin scott brandon benjamin samuel frank gregory raymond patrick "
    "alexander jack dennis jerry peter henry adam nathan zachary simon oliver martin tom sam ben "
    "mary patricia jennifer linda elizabeth barbara susan jessica sarah karen lisa nancy betty "
    "sandra margaret ashley kimberly emily donna michelle carol amanda melissa deborah stephanie "
    "rebecca laura helen sharon cynthia kathleen amy angela anna ruth brenda nicole katherine "
    "samantha christine emma catherine virginia rachel carolyn janet maria heather diane julie "
    "olivia sophia isabella alice claire jane kate lucy hannah eva nina"
)
LAST_NAMES = _words(
    "smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez "
    "gonzalez wilson anderson thomas taylor moore jackson martin lee perez thompson white harris "
    "sanchez clark ramirez lewis robinson walker young allen king wright scott torres nguyen hill "
    "flores green adams nelson baker hall rivera campbell mitchell carter roberts turner phillips "
    "evans parker collins edwards stewart morris murphy cook rogers morgan cooper peterson bailey "
    "reed kelly howard kim cox ward richardson watson brooks wood james bennett gray hughes price"
)


def sample_name(rng: random.Random) -> str:
    name = rng.choice(FIRST_NAMES)
    return name if rng.random() < 0.35 else f"{name} {rng.choice(LAST_NAMES)}"


def sample_number(rng: random.Random, lowest: int, highest: int) -> str:
    top = min(highest, max(lowest, 20)) if rng.random() < 0.7 else highest
    return say_number(rng.randint(lowest, top))


def sample_time(rng: random.Random) -> str:
    hour = say_number(rng.randint(1, 12))
    half = rng.choice(("", "", "", " a m", " p m", " in the morning", " in the afternoon"))
    shapes = (
        "{h}",
        "{h} o'clock",
        "{h} {m}",
        "half past {h}",
        "quarter past {h}",
        "quarter to {h}",
    )
    shape = rng.choice((*shapes, "{h} thirty", "noon", "ten past {h}", "a quarter past {h}"))
    minute = rng.choice(("fifteen", "thirty", "forty five", "ten", "twenty", "oh five"))
    return "noon" if shape == "noon" else shape.format(h=hour, m=minute) + half


def sample_date(rng: random.Random) -> str:
    day, month = rng.choice(list(DAYS)), rng.choice(list(MONTHS))
    ordinal = rng.choice(list(ORDINALS))
    return rng.choice(
        (
            *("today", "tomorrow", "the day after tomorrow", day, day, day, f"on {day}"),
            *(f"next {day}", f"next {day}", f"this {day}", f"{day} next week", "in a week"),
            *(f"{month} {ordinal}", f"the {ordinal} of {month}", f"the {ordinal}"),
            *(f"{day} the {ordinal}", f"on the {ordinal} of {month}", "in two days"),
        )
    )
