"""Two models as one, over two fakes of chat completions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.openai_server import Answer, OpenAiServer, ScriptedCall, openai_server

from antiphon.agent.load import load_agent
from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, FlowReply, LlmEvent, LlmRequest, TextDelta, Usage
from antiphon.providers.llm._router_options import RouterOptions
from antiphon.providers.llm.router import ASK, SAID, RouterLlm
from antiphon.types import Message, ToolCall, ToolSpec

SYSTEM = Message("system", "You sell coffee.")
HELLO = Message("user", "hello")
HARD = Message("user", "why is the sky blue?")
PRICE = ToolSpec("price", "Price of a drink.", {"type": "object", "properties": {}})
HAND_OVER = (ScriptedCall("c1", ASK, "{}"),)
BRIDGE = "Let me think about that."


@asynccontextmanager
async def routed(
    fast_answers: tuple[Answer, ...], large_answers: tuple[Answer, ...], **options: Any
) -> AsyncIterator[tuple[OpenAiServer, OpenAiServer, RouterLlm]]:
    async with openai_server(*fast_answers) as small, openai_server(*large_answers) as big:
        made = {"fast": choice(small, "small"), "large": choice(big, "big"), **options}
        llm = RouterLlm(RouterOptions.model_validate(made), AgentHints())
        await llm.start()
        yield small, big, llm
        await llm.aclose()


def choice(server: OpenAiServer, model: str) -> dict[str, Any]:
    place = {"provider": "openai", "base_url": server.base_url, "model": model}
    return {**place, "idle_ms": 500, "first_token_ms": 5000}


async def ask(llm: RouterLlm, *messages: Message) -> list[LlmEvent]:
    request = LlmRequest((SYSTEM, *(messages or (HELLO,))), (PRICE,))
    return [event async for event in llm.stream(request)]


def text_of(events: list[LlmEvent]) -> str:
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def used(events: list[LlmEvent]) -> list[str]:
    return [one.model for one in events if isinstance(one, Usage)]


def tools_of(request: dict[str, Any]) -> list[str]:
    return [one["function"]["name"] for one in request.get("tools", ())]


async def test_the_fast_model_answers_what_is_easy() -> None:
    async with routed((Answer("Hi."),), ()) as (fast, large, llm):
        events = await ask(llm)
        assert llm.model == "small"
    assert (text_of(events), used(events)) == ("Hi.", ["small"])
    assert tools_of(fast.requests[0]) == ["price", ASK]
    assert large.requests == []


async def test_its_tool_calls_are_its_own() -> None:
    calls = (ScriptedCall("c1", "price", "{}"),)
    async with routed((Answer("One moment.", calls),), ()) as (_fast, large, llm):
        events = await ask(llm)
    assert ToolCall("c1", "price", "{}") in events
    assert large.requests == []


async def test_the_fast_model_bridges_and_hands_over() -> None:
    answer = Answer("Good question.", (*HAND_OVER, ScriptedCall("c2", "price", "{}")))
    async with routed((answer,), (Answer("Light scatters."),)) as (fast, large, llm):
        events = await ask(llm, HARD)
    assert text_of(events) == "Good question. Light scatters."
    assert not [one for one in events if isinstance(one, ToolCall)]
    assert used(events) == ["small", "big"]
    assert tools_of(large.requests[0]) == ["price"]
    *same, last = large.requests[0]["messages"]
    assert same == fast.requests[0]["messages"][:-1]
    assert last["content"] == f"{HARD.content}\n{SAID.format(said='Good question.')}"


@pytest.mark.parametrize(("bridge", "said"), [(BRIDGE, f"{BRIDGE} 42."), ("", "42.")])
async def test_a_silent_fast_model_is_given_a_bridge(bridge: str, said: str) -> None:
    answers = (Answer("", HAND_OVER),), (Answer("42."),)
    async with routed(*answers, bridge=bridge) as (fast, large, llm):
        assert text_of(await ask(llm, HARD)) == said
    same = large.requests[0]["messages"] == fast.requests[0]["messages"]
    assert same is not bool(bridge)


async def test_the_bridge_comes_before_the_large_model_answers() -> None:
    stalling = Answer("", failure="stall")
    async with routed((Answer("", HAND_OVER),), (stalling,)) as (_fast, large, llm):
        stream = llm.stream(LlmRequest((SYSTEM, HARD)))
        events = [await anext(stream), await anext(stream)]
        assert TextDelta(BRIDGE) in events
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.wait([waiting], timeout=0.05)
        assert large.requests
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.wait_for(large.closed.wait(), 20)


@pytest.mark.parametrize(
    ("rule", "message", "hard"),
    [
        ({"words": ["sky", "blue moon"]}, HARD, True),
        ({"words": ["sk"]}, HARD, False),
        ({"matches": r"^why\b"}, Message("user", "Why?"), True),
        ({"matches": r"^why\b"}, HELLO, False),
        ({"over_words": 4}, HARD, True),
        ({"over_words": 5}, HARD, False),
        ({"words": ["sky"], "over_words": 5}, HARD, False),
    ],
)
async def test_rules_about_what_was_said(rule: Any, message: Message, hard: bool) -> None:
    async with routed((Answer("Fast."),), (Answer("Large."),), rules=[rule], ask=False) as (
        fast,
        _large,
        llm,
    ):
        events = await ask(llm, HARD, Message("assistant", "Well."), message)
    assert text_of(events) == (f"{BRIDGE} Large." if hard else "Fast.")
    assert used(events) == (["big"] if hard else ["small"])
    assert all(ASK not in tools_of(one) for one in fast.requests)


async def test_a_rule_about_tools() -> None:
    called = Message("assistant", "Let me look.", (ToolCall("c1", "price", "{}"),))
    result = Message("tool", "5", tool_call_id="c1")
    async with routed((Answer("Fast."),), (Answer("Large."),), rules=[{"tools": ["price"]}]) as (
        _fast,
        _large,
        llm,
    ):
        # Something has been said before: no bridge.
        assert text_of(await ask(llm, HELLO, called, result)) == "Large."
        done = Message("assistant", "It is five.")
        assert text_of(await ask(llm, HELLO, called, result, done, HELLO)) == "Fast."


async def test_the_large_model_goes_on_with_its_own_tools() -> None:
    calls = (ScriptedCall("big_1", "price", "{}"),)
    answers = (Answer("", calls), Answer("It is five."))
    async with routed((Answer("Hm.", HAND_OVER),), (*answers,)) as (fast, _large, llm):
        events = await ask(llm, HARD)
        (call,) = (one for one in events if isinstance(one, ToolCall))
        asked = Message("assistant", "Hm.", (call,))
        result = Message("tool", "5", tool_call_id=call.tool_call_id)
        assert text_of(await ask(llm, HARD, asked, result)) == "It is five."
    assert len(fast.requests) == 1


@pytest.mark.parametrize("failure", ["500", "stall", "short"])
async def test_the_fast_model_answers_when_the_large_one_fails(
    failure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = (Answer("Hm.", HAND_OVER), Answer("I think so.", HAND_OVER))
    async with routed((*answers,), (Answer(failure=failure),)) as (fast, _large, llm):
        with caplog.at_level(logging.WARNING, "antiphon.llm.router"):
            events = await ask(llm, HARD)
    assert text_of(events) == "Hm. I think so."
    assert not [one for one in events if isinstance(one, ToolCall)]
    assert tools_of(fast.requests[1]) == ["price"]
    assert used(events) == ["small", "small"]
    assert "large model failed" in caplog.messages


async def test_the_large_model_breaking_off_is_an_error() -> None:
    cut = Answer("Well, one", failure="cut")
    async with routed((Answer("Hm.", HAND_OVER),), (cut,)) as (fast, _large, llm):
        with pytest.raises(ProviderError, match="broke"):
            await ask(llm, HARD)
    assert len(fast.requests) == 1


async def test_a_failing_fast_model_is_an_error() -> None:
    async with routed((Answer(failure="429"),), ()) as (_fast, _large, llm):
        with pytest.raises(ProviderError, match="429"):
            await ask(llm)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"large": "openai"}, "fast\n.*Field required"),
        ({"fast": "opena", "large": "openai"}, "did you mean `openai`"),
        ({"fast": {"provider": "openai", "tempo": 1}, "large": "openai"}, "tempo: Extra inputs"),
        ({"fast": "auto", "large": "openai", "ask": False}, "would never answer"),
        ({"fast": "auto", "large": "openai", "rules": [{}]}, "a rule needs"),
        ({"fast": "auto", "large": "openai", "rules": [{"matches": "("}]}, "no regular expression"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        RouterOptions.model_validate(options)


async def test_the_flow_may_be_the_fast_one() -> None:
    class Brain:
        def reply(self, messages: Any) -> FlowReply:
            return FlowReply("We open at nine.")

    async with openai_server(Answer("Light scatters.")) as big:
        made = {"fast": "flow", "large": choice(big, "big"), "rules": [{"words": ["sky"]}]}
        llm = RouterLlm(RouterOptions.model_validate(made), AgentHints(brain=Brain()))
        await llm.start()
        assert text_of(await ask(llm)) == "We open at nine."
        assert text_of(await ask(llm, HARD)) == f"{BRIDGE} Light scatters."
        await llm.aclose()


def test_in_an_agent_with_keys_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_GROQ_KEY", "gsk-1")
    path = tmp_path / "agent.yaml"
    path.write_text(
        "name: a\nllm:\n  provider: router\n"
        "  fast: {provider: groq, api_key: '${MY_GROQ_KEY}'}\n  large: anthropic\n"
    )
    choice = load_agent(path).config.llm
    llm = registry.make("llm", choice.provider, choice.options)
    assert isinstance(llm, RouterLlm)
    assert "gsk-1" not in repr(RouterOptions.model_validate(choice.options))
