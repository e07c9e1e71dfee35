"""Preparing the answer in a pause that probably ends the caller's turn (preemptive generation)."""

from __future__ import annotations

from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.dead_air import Due
from antiphon.engine.floor import Floor
from antiphon.engine.language import words_of
from antiphon.engine.user_turn import Phase

_WORTH_IT_MS = 30
"""An answer that is due so soon is not prepared: it is begun for good."""


class Preparation:
    """When an answer is begun before the turn is over, and when it was for nothing."""

    __slots__ = ("_agent", "_begun", "_floor")

    def __init__(self, floor: Floor, agent: AgentTurn) -> None:
        self._floor, self._agent = floor, agent
        self._begun = 0  # for the turn under way

    def turn_over(self) -> None:
        """The next turn may have its own."""
        self._begun = 0
        self._agent.unprepared = False

    def check(self) -> None:
        """Drop the answer that is being prepared, when it is not one to what was said."""
        prepared, user = self._floor.prepared, self._floor.user
        assert prepared is not None
        assert prepared.draft is not None
        same = user.text == prepared.draft.text or prepared.draft_of(words_of(user.text))
        if user.phase is Phase.IDLE or not same:
            self._agent.drop_prepared()

    def deadline(self, due: list[Due], turn_due_ms: int) -> None:
        """Add when to begin the answer of a turn that ends at `turn_due_ms` by what is known."""
        at_ms = self._due_ms()
        if at_ms is not None and at_ms < turn_due_ms - _WORTH_IT_MS:
            due.append((at_ms, "prepare", self._begin))

    def _due_ms(self) -> int | None:
        floor, user = self._floor, self._floor.user
        policy = floor.policy.speculation
        if (
            policy.prepare == "nothing"
            or floor.prepared is not None
            or self._agent.unprepared
            or floor.spent_ms is not None
            or self._begun >= policy.limit
            or user.phase is not Phase.QUIET
            or user.source != "speech"
            or not user.likely()
            or not words_of(user.text)
            or user.believed(floor.policy.endpointing.min_confidence) != user.text
        ):
            return None
        at_ms = floor.now_ms if user.final else user.text_at_ms + policy.stable_ms
        return max(at_ms, user.speech_end_ms + policy.stable_ms)

    def _begin(self) -> None:
        self._begun += 1
        self._agent.prepare(self._floor.user.text)
