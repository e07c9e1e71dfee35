"""What kind of phrase a caller is saying, and whether it looks complete."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from antiphon.engine.language import Language


class Expected(Enum):
    """What the agent's last words ask for."""

    ANYTHING = "anything"
    YES_NO = "yes or no"
    DIGITS = "digits"
    SPELLING = "spelling"  # a name, an e-mail address, an address


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text looks like. `dictated`: numbers, letters, an address, which come in groups with
    long pauses. `complete` is None where the words say nothing."""

    complete: float | None
    dictated: bool = False


def read(text: str, expected: Expected, language: Language) -> Reading:
    """Read the words of a turn so far."""
    return Reading(None)


def expected_after(agent_text: str, language: Language) -> Expected:
    """What the agent's last words ask for."""
    return Expected.ANYTHING
