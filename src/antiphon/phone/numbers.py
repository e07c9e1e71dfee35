"""Telephone numbers to call, and the list of those that are never called.

A number is what Google's libphonenumber reads as one with its country code (`+49 30 1234-56`); it
is kept in E.164. Pure; the list's file is read by `DoNotCall.read`, off the event loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from antiphon.agent.hours import zone_named

MAX_NUMBER_CHARS = 40
MAX_LIST_NUMBERS = 1_000_000
MAX_LIST_BYTES = 64 * 1024 * 1024
NO_COUNTRY = "001"
"""libphonenumber's region of numbers that belong to no country, such as +800 and +882."""

# ITU-T E.164 section 6: at most 15 digits, country code included.
_PLAIN = re.compile(r"\+[1-9]\d{6,14}")
_EMERGENCY = frozenset({"000", "100", "101", "102", "108", "110", "111", "112", "113", "114"}) | {
    "115", "117", "118", "119", "144", "190", "191", "192", "193", "194", "197", "199", "911",
    "995", "997", "998", "999",
}  # fmt: skip
# Numbers that libphonenumber does not count as in use, but that cost extra if they ever are.
_PREMIUM_PREFIXES = ("+1900", "+979")
# Places with numbers of their own and no zone in CLDR; their clocks are those of a neighbour.
_OTHER_ZONES = {
    "AC": ("Atlantic/St_Helena",),
    "TA": ("Atlantic/St_Helena",),
    "XK": ("Europe/Belgrade",),
}


class BadNumber(ValueError):
    """It is not a telephone number. The text, without the number, says why and what to write."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, and what its beginning tells of it."""

    e164: str
    country: str
    """Such as `DE`; for a country code that several share and no one of them gave out, the main
    one of them."""
    in_use: bool
    """Whether the country gives out such numbers."""
    premium: bool
    """It costs whoever calls it more than a call, or costs that nobody can tell before."""
    emergency: bool


def parse_number(text: str) -> Number:
    """Read a number as people write it, with its country code.

    Raises:
        BadNumber: it is none, or has no country code.
    """
    import phonenumbers
    from phonenumbers import PhoneNumberFormat, PhoneNumberType

    text = text.strip()
    if len(text) > MAX_NUMBER_CHARS:
        raise BadNumber(f"a number has at most {MAX_NUMBER_CHARS} characters")
    if text.startswith("00"):
        text = f"+{text[2:]}"
    if not text.startswith("+"):
        raise BadNumber("write the number with + and its country code, such as +4930123456")
    if any(character.isalpha() for character in text):
        raise BadNumber("a number has no letters; write digits, such as +4930123456")
    try:
        read = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        raise BadNumber("this is not a number; write it like +4930123456") from None
    national = phonenumbers.national_significant_number(read)
    code = read.country_code or 0
    regions = phonenumbers.region_codes_for_country_code(code)
    emergency = any(phonenumbers.is_emergency_number(national, region) for region in regions)
    if not emergency and not phonenumbers.is_possible_number(read):
        raise BadNumber("this number is too short or too long for its country")
    e164 = phonenumbers.format_number(read, PhoneNumberFormat.E164)
    kind = phonenumbers.number_type(read)
    country = phonenumbers.region_code_for_number(read)
    return Number(
        e164=e164,
        country=country or phonenumbers.region_code_for_country_code(code),
        in_use=country is not None,
        premium=kind in (PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST)
        or e164.startswith(_PREMIUM_PREFIXES),
        emergency=emergency,
    )


def is_bare_emergency(text: str) -> bool:
    """Whether a text without a country code is what somebody dials in need."""
    return re.sub(r"[\s+-]", "", text) in _EMERGENCY


def normal(text: str) -> str:
    """A number's E.164, without asking what kind of number it is. Quick where it is written so
    already. Raises BadNumber."""
    text = text.strip()
    if _PLAIN.fullmatch(text) and not _has_trunk_zero(text):
        return text
    return parse_number(text).e164


@lru_cache(400)
def zones_of(country: str) -> tuple[str, ...]:
    """The time zones of a country, by CLDR, that this machine knows; none for `001`."""
    from babel.core import get_global

    if country == NO_COUNTRY:
        return ()
    zones = get_global("territory_zones").get(country, ()) or _OTHER_ZONES.get(country, ())
    return tuple(zone for zone in zones or () if _is_known(zone))


def _is_known(zone: str) -> bool:
    try:
        zone_named(zone)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class DoNotCall:
    """Numbers that are never called. With `problem`, the list is not known, and nobody may be."""

    numbers: frozenset[str] = frozenset()
    problem: str = ""

    @classmethod
    def read(cls, path: Path) -> DoNotCall:
        """Read the file. Blocks. A list that cannot be read to its end is a `problem`: a number
        that was not understood may be one that must not be called."""
        try:
            if path.stat().st_size > MAX_LIST_BYTES:
                return cls(problem=f"it has more than {MAX_LIST_BYTES >> 20} MB")
            with path.open(encoding="utf-8-sig") as lines:
                return cls.of(lines)
        except UnicodeDecodeError:
            return cls(problem="it is not UTF-8 text")
        except OSError as error:
            return cls(problem=error.strerror or "it cannot be read")

    @classmethod
    def of(cls, lines: Iterable[str]) -> DoNotCall:
        """One number a line, with its country code; what follows a `#` or a comma is a remark."""
        numbers: set[str] = set()
        for count, line in enumerate(lines, start=1):
            text = re.split("[#,;]", line, maxsplit=1)[0].strip()
            if not text:
                continue
            try:
                numbers.add(normal(text))
            except BadNumber as error:
                return cls(problem=f"line {count}: {error}")
            if len(numbers) > MAX_LIST_NUMBERS:
                return cls(problem=f"it has more than {MAX_LIST_NUMBERS:,} numbers")
        return cls(frozenset(numbers))


class NeverCall:
    """The file of numbers not to call, read anew when it has changed."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._list = DoNotCall()

    def read(self) -> DoNotCall:
        """The list as the file is now; empty without one. Blocks."""
        path = self._path
        if path is None:
            return self._list
        try:
            stat = path.stat()
        except OSError as error:
            self._seen = None
            return DoNotCall(problem=error.strerror or "it cannot be read")
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            self._list = DoNotCall.read(path)
            self._seen = seen
        return self._list


def _has_trunk_zero(plain: str) -> bool:
    """`+49030...`: a zero that is dialled at home only, and that libphonenumber takes out."""
    codes = _country_codes()
    return any(plain[1 : 1 + n] in codes and plain[1 + n] == "0" for n in (1, 2, 3))


@lru_cache(1)
def _country_codes() -> frozenset[str]:
    import phonenumbers

    return frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
