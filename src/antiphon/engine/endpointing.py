"""How long a pause must be to end the caller's turn: a continuous function of all that is known."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.engine.language import Language
from antiphon.engine.phrase import Expected
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


def wait_ms(clues: Clues, policy: Endpointing, language: Language) -> int:
    """How long the pause must be."""
    complete = clues.complete
    if complete is None or not clues.text:
        return policy.unknown_ms
    if complete >= 0.5:
        share = (complete - 0.5) * 2
        return round(policy.unknown_ms + (policy.min_ms - policy.unknown_ms) * share)
    return round(policy.max_ms + (policy.unknown_ms - policy.max_ms) * complete * 2)
