"""A language model that answers from a list."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from antiphon.providers.base import AgentHints, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.scripted.common import Delay, DelayOption, Fate, Item, Script, as_text
from antiphon.types import Message, ToolCall


class ScriptedToolCall(Item):
    """A tool that a reply calls; `arguments` is a mapping, or JSON text to be passed on as it is
    (broken JSON included)."""

    name: str
    arguments: dict[str, Any] | str = Field(default_factory=dict)


class ScriptedReply(Item):
    """One answer. In a file a plain string means `text`."""

    text: str = ""
    tool_calls: tuple[ScriptedToolCall, ...] = ()


class ScriptedLlmOptions(Script):
    """Options of the scripted language model."""

    replies: tuple[Annotated[ScriptedReply, BeforeValidator(as_text)], ...] = ()
    """Answers: the first to the first input (a user's message or a round of tool results) of a
    conversation, the second to the second. With none, the newest input is echoed."""
    after_last: Literal["repeat", "cycle", "echo"] = "repeat"
    """What follows the last reply: it again, the first again, or an echo."""
    chunk_words: int = Field(default=1, ge=1)
    """Words per chunk of text."""
    chunk_delay_ms: DelayOption = Delay()
    """Wait before each further chunk."""
    fail_after_chunks: int | None = Field(default=None, ge=0)
    """Fail when this many chunks are out; 0 is instead of an answer."""
    hang_after_chunks: int | None = Field(default=None, ge=0)
    """Send nothing more, for ever, when this many chunks are out."""
    fail_replies: tuple[int, ...] | None = None
    """Numbers, from 0, of the replies to which the two settings above apply; all when absent."""


class ScriptedLlm:
    """Answers from a list. Which one depends on the messages alone, so any number of calls may
    share it, and a request that is repeated is answered the same."""

    Options = ScriptedLlmOptions

    def __init__(self, options: ScriptedLlmOptions, hints: AgentHints) -> None:
        self._options = options
        self._streams = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        options = self._options
        fate = Fate(options, self._streams)
        self._streams += 1
        number = _inputs_before_newest(request.messages)
        reply = self._reply(number, request.messages)
        afflicted = options.fail_replies is None or number in options.fail_replies
        fail_after = options.fail_after_chunks if afflicted else None
        hang_after = options.hang_after_chunks if afflicted else None
        await fate.wait(options.first_delay_ms)
        chunks = _chunks(reply.text, options.chunk_words)
        for index, chunk in enumerate(chunks):
            if index:
                await fate.wait(options.chunk_delay_ms)
            await fate.reach(index, fail_after, hang_after)
            yield TextDelta(chunk)
        await fate.reach(len(chunks), fail_after, hang_after)
        for index, call in enumerate(reply.tool_calls):
            arguments = call.arguments
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            yield ToolCall(f"call_{number}_{index}", call.name, text)
        words_in = sum(len(message.content.split()) for message in request.messages)
        yield Usage(words_in, len(reply.text.split()))

    def _reply(self, number: int, messages: tuple[Message, ...]) -> ScriptedReply:
        replies, after_last = self._options.replies, self._options.after_last
        if replies and (number < len(replies) or after_last == "cycle"):
            return replies[number % len(replies)]
        if replies and after_last == "repeat":
            return replies[-1]
        heard = [message.content for message in messages if message.role in ("user", "tool")]
        return ScriptedReply(text=heard[-1] if heard else "Hello.")


def _inputs_before_newest(messages: tuple[Message, ...]) -> int:
    """Number of the input to be answered, from 0. Results of tools called together are one."""
    inputs = 0
    previous = ""
    for message in messages:
        if message.role == "user" or (message.role == "tool" and previous != "tool"):
            inputs += 1
        previous = message.role
    return max(0, inputs - 1)


def _chunks(text: str, words: int) -> list[str]:
    """Split after every `words` words; joined again they are the text."""
    pieces = text.split(" ")
    groups = [" ".join(pieces[at : at + words]) for at in range(0, len(pieces), words)]
    chunks = groups[:1] + [" " + group for group in groups[1:]]
    return [chunk for chunk in chunks if chunk]
