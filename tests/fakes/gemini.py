"""Gemini's `streamGenerateContent`, as server-sent events: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.llm import Answer, FakeLlm, event, words

SIGNATURE = "c2lnbmF0dXJl"
_SCHEMA = frozenset(
    {
        *("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems"),
        *("properties", "required", "minProperties", "maxProperties", "minLength", "maxLength"),
        *("pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum"),
        "maximum",
    }
)


class FakeGemini(FakeLlm):
    """`POST /{v1,v1beta}/models/{model}:streamGenerateContent?alt=sse`.

    Like Gemini 3 it wants the signature of a function call back, or the documented dummy.
    """

    def routes(self) -> list[BaseRoute]:
        path = "/{version:str}/models/{model:str}"
        return [
            Route(path + ":streamGenerateContent", self.answer, methods=["POST"]),
            Route(path, self.models),
        ]

    def refused(self, message: str, status: int) -> Response:
        error = {"code": status, "message": message, "status": "INVALID_ARGUMENT"}
        return JSONResponse({"error": error}, status)

    def complaint(self, request: Request, body: Any) -> str:
        if request.query_params.get("alt") != "sse":
            return "only alt=sse here"
        for tool in body.get("tools", ()):
            for number, function in enumerate(tool["functionDeclarations"]):
                where = f"tools[0].function_declarations[{number}].parameters"
                if wrong := _about_schema(function.get("parameters", {"type": "OBJECT"}), where):
                    return wrong
        return _about_contents(body["contents"])

    def frames(self, answer: Answer, body: Any) -> Iterator[str]:
        if answer.stop in ("PROHIBITED_CONTENT", "BLOCKLIST"):
            yield event({"promptFeedback": {"blockReason": answer.stop}, **_usage(answer, 0)})
            return
        if answer.thoughts:
            yield _chunk([{"text": answer.thoughts, "thought": True}], answer)
        for piece in words(answer.text):
            yield _chunk([{"text": piece}], answer)
        if answer.fails == "error":
            yield event({"error": answer.error})
            return
        if answer.fails:
            yield ""
        parts = []
        for number, call in enumerate(answer.calls):
            made = {"name": call.name, "args": json.loads(call.arguments)}
            made |= {"id": call.call_id} if call.call_id else {}
            parts.append(
                {"functionCall": made} | ({} if number else {"thoughtSignature": SIGNATURE})
            )
        if parts:
            yield _chunk(parts, answer)
        yield _chunk([{"text": ""}], answer, answer.stop or "STOP")


def _chunk(parts: list[dict[str, Any]], answer: Answer, finish: str = "") -> str:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    told = {"candidates": [candidate], **_usage(answer, 1), "modelVersion": "m", "responseId": "r"}
    return event(told)


def _usage(answer: Answer, written: int) -> dict[str, Any]:
    """Thoughts are counted beside the answer."""
    read, output, cached = answer.usage
    counts = {"promptTokenCount": read, "totalTokenCount": read + output}
    if written:
        counts |= {"candidatesTokenCount": output - 2, "thoughtsTokenCount": 2}
    if cached:
        counts["cachedContentTokenCount"] = cached
    return {"usageMetadata": counts}


def _about_schema(schema: Any, where: str) -> str:
    for name in schema:
        if name not in _SCHEMA:
            return f'Unknown name "{name}" at {where}: Cannot find field.'
    if not isinstance(schema.get("type", "object"), str):
        return f"Invalid value at {where}.type"
    if schema.get("type", "").lower() == "array" and "items" not in schema:
        return f"{where}.items: missing field."
    if "enum" in schema and schema.get("type", "").lower() != "string":
        return f"{where}.enum: only allowed for STRING type"
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema["items"]] if "items" in schema else []
    return next((wrong for one in inner if (wrong := _about_schema(one, where + ".x"))), "")


def _about_contents(contents: list[Any]) -> str:
    asked: list[str] = []
    if contents[-1]["role"] == "model":
        return "Please ensure that the conversation ends with a user turn."
    for content in contents:
        calls = [part for part in content["parts"] if "functionCall" in part]
        given = [part for part in content["parts"] if "functionResponse" in part]
        if sorted(one["functionResponse"]["name"] for one in given) != sorted(asked):
            return "the number of function response parts is not that of the function call parts"
        if not all(isinstance(one["functionResponse"]["response"], dict) for one in given):
            return "functionResponse.response is not a Struct"
        if calls and not calls[0].get("thoughtSignature"):
            return "Function call is missing a thought_signature in functionCall parts."
        asked = [part["functionCall"]["name"] for part in calls]
    return ""
