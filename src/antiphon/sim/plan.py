"""What the caller of a world means to do: a plan, drawn from the seed.

A plan is data, so that it can be printed and cut down. Every word that means something occurs once
in a call; what became of it can therefore be followed from the mouth to the turn it ended up in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random


class Kind(Enum):
    """What sort of person calls."""

    TALKER = "talker"
    HESITATOR = "hesitator"  # pauses in the middle of a turn
    INTERRUPTER = "interrupter"
    BACKCHANNELER = "backchanneler"
    MUMBLER = "mumbler"  # speaks, and no word is understood
    COUGHER = "cougher"
    SILENT = "silent"
    DICTATOR = "dictator"  # of numbers, in groups
    TYPIST = "typist"
    KEYER = "keyer"  # presses the keys of a telephone
    NEIGHBOUR = "neighbour"  # sits beside somebody who speaks, further away


class When(Enum):
    """When an act begins: so many milliseconds after what."""

    AFTER = "after the agent has spoken"
    DURING = "after the agent began to speak"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Speech without a pause. `words` is empty for a sound of `sound_ms` that is no speech; words
    of a phrase with `clear` False are not understood; `far` speech is somebody else's. `pause_ms`
    is the silence after it."""

    words: tuple[str, ...]
    clear: bool = True
    sound_ms: int = 0
    pause_ms: int = 0
    far: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that the caller does: phrases, or typed text, or keys."""

    when: When
    delay_ms: int
    phrases: tuple[Phrase, ...] = ()
    typed: str = ""
    keys: str = ""

    def tell(self) -> str:
        """The act as a line of text."""
        return f"{self.delay_ms} ms {self.when.value}: {self._what()}"

    def _what(self) -> str:
        if self.typed:
            return f"types {self.typed!r}"
        if self.keys:
            return f"presses {self.keys}"
        told = []
        for phrase in self.phrases:
            text = repr(" ".join(phrase.words)) if phrase.words else f"{phrase.sound_ms} ms noise"
            text += "" if phrase.clear else " (mumbled)"
            text += " (from afar)" if phrase.far else ""
            told.append(text + (f", {phrase.pause_ms} ms silence" if phrase.pause_ms else ""))
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the caller means to do. `hangs_up_ms`: the call ends then, whatever happens;
    `leaves`: hangs up after the last act was answered; `patience_ms`: longest wait for an answer
    before going on regardless."""

    kind: Kind
    acts: tuple[Act, ...]
    hangs_up_ms: int | None
    leaves: bool
    patience_ms: int


_KINDS = tuple(Kind)
_VOCABULARY = (
    "coffee", "table", "friday", "large", "please", "window", "order", "street", "tomorrow",
    "doctor", "change", "number", "morning", "ticket", "milk", "invoice", "garden", "paper",
)  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_BACKCHANNELS = (("mm-hm",), ("yeah",), ("right",), ("okay",), ("uh-huh", "right"))


def between(rng: Random, low: int, high: int) -> int:
    """An integer from `low` to `high`. `Random.random` is the one method whose results are
    guaranteed never to change."""
    return low + int(rng.random() * (high - low + 1))


def means_something(word: str) -> bool:
    """Whether a word is one of those that occur once in a call."""
    return word[-1:].isdigit() and word[0].isalpha()


class _Writer:
    """Draws a plan."""

    __slots__ = ("_count", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng, self._count = rng, 0

    def plan(self) -> Plan:
        rng = self._rng
        kind = _KINDS[int(rng.random() * len(_KINDS))]
        acts: tuple[Act, ...] = ()
        if kind is not Kind.SILENT:
            acts = tuple(self._act(kind) for _ in range(between(rng, 2, 5)))
        hangs_up_ms = between(rng, 0, 45_000) if rng.random() < 0.12 else None
        return Plan(kind, acts, hangs_up_ms, rng.random() < 0.6, between(rng, 5000, 9000))

    def _act(self, kind: Kind) -> Act:
        rng = self._rng
        if rng.random() < 0.15:  # everybody does everything now and then
            kind = _KINDS[int(rng.random() * len(_KINDS))]
        during = When.DURING if rng.random() < 0.7 else When.AFTER
        after, delay_ms = When.AFTER, between(rng, 0, 1200)
        if kind in (Kind.TYPIST, Kind.KEYER):
            return self._hands(kind)
        if kind is Kind.HESITATOR:
            return Act(after, delay_ms, self._phrases(2, 4, 300, 1300))
        if kind is Kind.DICTATOR:
            groups = tuple(
                Phrase(self._digits(), pause_ms=between(rng, 300, 1000))
                for _ in range(between(rng, 2, 4))
            )
            return Act(after, delay_ms, groups)
        if kind is Kind.INTERRUPTER:
            words = self._words(1, 6)
            if rng.random() < 0.3:
                words = ("stop", *words)
            return Act(during, between(rng, 50, 4000), (Phrase(words),))
        if kind is Kind.BACKCHANNELER:
            words = _BACKCHANNELS[int(rng.random() * len(_BACKCHANNELS))]
            return Act(during, between(rng, 100, 3500), (Phrase(words),))
        if kind is Kind.NEIGHBOUR:
            # Words as on any call, and none that has to be followed.
            words = tuple(word.rstrip("0123456789") for word in self._words(1, 6))
            return Act(during, between(rng, 0, 4000), (Phrase(words, far=True),))
        if kind is Kind.MUMBLER:
            return Act(after, delay_ms, (Phrase(self._words(2, 8), clear=False),))
        if kind is Kind.COUGHER:
            sounds = tuple(
                Phrase((), sound_ms=between(rng, 80, 700), pause_ms=between(rng, 100, 900))
                for _ in range(between(rng, 1, 3))
            )
            return Act(during, between(rng, 0, 4000), sounds)
        return Act(after, delay_ms, self._phrases(1, 2, 200, 600))

    def _hands(self, kind: Kind) -> Act:
        rng = self._rng
        when = When.DURING if rng.random() < 0.3 else When.AFTER
        delay_ms = between(rng, 200, 3000)
        if kind is Kind.TYPIST:
            return Act(when, delay_ms, typed=" ".join(self._words(1, 5)))
        keys = "".join(str(between(rng, 0, 9)) for _ in range(between(rng, 1, 6)))
        return Act(when, delay_ms, keys=keys + ("#" if rng.random() < 0.5 else ""))

    def _phrases(self, fewest: int, most: int, low_ms: int, high_ms: int) -> tuple[Phrase, ...]:
        rng = self._rng
        return tuple(
            Phrase(self._words(1, 6), pause_ms=between(rng, low_ms, high_ms))
            for _ in range(between(rng, fewest, most))
        )

    def _words(self, fewest: int, most: int) -> tuple[str, ...]:
        return self._draw(_VOCABULARY, between(self._rng, fewest, most))

    def _digits(self) -> tuple[str, ...]:
        return self._draw(_DIGITS, between(self._rng, 2, 4))

    def _draw(self, words: tuple[str, ...], count: int) -> tuple[str, ...]:
        drawn = []
        for _ in range(count):
            self._count += 1
            drawn.append(f"{words[int(self._rng.random() * len(words))]}{self._count}")
        return tuple(drawn)


def draw_plan(rng: Random) -> Plan:
    """What the caller of one world means to do."""
    return _Writer(rng).plan()
