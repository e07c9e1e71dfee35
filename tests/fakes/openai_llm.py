"""OpenAI's Responses API, streamed, and as little of chat completions as the contracts need.

https://platform.openai.com/docs/api-reference/responses-streaming. All that can happen with chat
completions is in `tests/support/openai_server.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from tests.fakes.llm import Answer, FakeLlm, cut, event, words


class FakeResponses(FakeLlm):
    """`POST /v1/responses`."""

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/responses", self.answer, methods=["POST"]),
            Route("/v1/models", self.models),
        ]

    def complaint(self, request: Request, body: Any) -> str:
        asked, given = set[str](), set[str]()
        for item in body["input"]:
            if item.get("type") == "function_call":
                if "id" in item and not body.get("store", True):
                    return f"Item with id '{item['id']}' not found."
                asked.add(item["call_id"])
            if item.get("type") == "function_call_output":
                given.add(item["call_id"])
        missing = asked - given
        return f"No tool output found for function call {missing}." if missing else ""

    def frames(self, answer: Answer, body: Any) -> Iterator[str]:
        numbers, indexes = itertools.count(), itertools.count()

        def typed(kind: str, **fields: Any) -> str:
            return event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

        yield typed("response.created", response=_response(body, "in_progress"))
        yield typed("response.in_progress", response=_response(body, "in_progress"))
        output: list[dict[str, Any]] = []
        if answer.thoughts:
            item = {"id": "rs_1", "type": "reasoning", "summary": []}
            at = next(indexes)
            yield typed("response.output_item.added", output_index=at, item=item)
            place = {"item_id": "rs_1", "output_index": at, "summary_index": 0}
            for piece in words(answer.thoughts):
                yield typed("response.reasoning_summary_text.delta", delta=piece, **place)
            yield typed("response.output_item.done", output_index=at, item=item)
            output.append(item)
        if answer.text:
            item = _message(answer.text)
            at = next(indexes)
            place = {"item_id": item["id"], "output_index": at, "content_index": 0}
            begun = item | {"content": [], "status": "in_progress"}
            yield typed("response.output_item.added", output_index=at, item=begun)
            part = {"type": "output_text", "text": "", "annotations": []}
            yield typed("response.content_part.added", part=part, **place)
            for piece in words(answer.text):
                yield typed("response.output_text.delta", delta=piece, logprobs=[], **place)
            if not answer.fails:
                yield typed("response.output_text.done", text=answer.text, logprobs=[], **place)
                yield typed("response.content_part.done", part=item["content"][0], **place)
                yield typed("response.output_item.done", output_index=at, item=item)
            output.append(item)
        if answer.fails == "error":
            yield typed("error", **answer.error)
            return
        if answer.fails:
            yield ""
        for call in answer.calls:
            item = {
                "id": f"fc_{call.call_id}",
                "type": "function_call",
                "status": "completed",
                "call_id": call.call_id,
                "name": call.name,
                "arguments": call.arguments,
            }
            at = next(indexes)
            place = {"item_id": item["id"], "output_index": at}
            begun = item | {"arguments": "", "status": "in_progress"}
            yield typed("response.output_item.added", output_index=at, item=begun)
            for piece in cut(call.arguments):
                yield typed("response.function_call_arguments.delta", delta=piece, **place)
            yield typed("response.function_call_arguments.done", arguments=call.arguments, **place)
            yield typed("response.output_item.done", output_index=at, item=item)
            output.append(item)
        yield typed("response.something_new", value=1)
        yield _end(typed, answer, body, output)


class FakeChat(FakeLlm):
    """`POST /v1/chat/completions`: text and usage."""

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/chat/completions", self.answer, methods=["POST"]),
            Route("/v1/models", self.models),
        ]

    def complaint(self, request: Request, body: Any) -> str:
        return "" if body.get("model") else "you must provide a model parameter"

    def frames(self, answer: Answer, body: Any) -> Iterator[str]:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        for piece in words(answer.text):
            delta = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            yield event(head | {"choices": [delta]})
        yield event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        read, written, cached = answer.usage
        usage: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": written}
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
        yield event(head | {"choices": [], "usage": usage})
        yield "data: [DONE]\n\n"


def _end(typed: Any, answer: Answer, body: Any, output: list[dict[str, Any]]) -> str:
    if answer.stop == "failed":
        failed = _response(body, "failed", output) | {"error": answer.error}
        return str(typed("response.failed", response=failed))
    status = "incomplete" if answer.stop else "completed"
    response = _response(body, status, output)
    if answer.stop:
        response["incomplete_details"] = {"reason": answer.stop}
    read, written, cached = answer.usage
    response["usage"] = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": read + written,
    }
    return str(typed(f"response.{status}", response=response))


def _message(text: str) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def _response(body: Any, status: str, output: Any = ()) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "model": body["model"],
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "temperature": 1,
        "top_p": 1,
        "usage": None,
    }
