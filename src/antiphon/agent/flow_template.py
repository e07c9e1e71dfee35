"""The notation of a flow's phrases (what callers say) and sentences (what the agent says).

    {size}                a slot's value
    {size, roast}         several: spoken in any order, each may be missing; said one after another
    {milk & sugar}        several, joined by "and"
    [with {milk & sugar}] may be missing; in a sentence it is left out when no slot in it is set
    (get|give) me         either; what is usual comes first, as it is given more weight
    <want>                a macro: built-in or from the flow's `macros`

One notation serves both directions, so that a user learns one thing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

BUILTIN_MACROS: dict[str, str] = {
    "want": (
        "(i'd like|can i get|can i have|i'll have|give me|could i get|could i have|get me|i want"
        "|may i have|i'll take|make me|i would like|let me have|let me get|can you make me"
        "|can you get me|i need|can i please have|can i please get|could i please have|i'll get"
        "|bring me|please give me|please make me|please get me|may i get|may i please have"
        "|can you give me|could you make me|could you get me|could you give me|i'd love"
        "|i'd like to have|i'd like to get|i'd like to order|i want to order|i will have"
        "|i will take|i would like to have|i would like to order|i would love)"
    ),
    "a": "(a|one|the|)",
    "hello": "(hi|hello|hey|good morning|good afternoon|good evening|hi there|hello there)",
    "please": "(please|thanks|thank you)",
}


@dataclass(frozen=True, slots=True)
class Text:
    """Literal words."""

    text: str


@dataclass(frozen=True, slots=True)
class Slots:
    """One slot, or several joined by a space or by "and"."""

    names: tuple[str, ...]
    joiner: str = " "


@dataclass(frozen=True, slots=True)
class Macro:
    """A named template."""

    name: str


@dataclass(frozen=True, slots=True)
class Either:
    """Alternatives; `optional` adds the empty one."""

    options: tuple[Template, ...]
    optional: bool


Node = Text | Slots | Macro | Either
Template = tuple[Node, ...]

_TOKEN = re.compile(r"\{([^{}]*)\}|<([\w-]+)>|([\[\]()|])|([^{}<>\[\]()|]+)|(.)")
_NAME = re.compile(r"[A-Za-z_]\w*")


def parse_template(text: str) -> Template:
    """Parse one phrase or sentence; raise ValueError that quotes it."""
    tokens = list(_TOKEN.finditer(text))
    if bad := next((m for m in tokens if m.group(5)), None):
        raise ValueError(f"{text!r}: unexpected {bad.group(5)!r} at {bad.start() + 1}")
    options, rest = _parse_options(tokens, 0, text)
    if rest != len(tokens):
        raise ValueError(f"{text!r}: unexpected {tokens[rest].group()!r}")
    return options[0] if len(options) == 1 else (Either(tuple(options), optional=False),)


def _parse_options(
    tokens: Sequence[re.Match[str]], at: int, text: str
) -> tuple[list[Template], int]:
    options: list[list[Node]] = [[]]
    while at < len(tokens):
        slots, macro, mark, words, _ = tokens[at].groups()
        if mark in (")", "]"):
            break
        if mark == "|":
            options.append([])
        elif mark:
            inner, at = _parse_options(tokens, at + 1, text)
            close = ")" if mark == "(" else "]"
            if at >= len(tokens) or tokens[at].group() != close:
                raise ValueError(f"{text!r}: a {mark!r} is not closed")
            options[-1].append(Either(tuple(inner), optional=mark == "["))
        elif macro:
            options[-1].append(Macro(macro))
        elif slots is not None:
            options[-1].append(_parse_slots(slots, text))
        else:
            options[-1].append(Text(words))
        at += 1
    return [tuple(option) for option in options], at


def _parse_slots(inner: str, text: str) -> Slots:
    if "&" in inner and "," in inner:
        raise ValueError(f"{text!r}: {{{inner}}} mixes ',' and '&'")
    names = tuple(name.strip() for name in re.split("[,&]", inner))
    if bad := [name for name in names if not _NAME.fullmatch(name)]:
        raise ValueError(f"{text!r}: {bad[0]!r} is not a slot's name")
    return Slots(names, " and " if "&" in inner else " ")


def slots_of(template: Template) -> set[str]:
    """Names of all slots in a template."""
    names: set[str] = set()
    for node in template:
        if isinstance(node, Slots):
            names.update(node.names)
        elif isinstance(node, Either):
            for option in node.options:
                names |= slots_of(option)
    return names


def macros_of(template: Template) -> set[str]:
    """Names of all macros in a template."""
    names: set[str] = set()
    for node in template:
        if isinstance(node, Macro):
            names.add(node.name)
        elif isinstance(node, Either):
            for option in node.options:
                names |= macros_of(option)
    return names


def validate_macros(phrases: Iterable[str], macros: Mapping[str, str]) -> None:
    """Raise ValueError when a phrase uses a macro that does not exist, or macros recurse."""
    known = {**BUILTIN_MACROS, **macros}
    for name, text in macros.items():
        if inner := macros_of(parse_template(text)):
            raise ValueError(f"macro <{name}> may not use another macro: <{sorted(inner)[0]}>")
    for phrase in phrases:
        if unknown := sorted(macros_of(parse_template(phrase)) - set(known)):
            raise ValueError(
                f"{phrase!r}: unknown macro <{unknown[0]}>; macros are: {', '.join(known)}"
            )


def parse_macros(macros: Mapping[str, str]) -> dict[str, Template]:
    """The built-in macros and the flow's own."""
    return {k: parse_template(v) for k, v in {**BUILTIN_MACROS, **macros}.items()}


def sample(
    template: Template,
    rng: random.Random,
    value: Callable[[str], str],
    macros: Mapping[str, Template],
) -> str:
    """One thing that a caller may say. `value(slot)` gives a spoken value."""
    parts: list[str] = []
    for node in template:
        if isinstance(node, Text):
            parts.append(node.text)
        elif isinstance(node, Macro):
            parts.append(sample(macros[node.name], rng, value, macros))
        elif isinstance(node, Slots):
            parts.append(_sample_slots(node, rng, value))
        elif not node.optional or rng.random() < 0.5:
            # Zipf's law, as for most things that people say.
            weights = [1 / rank for rank in range(1, len(node.options) + 1)]
            (option,) = rng.choices(node.options, weights)
            parts.append(sample(option, rng, value, macros))
    return " ".join(" ".join(parts).split())


def _sample_slots(node: Slots, rng: random.Random, value: Callable[[str], str]) -> str:
    names = list(node.names)
    if len(names) > 1:
        # People name few details at once; a pause for thought comes after the second or third.
        lowest = 0 if node.joiner == " " else 1
        names = rng.sample(names, rng.randint(lowest, len(names)))
    return node.joiner.join(value(name) for name in names)


def render(template: Template, values: Mapping[str, str]) -> str:
    """A sentence of the agent. A slot that is not in `values` is left out."""
    text = _render(template, values)[0]
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([.,;:?!])", r"\1", text)
    text = re.sub(r"\b([Aa]) (?=(?:[aeio]|eight|eleven|un[^i])\w*)", r"\1n ", text)
    return text[:1].upper() + text[1:]


def _render(template: Template, values: Mapping[str, str]) -> tuple[str, bool]:
    """The text, and whether any slot in it is set."""
    parts: list[str] = []
    any_set = False
    for node in template:
        if isinstance(node, Text):
            parts.append(node.text)
        elif isinstance(node, Slots):
            given = [values[name] for name in node.names if values.get(name)]
            parts.append(node.joiner.join(given))
            any_set = any_set or bool(given)
        elif isinstance(node, Either):
            text, is_set = _render(node.options[0], values)
            if is_set or not node.optional:
                parts.append(text)
            any_set = any_set or is_set
    return "".join(parts), any_set
