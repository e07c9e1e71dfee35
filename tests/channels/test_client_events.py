from __future__ import annotations

import json

import pytest
from tests.support.rtc_client import typed

from antiphon.channels.client_events import (
    MAX_REJECTED,
    ClientEventReader,
    Flooded,
    HangUp,
    KeyPressed,
    Rejected,
    TalkKey,
    TokenBucket,
    Typed,
    parse,
)


def test_a_typed_message() -> None:
    assert parse(json.dumps(typed("  two\u0000 lattes\n"))) == Typed("two lattes")


def test_hang_up() -> None:
    assert parse(b'{"type":"antiphon.hang_up"}') == HangUp()


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null",
        "[]",
        "{",
        b"\xff\xfe\x00",
        "[" * 15_000,
        '{"type":"x"}',
        '{"type":["a"]}',
        '{"type":"conversation.item.create"}',
        '{"type":"conversation.item.create","item":{"type":"message","role":"assistant"}}',
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":7}}',
        '{"type":"antiphon.key"}',
        '{"type":"antiphon.key","key":"12"}',
        '{"type":"antiphon.talk_key","held":"yes"}',
        json.dumps(typed("")),
        json.dumps(typed(" \u200b\n")),
        json.dumps(typed("a" * 2_001)),
        json.dumps({"type": "antiphon.hang_up", "padding": "x" * 20_000}),
    ],
)
def test_rubbish_is_rejected_with_a_sentence(raw: str | bytes) -> None:
    event = parse(raw)
    assert isinstance(event, Rejected)
    assert event.message
    assert event.message.endswith(".")


def test_keys() -> None:
    assert parse('{"type":"antiphon.key","key":"#"}') == KeyPressed("#")
    assert parse('{"type":"antiphon.talk_key","held":true}') == TalkKey(True)


def test_lone_surrogates_do_not_get_in() -> None:
    assert parse(json.dumps(typed("a \ud800 b"))) == Typed("a b")


def test_a_flood_is_dropped_then_ends_the_call() -> None:
    reader = ClientEventReader()
    message = json.dumps(typed("hello"))
    events = [reader.read(message, 1.0) for _ in range(30)]
    assert sum(isinstance(event, Typed) for event in events) == 20
    complaints = [e.message for e in events if isinstance(e, Rejected) and e.message]
    assert len(complaints) == 5
    events = [reader.read(message, 1.0) for _ in range(MAX_REJECTED)]
    assert isinstance(events[-1], Flooded)


def test_the_rate_recovers() -> None:
    bucket = TokenBucket(per_s=1.0, burst=2.0)
    assert [bucket.take(5.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(5.5)
    assert bucket.take(6.5)
