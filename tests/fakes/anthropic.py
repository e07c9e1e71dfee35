"""Anthropic's Messages API, streamed: https://platform.claude.com/docs/en/build-with-claude/streaming.

Its refusals are those of the API's version 2026-10-21.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.llm import Answer, FakeLlm, cut, event, words

_REMOVED = ("temperature", "top_p", "top_k")


class FakeAnthropic(FakeLlm):
    """`POST /v1/messages`."""

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/messages", self.answer, methods=["POST"]),
            Route("/v1/models", self.models),
        ]

    def refused(self, message: str, status: int) -> Response:
        error = {"type": "invalid_request_error", "message": message}
        return JSONResponse({"type": "error", "error": error}, status)

    def complaint(self, request: Request, body: Any) -> str:
        if "anthropic-version" not in request.headers:
            return "anthropic-version: header is required"
        if not isinstance(body.get("max_tokens"), int):
            return "max_tokens: Field required"
        for name in _REMOVED:
            if name in body:
                return f"{name}: Extra inputs are not permitted"
        return _about_messages(body["messages"]) or _about_caching(body)

    def frames(self, answer: Answer, body: Any) -> Iterator[str]:
        read, written, cached = answer.usage
        usage = {
            "input_tokens": read - cached - 1,
            "cache_creation_input_tokens": 1,
            "cache_read_input_tokens": cached,
            "output_tokens": 1,
        }
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        yield _typed("message_start", message=message)
        yield _typed("ping")
        index = itertools.count()
        start: dict[str, Any]
        if answer.thoughts:
            deltas = [{"type": "thinking_delta", "thinking": one} for one in words(answer.thoughts)]
            deltas.append({"type": "signature_delta", "signature": "c2ln"})
            start = {"type": "thinking", "thinking": "", "signature": ""}
            yield from _block(next(index), start, deltas)
        if answer.text:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": one} for one in words(answer.text)]
            yield from _block(next(index), start, deltas, stops=not answer.fails)
        if answer.fails == "error":
            yield _typed("error", error=answer.error)
            return
        if answer.fails:
            yield ""
        for call in answer.calls:
            start = {"type": "tool_use", "id": call.call_id, "name": call.name, "input": {}}
            pieces = ["", *cut(call.arguments)]
            deltas = [{"type": "input_json_delta", "partial_json": one} for one in pieces]
            yield from _block(next(index), start, deltas)
        stop = answer.stop or ("tool_use" if answer.calls else "end_turn")
        delta = {"stop_reason": stop, "stop_sequence": None}
        yield _typed("message_delta", delta=delta, usage={"output_tokens": written})
        yield _typed("something_new", value=1)
        yield _typed("message_stop")


def _block(
    index: int, start: dict[str, Any], deltas: list[dict[str, Any]], stops: bool = True
) -> Iterator[str]:
    yield _typed("content_block_start", index=index, content_block=start)
    for delta in deltas:
        yield _typed("content_block_delta", index=index, delta=delta)
    if stops:
        yield _typed("content_block_stop", index=index)


def _typed(kind: str, **fields: Any) -> str:
    return event({"type": kind, **fields}, kind)


def _about_messages(messages: list[Any]) -> str:
    if not messages or messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    if messages[-1]["role"] == "assistant":
        return "messages: the conversation must end with a user message"
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        kinds = [block["type"] for block in blocks]
        if any(block.get("text") == "" for block in blocks):
            return f"messages.{number}: text content blocks must be non-empty"
        given = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if sorted(given) != sorted(open_calls):
            return f"messages.{number}: `tool_use` ids without `tool_result` blocks right after"
        if kinds != sorted(kinds, key=lambda kind: kind != "tool_result"):
            return f"messages.{number}: `tool_result` blocks must come first"
        if number and messages[number - 1]["role"] == message["role"]:
            return f"messages.{number}: roles must alternate"
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return ""


def _about_caching(body: Any) -> str:
    blocks = [*body.get("tools", ()), *_blocks(body.get("system", []))]
    for message in body["messages"]:
        blocks += _blocks(message["content"])
    marked = sum("cache_control" in block for block in blocks)
    return "A maximum of 4 blocks with cache_control may be provided." if marked > 4 else ""


def _blocks(content: Any) -> list[Any]:
    return [] if isinstance(content, str) else list(content)
