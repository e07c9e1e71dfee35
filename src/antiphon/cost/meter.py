"""What a call costs, by part. Amounts are exact decimals of dollars, to a billionth of a dollar.

Whoever counts tells how much of what was used; the price book says what that costs. What has no
price there is listed as unknown and is not in the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from antiphon.cost.book import SECONDS, Price, PriceBook

NANO = Decimal("0.000000001")
_RESPONSES = 32
"""Responses whose cost is kept apart, to tell what a dropped one has cost."""

Quantities = Mapping[str, Decimal | int]


@dataclass(slots=True)
class Line:
    """One service of a call. `estimated`: some of it was not told by the service."""

    part: str
    provider: str
    model: str
    price: Price | None
    quantities: dict[str, Decimal] = field(default_factory=dict)
    estimated: bool = False

    @property
    def dollars(self) -> Decimal | None:
        """None: nobody knows."""
        return None if self.price is None else _nano(self.price.dollars(self.quantities))

    def values(self) -> dict[str, Any]:
        """The line as JSON."""
        told: dict[str, Any] = {"part": self.part, "provider": self.provider}
        if self.model:
            told["model"] = self.model
        told |= {unit: plain(quantity) for unit, quantity in self.quantities.items()}
        dollars = self.dollars
        told["dollars"] = None if dollars is None else text(dollars)
        if self.price is not None and self.price.as_of:
            told["price_as_of"] = self.price.as_of
        if self.estimated:
            told["estimated"] = True
        return told


class Meter:
    """The lines of one call."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._responses: dict[int, Decimal] = {}
        self._dropped: set[int] = set()
        self.wasted = Decimal(0)

    def price(self, part: str, provider: str, model: str) -> Price | None:
        """What the book says of a service."""
        return self._line(part, provider, model, keep=False).price

    def add(
        self,
        part: str,
        provider: str,
        model: str,
        quantities: Quantities,
        *,
        response_id: int | None = None,
        estimated: bool = False,
    ) -> None:
        """So much more was used, for a response where it is known which."""
        used = {unit: Decimal(count) for unit, count in quantities.items() if count > 0}
        if not used:
            return
        line = self._line(part, provider, model)
        line.estimated = line.estimated or estimated
        for unit, count in used.items():
            line.quantities[unit] = line.quantities.get(unit, Decimal(0)) + count
        if response_id is not None and line.price is not None:
            self._count(response_id, line.price.dollars(used))

    def set_seconds(self, part: str, provider: str, model: str, seconds: Decimal) -> None:
        """So much time was used so far in all."""
        if seconds > 0:
            self._line(part, provider, model).quantities[SECONDS] = seconds

    def drop(self, response_id: int) -> None:
        """A response was prepared for nothing: what it has cost, and will, is wasted."""
        self.wasted += self._responses.pop(response_id, Decimal(0))
        self._dropped.add(response_id)

    def _count(self, response_id: int, dollars: Decimal) -> None:
        if response_id in self._dropped:
            self.wasted += dollars
            return
        self._responses[response_id] = self._responses.get(response_id, Decimal(0)) + dollars
        while len(self._responses) > _RESPONSES:
            del self._responses[next(iter(self._responses))]

    def _line(self, part: str, provider: str, model: str, *, keep: bool = True) -> Line:
        key = (part, provider, model)
        line = self._lines.get(key)
        if line is None:
            line = Line(*key, self._book.find(part, provider, model))
            if keep:
                self._lines[key] = line
        return line

    # ---- what it comes to ------------------------------------------------------------------

    @property
    def lines(self) -> tuple[Line, ...]:
        """One for each service that was used."""
        return tuple(self._lines.values())

    @property
    def total(self) -> Decimal:
        """Dollars, without what is unknown."""
        return sum((line.dollars or Decimal(0) for line in self.lines), Decimal(0))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Services without a price."""
        return tuple(
            " ".join(filter(None, (line.part, line.provider, line.model)))
            for line in self.lines
            if line.price is None
        )

    def by_part(self) -> dict[str, Decimal]:
        """Dollars of each part."""
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            sums[line.part] = sums.get(line.part, Decimal(0)) + (line.dollars or 0)
        return sums

    def bill(self) -> dict[str, Any]:
        """All of it as JSON: dollars are texts of exact decimals. `speculation_wasted` is a share
        of the total, not one more part."""
        return {
            "currency": "USD",
            "total": text(self.total),
            "parts": [line.values() for line in self.lines],
            "speculation_wasted": text(_nano(self.wasted)),
            "unknown": list(self.unknown),
        }


def _nano(dollars: Decimal) -> Decimal:
    return dollars.quantize(NANO, ROUND_HALF_UP)


def text(dollars: Decimal) -> str:
    """An amount without needless zeros: `0.042`."""
    return format(dollars.normalize(), "f") if dollars else "0"


def plain(quantity: Decimal) -> int | float:
    """A quantity as a JSON number."""
    whole = int(quantity)
    return whole if whole == quantity else float(quantity)
