"""Asterisk's chan_websocket: golden messages and the password."""

from __future__ import annotations

import base64
import json
from typing import Literal

import pytest
from tests.fakes.broken import broken, read_all

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.asterisk import Asterisk, AsteriskDialect, AsteriskOptions
from antiphon.channels.phone.extras import AdmitsBySecret
from antiphon.channels.phone.vendor import (
    BadMessage,
    DialOrder,
    Forged,
    Key,
    Marked,
    Sound,
    Started,
    Stream,
    TransferOrder,
    Webhook,
)
from antiphon.errors import UserFacingError
from antiphon.providers.secret import Secret

URL = "wss://voice.example.com/asterisk/media"
STREAM = Stream(URL, "token")
START = """{"event":"MEDIA_START","connection_id":"media_connection1",
 "channel":"WebSocket/media_connection1/0x5140001a0040","channel_id":"1761245643.1",
 "format":"ulaw","optimal_frame_size":160,"ptime":20,
 "channel_variables":{"DIALEDPEERNUMBER":"media_connection1/c(ulaw)",
 "ANTIPHON_CALLER":"+15550001","ANTIPHON_CALLED":"100"}}"""
DTMF = '{"event":"DTMF_END","channel_id":"1761245643.1","digit":"9"}'
MARK = """{"event":"MEDIA_MARK_PROCESSED","channel_id":"1761245643.1","correlation_id":"a4"}"""
XOFF = '{"event":"MEDIA_XOFF","channel_id":"1761245643.1"}'
EXAMPLES = (START, DTMF, MARK, XOFF, b"\xff" * 160)


def asterisk(codec: Literal["ulaw", "alaw", "slin", "slin16"] = "ulaw") -> Asterisk:
    options = AsteriskOptions(secret=Secret("word"), codec=codec)
    return Asterisk(options, "https://voice.example.com")


def test_messages_in() -> None:
    dialect = AsteriskDialect("ulaw")
    started = dialect.read(START)
    assert isinstance(started, Started)
    assert (started.stream_id, started.line_call_id) == ("media_connection1", "1761245643.1")
    assert (started.caller, started.called) == ("+15550001", "100")
    assert dialect.read(b"\xff" * 160) == Sound(b"\xff" * 160)
    assert dialect.read(DTMF) == Key("9")
    assert dialect.read(DTMF.replace('"9"', '"D"')) is None
    assert dialect.read(MARK) == Marked("a4")
    assert dialect.read(XOFF) is None


def test_messages_out() -> None:
    dialect = AsteriskDialect("ulaw")
    assert dialect.sound(b"\xff" * 160) == b"\xff" * 160
    assert json.loads(dialect.mark("a4")) == {"command": "MARK_MEDIA", "correlation_id": "a4"}
    assert json.loads(dialect.clear()) == {"command": "FLUSH_MEDIA"}


def test_codecs() -> None:
    found = {
        codec: (asterisk(codec).dialect().encoding, asterisk(codec).dialect().rate_hz)
        for codec in ("ulaw", "alaw", "slin", "slin16")
    }
    assert found == {
        "ulaw": ("mulaw", 8000),
        "alaw": ("alaw", 8000),
        "slin": ("l16", 8000),
        "slin16": ("l16", 16_000),
    }


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("MEDIA_START connection_id:x channel:y format:ulaw optimal_frame_size:160", "f.json"),
        (START.replace("ulaw", "slin16"), "where ulaw is set"),
        *(("", "JSON"), ("[]", "object"), ("{}", "event")),
        ('{"event":"MEDIA_MARK_PROCESSED"}', "name"),
        (b"\x00" * 300_000, "too much"),
    ],
)
def test_garbage(message: str | bytes, says: str) -> None:
    with pytest.raises(BadMessage, match=says):
        AsteriskDialect("ulaw").read(message)


def test_broken_messages() -> None:
    for codec in ("ulaw", "slin"):
        good, bad = read_all(AsteriskDialect(codec), broken(EXAMPLES, 5, 5000))
        assert good > 300
        assert bad > 1000


def test_the_password() -> None:
    ours = asterisk()
    assert isinstance(ours, AdmitsBySecret)
    basic = "Basic " + base64.b64encode(b"antiphon:word").decode()
    for good in (
        Webhook("GET", URL, {"authorization": basic}),
        Webhook("GET", URL + "?secret=word", {}),
    ):
        ours.verify(good)
        assert ours.admits(good)
    none = Webhook("GET", URL, {})
    assert ours.signs_handshake(none), "a stream without a password is refused by `verify`"
    wrong = Webhook("GET", URL + "?secret=wor", {})
    for bad, why in ((none, "unsigned"), (wrong, "forged")):
        assert not ours.admits(bad)
        with pytest.raises(Forged) as caught:
            ours.verify(bad)
        assert caught.value.why == why
    named = Webhook("GET", URL + "?caller=%2B15550001&called=100", {})
    assert ours.incoming(named) == CallFacts(caller="+15550001", called="100")


async def test_what_it_cannot_do() -> None:
    ours = asterisk()
    request = Webhook("POST", URL, {})
    assert ours.can == frozenset()
    for ask in (
        *(lambda: ours.answer(STREAM), lambda: ours.refuse(""), lambda: ours.status(request)),
        *(lambda: ours.transfer_result(request), lambda: ours.whisper("a", "b")),
        lambda: ours.accept(request),
    ):
        with pytest.raises(BadMessage, match="dialplan"):
            ask()
    with pytest.raises(UserFacingError, match="vendor: sip"):
        await ours.dial(DialOrder("+1", "+2", STREAM, "https://x"))
    with pytest.raises(UserFacingError, match="over SIP"):
        await ours.transfer(TransferOrder("1", "+1", "+2", "https://x"))
    await ours.hang_up("1")
    await ours.aclose()
