"""llama.cpp in process with a tiny model made on the spot; `make test` does not install it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests.contracts import test_llm as contract
from tests.support.tiny_gguf import write_model

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, Llm, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.llm._tool_text import ToolText
from antiphon.providers.llm.llama_cpp import LlamaCppLlm, LlamaCppOptions
from antiphon.types import Message, ToolCall, ToolSpec

SYSTEM = Message("system", "You sell coffee.")
PRICE = ToolSpec("price", "Price of a drink.", {"type": "object", "properties": {}})
ANSWERS = {
    "?": ["Yes", ", of", " course", "."],
    "!": ["on and on ", "on and on "],
    "$": ["<tool_call>", '{"name": "price", ', '"arguments": {"drink": "tea"}}', "</tool_call>"],
    "&": ["<think>", "hm", "</think>", "Hello"],
    "e": ["Small", ", please"],
    "%": ["so hm", "</think> ", "Bye"],
}


@asynccontextmanager
async def loaded(tmp_path: Path, **options: Any) -> AsyncIterator[LlamaCppLlm]:
    pytest.importorskip("llama_cpp")
    path = write_model(tmp_path / "tiny.gguf", ANSWERS)
    place = {"model_path": str(path), "n_ctx": 256, "n_threads": 1}
    made = LlamaCppOptions.model_validate(place | options)
    llm = LlamaCppLlm(made, AgentHints())
    await llm.start()
    try:
        yield llm
    finally:
        await llm.aclose()
        assert not [one for one in threading.enumerate() if one.name.startswith("llama-cpp")]


async def ask(llm: Llm, text: str, *tools: ToolSpec) -> list[LlmEvent]:
    request = LlmRequest((SYSTEM, Message("user", text)), tools)
    return [event async for event in llm.stream(request)]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


async def test_text_is_streamed_and_counted(tmp_path: Path) -> None:
    async with loaded(tmp_path) as llm:
        events = await ask(llm, "tea?")
        assert [one.text for one in events if isinstance(one, TextDelta)] == ANSWERS["?"]
        (usage,) = (one for one in events if isinstance(one, Usage))
        # A token for each byte of the prompt, whose spaces have become "▁".
        prompt = "system: You sell coffee.user: tea??".replace(" ", "▁")
        assert usage.input_tokens == len(prompt.encode())
        assert usage.output_tokens == 4
        assert llm.model == "tiny"


async def test_tools_of_the_template(tmp_path: Path) -> None:
    async with loaded(tmp_path) as llm:
        events = await ask(llm, "buy$", PRICE)
        (call,) = (one for one in events if isinstance(one, ToolCall))
        assert (call.name, call.arguments) == ("price", '{"drink": "tea"}')
        assert text_of(events) == ""
        history = (
            SYSTEM,
            Message("user", "buy$"),
            Message("assistant", "", (call,)),
            Message("tool", "5", tool_call_id=call.tool_call_id),
            Message("user", "and?"),
        )
        events = [event async for event in llm.stream(LlmRequest(history, (PRICE,)))]
        assert text_of(events) == "Yes, of course."


async def test_thoughts(tmp_path: Path) -> None:
    async with loaded(tmp_path) as llm:
        assert text_of(await ask(llm, "hi&")) == "Hello"
        assert text_of(await ask(llm, "hi%")) == "so hm Bye"
        # It has been seen that answers begin inside a thought.
        assert text_of(await ask(llm, "hi%")) == "Bye"


async def test_one_after_another_and_not_too_many(tmp_path: Path) -> None:
    async with loaded(tmp_path, waiting=3) as llm:
        answers = await asyncio.gather(*(ask(llm, "tea?") for _ in range(4)))
        assert {text_of(one) for one in answers} == {"Yes, of course."}
        asked = (ask(llm, "tea?") for _ in range(6))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        refused = [one for one in outcomes if isinstance(one, ProviderError)]
        assert len(refused) == 2
        assert all(one.retryable for one in refused)


async def test_cancelling_stops_the_model(tmp_path: Path) -> None:
    async with loaded(tmp_path, max_tokens=100_000, n_ctx=16_384) as llm:
        stream = llm.stream(LlmRequest((Message("user", "go!"),)))
        assert await anext(stream) == TextDelta("on and on ")
        await cast("Any", stream).aclose()
        # It would take seconds to come to the end.
        assert text_of(await asyncio.wait_for(ask(llm, "tea?"), 20)) == "Yes, of course."
        running = asyncio.create_task(ask(llm, "go!"))
        waiting = asyncio.create_task(ask(llm, "tea?"))
        await asyncio.sleep(0.03)
        waiting.cancel()
        running.cancel()
        await asyncio.wait([running, waiting], timeout=20)
        assert running.cancelled()
        assert waiting.cancelled()
        assert text_of(await asyncio.wait_for(ask(llm, "tea?"), 20)) == "Yes, of course."


async def test_closing_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    async with loaded(tmp_path, max_tokens=100_000, n_ctx=16_384) as llm:
        stream = llm.stream(LlmRequest((Message("user", "go!"),)))
        await anext(stream)
        await llm.aclose()
        with pytest.raises(ProviderError, match="was closed"):
            [one async for one in stream]
        await llm.start()
        assert text_of(await ask(llm, "tea?")) == "Yes, of course."


async def test_errors(tmp_path: Path) -> None:
    async with loaded(tmp_path, first_token_ms=10) as llm:
        with pytest.raises(ProviderError, match=r"exceed context window|no answer within"):
            await ask(llm, "a" * 300)
        with pytest.raises(UserFacingError, match="there is no file"):
            await LlamaCppLlm(LlamaCppOptions(model_path="none.gguf"), AgentHints()).start()
        path = tmp_path / "wrong.gguf"
        path.write_bytes(b"GGUF but not really")
        with pytest.raises(UserFacingError, match="wrong cannot be loaded"):
            await LlamaCppLlm(LlamaCppOptions(model_path=str(path)), AgentHints()).start()


@pytest.mark.parametrize(
    "promise",
    [
        contract.test_an_answer_says_or_does_something,
        contract.test_requests_at_once_each_get_their_answer,
        contract.test_closing_early_and_cancelling_leave_nothing,
    ],
)
async def test_the_contract(promise: Any, tmp_path: Path) -> None:
    """Here and not with the others, because it may not be installed."""
    async with loaded(tmp_path) as llm:
        await promise(llm)


async def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.providers.llm.llama_cpp._PACKAGE", "no_such_package")
    assert "llama-cpp-python" in (registry.info("llm", "llama-cpp").missing or "")
    llm = registry.make("llm", "llama-cpp", {"model_path": "any.gguf"})
    with pytest.raises(UserFacingError, match="pip install 'antiphon"):
        await llm.start()
    await llm.aclose()


# ---- tool calls in text ----------------------------------------------------------------------

BOTH = [("price", '{"drink": "tea"}'), ("stock", "{}")]
ONE = BOTH[:1]


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        ("Hello {there}.", "Hello {there}.", []),
        ('<tool_call>\n{"name": "price", "arguments": {"drink": "tea"}}\n</tool_call>', "", ONE),
        (
            'One moment. <tool_call>{"name": "price", "arguments": {"drink": "tea"}}</tool_call>\n'
            '<tool_call>{"name": "stock"}</tool_call>',
            *("One moment. ", BOTH),
        ),
        ('{"name": "price", "parameters": {"drink": "tea"}}', "", ONE),
        ('{"name": "price", "parameters": {"drink": "tea"}}; {"name": "stock"}', "", BOTH),
        ('[{"name": "price", "arguments": {"drink": "tea"}}, {"name": "stock"}]', "", BOTH),
        ('[TOOL_CALLS] [{"name": "price", "arguments": {"drink": "tea"}}]', "", ONE),
        ('[TOOL_CALLS]price[ARGS]{"drink": "tea"}[TOOL_CALLS]stock[ARGS]{}', "", BOTH),
        ('{"type": "function", "function": {"name": "stock", "arguments": "{}"}}', "", BOTH[1:]),
        (
            "<tool_call>\n<function=price>\n<parameter=drink>\ntea\n</parameter>\n</function>\n"
            "</tool_call>",
            *("", ONE),
        ),
        ('{"name": "unknown"}', '{"name": "unknown"}', []),
        ("[laughs] Well.", "[laughs] Well.", []),
        ('<tool_call>{"name": "pri', "", []),
        ("{ not JSON", "{ not JSON", []),
        ("a < b", "a < b", []),
        ("", "", []),
    ],
)
def test_calls_written_as_text(text: str, said: str, calls: list[tuple[str, str]]) -> None:
    for pieces in ([text], list(text)):
        tools = ToolText(["price", "stock"], "r")
        out = "".join(tools.add(piece) for piece in pieces)
        rest, found = tools.finish()
        assert out + rest == said
        assert [(one.name, one.arguments) for one in found] == calls
        assert len({one.tool_call_id for one in found}) == len(found)


def test_without_tools_nothing_is_held() -> None:
    tools = ToolText([], "r")
    assert tools.add('{"name": "price"}') == '{"name": "price"}'
    assert tools.finish() == ("", [])
