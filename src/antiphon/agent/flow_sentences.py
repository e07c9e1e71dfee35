"""Things that callers of a flow are likely to say: the corpus of the recogniser's language model.

Sampled, not enumerated: the combinations of a real order run into millions, while an n-gram model
needs only enough of them to see each neighbourhood of words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from antiphon.agent import flow_words as words
from antiphon.agent.flow_config import FlowConfig, IntentConfig, SlotConfig
from antiphon.agent.flow_digits import sample_digits
from antiphon.agent.flow_spoken import sample_date, sample_name, sample_number, sample_time
from antiphon.agent.flow_template import Template, parse_macros, parse_template
from antiphon.agent.flow_template import sample as sample_template

# Share of the corpus by kind. Whole requests have the most variety, so they need the most samples;
# the short ones are few but must not be improbable, because a caller says them in every call.
REQUESTS, ANSWERS, CORRECTIONS, GENERAL = 0.55, 0.2, 0.15, 0.1


# Templates write "a" or "[a|an]"; people say the one that fits the next word.
_ARTICLE_AN = re.compile(r"\b(a)(?= (?:[aeio]|eight|eleven))")
_ARTICLE = re.compile(r"\b(a)n(?= (?!eight|eleven|hour|honest)[^aeio])")


def spoken_value(slot: SlotConfig, rng: random.Random) -> str:
    """One way of saying a value of the slot."""
    if slot.examples and rng.random() < 0.8:
        return rng.choice(slot.examples)
    match slot.kind:
        case "choice":
            value = rng.choice(list(slot.values))
            others = slot.values[value]
            text = rng.choice(others) if others and rng.random() < 0.25 else value
            if slot.amounts and rng.random() < 0.5:
                text = f"{_amount(rng)} {text}"
            return text
        case "number":
            return sample_number(rng, slot.min, slot.max)
        case "name":
            return sample_name(rng)
        case "date":
            return sample_date(rng)
        case "time":
            return sample_time(rng)
        case "yes_no":
            return rng.choice(words.YES + words.NO)
        case "text":
            return rng.choice(slot.examples) if slot.examples else ""
        case "digits":
            return "" if slot.secret else sample_digits(rng, *slot.digits_range)


def _amount(rng: random.Random) -> str:
    return rng.choice(words.COMMON_AMOUNTS if rng.random() < 0.85 else words.AMOUNTS)


def sentences(config: FlowConfig, limit: int, seed: int = 0) -> tuple[str, ...]:
    """`limit` samples, repeated ones included: how often a sentence occurs is its weight."""
    rng = random.Random(seed)
    macros = parse_macros(config.macros)
    intents = list(config.intents.values())
    phrases = {id(i): [parse_template(p) for p in i.phrases] for i in intents}

    def request(intent: IntentConfig) -> str:
        template: Template = rng.choice(phrases[id(intent)])
        return sample_template(template, rng, lambda n: spoken_value(intent.slots[n], rng), macros)

    def answer(intent: IntentConfig) -> str:
        slot = _slot(intent, rng)
        return "" if slot is None else _answer(slot, rng)

    def correction(intent: IntentConfig) -> str:
        slot = _slot(intent, rng)
        return "" if slot is None else _correction(slot, rng)

    makers: Sequence[tuple[float, Callable[[IntentConfig], str]]] = (
        (REQUESTS, request),
        (ANSWERS, answer),
        (CORRECTIONS, correction),
        (GENERAL, lambda _: _general(rng)),
    )
    result: list[str] = []
    for share, make in makers:
        made = (make(intents[n % len(intents)]) for n in range(round(share * limit)))
        result.extend(text for text in made if text)
    # Each general phrase occurs at least once, so that none is out of vocabulary.
    result.extend(p for group in (words.YES, words.NO, *words.COMMANDS.values()) for p in group)
    for intent in intents:
        for slot in intent.slots.values():
            result.extend(p for value, others in slot.values.items() for p in (value, *others))
            result.extend((*slot.decline, *slot.examples))
    return tuple(speakable(text) for text in result)


def speakable(text: str) -> str:
    """The recogniser's spelling: lower case, no punctuation but the apostrophe."""
    kept = "".join(c if c.isalnum() or c == "'" else " " for c in text.lower())
    return _ARTICLE.sub(r"\1", _ARTICLE_AN.sub(r"\1n", " ".join(kept.split())))


def _slot(intent: IntentConfig, rng: random.Random) -> SlotConfig | None:
    return rng.choice(list(intent.slots.values())) if intent.slots else None


def _answer(slot: SlotConfig, rng: random.Random) -> str:
    if slot.decline and rng.random() < 0.1:
        return rng.choice(slot.decline)
    shapes = words.BARE_ANSWERS if rng.random() < 0.8 else words.ANSWERS
    return rng.choice(shapes).format(spoken_value(slot, rng))


def _correction(slot: SlotConfig, rng: random.Random) -> str:
    def value(_: int = 0) -> str:
        return spoken_value(slot, rng)

    if slot.required:
        return rng.choice(words.CORRECTIONS).format(value(), value())
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(words.ADDITIONS).format(value())
    if kind < 0.65 and slot.kind == "choice":
        return rng.choice(words.REMOVALS).format(rng.choice(list(slot.values)))
    return rng.choice(words.CORRECTIONS).format(value(), value())


def _general(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(words.YES if rng.random() < 0.3 else words.COMMON_YES)
    if kind < 0.55:
        return rng.choice(words.NO if rng.random() < 0.3 else words.COMMON_NO)
    if kind < 0.65:
        return rng.choice(words.NOTHING_MORE)
    return rng.choice(rng.choice(list(words.COMMANDS.values())))
