"""Text as it is written -> text as it is spoken, word by word.

Each written word keeps the words that are spoken for it, so that the times of what a voice says are
the times of what was written: the record of what the caller heard has the written words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from antiphon.spoken.languages import SPELLED, WORDS_IN_CAPITALS
from antiphon.spoken.numbers import Reader, reader
from antiphon.spoken.rules import Rule, rules

_TOKEN = re.compile(r"\S+")
_START = re.compile(r"(?<!\w)[\w$€£¥₹(+#~≈<>≤≥±½¼¾§-]|(?<=\d)[½¼¾]|(?<=[^\W\d])\d")
_RANGE = re.compile(r"\s?([–—-])\s?(?=[\d$€£])")
_PER = re.compile(r"/(?=[^\W\d_]{1,12}\b)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_OUTER = "\"'“”‘’«»()[]{}.,;:!?…*_"
_VOWELS = set("AEIOUYÄÖÜÉ")
_LETTERS = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_TIME = re.compile(r"\d{1,2}(?::\d\d)?\s?[ap]\.?\s?m", re.IGNORECASE)
_HALF_DAY = re.compile(r"[ap]\.?\s?m", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One written word and what is spoken for it: several words, or none where the word before it
    says it already ("7:30 p.m." is "seven thirty P M" and nothing)."""

    written: str
    spoken: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """Characters `start` to `end` of a text are said as `parts`, one for each written word that
    they touch."""

    start: int
    end: int
    parts: tuple[str, ...]


def verbalise(
    text: str, language: str, fixed: Sequence[Replacement] = (), *, as_written: bool = False
) -> tuple[Spoken, ...]:
    """Read out numbers, dates, times, money, addresses, abbreviations and initialisms.

    One `Spoken` for each word of `text.split()`, in order. A language that is not known here leaves
    the text as it is, and so does `as_written`, but for `fixed`: what is said for some of it
    anyway. Typically takes less than a millisecond; the first text of a language loads libraries
    for a tenth of a second (`prepare`).
    """
    read = None if as_written else reader(language)
    found = _replacements(text, read) if read is not None else []
    if fixed:
        free = [
            one for one in found if all(o.end <= one.start or one.end <= o.start for o in fixed)
        ]
        found = sorted([*free, *fixed], key=lambda one: one.start)
    return _join(text, found)


def prepare(language: str) -> None:
    """Load what `verbalise` needs for a language."""
    verbalise("On 2026-11-21 at 7:30 p.m. 3 km for $2.50, call +1 212 555 0100.", language)


def _replacements(text: str, read: Reader) -> list[Replacement]:
    found: list[Replacement] = []
    done = 0
    capitals = text.upper() == text
    for token in _TOKEN.finditer(text):
        word = token[0]
        if token.end() <= done or (word.isalpha() and word.islower()):
            continue
        bare = word.strip(_OUTER)
        if _is_plain(word, bare, read):
            continue
        for one in _in_token(text, max(token.start(), done), token.end(), read):
            found.append(one)
            done = one.end
        if done <= token.start():
            found += _whole_word(token, bare, read, capitals)
    return found


def _is_plain(word: str, bare: str, read: Reader) -> bool:
    """Whether it is a word that every voice can read."""
    if _LETTERS.fullmatch(bare) is None or bare[1:] != bare[1:].lower():
        return False
    lower = bare.lower()
    if "." in word and (lower in read.language.abbreviations or len(bare) == 1):
        return False
    return not (bare[0].isupper() and lower in read.month_numbers)


def _in_token(text: str, position: int, end: int, read: Reader) -> Iterator[Replacement]:
    while position < end:
        start = _START.search(text, position, end)
        if start is None:
            return
        position = start.start()
        hit = _first_rule(text, position, read)
        if hit is None:
            position = max(start.end(), position + 1)
            continue
        rule, match, said = hit
        parts = [said] if isinstance(said, str) else list(said)
        finish = match.end()
        joint = _RANGE.match(text, finish)
        per = _PER.match(text, finish) if rule.range_word else None
        if joint is not None and rule.range_word:
            if _is_range(match[0], joint, read):
                parts[-1] += f" {read.language.to}"
            finish = joint.end()
            parts += [""] * (len(text[position:finish].split()) - len(match[0].split()))
        elif per is not None:
            parts[-1] += f" {read.language.per}"
            finish = per.end()
        yield Replacement(position, finish, tuple(parts))
        position = finish


def _first_rule(
    text: str, position: int, read: Reader
) -> tuple[Rule, re.Match[str], str | list[str]] | None:
    for rule in rules(read):
        match = rule.pattern.match(text, position)
        if match is not None and match.end() > position:
            said = rule.say(match, text[:position])
            if said is not None:
                return rule, match, said
    return None


def _is_range(first: str, joint: re.Match[str], read: Reader) -> bool:
    """Whether a dash means "to". A short one between a higher and a lower number, or in a code,
    does not: order 40-17."""
    if joint[1] != "-" or ":" in first or _HALF_DAY.search(first):
        return True
    if _TIME.match(joint.string, joint.end()):
        return True
    low, high = _NUMBER.search(first), _NUMBER.search(joint.string, joint.end())
    if low is None or high is None:
        return False
    words = re.findall(r"[^\W\d_]+", joint.string[: joint.start()].lower())[-2:]
    return not read.language.codes & set(words) and read.parse(low[0]) < read.parse(high[0])


def _whole_word(token: re.Match[str], bare: str, read: Reader, capitals: bool) -> list[Replacement]:
    """Signs that stand alone, and initialisms."""
    start = token.start() + token[0].find(bare) if bare else token.start()
    if bare in read.language.signs:
        return [Replacement(start, start + len(bare), (read.language.signs[bare],))]
    found = []
    for part in re.finditer(r"[^\W\d_]+|&|(?<=[^\W\d_])/(?=[^\W\d_])", token[0]):
        at = token.start() + part.start()
        if part[0] in "&/":
            found.append(Replacement(at, at + 1, (read.language.signs.get(part[0], ""),)))
        elif _is_spelled(part[0]) and not (capitals and len(bare) > 3):
            found.append(Replacement(at, at + len(part[0]), (" ".join(part[0]),)))
    return found


def _is_spelled(word: str) -> bool:
    """Whether a word in capitals is read letter by letter."""
    if not (2 <= len(word) <= 6 and word.isupper()) or word in WORDS_IN_CAPITALS:
        return False
    return word in SPELLED or not _VOWELS & set(word)


def _join(text: str, found: list[Replacement]) -> tuple[Spoken, ...]:
    """Give each written word its part of what is said."""
    if not found:
        return tuple(Spoken(word, word) for word in text.split())
    result: list[Spoken] = []
    for token in _TOKEN.finditer(text):
        spoken, at, silent = "", token.start(), False
        for one in found:
            if one.end <= token.start() or one.start >= token.end():
                continue
            before = len(text[one.start : token.start()].split()) if one.start < at else 0
            part = one.parts[before] if before < len(one.parts) else ""
            spoken = _beside(_beside(spoken, text[at : max(at, one.start)]), part)
            silent = silent or not part
            at = min(one.end, token.end())
        spoken = _beside(spoken, text[at : token.end()])
        if silent and result and not any(c.isalnum() for c in spoken):
            # What is left is the mark after it, which belongs after what is said.
            last = max(n for n, one in enumerate(result) if one.spoken)
            result[last] = Spoken(result[last].written, result[last].spoken + spoken)
            spoken = ""
        result.append(Spoken(token[0], spoken))
    return tuple(result)


def _beside(left: str, right: str) -> str:
    """Two pieces of a word: what is said are words of their own, but marks stay where they are."""
    apart = left[-1:].isalnum() and right[:1].isalnum()
    return f"{left} {right}" if apart else left + right
