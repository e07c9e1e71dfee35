"""The flow behind the Llm protocol."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, FlowReply, LlmRequest, TextDelta
from antiphon.providers.llm.flow import FlowLlm, FlowOptions
from antiphon.types import Message, ToolCall

CALL = ToolCall("1", "place_order", "{}")


class Brain:
    def reply(self, messages: Sequence[Message]) -> FlowReply:
        return FlowReply(f"You said {messages[-1].content}.", (CALL,))


async def test_streams_text_and_calls() -> None:
    llm = FlowLlm(FlowOptions(), AgentHints(brain=Brain()))
    await llm.start()
    request = LlmRequest((Message("user", "hello"),))
    assert [e async for e in llm.stream(request)] == [TextDelta("You said hello."), CALL]
    await llm.aclose()


def test_an_agent_without_flow_is_told_so() -> None:
    with pytest.raises(UserFacingError, match="needs a `flow:` section"):
        FlowLlm(FlowOptions(), AgentHints())
