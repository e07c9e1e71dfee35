"""The pure codec of chat completions."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.providers.base import LlmEvent, TextDelta, Usage
from antiphon.providers.llm.chat import (
    CALL_BEGINS,
    INTERRUPTED,
    NO_RESULT,
    ChunkAssembler,
    ChunkError,
    to_messages,
)
from antiphon.types import Message, ToolCall

CALL = ToolCall("c1", "price", '{"drink": "latte"}')


def assemble(*deltas: dict[str, Any]) -> list[LlmEvent]:
    assembler = ChunkAssembler("r")
    events = [e for delta in deltas for e in assembler.add({"choices": [{"delta": delta}]})]
    return events + assembler.finish()


def call(arguments: str, **rest: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": rest.pop("name")} if "name" in rest else {})}
    return {"tool_calls": [{"function": function, **rest}]}


def said(*pieces: str) -> str:
    events = assemble(*({"content": piece} for piece in pieces))
    return "".join(one.text for one in events if isinstance(one, TextDelta))


def test_a_greeting_is_preceded_by_the_call_beginning() -> None:
    sent = to_messages([Message("system", "s"), Message("assistant", "Hello!")])
    assert [one["role"] for one in sent] == ["system", "user", "assistant"]
    assert sent[1]["content"] == CALL_BEGINS


def test_an_interrupted_message_is_marked_and_one_never_heard_is_left_out() -> None:
    sent = to_messages(
        [
            Message("user", "a"),
            Message("assistant", "We have", interrupted=True),
            Message("user", "b"),
            Message("assistant", "", interrupted=True),
            Message("user", "c"),
        ]
    )
    assert [one["content"] for one in sent] == ["a", f"We have {INTERRUPTED}", "b\nc"]


def test_results_stand_after_their_calls_and_missing_ones_are_said_to_be() -> None:
    other = ToolCall("c2", "price", "")
    sent = to_messages(
        [
            Message("user", "a"),
            Message("assistant", "", tool_calls=(CALL, other)),
            Message("user", "b"),
            Message("tool", '{"eur": 4}', tool_call_id="c1"),
            Message("tool", "of nobody", tool_call_id="c9"),
        ]
    )
    assert [one["role"] for one in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert sent[1]["content"] is None
    assert sent[1]["tool_calls"][1]["function"]["arguments"] == "{}"
    assert [one["content"] for one in sent[2:4]] == ['{"eur": 4}', NO_RESULT]


@pytest.mark.parametrize(
    "parts",
    [
        [call('{"drink":', index=0, id="c1", name="price"), call(' "latte"}', index=0)],
        [call('{"drink":', id="c1", name="price"), call(' "latte"}')],
        [call('{"drink": "latte"}', index=0, id="c1", name="price")],
        [call('{"drink":', index=0, id="c1", name="price"), call(' "latte"}', index=0, id="c1")],
    ],
    ids=["by the book", "no index", "whole", "id repeated"],
)
def test_tool_calls_as_servers_stream_them(parts: list[dict[str, Any]]) -> None:
    assert assemble(*parts) == [CALL]


def test_two_calls_that_both_claim_index_0() -> None:
    parts = [call("{}", index=0, id="a", name="x"), call("{}", index=0, id="b", name="y")]
    assert assemble(*parts) == [ToolCall("a", "x", "{}"), ToolCall("b", "y", "{}")]


def test_a_call_without_id_gets_one() -> None:
    assert assemble(call("{}", index=0, name="x")) == [ToolCall("call_r_0", "x", "{}")]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (("<think>hm</think>\n\nHi",), "Hi"),
        (("<th", "ink>a ", "b</thi", "nk>", "\n", "Hi ", "there"), "Hi there"),
        (("\n<think>", "never ends"), ""),
        (("<this is", " plain"), "<this is plain"),
        (("Hi <think>well", "</think>there"), "Hi there"),
        (("<th",), "<th"),
        (("<think>a", "</think>", "  "), ""),
    ],
)
def test_thoughts_are_not_spoken(pieces: tuple[str, ...], expected: str) -> None:
    assert said(*pieces) == expected


def test_thoughts_beside_the_text_are_not_spoken() -> None:
    for name in ("reasoning_content", "reasoning"):
        events = assemble({name: "hm"}, {name: "so", "content": "Hi"})
        assert events == [TextDelta("Hi")]
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi"}]
    assert assemble({"content": parts}) == [TextDelta("Hi")]


def test_an_answer_that_begins_inside_a_thought_teaches() -> None:
    assembler = ChunkAssembler("r")
    assembler.add({"choices": [{"delta": {"content": "hm</think>Hi"}}]})
    assert assembler.began_inside
    taught = ChunkAssembler("r", begins_inside=True)
    assert taught.add({"choices": [{"delta": {"content": "hm"}}]}) == []
    assert taught.add({"choices": [{"delta": {"content": "</think>Hi"}}]}) == [TextDelta("Hi")]


@pytest.mark.parametrize(
    "chunk",
    [
        3,
        [],
        {"choices": {}},
        {"choices": [3]},
        {"choices": [{"delta": 3}]},
        {"choices": [{"delta": {"content": 3}}]},
        {"choices": [{"delta": {"tool_calls": [3]}}]},
        {"choices": [{"delta": {"tool_calls": 3}}]},
        {"error": "no"},
        {"error": {"message": "no"}},
    ],
)
def test_malformed_chunks(chunk: Any) -> None:
    with pytest.raises(ChunkError):
        ChunkAssembler("r").add(chunk)


def test_usage_without_details() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": None}
    assembler = ChunkAssembler("r")
    assert assembler.add({"choices": [], "usage": usage}) == []
    assert assembler.finish() == [Usage(3, 0, 0)]


def test_usage_with_every_chunk_is_counted_once() -> None:
    assembler = ChunkAssembler("r")
    for written in (1, 2, 3):
        usage = {"prompt_tokens": 5, "completion_tokens": written}
        assembler.add({"choices": [{"delta": {"content": "a"}}], "usage": usage})
    assembler.add({"choices": [], "usage": None})
    assert assembler.finish() == [Usage(5, 3)]


NAMES = """choices delta content tool_calls index id function name arguments finish_reason usage
prompt_tokens prompt_tokens_details error message"""
KEYS = st.sampled_from(re.findall(r"\w+", NAMES))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
)
DELTAS = st.fixed_dictionaries({}, optional={"content": ANYTHING, "tool_calls": ANYTHING})
CHUNKS = ANYTHING | st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": DELTAS | ANYTHING}), max_size=2)}
)


@given(st.lists(CHUNKS, max_size=4))
def test_no_chunk_gives_anything_but_events_or_a_chunk_error(chunks: list[Any]) -> None:
    assembler = ChunkAssembler("r")
    events: list[LlmEvent] = []
    with contextlib.suppress(ChunkError):
        for chunk in chunks:
            events += assembler.add(chunk)
    events += assembler.finish()
    assert all(isinstance(one, TextDelta | ToolCall | Usage) for one in events)
    assert all(one.text for one in events if isinstance(one, TextDelta))
