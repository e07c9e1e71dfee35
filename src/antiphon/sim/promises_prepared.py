"""Promises about answers that are prepared before the caller's turn is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.promise import Promise
from antiphon.types import Message

if TYPE_CHECKING:
    from antiphon.sim.world import World


class _Draft:
    """A prepared answer: what was known when it was begun, and the tools that it wants."""

    __slots__ = ("before", "response_id", "stale", "wanted", "words")

    def __init__(self, response_id: int, messages: tuple[Message, ...]) -> None:
        self.response_id = response_id
        self.before = messages[:-1]
        shown = bool(messages) and messages[-1].role == "user"
        self.words = _plain(messages[-1].content) if shown else []
        self.wanted: set[str] = set()
        self.stale = False  # a tool has come back since


class PreparedIsUnheard(Promise):
    """A prepared answer is not heard and runs no tools before the turn is over. It is adopted only
    when the turn ended with the words that it was prepared for and nothing else has changed;
    otherwise it is dropped, and nothing of it remains."""

    name = "a prepared answer is unheard"
    __slots__ = ("_answered", "_draft", "_dropped", "_forbidden", "_known")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._known: set[int] = set()  # responses that were reported
        self._draft: _Draft | None = None
        self._dropped: set[int] = set()
        self._forbidden: set[str] = set()  # tools that only dropped answers wanted
        self._answered = ""

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.ToolRequested: self._on_wanted,
            e.ToolCompleted: self._on_completed,
            c.StartGeneration: self._on_generation,
            c.PlayAudio: self._on_play,
            c.CallTool: self._on_tool,
            c.ReportTurn: self._on_turn,
            c.ReportSpeculation: self._on_speculation,
            c.ReportResponse: self._on_response,
        }

    def _on_generation(self, command: c.StartGeneration) -> None:
        if command.response_id in self._known:
            return
        if self._draft is not None:
            self.fail(f"response {command.response_id} is prepared while another one is")
        # Where it is dropped in the same step its words are no longer shown; it cannot be adopted.
        self._draft = _Draft(command.response_id, self.world.engine.messages())

    def _on_wanted(self, event: e.ToolRequested) -> None:
        if self._draft is not None and self._draft.response_id == event.response_id:
            self._draft.wanted.add(event.arguments)

    def _on_completed(self, event: e.ToolCompleted) -> None:
        if self._draft is not None and self.world.promises.runs(event.tool_call_id):
            self._draft.stale = True

    def _on_play(self, command: c.PlayAudio) -> None:
        if self._draft is not None and self._draft.response_id == command.response_id:
            self.fail("a prepared answer is let go before the turn is over")

    def _on_tool(self, command: c.CallTool) -> None:
        early = self._draft is not None and command.arguments in self._draft.wanted
        if early or command.arguments in self._forbidden:
            self.fail(f"{command.name}({command.arguments}) runs for an answer that is not given")

    def _on_turn(self, command: c.ReportTurn) -> None:
        self._answered = command.text if command.outcome == "answered" else ""

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
        draft, self._draft = self._draft, None
        if draft is None or draft.response_id != command.response_id:
            self.fail(f"response {command.response_id} is {command.outcome} and was not prepared")
            return
        if command.outcome == "dropped":
            self._dropped.add(draft.response_id)
            self._forbidden |= draft.wanted
        elif _plain(self._answered) != draft.words:
            self.fail(f"prepared for {draft.words}, adopted for {self._answered!r}")
        elif draft.stale or not self._as_before(draft):
            self.fail("an answer is adopted that was prepared for another conversation")

    def _as_before(self, draft: _Draft) -> bool:
        """Whether the conversation is that for which the draft was begun. A tool may be given up in
        the very step of the adoption, after it; so what tools returned is left out."""
        now = self.world.engine.messages()[: len(draft.before)]
        return all(
            one.role == other.role and (one.role == "tool" or one.content == other.content)
            for one, other in zip(now, draft.before, strict=True)
        )

    def _on_response(self, command: c.ReportResponse) -> None:
        response_id = command.response_id
        self._known.add(response_id)
        if response_id in self._dropped:
            self.fail(f"response {response_id} was dropped and is {command.status}")
        if self._draft is not None and self._draft.response_id == response_id:
            self.fail(f"response {response_id} is prepared, and {command.status} unadopted")

    def finish(self) -> None:
        if self._draft is not None:
            self.fail(f"response {self._draft.response_id} was neither adopted nor dropped")


def _plain(text: str) -> list[str]:
    """The words, case and punctuation aside."""
    kept = (char if char.isalnum() or char in "'-" else " " for char in text.casefold())
    return [word for word in "".join(kept).split() if any(map(str.isalnum, word))]
