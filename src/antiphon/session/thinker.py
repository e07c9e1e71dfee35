"""The agent's thinking in one call: generations of the LLM, and the tools that it asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from antiphon.agent.tool import Tool, run_tool
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import Llm, LlmRequest, TextDelta, Usage
from antiphon.types import END_CALL_TOOL, Message, ToolCall, ToolSpec

Post = Callable[[e.Event], None]
Spawn = Callable[..., asyncio.Task[None]]

_END_CALL = ToolSpec(
    END_CALL_TOOL,
    "Hang up, after what you say in the same answer. Use it once the caller has said goodbye.",
    {"type": "object", "properties": {}},
)


class Thinker:
    """Runs at most one generation at a time, and any number of tools.

    Args:
        llms: the agent's own, then its fallbacks.
        tools: what the LLM may call, besides `end_call`.
        now_ms: the call's time.
        post: takes what came of it.
        spawn: starts a task of the call.
    """

    def __init__(
        self,
        llms: Sequence[Llm],
        tools: Sequence[Tool],
        now_ms: Callable[[], int],
        post: Post,
        spawn: Spawn,
    ) -> None:
        self._llms, self._now_ms, self._post, self._spawn = llms, now_ms, post, spawn
        self._tools = {tool.spec.name: tool for tool in tools}
        self._specs = (*(tool.spec for tool in tools), _END_CALL)
        self._generation: asyncio.Task[None] | None = None
        self._open_tools = 0
        self._usage: dict[int, Usage] = {}  # of the newest response only

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
        llm = self._llms[command.attempt]
        work = self._generate(llm, command.response_id, LlmRequest(messages, self._specs))
        self._generation = self._spawn(work, f"generate-{command.response_id}")

    def cancel(self) -> None:
        """Close the LLM's stream."""
        if self._generation is not None:
            self._generation.cancel()
            self._generation = None

    def call_tool(self, command: c.CallTool) -> None:
        """Run a tool; answered with ToolCompleted, whatever happens."""
        self._open_tools += 1
        self._spawn(self._run_tool(command), f"tool-{command.tool_call_id}")

    async def _generate(self, llm: Llm, response_id: int, request: LlmRequest) -> None:
        me, now_ms = asyncio.current_task(), self._now_ms
        try:
            async for piece in llm.stream(request):
                if isinstance(piece, Usage):
                    self._count(response_id, piece)
                else:
                    self._post(_event(now_ms(), response_id, piece))
            ended: e.Event = e.GenerationEnded(now_ms(), response_id)
        except ProviderError as error:
            ended = e.GenerationFailed(now_ms(), response_id, str(error))
        finally:
            if self._generation is me:
                self._generation = None
        self._post(ended)

    def _count(self, response_id: int, usage: Usage) -> None:
        so_far = self.usage(response_id)
        self._usage = {
            response_id: Usage(
                so_far.input_tokens + usage.input_tokens,
                so_far.output_tokens + usage.output_tokens,
                so_far.cached_tokens + usage.cached_tokens,
            )
        }

    async def _run_tool(self, command: c.CallTool) -> None:
        tool = self._tools.get(command.name)
        if tool is None:
            output = f'{{"error": "there is no tool called {command.name[:64]!r}"}}'
        else:
            output = await run_tool(tool, command.arguments)
        self._open_tools -= 1
        self._post(e.ToolCompleted(self._now_ms(), command.tool_call_id, output))


def _event(at_ms: int, response_id: int, piece: Any) -> e.Event:
    if isinstance(piece, TextDelta):
        return e.TextGenerated(at_ms, response_id, piece.text)
    assert isinstance(piece, ToolCall)
    return e.ToolRequested(at_ms, response_id, piece.tool_call_id, piece.name, piece.arguments)
