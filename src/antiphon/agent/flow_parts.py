"""Parts of an utterance that are understood by rule: dates, names, yes and no, commands."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from antiphon.agent import flow_words as words
from antiphon.agent.flow_config import SlotConfig
from antiphon.agent.flow_spoken import (
    FIRST_NAMES,
    Spoken,
    find_date,
    find_number,
    find_time,
    number_at,
)

_YES_WORDS = frozenset(w for phrase in words.YES for w in phrase.split()) | words.FILLERS
_YES_STARTS = ("yes", "yeah", "yep", "yup", "sure", "correct", "right", "exactly", "perfect")
_NO_STARTS = ("no", "nope", "nah", "wrong", "incorrect")
_OBJECTIONS = frozenset(
    ("no", "not", "but", "wrong", "change", "except", "don't", "wait", "actually", "instead")
)
_COMMAND_KEYS: dict[str, tuple[str, ...]] = {
    "start_over": ("start over", "start again", "from the beginning", "from scratch", "restart"),
    "cancel": ("cancel", "never mind", "nevermind", "forget it", "forget the whole", "abort"),
    "repeat": ("repeat", "say that again", "say it again", "come again", "one more time"),
    "help": ("help", "what can i", "what do you have", "my options", "menu"),
    "goodbye": ("goodbye", "good bye", "bye bye", "bye"),
}
_NAME_LEADS = (
    "my name is", "the name is", "name is", "my name's", "the name's", "name's", "this is",
    "it is", "it's", "i am", "i'm", "that's", "under", "call me", "for",
)  # fmt: skip
_NAME_STOPS = words.FILLERS | frozenset(
    ("i'd", "i'll", "want", "need", "can", "could", "have", "book", "make", "appointment", "here",
     "speaking", "yes", "no", "name", "is", "under", "calling", "not", "looking", "trying")
)  # fmt: skip


# ---- the other kinds of slots --------------------------------------------------------------


def by_rule(
    slot: SlotConfig, tokens: list[str], taken: Collection[int], asked: bool
) -> Spoken | None:
    """A date, time, number or name among the words that mean nothing else yet."""
    free = [t if n not in taken else "|" for n, t in enumerate(tokens)]
    match slot.kind:
        case "date":
            return find_date(free)
        case "time":
            spoken = find_time(free)
            return spoken if spoken and (asked or _is_time(free, spoken)) else None
        case "number":
            return find_number(free, slot.min, slot.max)
        case "name":
            return _name(free, asked)
        case _:
            return None


def _is_time(tokens: list[str], spoken: Spoken) -> bool:
    """Whether it is certainly a time of day: a bare "one" may be anything."""
    if spoken.end - spoken.start > 1 or not number_at(tokens, spoken.start):
        return True
    before = tokens[spoken.start - 1] if spoken.start else ""
    return before in ("at", "around", "about", "by", "|") or tokens[spoken.start] != "one"


def _name(tokens: list[str], asked: bool) -> Spoken | None:
    text = " ".join(tokens)
    for lead in _NAME_LEADS:
        match = re.search(rf"(?:^|\s){re.escape(lead)}\s+", text)
        if match is None:
            continue
        start = len(text[: match.end()].split())
        name = _name_at(tokens, start)
        # "for tuesday", "it's fine": without the word "name" only a known first name counts.
        if name and ("name" in lead or lead == "call me" or asked or name[0] in FIRST_NAMES):
            return _spoken_name(start, name)
    if asked:
        for start in range(len(tokens)):
            if name := _name_at(tokens, start):
                return _spoken_name(start, name) if len(name) <= 3 else None
    return None


def _name_at(tokens: list[str], start: int) -> list[str]:
    name: list[str] = []
    for token in tokens[start:]:
        if token in _NAME_STOPS or not token[0].isalpha():
            break
        name.append(token)
    return name[:4]


def _spoken_name(start: int, name: list[str]) -> Spoken:
    text = " ".join(part.capitalize() for part in name)
    return Spoken(start, start + len(name), text, text)


# ---- yes, no, commands ---------------------------------------------------------------------


def answer_of(joined: str, tokens: list[str]) -> bool | None:
    """True for a clean yes, False for a no. What is neither must not place an order."""
    if joined in words.YES:
        return True
    if joined in words.NO or joined in words.NOTHING_MORE:
        return False
    if is_yes(tokens):
        return True
    if tokens and tokens[0] in _NO_STARTS:
        return False
    return None


def is_yes(rest: Sequence[str]) -> bool:
    """Whether these words, the rest beside values, agree and do nothing else."""
    return (
        bool(rest)
        and any(t in _YES_STARTS for t in rest[:2])
        and all(t in _YES_WORDS for t in rest)
        and _OBJECTIONS.isdisjoint(rest)
    )


def command_of(joined: str, has_values: bool) -> str | None:
    """What can be said at any time: cancel, repeat, help and so on."""
    for name, phrases in words.COMMANDS.items():
        if joined in phrases:
            return name
    if has_values or len(joined.split()) > 8:
        return None
    for name, keys in _COMMAND_KEYS.items():
        if any(re.search(rf"\b{key}\b", joined) for key in keys):
            return name
    return None
