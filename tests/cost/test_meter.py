"""What a call costs, by part."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from antiphon.cost.book import PriceBook, read_prices
from antiphon.cost.meter import Meter, text

PRICES = """
prices:
  - {kind: stt, provider: ears, per_minute: 0.0043, as_of: 2026-01-01}
  - {kind: llm, provider: brain, model: big*, per_1m_input: 2, per_1m_cached: 0.5, per_1m_output: 8}
  - {kind: tts, provider: voice, per_1k_characters: 0.30}
  - {kind: telephony, provider: line, per_minute: 0.014}
  - {kind: tts, provider: here, local: true}
"""


@pytest.fixture
def meter(tmp_path: Path) -> Meter:
    (tmp_path / "prices.yaml").write_text(PRICES, encoding="utf-8")
    return Meter(PriceBook(read_prices(tmp_path / "prices.yaml")))


def test_the_parts_sum_to_the_total(meter: Meter) -> None:
    meter.set_seconds("telephony", "line", "", Decimal(180))
    meter.set_seconds("stt", "ears", "", Decimal(180))
    meter.add("llm", "brain", "big-1", {"input_tokens": 1000, "output_tokens": 375})
    meter.add("tts", "voice", "", {"characters": 300})
    meter.add("tts", "voice", "", {"characters": 200})
    assert meter.total == Decimal("0.2099")
    assert sum(meter.by_part().values()) == meter.total
    bill = meter.bill()
    assert bill["total"] == "0.2099"
    assert bill["parts"][1] == {
        "part": "stt",
        "provider": "ears",
        "seconds": 180,
        "dollars": "0.0129",
        "price_as_of": "2026-01-01",
    }
    assert sum(Decimal(one["dollars"]) for one in bill["parts"]) == Decimal(bill["total"])


def test_time_is_told_as_a_whole(meter: Meter) -> None:
    for seconds in ("0", "20.5", "60"):
        meter.set_seconds("telephony", "line", "", Decimal(seconds))
    assert meter.total == Decimal("0.014")


def test_an_unknown_price_is_not_zero(meter: Meter) -> None:
    meter.add("llm", "brain", "small", {"input_tokens": 10})
    meter.add("tts", "here", "", {"characters": 10})
    assert meter.unknown == ("llm brain small",)
    assert meter.bill()["parts"][0]["dollars"] is None
    assert meter.bill()["parts"][1]["dollars"] == "0"
    assert meter.total == 0


def test_looking_a_price_up_is_no_use(meter: Meter) -> None:
    assert meter.price("tts", "voice", "") is not None
    assert meter.lines == ()
    meter.add("tts", "voice", "", {"characters": 0})
    meter.set_seconds("stt", "ears", "", Decimal(0))
    assert meter.lines == ()


def test_what_a_dropped_answer_cost_is_wasted_and_in_the_sum(meter: Meter) -> None:
    meter.add("tts", "voice", "", {"characters": 100}, response_id=1)
    meter.add("tts", "voice", "", {"characters": 100}, response_id=2)
    meter.drop(2)
    # The service tells what the answer has cost after it was dropped.
    meter.add("llm", "brain", "big", {"input_tokens": 500}, response_id=2, estimated=True)
    assert meter.bill()["speculation_wasted"] == "0.031"
    assert meter.total == Decimal("0.061")
    assert meter.bill()["parts"][1]["estimated"] is True
    meter.drop(7)
    assert meter.wasted == Decimal("0.031")


def test_only_the_newest_answers_are_told_apart(meter: Meter) -> None:
    for number in range(100):
        meter.add("tts", "voice", "", {"characters": 10}, response_id=number)
    meter.drop(1)
    assert meter.wasted == 0
    meter.drop(99)
    assert meter.wasted == Decimal("0.003")
    assert meter.total == Decimal("0.3")


def test_amounts_are_exact_to_a_billionth(meter: Meter) -> None:
    meter.set_seconds("stt", "ears", "", Decimal(1))
    assert meter.total == Decimal("0.000071667")
    assert text(Decimal("0.042000")) == "0.042"
    assert text(Decimal(0)) == "0"
    assert text(Decimal(100)) == "100"
