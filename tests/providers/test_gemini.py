"""What is Gemini's own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.gemini import SIGNATURE, FakeGemini, _about_schema
from tests.fakes.llm import Answer, Call
from tests.providers.test_llm import (
    HELLO,
    PRICE,
    STOCK,
    SYSTEM,
    VENDORS,
    ask,
    calls_of,
    started,
    text_of,
)

from antiphon.errors import ProviderError
from antiphon.providers.llm._gemini_schema import to_gemini
from antiphon.providers.llm.gemini import NO_SIGNATURE
from antiphon.types import Message, ToolCall

GEMINI = VENDORS[2]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-123")


async def test_what_is_sent() -> None:
    options = {"temperature": 0.5, "thinking_level": "low"}
    async with FakeGemini() as fake, started(GEMINI, fake, **options) as llm:
        await ask(llm, tools=(PRICE, STOCK))
    body = fake.bodies[0]
    assert fake.last.path.endswith("models/gemini-3.5-flash-lite:streamGenerateContent")
    assert fake.last.headers["x-goog-api-key"] == "sk-123"
    assert "sk-123" not in str(fake.last.query)
    assert body["systemInstruction"] == {"parts": [{"text": "You sell coffee."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "thinkingConfig": {"thinkingLevel": "low"},
    }
    price, stock = body["tools"][0]["functionDeclarations"]
    assert price["parameters"] == {
        "type": "object",
        "properties": {"drink": {"type": "string"}},
    }
    assert "parameters" not in stock


async def test_calls_without_ids_get_unique_ones_and_keep_their_signature() -> None:
    asked = Answer("", (Call("", "price"), Call("", "price")))
    async with FakeGemini(asked, asked, Answer("Five.")) as fake, started(GEMINI, fake) as llm:
        first, second = calls_of(await ask(llm, tools=(PRICE,)))
        third, fourth = calls_of(await ask(llm, tools=(PRICE,)))
        assert len({one.tool_call_id for one in (first, second, third, fourth)}) == 4
        elsewhere = ToolCall("of_another_provider", "price", "{}")
        history = [SYSTEM, HELLO]
        for calls in ((first, second), (elsewhere,)):
            history.append(Message("assistant", "", calls))
            history += [Message("tool", "5", tool_call_id=one.tool_call_id) for one in calls]
        await ask(llm, *history, tools=(PRICE,))
    contents = fake.bodies[-1]["contents"]
    both, alone = contents[1]["parts"], contents[3]["parts"]
    assert [one.get("thoughtSignature") for one in both] == [SIGNATURE, None]
    assert [one.get("thoughtSignature") for one in alone] == [NO_SIGNATURE]
    given = [one["functionResponse"] for one in contents[2]["parts"]]
    assert [one["id"] for one in given] == [one["functionCall"]["id"] for one in both]
    assert [one["response"] for one in given] == [{"output": 5}] * 2


@pytest.mark.parametrize(
    ("stop", "retryable"),
    [
        ("SAFETY", False),
        ("PROHIBITED_CONTENT", False),
        ("MALFORMED_FUNCTION_CALL", True),
        ("A_NEW_REASON", False),
    ],
)
async def test_an_answer_withheld_is_an_error(stop: str, retryable: bool) -> None:
    async with FakeGemini(Answer("", stop=stop)) as fake, started(GEMINI, fake) as llm:
        with pytest.raises(ProviderError, match=rf"withheld by Google \({stop}\)") as caught:
            await ask(llm)
    assert caught.value.retryable is retryable


async def test_what_was_said_before_it_was_blocked_stays() -> None:
    answers = (Answer("Well, ", stop="SAFETY"), Answer("Long", stop="MAX_TOKENS"))
    async with FakeGemini(*answers) as fake, started(GEMINI, fake) as llm:
        assert text_of(await ask(llm)) == "Well, "
        assert text_of(await ask(llm)) == "Long"


@pytest.mark.parametrize(
    ("code", "retryable"), [(503, True), (429, True), (400, False), (None, False)]
)
async def test_errors_in_the_stream(code: int | None, retryable: bool) -> None:
    error = {"code": code, "message": "no more", "status": "UNAVAILABLE"}
    answer = Answer("Hello", fails="error", error=error)
    async with FakeGemini(answer) as fake, started(GEMINI, fake) as llm:
        with pytest.raises(ProviderError, match="UNAVAILABLE: no more") as caught:
            await ask(llm)
    assert (caught.value.retryable, caught.value.status) == (retryable, code)


SCHEMAS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "object", "$schema": "x", "additionalProperties": False, "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {}}},
    ),
    ({"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
    ({"const": 3}, {"type": "string", "enum": ["3"]}),
    ({"enum": ["a", None]}, {"type": "string", "enum": ["a"], "nullable": True}),
    ({"type": "string", "format": "email"}, {"type": "string"}),
    ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
    (
        {"type": "integer", "exclusiveMinimum": 0, "minimum": 1},
        {"type": "integer", "minimum": 1},
    ),
    ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "nullable": True}),
    (
        {"oneOf": [{"type": "string"}, {"type": "number"}]},
        {"anyOf": [{"type": "string"}, {"type": "number"}]},
    ),
    (
        {
            "type": "object",
            "properties": {"size": {"$ref": "#/$defs/Size"}},
            "required": ["size", "gone"],
            "$defs": {"Size": {"enum": ["s", "l"], "title": "Size"}},
        },
        {
            "type": "object",
            "properties": {"size": {"type": "string", "enum": ["s", "l"], "title": "Size"}},
            "required": ["size"],
        },
    ),
    (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string"}}},
            ]
        },
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "required": ["a"],
        },
    ),
]


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS)
def test_schemas(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert to_gemini(schema) == expected
    assert _about_schema(to_gemini(schema), "here") == ""


def test_a_schema_of_itself_ends() -> None:
    schema = {"type": "object", "properties": {"inner": {"$ref": "#"}}}
    assert _about_schema(to_gemini(schema), "here") == ""
