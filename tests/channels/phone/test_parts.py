"""Reading requests and messages, remembering, writing XML."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest

from antiphon.channels.phone.parts import (
    Seen,
    check_password,
    count,
    element,
    fields,
    international,
    line_status,
    read_object,
    response,
    same,
    seconds,
    text,
    written,
)
from antiphon.channels.phone.vendor import BadMessage, Forged, Webhook

URL = "https://voice.example.com/x"


def test_what_a_request_says() -> None:
    form = (("a", "form"), ("a", "second"), ("b", "1"))
    said = fields(Webhook("POST", URL + "?a=query&c=%2B1&d=", {}, b"a=form", form))
    assert said == {"a": "form", "b": "1", "c": "+1", "d": ""}
    body = b'{"a":"json","n":5,"f":1.5,"o":{},"l":[],"t":true,"z":null}'
    said = fields(Webhook("POST", URL + "?a=query", {}, body))
    assert (said["a"], said["n"]) == ("json", "5")
    assert "o" not in said
    assert fields(Webhook("POST", URL, {}, b"plain")) == {}
    for broken in (b"{", b"{" * 100_000, b'{"a":\xff}'):
        with pytest.raises(BadMessage):
            fields(Webhook("POST", URL, {}, broken))


def test_objects() -> None:
    for broken in ("", "1", "[]", "{", b"{}", "[" * 200_000, '{"a":' + "9" * 5000 + "}"):
        with pytest.raises(BadMessage):
            read_object(broken)
    said = read_object('{"a":"x","n":7,"big":99999999999999999999,"f":0.5,"t":true,"s":"12"}')
    assert [text(said, key) for key in ("a", "n", "big", "f", "t", "none")] == [
        *("x", "7", "", "", "", ""),
    ]
    assert [count(said, key) for key in ("a", "n", "big", "s", "none")] == [0, 7, 0, 12, 0]
    assert count({"c": "\u0661"}, "c") == 0
    assert count({"c": "-1"}, "c") == 0


def test_words_of_the_line() -> None:
    assert line_status("No-Answer") == "no_answer"
    with pytest.raises(BadMessage):
        line_status("")
    assert seconds({"a": "", "b": "12"}, "a", "b") == 12
    assert seconds({"a": "1.5", "b": "\u0661"}, "a", "b") is None
    assert [international(one) for one in ("15550001", "+15550001", "100", "anonymous", "")] == [
        *("+15550001", "+15550001", "100", "anonymous", ""),
    ]


def test_passwords() -> None:
    def asked(header: str = "", query: str = "") -> Webhook:
        return Webhook("GET", URL + query, {"authorization": header} if header else {})

    basic = "basic " + base64.b64encode("u:p\u00e4:x".encode()).decode()
    check_password(asked(basic), "p\u00e4:x")
    check_password(asked(query="?secret=a%26b"), "a&b")
    for request in (
        asked(),
        asked("Basic"),
        asked("Basic !"),
        asked("Bearer x"),
        asked("Basic eA=="),
    ):
        with pytest.raises(Forged) as caught:
            check_password(request, "word")
        assert caught.value.why == "unsigned"
    with pytest.raises(Forged) as caught:
        check_password(asked(basic, "?secret=word"), "word")
    assert caught.value.why == "forged", "one wrong password is enough"
    assert same("\ud800", "?"), "what has no bytes is compared as its replacement"


def test_what_came_before() -> None:
    seen = Seen(most=2)
    seen.demand_first("a")
    with pytest.raises(Forged) as caught:
        seen.demand_first("a")
    assert caught.value.why == "replayed"
    seen.demand_first("b")
    seen.demand_first("c")
    seen.demand_first("a")


def test_xml() -> None:
    document = response(element("Say", {"voice": 'a"<&\x01', "none": ""}, written("x<y\ud800\x0b")))
    (say,) = ElementTree.fromstring(document)
    assert (say.attrib, say.text) == ({"voice": 'a"<&'}, "x<y")
    assert element("Hangup") == "<Hangup/>"
