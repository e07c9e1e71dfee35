"""The vendors' own libraries take the fakes of their language models for the real thing."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.gemini import SIGNATURE, FakeGemini
from tests.fakes.llm import Answer, Call
from tests.fakes.openai_llm import FakeResponses

SCHEMA = {"type": "object", "properties": {"drink": {"type": "string"}}}
ASKED = Answer(
    "Let me look.",
    (Call("call_a", "price", '{"drink": "latte"}'), Call("call_b", "price", '{"drink": "café"}')),
    thoughts="they want prices",
)
# Google's library makes a class of aiohttp's where that is installed, which aiohttp discourages.
AIOHTTP = pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
WANTED = [("call_a", {"drink": "latte"}), ("call_b", {"drink": "café"})]


async def test_openai_responses() -> None:
    tool: Any = {
        "type": "function",
        "name": "price",
        "description": "d",
        "parameters": SCHEMA,
        "strict": False,
    }
    async with (
        FakeResponses(ASKED, Answer("Five.")) as fake,
        openai.AsyncOpenAI(base_url=fake.http_url + "/v1", api_key="k", max_retries=0) as client,
    ):
        history: list[Any] = [{"role": "user", "content": "hello"}]
        async with client.responses.stream(model="m", input=history, tools=[tool]) as stream:
            text = [one.delta async for one in stream if one.type == "response.output_text.delta"]
            response = await stream.get_final_response()
        assert "".join(text) == response.output_text == "Let me look."
        calls = [one for one in response.output if one.type == "function_call"]
        assert [(one.call_id, json.loads(one.arguments)) for one in calls] == WANTED
        usage = response.usage
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (20, 7)
        assert usage.input_tokens_details.cached_tokens == 4
        history += [
            {"type": "function_call", "call_id": one.call_id, "name": "price", "arguments": "{}"}
            for one in calls
        ]
        history += [
            {"type": "function_call_output", "call_id": one.call_id, "output": "5"} for one in calls
        ]
        async with client.responses.stream(model="m", input=history) as stream:
            response = await stream.get_final_response()
        assert response.output_text == "Five."


async def test_openai_errors() -> None:
    async with FakeResponses() as fake:
        fake.faults.status, fake.faults.retry_after = 429, "2"
        url = fake.http_url + "/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            with pytest.raises(openai.RateLimitError, match="refused"):
                await client.responses.create(model="m", input="hello", stream=True)


async def test_anthropic() -> None:
    tool: Any = {"name": "price", "description": "d", "input_schema": SCHEMA}
    async with (
        FakeAnthropic(ASKED, Answer("Five.")) as fake,
        anthropic.AsyncAnthropic(base_url=fake.http_url, api_key="k", max_retries=0) as client,
    ):
        history: list[Any] = [{"role": "user", "content": "hello"}]
        options: Any = {"model": "m", "max_tokens": 100, "tools": [tool]}
        async with client.messages.stream(messages=history, **options) as stream:
            text = [piece async for piece in stream.text_stream]
            message = await stream.get_final_message()
        assert "".join(text) == "Let me look."
        assert [one.type for one in message.content] == ["thinking", "text", "tool_use", "tool_use"]
        calls = [one for one in message.content if one.type == "tool_use"]
        assert [(one.id, one.input) for one in calls] == WANTED
        assert message.stop_reason == "tool_use"
        usage = message.usage
        counts = (usage.input_tokens, usage.cache_creation_input_tokens)
        assert (*counts, usage.cache_read_input_tokens, usage.output_tokens) == (15, 1, 4, 7)
        results = [{"type": "tool_result", "tool_use_id": one.id, "content": "5"} for one in calls]
        history += [
            {"role": "assistant", "content": [one.model_dump() for one in calls]},
            {"role": "user", "content": results},
        ]
        async with client.messages.stream(messages=history, **options) as stream:
            assert await stream.get_final_text() == "Five."


async def test_anthropic_errors() -> None:
    overloaded = {"type": "overloaded_error", "message": "Overloaded"}
    async with (
        FakeAnthropic(Answer("Hi", fails="error", error=overloaded)) as fake,
        anthropic.AsyncAnthropic(base_url=fake.http_url, api_key="k", max_retries=0) as client,
    ):
        hello: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "h"}]}
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            async with client.messages.stream(**hello) as stream:
                await stream.until_done()
        wrong = hello | {"messages": [*hello["messages"], {"role": "assistant", "content": "x"}]}
        with pytest.raises(anthropic.BadRequestError, match="must end with a user message"):
            await client.messages.create(**wrong)


@AIOHTTP
async def test_gemini() -> None:
    async with FakeGemini(ASKED, Answer("Five.")) as fake:
        client = genai.Client(api_key="k", http_options={"base_url": fake.http_url})
        tool: Any = {"function_declarations": [{"name": "price", "parameters": SCHEMA}]}
        config: Any = {
            "tools": [tool],
            "system_instruction": "You sell coffee.",
            "automatic_function_calling": {"disable": True},
        }
        history: list[Any] = [{"role": "user", "parts": [{"text": "hello"}]}]
        text, parts, usage = "", list[Any](), None
        async for chunk in await client.aio.models.generate_content_stream(
            model="gemini-x", contents=history, config=config
        ):
            for part in chunk.candidates[0].content.parts:
                text += part.text if part.text and not part.thought else ""
                parts += [part] if part.function_call else []
            usage = chunk.usage_metadata
        assert text == "Let me look."
        calls = [one.function_call for one in parts]
        assert [(one.id, one.args) for one in calls] == WANTED
        assert parts[0].thought_signature == b"signature"
        assert SIGNATURE == "c2lnbmF0dXJl"
        assert usage is not None
        assert (usage.prompt_token_count, usage.candidates_token_count) == (20, 5)
        assert (usage.cached_content_token_count, usage.thoughts_token_count) == (4, 2)
        given = [
            {"function_response": {"id": one.id, "name": "price", "response": {"output": 5}}}
            for one in calls
        ]
        history += [{"role": "model", "parts": parts}, {"role": "user", "parts": given}]
        said = ""
        async for chunk in await client.aio.models.generate_content_stream(
            model="gemini-x", contents=history, config=config
        ):
            said += chunk.text or ""
        assert said == "Five."
        await client.aio.aclose()
    assert fake.last.path == "/v1/models/gemini-x:streamGenerateContent"
    assert fake.last.headers["x-goog-api-key"] == "k"
    assert set(fake.bodies[0]) >= {"contents", "tools", "systemInstruction"}


@AIOHTTP
async def test_gemini_errors() -> None:
    async with FakeGemini(Answer("", stop="PROHIBITED_CONTENT")) as fake:
        client = genai.Client(api_key="k", http_options={"base_url": fake.http_url})
        blocked = None
        async for chunk in await client.aio.models.generate_content_stream(
            model="gemini-x", contents="hello"
        ):
            blocked = chunk.prompt_feedback and chunk.prompt_feedback.block_reason
        assert blocked is not None
        assert blocked.value == "PROHIBITED_CONTENT"
        fake.faults.status = 429
        refused = await client.aio.models.generate_content_stream(model="m", contents="hello")
        with pytest.raises(genai.errors.ClientError, match="429"):
            await anext(refused)
        await client.aio.aclose()
