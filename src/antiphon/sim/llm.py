"""The language model of a simulated world, and the tools it calls."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.commands import CallTool, CancelGeneration, StartGeneration
from antiphon.engine.events import (
    Event,
    GenerationEnded,
    GenerationFailed,
    TextGenerated,
    ToolCompleted,
    ToolRequested,
)
from antiphon.sim.latency import LLM_FIRST
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_OUTDATED_MS = 100
_LLM_SOURCE, _TOOL_SOURCE = 2, 3
_SENTENCES = (
    "Certainly, I can do that for you.",
    "Your table is booked for Friday at 7.30 p.m., Dr. Smith.",
    "What size would you like?",
    "That comes to 12.50 euros in all.",
    "We are open from nine in the morning until late in the evening.",
    "**Two** large coffees, *one* with milk. 😀",
    "Please write to help@example.com or see https://example.com/menu.html for more.",
    "I have found three free seats: a window, a corner and one beside the door.",
    "Is there anything else?",
    "Right.",
    "- First, the weather is fine; second, the train is late.\n",
    "The order with number 40-17 was sent yesterday and should be with you soon.",
)
_EVENTS = (TextGenerated, ToolRequested, GenerationEnded, GenerationFailed)
_TOOLS = ("lookup", "book", "archive")


class _Generation:
    __slots__ = ("alive", "response_id", "script")

    def __init__(self, response_id: int, script: Iterator[tuple[int, Event]]) -> None:
        self.response_id, self.script = response_id, script
        self.alive = True


class Llm:
    """Replies of one or more sentences, tools, `end_call`; slow, failing, stalling, repeating."""

    __slots__ = (
        "_calls",
        "_current",
        "_latencies",
        "_newest",
        "_replies",
        "_rng",
        "_with_tools",
        "_world",
        "error_chance",
        "excused",
        "finished",
        "stall_chance",
    )

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.error_chance, self.stall_chance = world.faults.errors, world.faults.stalls
        self._current: _Generation | None = None
        self._calls = 0
        self._replies = 0
        self._with_tools: set[int] = set()
        # The agent's own, and its fallback.
        self._latencies = tuple(LLM_FIRST[between(rng, 0, len(LLM_FIRST) - 1)] for _ in range(2))
        self.finished: dict[int, int] = {}  # generations of a response that came to their end
        self._newest: dict[int, _Generation] = {}  # of each response
        self.excused: set[int] = set()  # responses whose LLM failed, stalled, was slow or mute

    @property
    def generating_id(self) -> int | None:
        """The response that a generation is under way for."""
        return self._current.response_id if self._current is not None else None

    def start(self, command: StartGeneration) -> None:
        response_id = command.response_id
        if response_id in self._newest:
            self._world.withdraw(
                lambda event: isinstance(event, _EVENTS) and event.response_id == response_id
            )
        generation = _Generation(response_id, self._script(response_id, command.attempt))
        self._current = generation
        if self._world.now_ms - self._world.clock.newest_ms < _OUTDATED_MS:
            self.excused.add(response_id)  # begun by an event from before the clock went ahead
        self._newest.pop(response_id, None)
        self._newest[response_id] = generation
        self._advance(generation)

    def cancel(self, command: CancelGeneration) -> None:
        if self._current is not None and self._current.response_id == command.response_id:
            # What is under way may still arrive.
            self._current.alive = self._rng.random() < self._world.faults.late
            self._current = None

    def reset(self) -> None:
        """The process died with the stream."""
        self._current = None

    def step(self) -> None:
        """The clock has gone ahead: to who looks at it the LLM has been slow."""
        if self._newest:  # its last events may still be on their way
            self.excused.add(next(reversed(self._newest)))

    def close(self) -> None:
        """The call is over."""
        if self._current is not None:
            self.cancel(CancelGeneration(self._current.response_id))

    def _advance(self, generation: _Generation) -> None:
        following = next(generation.script, None)
        if following is not None:
            self._world.after(following[0], self._deliver, (generation, following[1]))

    def _deliver(self, item: tuple[_Generation, Event]) -> None:
        generation, event = item
        # The session reads one stream of a response at a time.
        if not generation.alive or self._newest[generation.response_id] is not generation:
            return
        if generation is self._current and isinstance(event, GenerationEnded | GenerationFailed):
            self._current = None
            self.finished[generation.response_id] = self.finished.get(
                generation.response_id, 0
            ) + isinstance(event, GenerationEnded)
        self._world.send(_at(event, self._world.now_ms), _LLM_SOURCE)
        self._advance(generation)

    def _script(self, response_id: int, attempt: int) -> Iterator[tuple[int, Event]]:
        """What is sent, each with the time since the one before. Drawn as it goes."""
        rng, faults = self._rng, self._world.faults
        self._replies += 1
        first_ms = self._latencies[attempt].draw(rng)
        if rng.random() < faults.slow:
            first_ms *= between(rng, 3, 12)
            self.excused.add(response_id)
        events = self._events(response_id)
        # A stall or an error comes before the first event or after some.
        trouble_at = between(rng, 0, 4)
        stalls, fails = rng.random() < self.stall_chance, rng.random() < self.error_chance
        if stalls or fails:
            self.excused.add(response_id)
        delay_ms = first_ms
        for count, event in enumerate(events):
            if count >= trouble_at and stalls:
                return
            if count >= trouble_at and fails:
                yield delay_ms, GenerationFailed(0, response_id, "overloaded")
                return
            yield delay_ms, event
            delay_ms = between(rng, 10, 80)
            # The end of a generation is not repeated when another one may follow: they have the
            # same id, and the session reads one stream at a time.
            last = isinstance(event, GenerationEnded) and not any(
                isinstance(other, ToolRequested) for other in events
            )
            if (last or isinstance(event, ToolRequested)) and rng.random() < faults.duplicates:
                yield 1, event

    def _events(self, response_id: int) -> list[Event]:
        rng = self._rng
        events: list[Event] = []
        again = response_id in self._with_tools
        wants_tool = rng.random() < (0.15 if again else 0.25)
        if rng.random() > 0.03 and (not wants_tool or rng.random() < 0.4):
            text = " ".join(
                _SENTENCES[int(rng.random() * len(_SENTENCES))] for _ in range(between(rng, 1, 3))
            )
            size = between(rng, 12, 90)
            events = [
                TextGenerated(0, response_id, text[at : at + size])
                for at in range(0, len(text), size)
            ]
        if wants_tool:
            self._with_tools.add(response_id)
            events.append(self._tool(response_id, 0.9))
            if rng.random() < 0.3:
                events.append(self._tool(response_id, 1.0))
        elif self._replies > 2 and rng.random() < 0.12:
            call_id = f"call_{self._next_call()}"
            events.append(ToolRequested(0, response_id, call_id, "end_call", "{}"))
        if (wish := self._world.phone.wish(response_id)) is not None:
            events.append(wish)
        if not events or again:  # mute, or perhaps one round of tools too many
            self.excused.add(response_id)
        events.append(GenerationEnded(0, response_id))
        return events

    def _tool(self, response_id: int, fresh: float) -> ToolRequested:
        """A wish for a tool. The arguments are unlike any others, so that a run can be told from
        every other run; the id may be one of an earlier generation, as some models do."""
        number = self._next_call()
        call_id = f"call_{number if self._rng.random() < fresh else 1}"
        name = _TOOLS[int(self._rng.random() * len(_TOOLS))]
        return ToolRequested(0, response_id, call_id, name, f'{{"n": {number}}}')

    def _next_call(self) -> int:
        self._calls += 1
        return self._calls


def _at(event: Event, at_ms: int) -> Event:
    """The same event at another time. Much faster than dataclasses.replace."""
    if type(event) is TextGenerated:
        return TextGenerated(at_ms, event.response_id, event.text)
    if type(event) is GenerationEnded:
        return GenerationEnded(at_ms, event.response_id)
    if type(event) is GenerationFailed:
        return GenerationFailed(at_ms, event.response_id, event.reason)
    assert isinstance(event, ToolRequested)
    return ToolRequested(at_ms, event.response_id, event.tool_call_id, event.name, event.arguments)


class Tools:
    """Tools answer always, as the session promises; late ones answer after their deadline."""

    __slots__ = ("_rng", "_world")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng

    def call(self, command: CallTool) -> None:
        world, rng = self._world, self._rng
        delay_ms = between(rng, 20, 1500)
        if rng.random() < 0.15 or rng.random() < world.faults.slow:
            delay_ms = between(rng, 1500, 9000)
        if rng.random() < world.faults.stalls:
            delay_ms = command.deadline_ms
        delay_ms = min(delay_ms, command.deadline_ms)
        if rng.random() < world.faults.late * 0.3:
            delay_ms = command.deadline_ms + between(rng, 1, 5000)
        output = '{"error": "failed"}' if rng.random() < world.faults.errors else '{"ok": true}'
        world.after(delay_ms, self._complete, (command.tool_call_id, output))
        if rng.random() < world.faults.duplicates:
            world.after(delay_ms + 1, self._complete, (command.tool_call_id, output))

    def _complete(self, item: tuple[str, str]) -> None:
        self._world.send(ToolCompleted(self._world.now_ms, item[0], item[1]), _TOOL_SOURCE)
