"""What a call will probably cost, before there was one, from assumptions that are all stated.

The brain reads its instructions and all that was said before at every turn, so its tokens grow with
the square of a call's length; everything else grows with its length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from antiphon.cost.book import CHARACTERS, SECONDS, Price, PriceBook
from antiphon.cost.meter import Line, text

AROUND_SPEECH_S = Decimal("1.1")
"""A recogniser hears so much of the silence before and after each utterance."""
AUDIO_IN_PER_S, AUDIO_OUT_PER_S = 10, 20
"""Tokens of a second of audio, as OpenAI counts them (platform.openai.com, Realtime costs)."""


@dataclass(frozen=True, slots=True)
class Talk:
    """What is assumed of a call. Shares are of the call's length; None: follows from the others."""

    minutes: Decimal
    turns: int
    caller_share: Decimal = Decimal("0.4")
    agent_share: Decimal = Decimal("0.45")
    words_a_minute: int = 150
    characters_a_word: Decimal = Decimal(6)
    tokens_a_word: Decimal = Decimal("1.35")
    prompt_tokens: int = 500
    cached_share: Decimal = Decimal(0)
    wasted_share: Decimal = Decimal(0)
    stt_minutes: Decimal | None = None
    llm_tokens: int | None = None
    characters: int | None = None

    def assumptions(self) -> list[tuple[str, str, str]]:
        """Every number, and what it means."""
        told = [
            ("--minutes", text(self.minutes), "length of the call"),
            ("--turns", str(self.turns), "turns of the caller"),
            ("--caller-share", text(self.caller_share), "of the call the caller speaks"),
            ("--agent-share", text(self.agent_share), "of the call the agent speaks"),
            ("--words", str(self.words_a_minute), "words a minute, of both"),
            ("--word-characters", text(self.characters_a_word), "characters of a word and a space"),
            ("--word-tokens", text(self.tokens_a_word), "tokens of a word"),
            ("--prompt-tokens", str(self.prompt_tokens), "of instructions and tools, every turn"),
            ("--cached", text(self.cached_share), "of what the brain reads is in a cache"),
            ("--wasted", text(self.wasted_share), "answers prepared for nothing, for each given"),
        ]
        given = {
            "--stt-minutes": (self.stt_minutes, "the recogniser hears"),
            "--llm-tokens": (self.llm_tokens, "the brain reads and writes"),
            "--characters": (self.characters, "the voice is given"),
        }
        told += [(k, text(Decimal(v)), what) for k, (v, what) in given.items() if v is not None]
        return told

    # ---- what it comes to ------------------------------------------------------------------

    def _words(self, share: Decimal) -> Decimal:
        return self.minutes * share * self.words_a_minute

    def used(self, part: str) -> dict[str, Decimal]:
        """How much of what a part of the agent uses."""
        counted = {
            "telephony": self._time,
            "stt": self._hearing,
            "llm": self._thinking,
            "tts": self._speaking,
            "realtime": self._realtime,
        }[part]()
        return {unit: quantity for unit, quantity in counted.items() if quantity}

    def _time(self) -> dict[str, Decimal]:
        return {SECONDS: self.minutes * 60}

    def _hearing(self) -> dict[str, Decimal]:
        if self.stt_minutes is not None:
            return {SECONDS: self.stt_minutes * 60}
        heard_s = self.minutes * 60 * self.caller_share + self.turns * AROUND_SPEECH_S
        return {SECONDS: min(heard_s, self.minutes * 60)}

    def _thinking(self) -> dict[str, Decimal]:
        said = self._words(self.caller_share + self.agent_share) * self.tokens_a_word
        written = self._words(self.agent_share) * self.tokens_a_word
        # At its turn n the brain reads n / turns of all that is said in the call.
        read = self.turns * (self.prompt_tokens + said / 2)
        read, written = (_whole(one * (1 + self.wasted_share)) for one in (read, written))
        if self.llm_tokens is not None and read + written:
            written = _whole(self.llm_tokens * written / (read + written))
            read = self.llm_tokens - written
        cached = _whole(read * self.cached_share)
        return {"input_tokens": read - cached, "cached_tokens": cached, "output_tokens": written}

    def _speaking(self) -> dict[str, Decimal]:
        characters = _whole(self._words(self.agent_share) * self.characters_a_word)
        characters = _whole(characters * (1 + self.wasted_share / 2))
        if self.characters is not None:
            characters = Decimal(self.characters)
        return {CHARACTERS: characters, SECONDS: self.minutes * 60 * self.agent_share}

    def _realtime(self) -> dict[str, Decimal]:
        heard = self.minutes * 60 * self.caller_share * AUDIO_IN_PER_S
        spoken = self.minutes * 60 * self.agent_share * AUDIO_OUT_PER_S
        return {
            SECONDS: self.minutes * 60,
            "input_tokens": Decimal(self.prompt_tokens),
            "cached_tokens": Decimal(self.prompt_tokens * max(0, self.turns - 1)),
            "audio_input_tokens": _whole(heard),
            # What was said before is read again at every turn, from the model's own cache.
            "audio_cached_tokens": _whole((heard + spoken) * max(0, self.turns - 1) / 2),
            "audio_output_tokens": _whole(spoken),
        }


def _whole(number: Decimal | int) -> Decimal:
    return Decimal(number).to_integral_value()


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call will probably cost. `total` is without what is unknown."""

    lines: tuple[Line, ...]
    talk: Talk

    @property
    def total(self) -> Decimal:
        """Dollars."""
        return sum((line.dollars or Decimal(0) for line in self.lines), Decimal(0))

    def values(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "currency": "USD",
            "total": text(self.total),
            "parts": [line.values() for line in self.lines],
            "unknown": [f"{x.part} {x.provider} {x.model}".strip() for x in self.unknown],
            "assumptions": {key.removeprefix("--"): v for key, v, _ in self.talk.assumptions()},
        }

    @property
    def unknown(self) -> tuple[Line, ...]:
        """Parts without a price."""
        return tuple(line for line in self.lines if line.price is None)


def estimate(
    book: PriceBook,
    services: Sequence[tuple[str, str, str]],
    talk: Talk,
    prices: Mapping[str, Price] | None = None,
) -> Estimate:
    """Estimate a call.

    Args:
        services: part, provider and model of what is used.
        prices: those of a part that are to count instead of the book's.
    """
    lines = []
    for part, provider, model in services:
        price = (prices or {}).get(part) or book.find(part, provider, model)
        assumed = talk
        if part == "stt" and price is not None and price.whole_call and talk.stt_minutes is None:
            assumed = replace(talk, stt_minutes=talk.minutes)
        used = assumed.used(part)
        if price is not None and not price.local:
            used = {unit: count for unit, count in used.items() if price.charges(unit)}
        lines.append(Line(part, provider, model, price, used))
    return Estimate(tuple(lines), talk)
