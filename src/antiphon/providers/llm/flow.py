"""The agent's own flow in the place of a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator

from antiphon.errors import UserFacingError
from antiphon.providers.base import (
    AgentHints,
    LlmEvent,
    LlmRequest,
    ProviderOptions,
    TextDelta,
    Traits,
)


class FlowOptions(ProviderOptions):
    """`llm: flow` has no options; what it does is in the agent's `flow:` section."""


class FlowLlm:
    """Answers at once with what the flow says."""

    Options = FlowOptions
    traits = Traits("here", "", ("tools",))

    def __init__(self, options: FlowOptions, hints: AgentHints) -> None:
        if hints.brain is None:
            raise UserFacingError(
                "`llm: flow` needs a `flow:` section in the agent's file: write one, or choose "
                "another `llm`"
            )
        self._brain = hints.brain

    async def start(self) -> None:
        """Nothing to start."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        reply = self._brain.reply(request.messages)
        if reply.text:
            yield TextDelta(reply.text)
        for call in reply.tool_calls:
            yield call
