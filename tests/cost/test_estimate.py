"""What a call will probably cost."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from antiphon.cost.book import Price, PriceBook, load_book
from antiphon.cost.estimate import Talk, estimate

TOKENS = ("input_tokens", "cached_tokens", "output_tokens")
BOOK = PriceBook(
    (
        Price("telephony", "line", "*", {"seconds": (Decimal("0.014"), 60)}),
        Price("stt", "ears", "*", {"seconds": (Decimal("0.0043"), 60)}),
        Price("stt", "open", "*", {"seconds": (Decimal("0.0043"), 60)}, whole_call=True),
        Price("llm", "brain", "*", {unit: (Decimal("0.005"), 1000) for unit in TOKENS}),
        Price("tts", "voice", "*", {"characters": (Decimal("0.30"), 1000)}),
        Price("tts", "minutes", "*", {"seconds": (Decimal("0.06"), 60)}),
        Price("tts", "flite", "*", {}, local=True),
    )
)
PARTS = [("telephony", "line", ""), ("stt", "ears", ""), ("llm", "brain", ""), ("tts", "voice", "")]
THREE = Talk(Decimal(3), 12)


def test_the_example_of_the_issue() -> None:
    talk = replace(THREE, stt_minutes=Decimal(3), llm_tokens=1000, characters=500)
    made = estimate(BOOK, PARTS, talk)
    dollars = [line.dollars for line in made.lines]
    assert dollars == [Decimal(one) for one in ("0.042", "0.0129", "0.005", "0.15")]
    assert round(made.total, 2) == Decimal("0.21")


def test_the_brains_part_grows_with_the_square_of_the_length() -> None:
    short, long = (
        estimate(BOOK, PARTS, Talk(Decimal(m), 4 * m, prompt_tokens=0)).lines[2].quantities
        for m in (2, 20)
    )
    assert long["output_tokens"] / short["output_tokens"] == pytest.approx(10, abs=0.1)
    assert long["input_tokens"] / short["input_tokens"] == pytest.approx(100, abs=1)


def test_a_recogniser_hears_the_caller_or_the_whole_call() -> None:
    parts = [("stt", "ears", ""), ("stt", "open", "")]
    one, other = (line.quantities["seconds"] for line in estimate(BOOK, parts, THREE).lines)
    assert one == Decimal("85.2")
    assert other == 180
    talkative = replace(THREE, caller_share=Decimal(1))
    assert estimate(BOOK, parts, talkative).lines[0].quantities["seconds"] == 180


def test_what_is_cached_and_what_is_wasted() -> None:
    plain = THREE.used("llm")
    cached = replace(THREE, cached_share=Decimal("0.5")).used("llm")
    wasted = replace(THREE, wasted_share=Decimal("0.5"))
    assert cached["cached_tokens"] * 2 == pytest.approx(plain["input_tokens"], abs=1)
    assert sum(cached.values()) == sum(plain.values())
    assert wasted.used("llm")["output_tokens"] > plain["output_tokens"]
    assert wasted.used("tts")["characters"] > THREE.used("tts")["characters"]


def test_a_voice_is_charged_for_characters_or_for_time() -> None:
    parts = [("tts", "voice", ""), ("tts", "minutes", "")]
    one, other = estimate(BOOK, parts, THREE).lines
    assert set(one.quantities) == {"characters"}
    assert set(other.quantities) == {"seconds"}
    assert other.dollars == Decimal("0.081")


def test_what_is_unknown_is_said_and_what_is_here_is_free() -> None:
    made = estimate(BOOK, [("tts", "flite", ""), ("llm", "oracle", "delphi")], THREE)
    assert made.total == 0
    assert made.values()["unknown"] == ["llm oracle delphi"]
    assert made.values()["parts"][1]["dollars"] is None


def test_prices_that_are_given_count_first() -> None:
    given = {"tts": Price("tts", "", "*", {"characters": (Decimal(1), 1000)})}
    made = estimate(BOOK, PARTS, replace(THREE, characters=500), given)
    assert made.lines[3].dollars == Decimal("0.5")


def test_speech_to_speech_by_the_minute_and_by_tokens() -> None:
    parts = [("realtime", "deepgram", ""), ("realtime", "openai", "gpt-realtime")]
    one, other = estimate(load_book(), parts, THREE).lines
    assert one.dollars == Decimal("0.24")
    assert other.dollars is not None
    assert Decimal("0.05") < other.dollars < Decimal("0.50")


def test_every_assumption_is_told() -> None:
    made = estimate(BOOK, PARTS, THREE).values()["assumptions"]
    assert made["minutes"] == "3"
    assert "llm-tokens" not in made
    given = replace(THREE, llm_tokens=7, characters=0, stt_minutes=Decimal("0.5"))
    told = {key: value for key, value, _ in given.assumptions()}
    assert (told["--llm-tokens"], told["--characters"], told["--stt-minutes"]) == ("7", "0", "0.5")


def test_a_brain_that_says_nothing_costs_nothing() -> None:
    silent = replace(THREE, caller_share=Decimal(0), agent_share=Decimal(0), prompt_tokens=0)
    assert estimate(BOOK, PARTS, replace(silent, llm_tokens=1000)).lines[2].dollars == 0
