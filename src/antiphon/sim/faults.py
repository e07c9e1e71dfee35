"""What goes wrong in a simulated world, by name.

A world draws which of the allowed faults it has; within it each happens with a probability of its
own, so that most worlds have one or two kinds of trouble and some have all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random


@dataclass(frozen=True, slots=True)
class Faults:
    """Probability of each fault at each opportunity; 0 where the world does not have it."""

    errors: float = 0.0
    """A provider reports a failure: no text, no voice, no recognition."""
    stalls: float = 0.0
    """A provider falls silent for ever and reports nothing (a half-open socket)."""
    late: float = 0.0
    """Results arrive after their cancellation, after their deadline, after the call."""
    duplicates: float = 0.0
    """A provider sends the same result twice."""
    reordering: float = 0.0
    """Events of different sources overtake each other by up to 80 ms."""
    slow: float = 0.0
    """Long tails: answers take many times as long."""
    timers: float = 0.0
    """Deadlines are noticed late, by up to 60 ms."""
    dead_line: float = 0.0
    """The caller's line stops taking audio without saying so."""
    clock: float = 0.0
    """The session's clock steps ahead by seconds, and events are dated back by up to 200 ms."""
    crash: float = 0.0
    """The process dies, and the call goes on in another one."""
    outage: float = 0.0
    """The way to a caller without a telephone is lost for a while: neither side hears the other."""


FAULT_NAMES = tuple(item.name for item in fields(Faults))
NO_FAULTS = Faults()

_IN_A_WORLD = 0.35
"""Probability that a world has a given fault."""
_AT_AN_OPPORTUNITY = {
    "errors": 0.15,
    "stalls": 0.12,
    "late": 0.6,
    "duplicates": 0.3,
    "reordering": 0.5,
    "slow": 0.3,
    "timers": 0.5,
    "dead_line": 0.3,
    "clock": 0.1,
    "crash": 0.7,
    "outage": 0.7,
}


def parse_faults(text: str) -> tuple[str, ...]:
    """Names of faults from `all`, `none` or a list with commas.

    Raises:
        ValueError: an unknown name; says which there are.
    """
    if text in ("all", "none"):
        return FAULT_NAMES if text == "all" else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in FAULT_NAMES:
            raise ValueError(
                f"unknown fault {name!r}; there are {', '.join(FAULT_NAMES)}, all, none"
            )
    return names


def draw_faults(rng: Random, allowed: tuple[str, ...], line: Random) -> Faults:
    """The faults of one world; those of its `line` have a stream of their own. The draw does not
    depend on the order of the names."""
    chances = {
        name: _AT_AN_OPPORTUNITY[name]
        if (line if name == "outage" else rng).random() < _IN_A_WORLD and name in allowed
        else 0.0
        for name in FAULT_NAMES
    }
    return Faults(**chances)
