"""A fast model that talks, and a large one for what is hard.

Which of them answers is decided for each request: by the agent's rules, or by the fast model
itself, which may ask for the expert as it would call a tool. To everybody else it is one model: the
tool is never seen outside, and what is said while the large one thinks is part of the answer.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import ClassVar, cast

from antiphon.errors import ProviderError
from antiphon.providers.base import (
    AgentHints,
    Llm,
    LlmEvent,
    LlmRequest,
    ProviderOptions,
    TextDelta,
    Traits,
    Usage,
)
from antiphon.providers.llm._router_options import RouterOptions
from antiphon.types import Message, ToolCall, ToolSpec

ASK = "ask_expert"
SAID = "[You have just said: “{said}” Go on from there without saying it again.]"
"""Tells the model that goes on what the caller has heard already."""
_LONGEST_TEXT = 4000
_REMEMBERED = 1000

_log = logging.getLogger("antiphon.llm.router")

Events = AsyncGenerator[LlmEvent, None]


@dataclass(slots=True)
class _Model:
    llm: Llm
    name: str

    async def stream(self, request: LlmRequest) -> Events:
        """Its answer, with its name in the usage."""
        async with aclosing(cast("Events", self.llm.stream(request))) as events:
            async for event in events:
                if isinstance(event, Usage) and not event.model:
                    yield replace(event, model=str(getattr(self.llm, "model", "") or self.name))
                else:
                    yield event


class RouterLlm:
    """Two models as one: a fast one talks, a large one is asked for what is hard."""

    Options: ClassVar[type[ProviderOptions]] = RouterOptions
    traits = Traits("here", "", ("tools", "two models"))

    def __init__(self, options: RouterOptions, hints: AgentHints) -> None:
        self._options = options
        self._fast = _Model(options.fast.make(hints), options.fast.provider)
        self._large = _Model(options.large.make(hints), options.large.provider)
        parameters = {"type": "object", "properties": {}}
        self._ask = ToolSpec(ASK, options.ask_description, parameters)
        # Calls of the large model, which goes on with their results itself.
        self._calls: OrderedDict[str, None] = OrderedDict()

    @property
    def model(self) -> str:
        """The fast model; each usage says which model it was."""
        return str(getattr(self._fast.llm, "model", "") or "")

    async def start(self) -> None:
        """Start both; when the large one cannot, the fast one is closed again."""
        await self._fast.llm.start()
        try:
            await self._large.llm.start()
        except BaseException:
            await self._fast.llm.aclose()
            raise

    async def aclose(self) -> None:
        await self._fast.llm.aclose()
        await self._large.llm.aclose()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. There is one usage for each request that was made.

        Raises:
            ProviderError: the fast model's, or the large one's after it has begun to answer.
        """
        said, calls = "", list[ToolCall]()
        hard = self._is_hard(request.messages)
        if not hard:
            tools = (*request.tools, self._ask) if self._options.ask else request.tools
            async with aclosing(self._fast.stream(replace(request, tools=tools))) as events:
                async for event in events:
                    if isinstance(event, ToolCall):
                        # Held to the end: an expert has the same tools, and calls them itself.
                        calls.append(event)
                        continue
                    if isinstance(event, TextDelta):
                        said += event.text
                    yield event
            hard = any(call.name == ASK for call in calls)
        if not hard:
            for call in calls:
                yield call
            return
        # With results of tools at hand something has been said before.
        bridge = self._options.bridge if _fresh(request.messages) else ""
        if bridge and not said.strip():
            said = bridge
            yield TextDelta(bridge)
        async with aclosing(self._expert(request, said)) as events:
            async for event in events:
                yield event

    async def _expert(self, request: LlmRequest, said: str) -> Events:
        """The large model's answer; the fast one's when it fails before it has begun."""
        if said.strip():
            note = Message("user", SAID.format(said=said.strip()))
            request = replace(request, messages=(*request.messages, note))
        begun, failure = False, "an empty answer"
        try:
            async with aclosing(_apart(self._large.stream(request), said)) as events:
                async for event in events:
                    begun = begun or not isinstance(event, Usage)
                    if isinstance(event, ToolCall):
                        self._remember(event)
                    yield event
        except ProviderError as error:
            if begun:
                raise
            failure = str(error)
        if begun:
            return
        _log.warning("large model failed", extra={"error": failure})
        async with aclosing(_apart(self._fast.stream(request), said)) as events:
            async for event in events:
                yield event

    def _is_hard(self, messages: Sequence[Message]) -> bool:
        """By the rules, or because the large model has called a tool for this answer."""
        last = max((i for i, one in enumerate(messages) if one.role == "user"), default=-1)
        text = messages[last].content[:_LONGEST_TEXT] if last >= 0 else ""
        calls = [call for one in messages[last + 1 :] for call in one.tool_calls]
        tools = {call.name for call in calls}
        return any(call.tool_call_id in self._calls for call in calls) or any(
            rule.holds(text, tools) for rule in self._options.rules
        )

    def _remember(self, call: ToolCall) -> None:
        self._calls[call.tool_call_id] = None
        if len(self._calls) > _REMEMBERED:
            self._calls.popitem(last=False)


def _fresh(messages: Sequence[Message]) -> bool:
    """Whether the caller has just spoken."""
    return bool(messages) and messages[-1].role == "user"


async def _apart(events: Events, said: str) -> Events:
    """The answer of the one who goes on: its first piece apart from what was said, and no request
    for an expert, which a model may copy from an earlier answer."""
    gap = bool(said) and not said[-1].isspace()
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ToolCall) and event.name == ASK:
                continue
            if gap and isinstance(event, TextDelta):
                gap = False
                event = event if event.text[:1].isspace() else TextDelta(" " + event.text)
            yield event
