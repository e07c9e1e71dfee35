"""What a promise is: a class named after it that watches events and commands as they pass.

A promise lists what it wants to see in `watches`, so that one that cares for rare things costs
nothing for frequent ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.errors import IllegalEvent

if TYPE_CHECKING:
    from antiphon.sim.world import World


ENGINE_BUGS = (
    IllegalEvent,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What an engine with a bug raises."""


class Broken(Exception):
    """A promise was broken.

    Args:
        promise: its name.
        at_ms: when, in the call.
        what: what was seen instead.
    """

    def __init__(self, promise: str, at_ms: int, what: str) -> None:
        super().__init__(promise, at_ms, what)
        self.promise, self.at_ms, self.what = promise, at_ms, what

    def __str__(self) -> str:
        return f"{self.promise}: {self.what} (at {self.at_ms / 1000:.3f} s)"


class Promise:
    """Base of all promises. `name` is how it is called when it is broken."""

    name = ""
    __slots__ = ("world",)

    def __init__(self, world: World) -> None:
        self.world = world

    def watches(self) -> dict[type, Callable[[Any], None]]:
        """Which events (seen before the engine sees them) and commands, and what to do."""
        return {}

    def tick(self) -> None:
        """Called once a second of the call."""

    def step(self, ms: int) -> None:
        """The clock has gone ahead by so much, and nobody has lived through it."""

    def crashed(self) -> None:
        """The process died."""

    def restored(self) -> None:
        """Another process has the call, and is about to be told."""

    def finish(self) -> None:
        """Called when the call is over and all stragglers have arrived."""

    def fail(self, what: str) -> None:
        """Say that the promise is broken.

        Raises:
            Broken: always.
        """
        raise Broken(self.name, self.world.now_ms, what)
