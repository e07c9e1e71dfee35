"""What a caller's words mean to a flow: commands, yes or no, an intent, values of slots.

The text comes from a recogniser: lower case words without punctuation, so "no, a large one" and
"no large one" look alike. Whatever stays ambiguous is decided for the reading that changes most:
everything is said back before it counts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from antiphon.agent import flow_words as words
from antiphon.agent.flow_config import FlowConfig, IntentConfig, SlotConfig
from antiphon.agent.flow_digits import expanded, find_digits
from antiphon.agent.flow_parts import answer_of, by_rule, command_of, is_yes
from antiphon.agent.flow_sentences import sentences
from antiphon.agent.flow_spoken import Spoken
from antiphon.agent.flow_template import parse_macros, parse_template, sample

SPELLING_CUTOFF = 84
PHRASE_CUTOFF = 88
"""Similarity (rapidfuzz, 0 to 100) from which a misspelt word or phrase counts as a known one."""

_TOKEN = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d|\d+|[^\W\d_]+(?:'[^\W\d_]+)*")


_AMOUNTS = sorted(words.AMOUNTS, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class SlotValue:
    """What is said back, and what the tool gets."""

    say: str
    value: str | int | bool


Values = Mapping[str, SlotValue]


@dataclass(frozen=True, slots=True)
class Context:
    """Where the conversation stands, as far as understanding depends on it."""

    intent: str | None = None
    asked: str | None = None
    values: Values = field(default_factory=dict)
    confirming: bool = False


@dataclass(frozen=True, slots=True)
class Meaning:
    """An utterance, understood. `answer` is True for a clean yes and False for a bare no."""

    command: str | None = None
    answer: bool | None = None
    intent: str | None = None
    values: Values = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        return not (self.command or self.values or self.removed or self.intent) and (
            self.answer is None
        )


@dataclass(slots=True)
class _Found:
    """A value in the words `start` to `end`."""

    slot: str
    start: int
    end: int
    value: SlotValue
    base: str
    negation: str = ""


def tokens_of(text: str) -> list[str]:
    """Words in the recogniser's spelling, digits as words."""
    return expanded(_raw(text))


def _raw(text: str) -> list[str]:
    return _TOKEN.findall(text.lower().replace("’", "'"))


class Understanding:
    """Everything that can be known of a flow's language before anybody speaks."""

    def __init__(self, config: FlowConfig) -> None:
        self._config = config
        self._phrases: dict[str, dict[tuple[str, ...], list[tuple[str, str]]]] = {}
        for name, intent in config.intents.items():
            table: dict[tuple[str, ...], list[tuple[str, str]]] = {}
            for slot_name, slot in intent.slots.items():
                for value, others in slot.values.items():
                    for phrase in (value, *others):
                        key = tuple(tokens_of(phrase))
                        table.setdefault(key, []).append((slot_name, value))
            self._phrases[name] = table
        self._openings = _openings(config)
        text = sentences(config, 1500, 1)
        self._vocabulary = frozenset(w for line in text for w in line.split())
        self._known = sorted(w for w in self._vocabulary if len(w) > 3)

    # ---- the whole utterance ---------------------------------------------------------------

    def understand(self, text: str, context: Context) -> Meaning:
        """What the text means here."""
        raw = _raw(text)
        tokens = expanded(raw)
        spelt = [self._spell(token) for token in tokens]
        best: tuple[int, str, list[_Found]] = (0, "", [])
        for name in self._candidates(context):
            found = self._find(name, raw, tokens, spelt, context)
            covered = sum(f.end - f.start for f in found) * 2 + (name == context.intent)
            if found and covered > best[0]:
                best = (covered, name, found)
        _, intent, found = best
        joined = " ".join(spelt)
        command = command_of(joined, bool(found))
        if command in ("cancel", "start_over"):
            return Meaning(command=command)
        if found:
            values, removed = _settle(self._config.intents[intent], found, spelt, context)
            changed = any(context.values.get(k) != v for k, v in values.items())
            clean = not changed and not removed and is_yes(_rest(spelt, found))
            return Meaning(
                answer=True if clean else None,
                intent=intent,
                values=values,
                removed=frozenset(removed),
            )
        declined = self._declined(joined, context)
        if declined:
            return Meaning(intent=context.intent, removed=declined)
        opening = self._opening(joined)
        if opening and joined not in words.COMMANDS["hello"]:
            return Meaning(intent=opening)
        return Meaning(command=command, answer=answer_of(joined, spelt))

    def _candidates(self, context: Context) -> Sequence[str]:
        # While an intent is under way its own slots come first; the others may still match better.
        names = list(self._config.intents)
        if context.intent in names:
            names.remove(context.intent)
            names.insert(0, context.intent)
        return names

    def _spell(self, token: str) -> str:
        """The known word that a misspelt one stands for."""
        if token in self._vocabulary or len(token) < 4:
            return token
        match = process.extractOne(
            token, self._known, scorer=fuzz.ratio, score_cutoff=SPELLING_CUTOFF
        )
        return str(match[0]) if match else token

    def _opening(self, joined: str) -> str | None:
        if joined in self._openings:
            return self._openings[joined]
        match = process.extractOne(
            joined, list(self._openings), scorer=fuzz.ratio, score_cutoff=PHRASE_CUTOFF
        )
        return self._openings[match[0]] if match else None

    def _declined(self, joined: str, context: Context) -> frozenset[str]:
        """Slots that a phrase such as "black" leaves empty."""
        intent = self._config.intents.get(context.intent or "")
        if intent is None:
            return frozenset()
        return frozenset(
            name
            for name, slot in intent.slots.items()
            if any(re.search(rf"\b{re.escape(phrase)}\b", joined) for phrase in slot.decline)
        )

    # ---- values ----------------------------------------------------------------------------

    def _find(
        self, name: str, raw: list[str], tokens: list[str], spelt: list[str], context: Context
    ) -> list[_Found]:
        intent = self._config.intents[name]
        asked = context.asked if context.intent == name else None
        found = self._choices(intent, name, spelt, asked)
        taken = {at for f in found for at in range(f.start, f.end)}
        for slot_name, slot in intent.slots.items():
            spoken = _digits(slot, raw, taken, slot_name == asked)
            spoken = spoken or by_rule(slot, tokens, taken, slot_name == asked)
            if spoken is not None:
                value = SlotValue(spoken.say, spoken.value)
                found.append(_Found(slot_name, spoken.start, spoken.end, value, str(spoken.value)))
                taken.update(range(spoken.start, spoken.end))
        if asked and not found:
            found = _whole_answer(asked, intent.slots[asked], tokens)
        return sorted(found, key=lambda f: f.start)

    def _choices(
        self, intent: IntentConfig, name: str, spelt: list[str], asked: str | None
    ) -> list[_Found]:
        table = self._phrases[name]
        longest = max((len(key) for key in table), default=0)
        found: list[_Found] = []
        at = 0
        while at < len(spelt):
            for size in range(min(longest, len(spelt) - at), 0, -1):
                entries = table.get(tuple(spelt[at : at + size]))
                if not entries:
                    continue
                slot, value = next((e for e in entries if e[0] == asked), entries[0])
                item = _Found(slot, at, at + size, SlotValue(value, value), value)
                if intent.slots[slot].amounts:
                    _add_amount(item, spelt, found)
                found.append(item)
                at += size - 1
                break
            at += 1
        for item in found:
            item.negation = _negation(item, spelt, found)
        return found


def _openings(config: FlowConfig) -> dict[str, str]:
    """Phrases that ask for an intent without naming a value -> the intent."""
    rng = random.Random(0)
    macros = parse_macros(config.macros)
    result: dict[str, str] = {}
    for name, intent in config.intents.items():
        for phrase in intent.phrases:
            template = parse_template(phrase)
            for _ in range(60):
                text = " ".join(tokens_of(sample(template, rng, lambda _: "", macros)))
                if len(text.split()) > 2 or (text and not intent.slots):
                    result.setdefault(text, name)
    return result


def _add_amount(item: _Found, spelt: list[str], found: list[_Found]) -> None:
    """Extend a value by the amount before it: "a bit of" "brown sugar"."""
    for amount in _AMOUNTS:
        phrase = amount.split()
        if phrase[-1] == "of" and spelt[item.start - 1] != "of" and len(phrase) > 2:
            phrase.pop()  # "a lot sugar": a recogniser drops the short word
        start = item.start - len(phrase)
        if start < 0 or spelt[start : item.start] != phrase:
            continue
        # "light" and "double" may have been taken for values of their own: "light almond milk".
        found[:] = [f for f in found if f.end <= start]
        item.start = start
        item.value = SlotValue(f"{amount} {item.base}", f"{amount} {item.base}")
        return


def _negation(item: _Found, spelt: list[str], found: list[_Found]) -> str:
    """The negation that governs a value: `without`, `not`, `no`, or empty."""
    before = spelt[: item.start]
    article = bool(before) and before[-1] in ("a", "an")
    while before and before[-1] in ("a", "an", "the", "any"):
        before.pop()
    text = " ".join(before)
    for phrase in words.WITHOUT:
        if text == phrase or text.endswith(" " + phrase):
            return "without"
    if (before and before[-1] in ("not", "isn't")) or text.endswith(("instead of", "rather than")):
        return "not"
    if before and before[-1] == "no":
        return "" if article else "no"  # "no, a large one"
    if before and before[-1] in ("or", "and"):
        previous = next((f for f in found if f.end == len(before) - 1), None)
        if previous and previous.negation in ("without", "no"):
            return previous.negation if before[-1] == "or" or previous.negation else ""
    return ""


def _settle(
    intent: IntentConfig, found: list[_Found], spelt: list[str], context: Context
) -> tuple[dict[str, SlotValue], set[str]]:
    """One value per slot, and the slots that were taken back. Later words win."""
    values: dict[str, SlotValue] = {}
    removed: set[str] = set()
    for item in found:
        current = context.values.get(item.slot) or values.get(item.slot)
        if item.negation and _takes_back(item, intent.slots[item.slot], current, values, spelt):
            if item.slot not in values:
                removed.add(item.slot)
            continue
        values[item.slot] = item.value
        removed.discard(item.slot)
    # "not small": nothing is taken back when the slot held something else.
    for item in found:
        current = context.values.get(item.slot)
        if item.negation == "not" and current and item.base not in str(current.value):
            removed.discard(item.slot)
    return values, removed


def _takes_back(
    item: _Found,
    slot: SlotConfig,
    current: SlotValue | None,
    values: Values,
    spelt: list[str],
) -> bool:
    """Whether a negated value is taken back, or named as a correction ("no, large")."""
    if item.negation in ("without", "not"):
        return True
    if item.slot in values:
        return False  # "small no large" within one breath
    held = str(current.value) if current else ""
    if item.base in held:
        return True  # "no milk" when there was almond milk
    if slot.required:
        return False
    generic = any(item.base != other and item.base in other for other in slot.values)
    starts = spelt[: item.start] == ["no"]
    return not (starts and (bool(current) or not generic))


def _digits(slot: SlotConfig, raw: list[str], taken: set[int], asked: bool) -> Spoken | None:
    """Digits that were spoken, or typed while nobody had asked. Those of a secret are not taken
    from here: nobody but the tools may know them."""
    if slot.kind != "digits" or slot.secret:
        return None
    spoken = find_digits(raw, *slot.digits_range, asked=asked)
    free = spoken is not None and taken.isdisjoint(range(spoken.start, spoken.end))
    return spoken if free else None


def _whole_answer(name: str, slot: SlotConfig, tokens: list[str]) -> list[_Found]:
    joined = " ".join(tokens)
    if slot.kind == "yes_no" and (answer := answer_of(joined, tokens)) is not None:
        value = SlotValue("yes" if answer else "no", answer)
        return [_Found(name, 0, len(tokens), value, joined)]
    if slot.kind == "text" and tokens and command_of(joined, False) is None:
        return [_Found(name, 0, len(tokens), SlotValue(joined, joined), joined)]
    return []


def _rest(spelt: list[str], found: list[_Found]) -> list[str]:
    return [t for n, t in enumerate(spelt) if not any(f.start <= n < f.end for f in found)]
