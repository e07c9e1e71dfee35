"""Numbers that are told digit by digit: an account, a postal code. Leading zeros count."""

from __future__ import annotations

import random

from antiphon.agent.flow_spoken import TENS, UNITS, Spoken, say_number

SURE = 3
"""So many digits in a row mean a number even where none was asked for."""
_TIMES = {"double": 2, "triple": 3}
_ZEROS = {"oh", "o", "nought", "naught"}
_BETWEEN = {"um", "uh", "er", "and", "then", "dash"}
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def find_digits(raw: list[str], least: int, most: int, *, asked: bool) -> Spoken | None:
    """The first run of digits of a fitting length.

    Args:
        raw: the words as written, `1234` still in one; the place that is found is counted in the
            words of `expanded`.
        asked: any length that fits counts; otherwise only a number of some digits.
    """
    at = place = 0
    while at < len(raw):
        end, digits = _run(raw, at)
        size = len(expanded(raw[at : max(end, at + 1)]))
        if least <= len(digits) <= most and (asked or len(digits) >= SURE):
            return Spoken(place, place + size, say_digits(digits), digits)
        place += size
        at = max(end, at + 1)
    return None


def expanded(raw: list[str]) -> list[str]:
    """Short numbers as the words that they are spoken in, as a recogniser writes them."""
    words: list[str] = []
    for token in raw:
        short = token.isdecimal() and len(token) <= 4
        words.extend(say_number(int(token)).split() if short else [token])
    return words


def say_digits(digits: str) -> str:
    """One by one, with a pause after every third."""
    words = [_WORDS[int(digit)] for digit in digits]
    return ", ".join(" ".join(words[at : at + 3]) for at in range(0, len(words), 3))


def sample_digits(rng: random.Random, least: int, most: int) -> str:
    """As a caller may say them."""
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(least, max(least, min(most, 8)))))


def _run(raw: list[str], start: int) -> tuple[int, str]:
    """The digits that begin at a word, and where they end (excluded)."""
    digits, at, end = "", start, start
    while at < len(raw):
        if raw[at] in _BETWEEN and digits:
            at += 1
            continue
        size, told = _digits_at(raw, at)
        if not size:
            break
        digits += told
        at += size
        end = at
    # "o" alone is no number.
    return (end, digits) if not set(raw[start:end]) <= _ZEROS else (start, "")


def _digits_at(raw: list[str], at: int) -> tuple[int, str]:
    """How many words tell a piece of a number, and its digits."""
    word, following = raw[at], raw[at + 1] if at + 1 < len(raw) else ""
    if word.isdecimal() and word.isascii():
        return 1, word
    if word in _ZEROS:
        return 1, "0"
    if word in UNITS:
        return 1, str(UNITS[word])
    if word in TENS:
        small = UNITS.get(following, 0)
        return (2, str(TENS[word] + small)) if 0 < small < 10 else (1, str(TENS[word]))
    if word in _TIMES:
        size, told = _digits_at(raw, at + 1) if following else (0, "")
        return (1 + size, told * _TIMES[word]) if size == 1 and len(told) == 1 else (0, "")
    return 0, ""
