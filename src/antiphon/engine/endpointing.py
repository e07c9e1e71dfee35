"""How long a pause must be to end the caller's turn: a continuous function of all that is known.

Each clue is a probability that the caller is done. They are added as log-odds, each with the weight
that it deserves; the sum gives the wait, from `max_ms` (surely not done) by `unknown_ms` (even) to
`min_ms` (surely done).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from antiphon.engine.language import Language
from antiphon.engine.phrase import Expected, log_odds, read
from antiphon.engine.policy import Endpointing


@dataclass(frozen=True, slots=True)
class Clues:
    """What is known in a pause.

    `text`: the words of the turn so far; `complete`: how likely they are all, by the recogniser;
    `sounds`: the same by the turn detector; `signal`: the recogniser's own end of turn, `eager`,
    `final` or empty; `pauses_ms`: the caller's pauses inside turns in this call, newest last.
    """

    text: str
    complete: float | None = None
    sounds: float | None = None
    signal: str = ""
    expected: Expected = Expected.ANYTHING
    pauses_ms: tuple[int, ...] = ()


# What the clues are worth beside each other. The words and the sound say how much of such speech is
# over, and are taken at their word.
_WORDS_WEIGHT = 1.0
_SOUND_WEIGHT = 1.0
# What callers say to this agent is known better than the grammar of their language.
_WORDS_BESIDE = 0.5
_RECOGNISER_WEIGHT = 1.0
# In log-odds; a final signal outweighs everything else.
_SIGNALS = {"eager": 1.5, "final": 15.0}
# How fast the wait follows the odds. Waiting is cheap where the caller hardly is done, so that it
# pays to take a side early; measured, the result hardly changes between 2.5 and 4.
_STEEPNESS = 3.0
# Even a caller who pauses for long has to hear something within 3 s after the turn.
_HABIT_MOST = 1.1
_REMEMBERED = 8
_LITTLE_MS = 500  # of pauses in all: half believed
_NOTICED_LATE_MS = 100  # a voice that returns is known of so much later


def wait_ms(clues: Clues, policy: Endpointing, language: Language) -> int:
    """How long the pause must be, from its beginning. At most `max_ms`, or a tenth more for a
    caller who makes such pauses."""
    share = 1 / (1 + exp(-_STEEPNESS * log_odds_of_done(clues, language)))
    if share >= 0.5:
        wait = policy.unknown_ms + (policy.min_ms - policy.unknown_ms) * (share - 0.5) * 2
    else:
        wait = policy.max_ms + (policy.unknown_ms - policy.max_ms) * share * 2
    habit = policy.habit * _habit_ms(clues.pauses_ms[-_REMEMBERED:])
    wait += (1 - share) * max(0.0, min(habit, _HABIT_MOST * policy.max_ms) - wait)
    return round(wait)


def log_odds_of_done(clues: Clues, language: Language) -> float:
    """How likely the caller is done, as log-odds; 0 when nothing is known."""
    odds = 0.0
    words = read(clues.text, clues.expected, language)
    if words.complete is not None:
        known = clues.complete is not None and not words.dictated
        odds += (_WORDS_BESIDE if known else _WORDS_WEIGHT) * log_odds(words.complete)
        if clues.complete is not None:
            odds += _RECOGNISER_WEIGHT * log_odds(clues.complete)
    # Each group of a number that is dictated ends like a sentence, or like none: the count decides.
    if clues.sounds is not None and not words.dictated:
        odds += _SOUND_WEIGHT * log_odds(clues.sounds)
    return odds + _SIGNALS.get(clues.signal, 0.0)


def _habit_ms(pauses_ms: Sequence[int]) -> float:
    """The pause that this caller makes inside turns, and a little more. Long pauses count more, by
    their length: the many short ones between words say nothing about the next long one. Few are
    believed less than many."""
    squares = sum(pause * pause for pause in pauses_ms)
    if squares == 0:
        return 0.0
    usual = sum(pause * pause * pause for pause in pauses_ms) / squares
    total = sum(pauses_ms)
    return (usual + _NOTICED_LATE_MS) * total / (total + _LITTLE_MS)
