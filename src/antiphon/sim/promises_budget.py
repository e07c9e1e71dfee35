"""Promises about money: once the budget is spent, nothing more is bought."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.agent_turn import SPENT
from antiphon.engine.dead_air import SPENT_GOODBYE_MS
from antiphon.sim.promise import Promise

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SLACK_MS = 5000
"""A process that dies at the wrong moment needs so long to be back."""


class SpendingStops(Promise):
    """Once the budget is spent no generation begins, and the call ends within half a minute; it
    ends for that reason only then. Once money gets short the cheaper LLM is asked, until it
    fails."""

    name = "spending stops"
    __slots__ = ("_cheaper", "_spent_ms")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._spent_ms: int | None = None
        self._cheaper: int | None = None  # the one that is to be asked

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.BudgetReached: self._on_reached,
            e.GenerationFailed: self._on_failed,
            c.CancelGeneration: self._on_failed,
            c.StartGeneration: self._on_generation,
            c.EndCall: self._on_end,
        }

    def _on_reached(self, event: e.BudgetReached) -> None:
        if event.level == "cheaper" and self._spent_ms is None:
            self._cheaper = self.world.setup.cheaper_llm
        elif event.level == "end" and self._spent_ms is None:
            self._spent_ms = self.world.now_ms

    def _on_failed(self, _: Any) -> None:
        self._cheaper = None

    def _on_generation(self, command: c.StartGeneration) -> None:
        if self._spent_ms is not None:
            self.fail(f"response {command.response_id} is generated with no money left")
        if self._cheaper is not None and command.attempt != self._cheaper:
            self.fail(f"LLM {command.attempt} is asked, and {self._cheaper} is cheaper")

    def _on_end(self, command: c.EndCall) -> None:
        if command.reason == SPENT and self._spent_ms is None:
            self.fail("the call ends for money, and there is some")

    def tick(self) -> None:
        spent_ms = self._spent_ms
        if spent_ms is not None and self.world.now_ms - spent_ms > SPENT_GOODBYE_MS + _SLACK_MS:
            self.fail("the budget is spent and the call goes on")
