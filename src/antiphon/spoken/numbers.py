"""Numbers, dates, times and money as a person reads them out, in one language."""

from __future__ import annotations

import functools
import re
from decimal import Decimal

from antiphon.spoken.languages import CURRENCIES, LANGUAGES, UNITS, Language

_LONGEST = 15
"""Digits of the longest number read as one; a longer one is read digit by digit."""


@functools.cache
def reader(tag: str) -> Reader | None:
    """The reader for a BCP 47 tag; None for a language that we do not read. Takes a tenth of a
    second the first time, to load its libraries."""
    code, *rest = tag.split("-")
    language = LANGUAGES.get(code.lower())
    if language is None:
        return None
    territory = next((part.upper() for part in rest if len(part) == 2), language.territory)
    return Reader(language, territory)


class Reader:
    """Reads numbers out."""

    def __init__(self, language: Language, territory: str) -> None:
        # Imported here: most of what imports this package never speaks a number.
        from babel import Locale, UnknownLocaleError
        from num2words import num2words

        self.language, self.territory = language, territory
        try:
            self._locale = Locale.parse(f"{language.code}_{territory}")
        except UnknownLocaleError:
            self._locale = Locale.parse(language.code)
        self._num2words = num2words
        names = self._locale.months["format"]
        self.months = {number: str(name) for number, name in names["wide"].items()}
        self.month_numbers = {
            str(name).rstrip(".").lower(): number
            for width in ("wide", "abbreviated")
            for number, name in names[width].items()
        }
        group, point = re.escape(language.group), re.escape(language.decimal)
        space = r"[ \u00a0\u202f]"
        self.pattern = (
            rf"(?:\d{{1,3}}(?:{group}\d{{3}})+(?![\d])(?:{point}\d+)?"
            rf"|\d{{1,3}}(?:{space}\d{{3}})+(?![\d])(?:{point}\d+)?"
            r"|\d+(?:[.,]\d+)?)"
        )
        """Matches a number as this language writes it."""
        self._grouped = re.compile(rf"\d{{1,3}}(?:(?:{group}|{space})\d{{3}})+(?:{point}\d+)?")

    # ---- numbers ---------------------------------------------------------------------------

    @functools.lru_cache(maxsize=4096)  # noqa: B019
    def cardinal(self, number: int) -> str:
        """17 -> "seventeen"."""
        if number >= 10**_LONGEST:
            return self.digits(str(number))
        return str(self._num2words(number, lang=self.language.code)).replace(",", "")

    @functools.lru_cache(maxsize=512)  # noqa: B019
    def ordinal(self, number: int) -> str:
        """17 -> "seventeenth"; in German "siebzehnte"."""
        return str(self._num2words(number, lang=self.language.code, to="ordinal")).replace(",", "")

    @functools.lru_cache(maxsize=512)  # noqa: B019
    def year(self, number: int) -> str:
        """1999 -> "nineteen ninety-nine"."""
        if self.language.code == "en" and 2000 <= number < 2010:
            return self.cardinal(number)
        return str(self._num2words(number, lang=self.language.code, to="year")).replace(",", "")

    def digits(self, text: str) -> str:
        """ "407" -> "four zero seven"; what is not a digit is left out."""
        return " ".join(self.cardinal(int(digit)) for digit in text if digit.isdecimal())

    def group(self, text: str) -> str:
        """A group of digits in a code: "17" -> "seventeen", "07" and "407" digit by digit."""
        if len(text) <= 2 and not (text[0] == "0" and len(text) == 2):
            return self.cardinal(int(text))
        return self.digits(text)

    def parse(self, text: str) -> tuple[int, str]:
        """The whole part of a written number, and the digits after its decimal point.

        Where the sign of thousands stands before less than three digits ("12.50" in German) it was
        meant as a decimal point.
        """
        if self._grouped.fullmatch(text):
            text = re.sub(r"[\s]", "", text)
            if not self.language.group.isspace():
                text = text.replace(self.language.group, "")
        whole, _, fraction = text.replace(",", ".").partition(".")
        return int(whole), fraction

    def number(self, text: str) -> str:
        """ "3.50" -> "three point five zero"."""
        whole, fraction = self.parse(text)
        if not fraction and len(text) > 1 and text[0] == "0" and text.isdecimal():
            return self.digits(text)
        said = self.cardinal(whole)
        return f"{said} {self.language.point} {self._fraction(fraction)}" if fraction else said

    def _fraction(self, digits: str) -> str:
        if self.language.code == "fr" and len(digits) == 2 and digits[0] != "0":
            return self.cardinal(int(digits))
        return self.digits(digits)

    def counted(self, text: str, *, feminine: bool = False) -> str:
        """A number before a noun: German "1" -> "ein", not "eins"."""
        if text == "1":
            return self.language.one[feminine]
        said = self.number(text)
        if self.language.code == "fr" and feminine and said.endswith("un"):
            return said + "e"
        if self.language.code == "es" and said.endswith("uno"):
            short = "ún" if said.endswith("tiuno") else "un"
            return said[:-1] + "a" if feminine else said[:-3] + short
        return said

    def is_feminine(self, noun: str) -> bool:
        """Whether a noun looks feminine; right more often than not."""
        endings = {
            "de": ("e", "en", "ung", "heit", "keit"),
            "es": ("a", "as", "ción"),
            "fr": ("e", "es"),
        }
        return noun.lower().endswith(endings.get(self.language.code, ()))

    # ---- what is counted -------------------------------------------------------------------

    def unit(self, text: str, sign: str) -> str:
        """("5", "km") -> "five kilometers"."""
        name = UNITS[sign].partition("-")[2]
        feminine = name.partition("-")[0] in self.language.feminine
        return f"{self.counted(text, feminine=feminine)} {self._unit_name(text, UNITS[sign])}"

    @functools.lru_cache(maxsize=512)  # noqa: B019
    def _unit_name(self, text: str, unit: str) -> str:
        from babel.units import format_unit

        whole, fraction = self.parse(text)
        value = Decimal(f"{whole}.{fraction}") if fraction else Decimal(whole)
        said = format_unit(value, unit, "long", locale=self._locale)
        return re.sub(r"^[\d.,\s]*\d\s*", "", said).replace("\u00a0", " ")

    def money(self, text: str, sign: str, magnitude: str = "") -> str:
        """("12.50", "$") -> "twelve dollars and fifty cents"."""
        language, currency = self.language, CURRENCIES[sign]
        one, many, cent, cents = language.money.get(currency) or self._currency(currency)
        feminine = language.code != "en" and one in (
            "libra",
            "livre",
            "rupia",
            "corona",
            "couronne",
        )
        if magnitude:
            word = language.magnitudes[magnitude.lower().rstrip(".")]
            return f"{self.counted(text, feminine=False)} {word} {many}"
        whole, fraction = self.parse(text)
        if len(fraction) > 2 or (fraction and not cent):
            return f"{self.number(text)} {many}"
        hundredths = int(fraction.ljust(2, "0")) if fraction else 0
        major = f"{self.counted(str(whole), feminine=feminine)} {one if whole == 1 else many}"
        if not hundredths:
            return major
        minor = self.counted(str(hundredths))
        if not whole or language.name_cents:
            minor += f" {cent if hundredths == 1 else cents}"
        return " ".join(filter(None, (major, language.cents, minor))) if whole else minor

    @functools.lru_cache(maxsize=64)  # noqa: B019
    def _currency(self, code: str) -> tuple[str, str, str, str]:
        from babel.numbers import get_currency_name

        one, many = (get_currency_name(code, n, locale=self._locale) for n in (1, 2))
        return one, many, "", ""

    # ---- days and times --------------------------------------------------------------------

    def date(self, year: int | None, month: int, day: int) -> str:
        """The twelfth of November 2026, as its language and territory say it."""
        name, code = self.months[month], self.language.code
        if code == "en" and self.territory == "US":
            said = f"{name} {self.ordinal(day)}"
        elif code == "en":
            said = f"the {self.ordinal(day)} of {name}"
        elif code == "de":
            said = f"{self.ordinal(day)}r {name}"
        elif code == "es":
            said = f"{self.cardinal(day)} de {name}"
        else:
            said = f"{self.ordinal(1) if day == 1 else self.cardinal(day)} {name}"
        if year is None:
            return said
        joint = {"en": ", ", "es": " de "}.get(code, " ")
        return f"{said}{joint}{self.year(year)}"

    def time(self, hour: int, minute: int, half: str = "") -> str:
        """19:30; `half` is "a" or "p" where it was written (a.m., p.m.)."""
        code = self.language.code
        if code == "en":
            return self._english_time(hour, minute, half)
        minutes = self.cardinal(minute) if minute else ""
        if code == "de":
            said = f"{self.counted(str(hour))} Uhr {minutes}"
        elif code == "fr":
            said = f"{self.counted(str(hour), feminine=True)} heure{'s' * (hour > 1)} {minutes}"
        else:
            zero = f"{self.cardinal(0)} " if 0 < minute < 10 else ""
            hours = self.counted(str(hour), feminine=True)
            said = f"{hours} {zero}{minutes}" if minutes else f"{hours} en punto"
        return said.strip() + (f" {half.upper()} M" if half else "")

    def _english_time(self, hour: int, minute: int, half: str) -> str:
        if not half and (hour > 12 or hour == 0):
            hour, half = (hour - 12, "p") if hour > 12 else (12, "a")
        said = self.cardinal(hour)
        if minute:
            said += f" oh {self.cardinal(minute)}" if minute < 10 else f" {self.cardinal(minute)}"
        elif not half:
            said += " o'clock"
        return said + (f" {half.upper()} M" if half else "")
