"""The agent's thinking in one call: generations of the LLM, and the tools that it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.agent.tool import Tool, run_tool
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import Llm, LlmRequest, TextDelta, Usage
from antiphon.types import END_CALL_TOOL, Message, ToolCall, ToolSpec

Post = Callable[[e.Event], None]
Used = Callable[[int, int, Usage, bool], None]
"""Told what a generation has used: which LLM, for which response, how much, whether estimated."""
Spawn = Callable[..., asyncio.Task[None]]

END_CALL = ToolSpec(
    END_CALL_TOOL,
    "Hang up, after what you say in the same answer. Use it once the caller has said goodbye.",
    {"type": "object", "properties": {}},
)


TOKEN_CHARS = 4
"""Characters of a token, about, in languages written with the Latin alphabet."""


@dataclass(slots=True)
class _Flight:
    """One generation: which LLM, for what, and how many characters it read and wrote."""

    llm: int
    response_id: int
    read: int
    written: int = 0
    told: bool = False  # what it has used

    def wrote(self, piece: Any) -> None:
        text = piece.text if isinstance(piece, TextDelta) else piece.name + piece.arguments
        self.written += len(text)


def _characters(request: LlmRequest) -> int:
    calls = (call for one in request.messages for call in one.tool_calls)
    return (
        sum(len(one.content) for one in request.messages)
        + sum(len(call.name) + len(call.arguments) for call in calls)
        + sum(len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    )


class LineTools(Protocol):
    """What the call's line adds to the agent's tools."""

    @property
    def tools(self) -> tuple[ToolSpec, ...]: ...
    async def run_tool(self, tool: Tool | None, command: c.CallTool) -> str: ...


class _NoLine:
    tools: tuple[ToolSpec, ...] = ()

    async def run_tool(self, tool: Tool | None, command: c.CallTool) -> str:
        if tool is None:
            return f'{{"error": "there is no tool called {command.name[:64]!r}"}}'
        return await run_tool(tool, command.arguments)


_NO_LINE = _NoLine()


class Thinker:
    """Runs at most one generation at a time, and any number of tools.

    Args:
        llms: the agent's own, then its fallbacks.
        tools: what the LLM may call, besides `end_call`.
        now_ms: the call's time.
        post: takes what came of it.
        spawn: starts a task of the call.
        used: told what each generation has used.
        line: its tools, and runs them all.
    """

    def __init__(
        self,
        llms: Sequence[Llm],
        tools: Sequence[Tool],
        now_ms: Callable[[], int],
        post: Post,
        spawn: Spawn,
        used: Used | None = None,
        line: LineTools = _NO_LINE,
    ) -> None:
        self._llms, self._now_ms, self._post, self._spawn = llms, now_ms, post, spawn
        self._tools = {tool.spec.name: tool for tool in tools}
        self._specs = (*(tool.spec for tool in tools), *line.tools, END_CALL)
        self._line = line
        self._generation: asyncio.Task[None] | None = None
        self._open_tools = 0
        self._usage: dict[int, Usage] = {}  # of the newest response only
        self._used, self._flight = used, _Flight(0, 0, 0)

    @property
    def busy(self) -> bool:
        """Whether the LLM writes or a tool runs."""
        return self._generation is not None or self._open_tools > 0

    def usage(self, response_id: int) -> Usage:
        """Tokens that the newest response has cost so far, as far as the LLM told."""
        return self._usage.get(response_id, Usage(0, 0))

    def start(self, command: c.StartGeneration, messages: tuple[Message, ...]) -> None:
        """Ask an LLM. What is still being generated is closed: there is one answer at a time."""
        self.cancel()
        llm, request = self._llms[command.attempt], LlmRequest(messages, self._specs)
        self._flight = _Flight(command.attempt, command.response_id, _characters(request))
        work = self._generate(llm, self._flight, request)
        self._generation = self._spawn(work, f"generate-{command.response_id}")

    def cancel(self) -> None:
        """Close the LLM's stream."""
        if self._generation is not None:
            self._generation.cancel()
            self._generation = None
            self._settle(self._flight)

    def call_tool(self, command: c.CallTool) -> None:
        """Run a tool; answered with ToolCompleted, whatever happens."""
        self._open_tools += 1
        self._spawn(self._run_tool(command), f"tool-{command.tool_call_id}")

    async def _generate(self, llm: Llm, flight: _Flight, request: LlmRequest) -> None:
        me, now_ms, response_id = asyncio.current_task(), self._now_ms, flight.response_id
        try:
            async for piece in llm.stream(request):
                if isinstance(piece, Usage):
                    self._count(flight, piece)
                else:
                    flight.wrote(piece)
                    self._post(_event(now_ms(), response_id, piece))
            self._settle(flight)
            ended: e.Event = e.GenerationEnded(now_ms(), response_id)
        except ProviderError as error:
            if flight.written:
                self._settle(flight)
            ended = e.GenerationFailed(now_ms(), response_id, str(error))
        finally:
            if self._generation is me:
                self._generation = None
        self._post(ended)

    def _count(self, flight: _Flight, usage: Usage) -> None:
        response_id, flight.told = flight.response_id, True
        if self._used is not None:
            self._used(flight.llm, response_id, usage, False)
        so_far = self.usage(response_id)
        self._usage = {
            response_id: Usage(
                so_far.input_tokens + usage.input_tokens,
                so_far.output_tokens + usage.output_tokens,
                so_far.cached_tokens + usage.cached_tokens,
            )
        }

    def _settle(self, flight: _Flight) -> None:
        """A generation is over: what it has used is estimated where nobody told."""
        if self._used is not None and not flight.told:
            flight.told = True
            tokens = (-(-flight.read // TOKEN_CHARS), -(-flight.written // TOKEN_CHARS))
            self._used(flight.llm, flight.response_id, Usage(*tokens), True)

    async def _run_tool(self, command: c.CallTool) -> None:
        output = await self._line.run_tool(self._tools.get(command.name), command)
        self._open_tools -= 1
        self._post(e.ToolCompleted(self._now_ms(), command.tool_call_id, output))


def _event(at_ms: int, response_id: int, piece: Any) -> e.Event:
    if isinstance(piece, TextDelta):
        return e.TextGenerated(at_ms, response_id, piece.text)
    assert isinstance(piece, ToolCall)
    return e.ToolRequested(at_ms, response_id, piece.tool_call_id, piece.name, piece.arguments)
