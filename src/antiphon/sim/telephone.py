"""The telephone of a simulated call: in some worlds callers are told that they are recorded,
and asked whether they may be, type numbers, are passed to a person, leave the line on hold; now and
then a machine has answered."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine.events import (
    KeyPressed,
    LineHeld,
    MachineAnswered,
    ToolCompleted,
    ToolRequested,
    TransferEnded,
)
from antiphon.engine.policy import Digits, Setup
from antiphon.sim.plan import between
from antiphon.types import DIGITS_TOOL, TRANSFER_TOOL

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 8
_WORLDS = 0.3
_AGAIN_MS = 500
HIDDEN = "•"
_NUMBERS = (
    Digits("pin", "Please type your PIN.", least=4, most=6, secret=True),
    Digits("order", "Please type the number of your order, then hash.", least=2),
)
_OUTCOMES = ("connected", "no_answer", "busy", "refused", "failed")


def on_telephone(setup: Setup, rng: Random) -> tuple[Setup, bool]:
    """The agent as it is on the line of one world, and whether that is a telephone's."""
    if rng.random() >= _WORLDS:
        return setup, False
    records, asks = rng.random() < 0.6, rng.random() < 0.5
    told = "I am a machine, and I may record this call." if rng.random() < 0.6 else ""
    return replace(
        setup,
        disclosure=told,
        records=records,
        consent_question="May I record it?" if records and asks else "",
        consent_required=rng.random() < 0.3,
        digits=_NUMBERS,
        transfer_on_failure="desk" if rng.random() < 0.3 else "",
    ), True


class Telephone:
    """The far end of the line, and what the session does with it."""

    __slots__ = (
        "_calls",
        "_collecting",
        "_rng",
        "_world",
        "away_ms",
        "held",
        "is_one",
        "machine",
        "secret",
        "transferring",
    )

    def __init__(self, world: World, rng: Random, is_one: bool) -> None:
        self._world, self._rng, self.is_one = world, rng, is_one
        self._calls = 0
        self._collecting: c.CollectDigits | None = None
        self.held = self.machine = False
        self.secret = False  # what is typed now
        self.transferring = False
        self.away_ms = -(10**9)  # when the caller was last away
        if is_one and rng.random() < 0.25:
            world.after(between(rng, 0, 40_000), self._hold, True)
        if is_one and rng.random() < 0.05:
            message = "This is the front desk. Please call us back." if rng.random() < 0.6 else ""
            world.after(between(rng, 0, 8000), self._answer, message)

    @property
    def collecting(self) -> bool:
        """Whether keys belong to a number."""
        return self._collecting is not None

    @property
    def away(self) -> bool:
        """Whether the caller cannot hear the agent."""
        return self.held or self.transferring or self._world.lost_line.lost

    @property
    def excused(self) -> bool:
        """Whether nobody has to be answered yet: the caller is away, has been until now, or is a
        machine."""
        return self.away or self.machine or self._world.now_ms - self.away_ms < 3000

    def seen(self, key: str) -> str:
        """A key as the session tells it."""
        return HIDDEN if self.secret and key.isdigit() else key

    # ---- what the LLM wants -----------------------------------------------------------------

    def wish(self, response_id: int) -> ToolRequested | None:
        """One of the line's tools, now and then."""
        if not self.is_one or self._rng.random() > 0.15:
            return None
        self._calls += 1
        call_id = f"line_{self._calls}"
        if self._rng.random() < 0.4:
            return ToolRequested(0, response_id, call_id, TRANSFER_TOOL, '{"target": "sales"}')
        name = _NUMBERS[between(self._rng, 0, 1)].name
        return ToolRequested(0, response_id, call_id, DIGITS_TOOL, f'{{"name": "{name}"}}')

    # ---- numbers ----------------------------------------------------------------------------

    def collect(self, command: c.CollectDigits) -> None:
        again = self._collecting is not None
        self._collecting, self.secret = command, command.secret
        if not again and self._rng.random() < 0.8:
            keys = between(self._rng, 0, 8)
            self._world.after(between(self._rng, 100, 8000), self._type, (command, keys))

    def _type(self, item: tuple[c.CollectDigits, int]) -> None:
        command, left = item
        world, rng, now = self._world, self._rng, self._collecting
        if now is None or now.tool_call_id != command.tool_call_id or world.crash.down:
            return
        key = "#" if left == 0 else "*" if rng.random() < 0.03 else str(between(rng, 0, 9))
        world.send(KeyPressed(world.now_ms, self.seen(key)))
        if left:
            gap_ms = between(rng, 150, 900) if rng.random() < 0.95 else between(rng, 3000, 6000)
            world.after(gap_ms, self._type, (command, left - 1))

    def collected(self, command: c.DigitsCollected) -> None:
        self._collecting, self.secret = None, False
        output = f'{{"outcome": "{command.outcome}"}}'
        self._world.after(between(self._rng, 0, 20), self._complete, (command, output))

    def _complete(self, item: tuple[c.DigitsCollected, str]) -> None:
        command, output = item
        if not self._world.crash.down:
            event = ToolCompleted(self._world.now_ms, command.tool_call_id, output)
            self._world.send(event, _SOURCE)

    # ---- somebody else ----------------------------------------------------------------------

    def transfer(self, command: c.TransferCall) -> None:
        self.transferring = True
        outcome = _OUTCOMES[between(self._rng, 0, len(_OUTCOMES) - 1)]
        if self._rng.random() < 0.9:  # else nobody ever tells
            delay_ms = between(self._rng, 20, 25_000)
            self._world.after(delay_ms, self._end_transfer, (command.tool_call_id, outcome))
        else:
            self._world.after(command.deadline_ms + 2000, self._end_transfer, None)

    def _end_transfer(self, item: tuple[str, str] | None) -> None:
        world = self._world
        if not self.transferring or world.crash.down:
            return
        self.transferring, self.away_ms = False, world.now_ms
        if item is not None:
            world.send(TransferEnded(world.now_ms, *item), _SOURCE)

    # ---- hold, machines, death --------------------------------------------------------------

    def _hold(self, held: bool) -> None:
        world = self._world
        if world.crash.down:
            world.after(_AGAIN_MS, self._hold, held)
            return
        self.held = held
        self.away_ms = world.now_ms
        world.send(LineHeld(world.now_ms, held), _SOURCE)
        if held:
            world.after(between(self._rng, 300, 20_000), self._hold, False)

    def _answer(self, message: str) -> None:
        if self._world.crash.down:
            self._world.after(_AGAIN_MS, self._answer, message)
            return
        self.machine = True
        self._world.send(MachineAnswered(self._world.now_ms, message), _SOURCE)

    def reset(self) -> None:
        """The process died: nobody types, and nobody is being reached."""
        self._collecting, self.secret = None, False
        if self.transferring:
            self.transferring, self.away_ms = False, self._world.now_ms

    def step(self, ms: int) -> None:
        """The clock has gone ahead."""
        self.away_ms += ms

    def performs(self) -> tuple[tuple[type[c.Command], Any], ...]:
        """Which commands it carries out."""
        return (
            (c.CollectDigits, self.collect),
            (c.DigitsCollected, self.collected),
            (c.TransferCall, self.transfer),
        )
