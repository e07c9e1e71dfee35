"""OpenAI's chat completions as values: messages to JSON, streamed chunks to events. Pure.

https://platform.openai.com/docs/api-reference/chat/create and .../chat/streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from antiphon.providers.base import LlmEvent, TextDelta, Usage
from antiphon.providers.llm.thoughts import ThoughtFilter
from antiphon.types import Message, ToolCall, ToolSpec

INTERRUPTED = "[interrupted]"
"""Ends an assistant message that the caller cut short; the system message explains it."""
CALL_BEGINS = "[The call begins.]"
"""Stands before a greeting: several local models' templates want the user to speak first."""
NO_RESULT = '{"status": "no result yet"}'


def to_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The `messages` of a request.

    The API wants each tool call answered right after the message that makes it, so results are
    moved there, and one that is still missing is said to be. Two user messages in a row, which
    strict templates refuse, become one.
    """
    results = {one.tool_call_id: one.content for one in messages if one.role == "tool"}
    out: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "assistant":
            out += _assistant(message, results)
        elif message.role == "user" and out and out[-1]["role"] == "user":
            out[-1]["content"] += "\n" + message.content
        elif message.role != "tool":
            out.append({"role": message.role, "content": message.content})
    first = next((i for i, one in enumerate(out) if one["role"] != "system"), None)
    if first is not None and out[first]["role"] == "assistant":
        out.insert(first, {"role": "user", "content": CALL_BEGINS})
    return out


def _assistant(message: Message, results: dict[str | None, str]) -> list[dict[str, Any]]:
    content = message.content
    if message.interrupted and content:
        content = f"{content} {INTERRUPTED}"
    if not message.tool_calls:
        # Interrupted before a word was heard: for the caller it was never said.
        return [{"role": "assistant", "content": content}] if content else []
    calls = [
        {
            "id": call.tool_call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for call in message.tool_calls
    ]
    asked = {"role": "assistant", "content": content or None, "tool_calls": calls}
    answered = [
        {
            "role": "tool",
            "tool_call_id": call.tool_call_id,
            "content": results.get(call.tool_call_id, NO_RESULT),
        }
        for call in message.tool_calls
    ]
    return [asked, *answered]


def to_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """The `tools` of a request."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in tools
    ]


class ChunkError(ValueError):
    """A chunk is not what the API describes, or carries the server's own error."""


@dataclass(slots=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ChunkAssembler:
    """Takes the chunks of one answer in order; gives text at once, the rest at the end.

    Thoughts in the text are dropped, and so is what comes as `reasoning_content` (DeepSeek, vLLM,
    llama.cpp) or `reasoning` (Groq, Ollama). `begins_inside`: see `ThoughtFilter`.
    """

    def __init__(self, request_id: str, begins_inside: bool = False) -> None:
        self._request_id = request_id
        self._calls: list[_PartialCall] = []
        self._by_index: dict[int, _PartialCall] = {}
        self._thoughts = ThoughtFilter(begins_inside)
        self._usage: list[Usage] = []
        self.finish_reason: str | None = None

    def add(self, chunk: Any) -> list[LlmEvent]:
        """Take a parsed chunk.

        Raises:
            ChunkError: it is malformed, or an error of the server.
        """
        if not isinstance(chunk, dict):
            raise ChunkError("a chunk is not an object")
        if error := chunk.get("error"):
            told = error.get("message") if isinstance(error, dict) else error
            raise ChunkError(str(told or error)[:300])
        events: list[LlmEvent] = []
        choices = chunk.get("choices", [])
        # Usage comes in a chunk without choices; some servers write null for none.
        choices = [] if choices is None else choices
        if not isinstance(choices, list) or not all(isinstance(one, dict) for one in choices):
            raise ChunkError("`choices` is not a list of objects")
        for choice in choices[:1]:
            delta = choice.get("delta") or {}
            if not isinstance(delta, dict):
                raise ChunkError("`delta` is not an object")
            events += self._text(delta)
            parts = delta.get("tool_calls") or []
            if not isinstance(parts, list):
                raise ChunkError("`tool_calls` is not a list")
            for part in parts:
                self._call_part(part)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        # Some servers give the sums so far with every chunk.
        self._usage = _usage(chunk.get("usage")) or self._usage
        return events

    @property
    def began_inside(self) -> bool:
        """Whether the text began in the middle of a thought."""
        return self._thoughts.unopened

    def finish(self) -> list[LlmEvent]:
        """What is left when the stream has ended: text held back, the usage, the tool calls."""
        text = self._thoughts.rest()
        calls = [
            ToolCall(one.id or f"call_{self._request_id}_{i}", one.name, "".join(one.arguments))
            for i, one in enumerate(self._calls)
            if one.name
        ]
        return [*([TextDelta(text)] if text else []), *self._usage, *calls]

    def _text(self, delta: dict[str, Any]) -> list[LlmEvent]:
        text = ""
        if delta.get("reasoning_content") or delta.get("reasoning"):
            text = self._thoughts.thoughts_are_apart()
        written = delta.get("content") or delta.get("refusal")
        if isinstance(written, list):
            # Mistral's reasoning models: parts, some of which are thoughts.
            parts = [one for one in written if isinstance(one, dict) and one.get("type") == "text"]
            written = "".join(str(one.get("text") or "") for one in parts)
        if written:
            if not isinstance(written, str):
                raise ChunkError("`content` is not text")
            text += self._thoughts.add(written)
        return [TextDelta(text)] if text else []

    def _call_part(self, part: Any) -> None:
        """A fragment belongs to the call of its index. The first has the id and the name; the rest
        have pieces of the arguments. Some servers leave the index out, or number every call 0."""
        function = part.get("function") if isinstance(part, dict) else None
        if not isinstance(function, dict):
            raise ChunkError("a tool call without `function`")
        index, call_id = part.get("index"), part.get("id") or ""
        known = self._by_index.get(index) if isinstance(index, int) else None
        if known is None and index is None and not call_id and self._calls:
            known = self._calls[-1]
        if known is None or (call_id and known.id and call_id != known.id):
            known = next((one for one in self._calls if call_id and one.id == call_id), None)
            if known is None:
                known = _PartialCall()
                self._calls.append(known)
        if isinstance(index, int):
            self._by_index[index] = known
        known.id = known.id or str(call_id)
        name, arguments = function.get("name"), function.get("arguments")
        known.name = known.name or str(name or "")
        if isinstance(arguments, str):
            known.arguments.append(arguments)


def _usage(usage: Any) -> list[Usage]:
    if not isinstance(usage, dict) or not usage:
        return []
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return [Usage(count(read), count(written), count(cached))]


def count(value: Any) -> int:
    """A number of tokens; 0 for what is none."""
    return value if isinstance(value, int) else 0
