"""The agent's flow: a conversation led by rules, as a pure function of its messages."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.agent.flow_config import (
    CheckConfig,
    FlowConfig,
    FlowSays,
    IntentConfig,
    SlotConfig,
)
from antiphon.agent.flow_sentences import sentences
from antiphon.agent.flow_state import Phase, State, Steps
from antiphon.agent.flow_understand import Understanding
from antiphon.providers.base import FlowReply
from antiphon.types import END_CALL_TOOL, Message, ToolCall

__all__ = [
    "CheckConfig",
    "Expectation",
    "Flow",
    "FlowConfig",
    "FlowSays",
    "IntentConfig",
    "SlotConfig",
]

CACHED_STATES = 512
"""Prefixes of conversations whose fold is kept: a few dozen calls with their last messages."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the flow expects to hear next; `slot` names what it asked for."""

    kind: Literal["open", "yes_no", "choice", "number", "name", "date", "time", "text", "digits"]
    slot: str = ""


class Flow:
    """Answers from a FlowConfig. Shared by all calls; keeps nothing but a bounded cache."""

    def __init__(self, config: FlowConfig) -> None:
        self._config = config
        self._steps = Steps(config, Understanding(config))
        self._cache: OrderedDict[bytes, State] = OrderedDict()
        self._sampled: tuple[tuple[int, int], tuple[str, ...]] | None = None

    def reply(self, messages: Sequence[Message]) -> FlowReply:
        """What to say, or which tool to call, after these messages. Never empty."""
        state = self._state(messages)
        last = state.last
        if state.ending and messages and messages[-1].role == "user":
            return FlowReply(last.text, (ToolCall(f"end_{len(messages)}", END_CALL_TOOL, "{}"),))
        return last if last.text or last.tool_calls else FlowReply(self._config.help)

    def expects(self, messages: Sequence[Message]) -> Expectation:
        """What the caller is likely to say after these messages."""
        state = self._state(messages)
        if state.phase in (Phase.CONFIRMING, Phase.FAILED):
            return Expectation("yes_no")
        if state.phase is Phase.FILLING and state.asked:
            slot = self._config.intents[state.intent].slots[state.asked]
            return Expectation(slot.kind, state.asked)
        return Expectation("open")

    def understood(self, messages: Sequence[Message]) -> dict[str, str | int | bool]:
        """Slots and values known so far of the intent under way."""
        return {name: value.value for name, value in self._state(messages).values.items()}

    def sentences(self, limit: int = 12_000, seed: int = 0) -> tuple[str, ...]:
        """Things that callers are likely to say, for a recogniser's language model: about `limit`
        samples, in which repetition is weight. The same seed gives the same samples."""
        if self._sampled is None or self._sampled[0] != (limit, seed):
            # Kept, because sampling takes a quarter of a second and the vocabulary needs it too.
            self._sampled = (limit, seed), sentences(self._config, limit, seed)
        return self._sampled[1]

    def vocabulary(self) -> tuple[str, ...]:
        """All words of the sentences, sorted."""
        return tuple(sorted({w for text in self.sentences() for w in text.split()}))

    def _state(self, messages: Sequence[Message]) -> State:
        """The fold of the messages, from the longest prefix that is still known."""
        keys: list[bytes] = []
        digest = hashlib.sha256()
        for message in messages:
            digest.update(repr((message.role, message.content, message.tool_call_id)).encode())
            digest.update(repr([call.tool_call_id for call in message.tool_calls]).encode())
            keys.append(digest.digest())
        done = next((n for n in range(len(keys), 0, -1) if keys[n - 1] in self._cache), 0)
        state = self._cache[keys[done - 1]] if done else State()
        for message, key in zip(messages[done:], keys[done:], strict=True):
            # An id made of the whole history: the same messages give the same call, and a call
            # that was planned for other words can never be mistaken for it.
            state = self._steps.step(state, message, f"flow_{key.hex()[:16]}")
            self._cache[key] = state
            if len(self._cache) > CACHED_STATES:
                self._cache.popitem(last=False)
        return state
