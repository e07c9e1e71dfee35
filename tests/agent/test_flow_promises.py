"""What no conversation may break, whatever is said, cut off or dropped."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent.test_flow import CAFE, CLINIC

from antiphon.types import Message

SAYINGS = st.one_of(
    st.sampled_from(CAFE.sentences(400, 3)),
    st.sampled_from(["yes", "no", "what", "cancel", "a small latte", "no large", "without milk"]),
    st.sampled_from(["yes", "a large mocha with lots of sugar", "yes please", "thanks"]),
    st.text(max_size=30),
)
# A turn: what is said, how many words of the answer are heard, how the tool ends.
TURNS = st.lists(
    st.tuples(
        SAYINGS,
        st.one_of(st.just(99), st.integers(0, 12)),
        st.sampled_from(['{"number": 1}', '{"error": "x"}', "[]", "?", '{"ok": false}']),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(TURNS)
def test_nothing_is_called_that_was_not_heard_and_agreed_to(
    turns: list[tuple[str, int, str, bool]],
) -> None:
    messages: list[Message] = []
    heard = ""
    for text, words, result, dropped in turns:
        messages.append(Message("user", text))
        reply = CAFE.reply(messages)
        assert reply.text or reply.tool_calls
        assert reply == CAFE.reply(list(messages))
        if reply.tool_calls and not dropped:
            (call,) = reply.tool_calls
            for value in json.loads(call.arguments).values():
                assert value in heard, "called without having been said back"
            messages.append(Message("assistant", reply.text, reply.tool_calls))
            messages.append(Message("tool", result, (), call.tool_call_id))
            reply = CAFE.reply(messages)
            assert reply.text
            assert not reply.tool_calls
        if dropped:
            continue
        said = " ".join(reply.text.split()[:words])
        heard = f"{heard} {said.replace('.', '')}"
        if said:
            messages.append(Message("assistant", said, interrupted=words < 99))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(SAYINGS, st.sampled_from(CLINIC.sentences(300, 5))), max_size=8))
def test_the_clinic_always_answers(sayings: list[str]) -> None:
    messages: list[Message] = []
    for text in sayings:
        messages.append(Message("user", text))
        reply = CLINIC.reply(messages)
        for _ in range(3):
            if not reply.tool_calls:
                break
            messages.append(Message("assistant", "", reply.tool_calls))
            call = reply.tool_calls[0]
            messages.append(Message("tool", '{"ok": true}', (), call.tool_call_id))
            reply = CLINIC.reply(messages)
        assert reply.text
        assert not reply.tool_calls
        messages.append(Message("assistant", reply.text))
