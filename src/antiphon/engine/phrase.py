"""What kind of phrase a caller is saying, and whether it looks complete.

No grammar: the last words, the count of what is dictated, and punctuation where the recogniser
writes it. That is cheap, works on half a sentence, and errs to both sides by a known measure; the
probabilities are what is left to the sound and the pause to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import exp, log

from antiphon.engine.language import Language


class Expected(Enum):
    """What the agent's last words ask for."""

    ANYTHING = "anything"
    YES_NO = "yes or no"
    DIGITS = "digits"
    CODE = "a short number"  # a PIN, a postal code, the last four digits
    SPELLING = "spelling"  # a name, an e-mail address, an address


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text looks like. `dictated`: numbers, letters, an address, which come in groups with
    long pauses. `complete` is None where the words say nothing."""

    complete: float | None
    dictated: bool = False


_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_SENTENCE = re.compile(r"[^.!?¿¡]+[.!?]*")
_DOMAINS = frozenset(
    re.findall(r"\w+", "com net org edu gov io info biz eu uk us ca au de at ch fr")
)
# What a mark at the end adds to the log-odds. Recognisers put full stops generously.
_MARKS = {".": 1.0, "!": 1.0, "?": 1.6, ",": -1.2, ":": -1.2, ";": -0.8, "-": -1.5, "–": -1.5}
_MARKS |= {"—": -1.5, "…": -2.0}

_CUT_OFF = 0.05  # ends in a word that cannot be the last
_GOES_ON = 0.08  # a number of a length that none has
_CODE_ENDS = {3: 0.45, 4: 0.85, 5: 0.85, 6: 0.85}
_UNLIKELY = 0.1  # ends in a word that seldom is
_NOUN_WANTED = 0.22  # ends in an attribute
_EITHER_WAY = 0.5
_ANSWER = 0.85
_ASKED_FOR = 0.94


@lru_cache(maxsize=256)
def read(text: str, expected: Expected, language: Language) -> Reading:
    """Read the words of a turn so far."""
    raw = text.lower().replace("’", "'").strip()
    words = _WORD.findall(raw)
    if not words:
        return Reading(None)
    dictated = _dictated(raw, words, expected, language)
    likely = _phrase(words, expected, language) if dictated is None else dictated
    mark = -2.0 if raw.endswith("...") else _MARKS.get(raw[-1], 0.0)
    if dictated is not None:
        mark *= 0.4  # between the groups of a number a full stop means little
    odds = likely / (1 - likely) * exp(mark)
    return Reading(round(odds / (1 + odds), 4), dictated is not None)


@lru_cache(maxsize=64)
def expected_after(agent_text: str, language: Language) -> Expected:
    """What the agent's last words ask for."""
    sentences = _SENTENCE.findall(agent_text.lower().replace("’", "'"))[-2:]
    questions = [one for one in sentences if one.endswith("?")]
    words = _WORD.findall((questions or sentences or [""])[-1])
    asked = f" {' '.join(words)} "
    if questions:
        closed = words[:1] and words[0] in language.asks_yes_no
        if closed or any(asked.endswith(f" {tag} ") for tag in language.tags):
            return Expected.YES_NO
    if any(f" {phrase} " in asked for phrase in language.asks_spelling):
        return Expected.SPELLING
    if any(f" {phrase} " in asked for phrase in language.asks_code):
        return Expected.CODE
    if any(f" {phrase} " in asked for phrase in language.asks_digits):
        return Expected.DIGITS
    if questions and words[:1] and words[0] in language.asks_politely:
        return Expected.YES_NO
    return Expected.ANYTHING


# ---- phrases -------------------------------------------------------------------------------


def _phrase(words: list[str], expected: Expected, language: Language) -> float:
    whole, last = " ".join(words), words[-1]
    if whole in language.yes or whole in language.no:
        return _ASKED_FOR if expected is Expected.YES_NO else _ANSWER
    if whole in language.answers or whole in language.hold:
        return _ANSWER
    if last in language.fillers or last in language.never_last:
        return _CUT_OFF
    if any(" ".join(words[-count:]) in language.openings for count in (1, 2, 3, 4)):
        return _UNLIKELY
    if last in language.seldom_last:
        return _EITHER_WAY if _may_end(words, language) else _UNLIKELY
    if len(words) > 1 and _wants_noun(words, language):
        return _NOUN_WANTED
    return min(0.8, 0.42 + 0.08 * len(words))


def _may_end(words: list[str], language: Language) -> bool:
    """Whether a phrase may end in a preposition or an auxiliary: "what is it for", "I know who you
    are", "more than he was", "yes I do"."""
    if len(words) in (2, 3) and words[-2] in language.never_last:
        return True  # a pronoun, and nothing before it but yes or no
    near = words[:1] + words[-5:-1] if len(words) > 2 else []
    return any(word.partition("'")[0] in language.question_words for word in near)


def _wants_noun(words: list[str], language: Language) -> bool:
    """Whether the last word is an attribute: "a large", but not "it is too large"."""
    before, last = words[-2:]
    if last in language.units:
        return _digits_of(before, language) > 0 and before not in ("one", "1")
    if language.wants_noun.issuperset(words):
        return False  # "extra large" answers a question
    return last in language.wants_noun and before not in language.predicates


# ---- dictation -----------------------------------------------------------------------------


def _dictated(raw: str, words: list[str], expected: Expected, language: Language) -> float | None:
    """How likely what is being dictated is whole; None when nothing is."""
    address = _address(raw, words, expected, language)
    if address is not None:
        return address
    tokens, digits, letters = _run(words, language)
    asked = expected in (Expected.DIGITS, Expected.CODE)
    if asked and tokens and words[-1] in language.repeats:
        return _CUT_OFF
    if letters:
        if letters + digits < 2 and expected is not Expected.SPELLING:
            return None
        return min(0.55, 0.2 + 0.05 * (letters + digits))
    alone = tokens == len(words) and digits >= 3 and words[-1] not in language.tens
    if not digits or ":" in raw or not (asked or tokens >= 3 or alone):
        return None
    if expected is Expected.CODE:
        return _CODE_ENDS.get(digits, _GOES_ON)
    likely = language.number_ends.get(digits, _GOES_ON)
    # Somebody who was asked for a number gives all of it, and a short one is its beginning.
    return likely if not asked or digits > 6 else likely * 0.8


def _run(words: list[str], language: Language) -> tuple[int, int, int]:
    """At the end of the words: how many tokens are dictated, and how many digits and letters they
    stand for."""
    tokens = digits = letters = 0
    newest = 0  # digits of the token after this one
    for word in reversed(words):
        here = _digits_of(word, language)
        if here:
            # "twenty three" is two digits, not three.
            digits += 1 if word in language.tens and newest == 1 else here
        elif word in language.repeats:
            digits += (language.repeats[word] - 1) * (newest == 1)
        elif len(word) == 1 or word in language.letters:
            letters += 1
        elif word not in language.fillers:
            break
        tokens, newest = tokens + 1, here
    return tokens, digits, letters


def _digits_of(word: str, language: Language) -> int:
    if word in language.digits:
        return 1
    if word in language.tens:
        return 2
    figures = word.replace("-", "")
    if figures.isdecimal():
        return len(figures)
    parts = word.split("-")  # "twenty-three"
    return 2 * (len(parts) > 1 and (language.digits | language.tens).issuperset(parts))


def _address(raw: str, words: list[str], expected: Expected, language: Language) -> float | None:
    """An e-mail address, or one of a street where the agent asked for it."""
    signs = sum(word in language.signs for word in words)
    asked = expected is Expected.SPELLING
    if "@" in raw or signs >= 2 or (signs and asked):
        if words[-1] in language.signs or raw[-1] in "@_":
            return _CUT_OFF
        domain = words[-1] in _DOMAINS and len(words) > 1
        return 0.9 if domain else 0.15
    if asked and words[-1] in language.streets:
        return _EITHER_WAY
    return None


def log_odds(likely: float) -> float:
    """Of a probability; what is nearer to certain than 0.98 counts as that."""
    bounded = min(0.98, max(0.02, likely))
    return log(bounded / (1 - bounded))
