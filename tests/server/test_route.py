"""Whose a request is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.server.route import (
    call_prefix,
    head_target,
    is_about_a_session,
    may_begin_a_call,
    path_prefix,
    prefix_of,
    read_json,
    worker_of_body,
    worker_of_target,
)

SESSION = f"{call_prefix(12)}call_00ff"


@pytest.mark.parametrize(
    ("head", "target"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "/"),
        (b"\r\nPOST /api/voice/offer HTTP/1.1\r\n", "/api/voice/offer"),
        (b"GET /a?session=1 HTTP/1.0\n", "/a?session=1"),
        (b"GET http://voice.example.com/w1/x?y HTTP/1.1\r\n", "/w1/x?y"),
        (b"GET http://voice.example.com HTTP/1.1\r\n", "/"),
        (b"OPTIONS * HTTP/1.1\r\n", "/"),
        (b"GET /half-a-li", None),
        (b"", None),
        (b"\r\n", None),
        (b"\x16\x03\x01\x02\x00\n", ""),
        (b"GET /nine\n", ""),
        (b"hello there friend\n", ""),
    ],
)
def test_the_target_of_a_request(head: bytes, target: str | None) -> None:
    assert head_target(head) == target


@pytest.mark.parametrize(
    ("target", "worker"),
    [
        ("/", None),
        ("/w3/twilio/media", 3),
        (path_prefix(12) + "/x", 12),
        ("/w3", None),
        ("/w123/x", None),
        ("/welcome/x", None),
        ("/v1/calls", 0),
        ("/v1", None),
        (f"/api/voice/sessions/{SESSION}", 12),
        (f"/api/voice/sessions/{SESSION}/candidates?x=1", 12),
        (f"/api/voice/sessions/{SESSION}x", None),
        (f"/api/voice/socket?format=opus&session={SESSION}&token=t", 12),
        (f"/api/voice/socket?session_id={SESSION}", 12),
        (f"/api/voice/socket?session={SESSION}.", None),
        (f"/api/voice/socket?obsession={SESSION}", None),
        ("/api/voice/socket?session=call_00ff", None),
    ],
)
def test_the_worker_of_an_address(target: str, worker: int | None) -> None:
    assert worker_of_target(target) == worker


@pytest.mark.parametrize(
    ("target", "may"),
    [
        ("/", False),
        ("/?agent=Cafe", False),
        ("/metrics", False),
        ("/readyz?x=1", False),
        ("/console/main.js", False),
        ("/v1/calls", False),
        ("/api/agents", False),
        ("/api/voice/ice-servers", False),
        ("/api/text?agent=Cafe", True),
        ("/api/voice/offer", True),
        ("/api/voice/socket?format=opus", True),
        ("/twilio/voice", True),
        ("/metrics2", True),
    ],
)
def test_what_a_call_may_come_of(target: str, may: bool) -> None:
    assert may_begin_a_call(target) is may


def test_the_prefix_of_a_path() -> None:
    assert (prefix_of("/w3/twilio/media"), prefix_of("/twilio/w3/media")) == ("/w3", "")


@pytest.mark.parametrize(
    ("body", "worker"),
    [
        ({"session_id": SESSION, "token": "t"}, 12),
        ({"sdp": "v=0", "resume": {"session_id": SESSION}}, 12),
        ({"session": SESSION}, 12),
        ({"session": {"id": SESSION}}, None),
        ({"session_id": 7, "resume": 7}, None),
        ({"session_id": SESSION + "\n"}, None),
        ({"text": f"the session_id is {SESSION}"}, None),
        ([SESSION], None),
        (None, None),
    ],
)
def test_the_worker_of_a_body(body: object, worker: int | None) -> None:
    assert worker_of_body(body) == worker


def test_what_is_no_json_is_nobodys() -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        assert worker_of_body(read_json(body)) is None


def test_a_new_call_is_about_no_session() -> None:
    assert not is_about_a_session({"sdp": "v=0", "resume": None})
    assert is_about_a_session({"sdp": "v=0", "resume": {"session_id": "call_1"}})
    assert not is_about_a_session(["resume"])


@given(st.binary(max_size=200))
def test_any_bytes_are_taken(head: bytes) -> None:
    target = head_target(head)
    assert target is None or worker_of_target(target) is None or "/" in target


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    worker_of_target(text)
    worker_of_body({"session_id": text})
    assert read_json(json.dumps(text).encode()) == text
