"""What the call may cost: what happens when so much of it is spent.

Whoever counts says BudgetReached; from `end` on no generation begins, and the call ends politely.
"""

from __future__ import annotations

from antiphon.engine import events as e
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import ReportBudget
from antiphon.engine.floor import Floor


class Budget:
    """The levels of the budget. See the module."""

    __slots__ = ("_agent", "_floor", "_reached")

    def __init__(self, floor: Floor, agent: AgentTurn) -> None:
        self._floor, self._agent = floor, agent
        self._reached: set[str] = set()

    def on_reached(self, event: e.BudgetReached) -> None:
        """A level, which counts once."""
        floor, level = self._floor, event.level
        if level in self._reached:
            return
        self._reached.add(level)
        floor.out.append(ReportBudget(level, event.scope))
        if level == "cheaper" and floor.setup.cheaper_llm is not None:
            self._agent.use_llm(floor.setup.cheaper_llm)
        elif level == "end":
            floor.spent_ms = floor.now_ms
            self._agent.drop_prepared()
