"""What is read out otherwise than it is written: patterns, and how a match of each is said.

A rule is tried where a word or a sign begins. It answers with what is said, as one text or, where
its match has white space inside, one text for each part; None when it was not meant.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from antiphon.spoken.languages import CURRENCIES, UNITS
from antiphon.spoken.numbers import Reader

Said = str | list[str] | None
_END = r"(?![^\W½¼¾])"
_TOP_LEVEL = "com|org|net|edu|gov|info|io|dev|app|ai|de|es|fr|eu|uk|us|ch|at|co|me|tv|shop|example"
_NOUN = re.compile(r"\s(?!(?:und|oder|bis|y|o|de|et|ou|à|a)\b)([^\W\d_]{2,})")
_GROUPED = re.compile(r"\d{1,3}(?:[ \u00a0\u202f]\d{3})+")
_NATIONAL = re.compile(r"\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}|\d{3}-\d{4}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and how it is said. `range_word`: two of its kind with a dash between are a range.
    `say` gets the match and the text before it."""

    pattern: re.Pattern[str]
    say: Callable[[re.Match[str], str], Said]
    range_word: bool = False


def rule(pattern: str, say: Callable[..., Said], *, ranges: bool = False) -> Rule:
    """One for letters of any case."""
    return Rule(re.compile(pattern, re.IGNORECASE), say, ranges)


def exact(pattern: str, say: Callable[..., Said], *, ranges: bool = False) -> Rule:
    """One for letters as they stand in it."""
    return Rule(re.compile(pattern), say, ranges)


@functools.cache
def rules(read: Reader) -> tuple[Rule, ...]:
    """The rules of a language, to be tried in this order."""
    made = _Rules(read)
    number, lang = read.pattern, read.language
    units = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
    letters = [sign for sign in CURRENCIES if sign.isalpha()]
    signs = [sign for sign in CURRENCIES if not sign.isalpha()]
    money = "|".join(sorted(map(re.escape, signs), key=len, reverse=True))
    codes = "|".join(letters)
    many = "|".join(sorted(map(re.escape, lang.magnitudes), key=len, reverse=True))
    words = "|".join(word for word in lang.magnitudes if len(word) > 2)
    months = "|".join(sorted(map(re.escape, read.month_numbers), key=len, reverse=True))
    short = "|".join(sorted(map(re.escape, lang.abbreviations), key=len, reverse=True))

    year = r"(?:,?\s+((?:19|20)\d\d)(?!\w))?"
    suffix = r"(?:st|nd|rd|th)?"
    # The full stop of an abbreviation, not that of the sentence.
    dot = r"(?:\.(?=\s*[,\d]|\s+[^\W\dA-Z]))?"
    clock = r"(\d{1,2}):([0-5]\d)(?::[0-5]\d)?(?:\s?([ap])\.?\s?m\b\.?|\s?Uhr\b|\s?h\b)?"
    iso = r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::\d\d(?:\.\d+)?)?Z?)?"
    host = rf"[a-z][\w-]*(?:\.[\w-]+)*\.(?:{_TOP_LEVEL})"
    return (
        rule(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}" + _END, made.email),
        rule(r"(?:https?://|www\.)[^\s<>\"]*[^\s<>\".,;:!?)\]']", made.url),
        rule(rf"{host}(?:/[^\s<>\"]*[\w/])?(?![\w@])", made.url),
        exact(r"(?:\+|00)?\(?\d[\d()./\s-]{5,}\d" + _END, made.phone),
        exact(iso + _END, made.iso_date),
        exact(r"(\d{1,2})([/.])(\d{1,2})\2(\d{4}|\d\d)" + _END, made.numeric_date),
        rule(rf"({months})\.?\s+(\d{{1,2}}){suffix}(?![\w:%]|[.,]\d){year}", made.month_day),
        rule(rf"(\d{{1,2}})(?:{suffix}|\.)\s+(?:of\s+)?({months})\b{dot}{year}", made.day_month),
        rule(clock + _END, made.time, ranges=True),
        rule(r"(\d{1,2})()\s?([ap])(?:\.\s?m\.|m\b\.?)" + _END, made.time, ranges=True),
        rule(r"(\d{1,2})\s?h\s?([0-5]\d)?" + _END, made.french_time, ranges=True),
        rule(
            rf"(-?)({money}|\b(?:{codes})\b)\s?({number})(?:\s?({many})\b)?{_END}",
            made.money_before,
            ranges=True,
        ),
        rule(
            rf"(-?)({number})\s?(?:({many})\.?\s?)?({money}|(?:{codes})\b)",
            made.money_after,
            ranges=True,
        ),
        rule(r"(\d+)(?:st|nd|rd|th|er|re|ère|e|ème|º|ª|°(?=\s+[a-zà-ÿ]))" + _END, made.ordinal),
        exact(r"(\d{1,3})\.(?=\s+[^\W\d_])", made.german_ordinal),
        exact(r"(1[1-9]|20)(\d)0s" + _END, made.decade),
        exact(r"(\d{1,3}):(\d{1,3})" + _END, made.ratio),
        exact(rf"(-?)({number})\s?({units})(?![\w/²³]){dot}", made.unit, ranges=True),
        exact(r"([1-9]\d?)/([1-9]\d?)(?![\w/])", made.fraction),
        exact(r"\d{4}(?:[ -]\d{4}){2,4}" + _END, made.groups),
        exact(r"\d+(?:-\d+){2,}" + _END, made.groups),
        exact(r"#\s?(\d+(?:-\d+)*)" + _END, made.hash_code),
        exact(r"\d+(?:\.\d+){2,}" + _END, made.dotted_number),
        rule(rf"(-?)({number})(?:(k)|\s({words})\b\.?)?{_END}", made.number, ranges=True),
        exact(r"([~≈<>≤≥±½¼¾§])(?=\s?\d|[\s.,;:!?]|$)", made.sign),
        exact(r"(?=[A-Z0-9-]*\d)[A-Z0-9]+(?:-[A-Z0-9]+)*" + _END, made.alphanumeric),
        rule(rf"({short})(?:\.(?!\w)|(?<=/o)\b|(?<=w/)|(?<=°))", made.abbreviation),
        exact(r"(?:[A-Z]\.){2,}", made.dotted),
        exact(r"\d+", made.digits),
    )


class _Rules:
    """How each match is said. Methods take the match and the text before it."""

    def __init__(self, read: Reader) -> None:
        self._read = read
        self._lang = read.language

    # ---- addresses -------------------------------------------------------------------------

    def email(self, match: re.Match[str], before: str) -> Said:
        return self._address(match[0])

    def url(self, match: re.Match[str], before: str) -> Said:
        bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", match[0])
        return self._address(bare.partition("?")[0].partition("#")[0].rstrip("/"))

    def _address(self, text: str) -> str:
        said = []
        for part in re.findall(r"[^\W\d_]+|\d+|.", text):
            if part.isdecimal():
                said.append(self._read.group(part))
            else:
                said.append(self._lang.address.get(part, part if part.isalpha() else ""))
        return " ".join(filter(None, said))

    def phone(self, match: re.Match[str], before: str) -> Said:
        text = match[0]
        digits = re.sub(r"\D", "", text)
        if not 7 <= len(digits) <= 15 or not _is_phone(text, digits, self._read.territory):
            return None
        if text[1:].isdecimal() and text[0] in "+0123456789":
            text = _with_groups(text, self._read.territory)
            return ", ".join(filter(None, map(self._group_of_phone, text.split())))
        return _with_commas([self._group_of_phone(part) for part in text.split()])

    def _group_of_phone(self, text: str) -> str:
        groups = [self._read.digits(group) for group in re.findall(r"\d+", text)]
        plus = f"{self._lang.address['+']} " if text.startswith("+") else ""
        return plus + ", ".join(groups)

    # ---- dates and times -------------------------------------------------------------------

    def iso_date(self, match: re.Match[str], before: str) -> Said:
        said = self._date(int(match[1]), int(match[2]), int(match[3]))
        if said is None or match[4] is None:
            return said
        return f"{said}, {self._read.time(int(match[4]), int(match[5]))}"

    def numeric_date(self, match: re.Match[str], before: str) -> Said:
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if match[2] == "." and self._lang.code == "en" and len(match[4]) == 2:
            return None
        american = self._read.territory == "US" and match[2] == "/"
        month, day = (first, second) if american else (second, first)
        if month > 12:
            month, day = day, month
        return self._date(year if year > 99 else 2000 + year, month, day)

    def _date(self, year: int, month: int, day: int) -> str | None:
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return None
        return self._read.date(year, month, day)

    def month_day(self, match: re.Match[str], before: str) -> Said:
        if self._lang.code != "en" or not match[1][0].isupper() or not 1 <= int(match[2]) <= 31:
            return None
        month = self._read.months[self._read.month_numbers[match[1].lower()]]
        said = [month, self._read.ordinal(int(match[2]))]
        return [*said[:1], said[1] + ",", self._read.year(int(match[3]))] if match[3] else said

    def day_month(self, match: re.Match[str], before: str) -> Said:
        day = int(match[1])
        month = self._read.months[self._read.month_numbers[match[2].lower()]]
        parts = len(match[0].split())
        year = [self._read.year(int(match[3]))] if match[3] else []
        if not 1 <= day <= 31:
            return None
        if self._lang.code == "en":
            if not match[2][0].isupper():
                return None
            the = "" if re.search(r"\bthe\s+$", before) else "the "
            return [
                f"{the}{self._read.ordinal(day)} of",
                *[""] * (parts - 2 - len(year)),
                month,
                *year,
            ]
        if self._lang.code == "de":
            return (
                [self._german_ordinal(day, before), month, *year] if "." in match[0][:3] else None
            )
        if self._lang.code == "fr":
            first = self._read.ordinal(1) if day == 1 else self._read.cardinal(day)
            return [first, month, *year] if "." not in match[0][:3] else None
        return None

    def german_ordinal(self, match: re.Match[str], before: str) -> Said:
        article = re.search(r"\b(?:der|die|das|dem|den|des|vom|zum|zur|im|beim)\s+$", before)
        if self._lang.code != "de" or article is None:
            return None
        return self._german_ordinal(int(match[1]), before)

    def _german_ordinal(self, day: int, before: str) -> str:
        word = (before.split() or [""])[-1].lower()
        endings = {"der": "", "die": "", "das": ""} | dict.fromkeys(
            ("am", "vom", "zum", "zur", "beim", "dem", "den", "des", "ab", "bis", "seit", "im"), "n"
        )
        return self._read.ordinal(day) + endings.get(word, "r")

    def time(self, match: re.Match[str], before: str) -> Said:
        hour, minute = int(match[1]), int(match[2] or 0)
        half = (match[3] or "").lower()
        if hour > (12 if half else 24):
            return None
        return _keep_stop(match, self._read.time(hour, minute, half))

    def french_time(self, match: re.Match[str], before: str) -> Said:
        if self._lang.code != "fr" or int(match[1]) > 24:
            return None
        return self._read.time(int(match[1]), int(match[2] or 0))

    # ---- what is counted -------------------------------------------------------------------

    def money_before(self, match: re.Match[str], before: str) -> Said:
        said = self._read.money(match[3], match[2].upper(), match[4] or "")
        return f"{self._lang.minus} {said}" if match[1] else said

    def money_after(self, match: re.Match[str], before: str) -> Said:
        said = self._read.money(match[2], match[4].upper(), match[3] or "")
        return f"{self._lang.minus} {said}" if match[1] else said

    def unit(self, match: re.Match[str], before: str) -> Said:
        said = self._read.unit(match[2], match[3])
        return f"{self._lang.minus} {said}" if match[1] else said

    def ordinal(self, match: re.Match[str], before: str) -> Said:
        ending = match[0][len(match[1]) :].lower()
        kinds = {"en": ("st", "nd", "rd", "th"), "es": ("º", "ª", "°"), "de": ()}
        if len(match[1]) > 6 or ending not in kinds.get(
            self._lang.code, ("er", "re", "ère", "e", "ème")
        ):
            return None
        said = self._read.ordinal(int(match[1]))
        if ending == "ª" and said.endswith("o"):
            said = said[:-1] + "a"
        return "première" if said == "premier" and ending in ("re", "ère") else said

    def decade(self, match: re.Match[str], before: str) -> Said:
        if self._lang.code != "en":
            return None
        said = self._read.year(int(match[1] + match[2] + "0"))
        return said[:-1] + "ies" if said.endswith("y") else said + "s"

    def fraction(self, match: re.Match[str], before: str) -> Said:
        top, bottom = int(match[1]), int(match[2])
        if self._lang.code != "en" or top >= bottom or bottom > 10:
            return f"{self._read.cardinal(top)} {self._read.cardinal(bottom)}"
        name = {2: "half", 4: "quarter"}.get(bottom) or self._read.ordinal(bottom)
        name = "halves" if name == "half" and top > 1 else name + "s" * (top > 1)
        return f"{self._read.cardinal(top)} {name}"

    def ratio(self, match: re.Match[str], before: str) -> Said:
        ends = [self._read.cardinal(int(match[n])) for n in (1, 2)]
        return f" {self._lang.to} ".join(ends)

    # ---- codes -----------------------------------------------------------------------------

    def groups(self, match: re.Match[str], before: str) -> Said:
        said = [
            ", ".join(self._read.group(group) for group in part.split("-"))
            for part in match[0].split()
        ]
        return _with_commas(said)

    def hash_code(self, match: re.Match[str], before: str) -> Said:
        groups = " ".join(self._read.group(group) for group in match[1].split("-"))
        return f"{self._lang.number} {groups}"

    def number(self, match: re.Match[str], before: str) -> Said:
        text, magnitude = match[2], match[3] or match[4]
        is_code = any(word in self._lang.codes for word in re.findall(r"\w+", before.lower())[-2:])
        if magnitude is not None:
            if magnitude.lower() not in self._lang.magnitudes:
                return None
            said = [self._read.counted(text), self._lang.magnitudes[magnitude.lower()]]
            parts = said if match[4] else [" ".join(said)]
        else:
            noun = _NOUN.match(match.string, match.end())
            if noun is not None and not is_code and self._lang.code != "en" and text[-1] == "1":
                said = [self._read.counted(text, feminine=self._read.is_feminine(noun[1]))]
            else:
                said = [self._plain(text, is_code)]
            parts = [*said, *[""] * (len(text.split()) - 1)]
        if before[-1:].isalpha() and text.isdecimal():
            return self._read.group(text)
        if match[1] and not before[-1:].strip():
            parts[0] = f"{self._lang.minus} {parts[0]}"
        return parts

    def dotted_number(self, match: re.Match[str], before: str) -> Said:
        dot = self._lang.address["."]
        return f" {dot} ".join(self._read.group(part) for part in match[0].split("."))

    def sign(self, match: re.Match[str], before: str) -> Said:
        said = self._lang.signs.get(match[1])
        # "2½" is two and a half.
        return f"{self._lang.signs['&']} {said}" if before[-1:].isdigit() else said

    def _plain(self, text: str, is_code: bool) -> str:
        """A bare number: a year, a code or an amount, by its looks and the words before it."""
        if not text.isdecimal():
            return self._read.number(text)
        if (is_code and len(text) > 2) or len(text) >= 7:
            return self._read.digits(text)
        if len(text) == 4 and (text[:2] in ("19", "20") and not text.endswith("000")):
            return self._read.year(int(text))
        return self._read.number(text)

    def alphanumeric(self, match: re.Match[str], before: str) -> Said:
        text = match[0]
        if not any(char.isalpha() for char in text):
            return None
        parts = re.findall(r"[A-Z]+|\d+", text)
        return " ".join(self._read.group(p) if p.isdecimal() else _letters(p) for p in parts)

    def digits(self, match: re.Match[str], before: str) -> Said:
        """Digits in something of no known kind."""
        return self._read.group(match[0])

    # ---- words -----------------------------------------------------------------------------

    def abbreviation(self, match: re.Match[str], before: str) -> Said:
        short = match[1].lower()
        said = self._lang.abbreviations[short]
        after = match.string[match.end() :]
        ahead = after.lstrip()[:1]
        if short in ("no", "nr", "núm", "apt", "tel") and not ahead.isdigit():
            return None
        if short in ("m", "d", "fr", "hr", "pr", "est", "str") and not ahead.isupper():
            return None
        if short == "m" and not match[0][0].isupper():
            return None
        ends_sentence = short in ("etc", "usw")
        return _keep_stop(match, said) if ends_sentence or not ahead else said

    def dotted(self, match: re.Match[str], before: str) -> Said:
        return _keep_stop(match, " ".join(match[0].replace(".", "")))


def _keep_stop(match: re.Match[str], said: str) -> str:
    """The full stop of an abbreviation is that of its sentence, too, at its end."""
    after = match.string[match.end() :]
    ends = not after.strip() or (after[:1].isspace() and after.lstrip()[:1].isupper())
    return said + "." if match[0].endswith(".") and ends else said


def _letters(text: str) -> str:
    """Capitals in a code: a word where they look like one, COVID-19."""
    return text if len(text) > 3 and set("AEIOUY") & set(text) else " ".join(text)


def _with_commas(parts: list[str]) -> list[str]:
    """A pause after each part but the last."""
    return [part + "," * (bool(part) and n < len(parts)) for n, part in enumerate(parts, 1)]


def _is_phone(text: str, digits: str, territory: str) -> bool:
    if _GROUPED.fullmatch(text) or re.fullmatch(r"\d{4}(?:[ -]\d{4}){2,}", text):
        return False
    if re.fullmatch(r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d+(?:-\d+){3,}", text):
        return False
    if not text.startswith(("+", "0", "(")) and not _NATIONAL.fullmatch(text):
        return False
    import phonenumbers

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text, territory)) or bool(
            _NATIONAL.fullmatch(text)
        )
    except phonenumbers.NumberParseException:
        return False


def _with_groups(text: str, territory: str) -> str:
    """Written without a gap: the groups that people of its country make."""
    import phonenumbers

    form = phonenumbers.PhoneNumberFormat
    kind = form.INTERNATIONAL if text.startswith("+") else form.NATIONAL
    return phonenumbers.format_number(phonenumbers.parse(text, territory), kind).replace("-", " ")
