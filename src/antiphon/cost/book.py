"""The price book: what a minute, a token or a character of each service costs, and as of when.

The package's own book is `prices.yaml` beside this module. A file of the user's (`prices:` in the
agent's file, or the environment variable ANTIPHON_PRICES) is laid over it: its entries come first.
What no entry matches has no known price, which is not the same as nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from antiphon.agent.explain import AgentFileError, explain
from antiphon.agent.yaml_lines import read_document
from antiphon.errors import ConfigError

Kind = Literal["stt", "llm", "tts", "realtime", "telephony"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRICES_VARIABLE = "ANTIPHON_PRICES"
PACKAGE_BOOK = Path(__file__).parent / "prices.yaml"

ANY_PROVIDER = ("router", "auto")
"""Brains that pass a request on to another provider: their prices are those of the model's name."""
_SAME_PRICES = {("llm", "openai-responses"): "openai"}

# What is measured, and how it is written in the book: key -> (unit, how many the price is for).
SECONDS, CHARACTERS = "seconds", "characters"
_KEYS: dict[str, tuple[str, int]] = {
    "per_minute": (SECONDS, 60),
    "per_hour": (SECONDS, 3600),
    "per_1k_characters": (CHARACTERS, 1000),
    "per_1m_characters": (CHARACTERS, 10**6),
    "per_1k_input": ("input_tokens", 1000),
    "per_1m_input": ("input_tokens", 10**6),
    "per_1k_cached": ("cached_tokens", 1000),
    "per_1m_cached": ("cached_tokens", 10**6),
    "per_1k_output": ("output_tokens", 1000),
    "per_1m_output": ("output_tokens", 10**6),
    "per_1m_audio_input": ("audio_input_tokens", 10**6),
    "per_1m_audio_cached": ("audio_cached_tokens", 10**6),
    "per_1m_audio_output": ("audio_output_tokens", 10**6),
}
_TOKENS = {"per_1k_tokens": 1000, "per_1m_tokens": 10**6}
_TEXT = ("input_tokens", "cached_tokens", "output_tokens")
_AUDIO = ("audio_input_tokens", "audio_cached_tokens", "audio_output_tokens")
_UNITS: dict[str, tuple[str, ...]] = {
    "stt": (SECONDS,),
    "llm": _TEXT,
    "tts": (SECONDS, CHARACTERS),
    "realtime": (SECONDS, *_TEXT, *_AUDIO),
    "telephony": (SECONDS,),
}
# A token that was read from a cache costs no more than one that was not.
_INSTEAD = {"cached_tokens": "input_tokens", "audio_cached_tokens": "audio_input_tokens"}

Amount = Annotated[float | None, Field(default=None, ge=0, le=1_000_000)]


class PriceEntry(BaseModel):
    """An entry of a price file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    provider: Annotated[str, Field(min_length=1, strict=True)]
    model: Annotated[str, Field(strict=True)] = "*"
    as_of: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", strict=True)] = ""
    source: Annotated[str, Field(strict=True)] = ""
    local: Annotated[bool, Field(strict=True)] = False
    whole_call: Annotated[bool, Field(strict=True)] = False
    step_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 1
    per_minute: Amount
    per_hour: Amount
    per_1k_characters: Amount
    per_1m_characters: Amount
    per_1k_tokens: Amount
    per_1m_tokens: Amount
    per_1k_input: Amount
    per_1m_input: Amount
    per_1k_cached: Amount
    per_1m_cached: Amount
    per_1k_output: Amount
    per_1m_output: Amount
    per_1m_audio_input: Amount
    per_1m_audio_cached: Amount
    per_1m_audio_output: Amount

    def rates(self) -> dict[str, tuple[Decimal, int]]:
        """Unit -> dollars for so many."""
        found: dict[str, tuple[Decimal, int]] = {}
        for key, count in _TOKENS.items():
            if (amount := getattr(self, key)) is not None:
                found.update(dict.fromkeys(_TEXT, (_exact(amount), count)))
        for key, (unit, count) in _KEYS.items():
            if (amount := getattr(self, key)) is not None:
                found[unit] = (_exact(amount), count)
        return found

    @model_validator(mode="after")
    def _prices_fit(self) -> PriceEntry:
        rates = self.rates()
        if self.local and rates:
            raise ValueError("`local: true` costs nothing; take the price or `local` away")
        if not self.local and not rates:
            raise ValueError("there is no price; write one, such as `per_minute`, or `local: true`")
        for unit in rates:
            if unit not in _UNITS[self.kind]:
                fit = [key for key, (one, _) in _KEYS.items() if one in _UNITS[self.kind]]
                raise ValueError(
                    f"a price of {unit.replace('_', ' ')} does not fit `kind: {self.kind}`; "
                    f"there are {', '.join(fit)}"
                )
        return self


class PriceFile(BaseModel):
    """A price file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prices: tuple[PriceEntry, ...]


def _exact(amount: float) -> Decimal:
    """The number as it is written, not as it is stored."""
    return Decimal(repr(amount))


@dataclass(frozen=True, slots=True)
class Price:
    """What one entry says. `whole_call`: its time is that of the call; `step_s`: time counts in
    steps of so many seconds."""

    kind: str
    provider: str
    model: str
    rates: Mapping[str, tuple[Decimal, int]]
    as_of: str = ""
    source: str = ""
    local: bool = False
    whole_call: bool = False
    step_s: int = 1

    def dollars(self, quantities: Mapping[str, Decimal | int]) -> Decimal:
        """The price of so much of each unit; a unit that is not charged for costs nothing.
        `input_tokens` are those that no cache had."""
        total = Decimal(0)
        for unit, quantity in quantities.items():
            rate = self._rate(unit)
            if rate is None:
                continue
            if unit == SECONDS and self.step_s > 1:
                steps = Decimal(quantity) / self.step_s
                quantity = steps.to_integral_value(ROUND_CEILING) * self.step_s
            total += Decimal(quantity) * rate[0] / rate[1]
        return total

    def charges(self, unit: str) -> bool:
        """Whether a unit is charged for."""
        return self._rate(unit) is not None

    def _rate(self, unit: str) -> tuple[Decimal, int] | None:
        return self.rates.get(unit) or self.rates.get(_INSTEAD.get(unit, ""))


class PriceBook:
    """Prices to look up; the entries of an earlier layer count before those of a later one."""

    def __init__(self, *layers: Sequence[Price]) -> None:
        self.layers = layers

    def find(self, kind: str, provider: str, model: str) -> Price | None:
        """The price of a model; None when nobody has written it down. Names are compared without
        regard to case; within a layer the longest pattern counts."""
        names = dict.fromkeys((provider, _SAME_PRICES.get((kind, provider), provider)))
        for layer in self.layers:
            fitting = [
                one
                for one in layer
                if one.kind == kind and fnmatchcase(model.lower(), one.model.lower())
            ]
            for name in names:
                if own := [one for one in fitting if one.provider == name]:
                    return max(own, key=_exactness)
            by_name = [one for one in fitting if one.model != "*"]
            if by_name and provider in ANY_PROVIDER:
                return max(by_name, key=_exactness)
        return None

    def all(self) -> Iterator[Price]:
        """Every price that counts, those of the user first."""
        seen = set()
        for layer in self.layers:
            for one in layer:
                key = (one.kind, one.provider, one.model.lower())
                if key not in seen:
                    seen.add(key)
                    yield one


def _exactness(price: Price) -> tuple[bool, int]:
    return "*" not in price.model, len(price.model)


def load_book(path: str | Path | None = None) -> PriceBook:
    """The package's prices under those of `path`, or of the file that ANTIPHON_PRICES names.

    Raises:
        ConfigError: a file cannot be read, or something in it is wrong; says in which line.
    """
    named = path or os.environ.get(PRICES_VARIABLE, "").strip() or None
    package = _package_prices()
    return PriceBook(package) if named is None else PriceBook(read_prices(named), package)


@cache
def _package_prices() -> tuple[Price, ...]:
    return read_prices(PACKAGE_BOOK)


def read_prices(path: str | Path) -> tuple[Price, ...]:
    """The entries of one file; raises like `load_book`."""
    try:
        document = read_document(path)
    except ConfigError as error:
        if not error.message.startswith("the file is empty"):
            raise
        message = "the file is empty; a price file begins with `prices:`"
        raise ConfigError(message, path=error.path, line=error.line) from None
    problems = list(document.problems)
    try:
        file = PriceFile.model_validate(document.value)
    except ValidationError as error:
        problems += explain(error, document, PriceFile.model_json_schema())
    if problems:
        raise AgentFileError(problems)
    return tuple(
        Price(
            one.kind, one.provider, one.model, one.rates(), one.as_of, one.source,
            one.local, one.whole_call, one.step_s,
        )
        for one in file.prices
    )  # fmt: skip
