"""Exotel: golden messages, the secret, the applet's request, and calls against the fake."""

from __future__ import annotations

import base64
import json
from collections import deque
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.fakes.broken import broken, read_all
from tests.fakes.exotel import FakeExotel

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.exotel import Exotel, ExotelDialect, ExotelOptions
from antiphon.channels.phone.extras import AdmitsBySecret
from antiphon.channels.phone.mouth import Mouth
from antiphon.channels.phone.vendor import (
    BadMessage,
    DialOrder,
    Forged,
    Key,
    Marked,
    Sound,
    Started,
    Stopped,
    Stream,
    TransferOrder,
    Webhook,
)
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.secret import Secret

URL = "https://voice.example.com/exotel/voice"
STREAM = Stream("wss://voice.example.com/exotel/media", "tok.en-1")
START = """{"event":"start","sequence_number":1,"stream_sid":"MZ1","start":{"stream_sid":"MZ1",
 "call_sid":"CA1","account_sid":"AC1","from":"+919876543210","to":"08047491899",
 "custom_parameters":{"token":"tok.en-1"},"media_format":{"encoding":"audio/x-raw",
 "sample_rate":"8000","bit_rate":"16"}}}"""
MEDIA = """{"event":"media","sequence_number":"3","stream_sid":"MZ1","media":{"chunk":"2",
 "timestamp":"200","payload":"AQACAA=="}}"""
DTMF = """{"event":"dtmf","sequence_number":"7","stream_sid":"MZ1","dtmf":{"digit":"5",
 "duration":"100"}}"""
MARK = '{"event":"mark","sequence_number":"15","stream_sid":"MZ1","mark":{"name":"a3"}}'
STOP = """{"event":"stop","sequence_number":"20","stream_sid":"MZ1","stop":{"call_sid":"CA1",
 "account_sid":"AC1","reason":"callended"}}"""
EXAMPLES = ('{"event":"connected"}', START, MEDIA, DTMF, MARK, STOP)


def exotel(**more: Any) -> Exotel:
    return Exotel(ExotelOptions(secret=Secret("long word"), **more), "https://voice.example.com")


def webhook(query: str = "", user: str = "", body: bytes = b"") -> Webhook:
    basic = "Basic " + base64.b64encode(user.encode()).decode()
    url = f"{URL}?{query}" if query else URL
    return Webhook("GET", url, {"authorization": basic} if user else {}, body)


def test_messages_in() -> None:
    dialect = ExotelDialect(8000)
    assert dialect.read('{"event":"connected"}') is None
    assert dialect.read(START) == Started(
        *("MZ1", "CA1", {"token": "tok.en-1"}), "+919876543210", "+08047491899"
    )
    assert dialect.read(MEDIA) == Sound(b"\x01\x00\x02\x00")
    assert dialect.read(DTMF) == Key("5")
    assert dialect.read(MARK) == Marked("a3")
    assert dialect.read(STOP) == Stopped()


def test_messages_out() -> None:
    dialect = ExotelDialect(8000)
    dialect.read(START)
    assert (dialect.encoding, dialect.rate_hz, dialect.least_ms) == ("l16", 8000, 100)
    assert json.loads(dialect.sound(b"\x01\x00")) == {
        "event": "media",
        "stream_sid": "MZ1",
        "media": {"payload": "AQA="},
    }
    assert dialect.mark("a3") == '{"event":"mark","stream_sid":"MZ1","mark":{"name":"a3"}}'
    assert dialect.clear() == '{"event":"clear","stream_sid":"MZ1"}'


def test_messages_carry_100_ms() -> None:
    mouth, dialect = Mouth(8000), ExotelDialect(8000)
    frames = deque([b"\x01\x00" * 160] * 27)
    sizes: list[int] = []

    def send(message: str | bytes) -> None:
        value = json.loads(message)
        if value["event"] == "media":
            sizes.append(len(base64.b64decode(value["media"]["payload"])))

    for tick in range(60):
        mouth.speak(lambda: frames.popleft() if frames else None, dialect, send, tick * 0.02)
    assert sizes == [3200, 1600, 1600, 1600, 640]


@pytest.mark.parametrize(
    "message",
    [
        *("", "[]", "{}", b"binary", MEDIA.replace("AQACAA==", "AQAC")),
        START.replace('"8000"', '"24000"'),
    ],
)
def test_garbage(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        ExotelDialect(8000).read(message)


def test_broken_messages() -> None:
    good, bad = read_all(ExotelDialect(8000), broken(EXAMPLES, 4, 5000))
    assert good > 300
    assert bad > 1000


def test_the_secret() -> None:
    ours = exotel()
    assert isinstance(ours, AdmitsBySecret)
    for good in (webhook("secret=long+word"), webhook(user="anyone:long word")):
        ours.verify(good)
        assert ours.admits(good)
        assert ours.signs_handshake(good)
    for bad, why in (
        (webhook(), "unsigned"),
        (webhook("secret=other"), "forged"),
        (webhook(user="long word"), "unsigned"),
        (webhook(user="a:b"), "forged"),
        (Webhook("GET", URL, {"authorization": "Basic \u00e9"}), "unsigned"),
        (Webhook("GET", URL, {"authorization": "Basic /w=="}), "unsigned"),
    ):
        assert not ours.admits(bad)
        with pytest.raises(Forged) as caught:
            ours.verify(bad)
        assert caught.value.why == why
    assert not ours.signs_handshake(webhook())


def test_the_applet_asks_for_the_address() -> None:
    ours = exotel()
    asked = webhook("CallSid=CA1&CallFrom=09876543210&CallTo=08047491899&Direction=incoming")
    assert ours.incoming(asked) == CallFacts("inbound", "+09876543210", "+08047491899", "CA1")
    with pytest.raises(BadMessage):
        ours.incoming(webhook())
    answer = ours.answer(STREAM)
    assert json.loads(answer.body) == {"url": f"{STREAM.url}?token=tok.en-1"}
    assert answer.content_type == "application/json"
    fast = json.loads(exotel(rate_hz=16_000).answer(STREAM).body)["url"]
    assert parse_qs(urlsplit(fast).query)["sample-rate"] == ["16000"]
    assert json.loads(ours.refuse("No.").body) == {"url": ""}


def test_statuses() -> None:
    ours = exotel()

    def told(**said: str) -> Webhook:
        return webhook(body=json.dumps(said).encode())

    done = ours.status(told(CallSid="CA1", Status="completed", ConversationDuration="12"))
    assert (done.status, done.duration_s) == ("completed", 12)
    assert ours.status(told(Status="in-progress", EventType="answered")).status == "answered"
    assert ours.status(told(Status="no-answer", EventType="terminal")).status == "no_answer"
    with pytest.raises(BadMessage):
        ours.status(told())


async def test_calls() -> None:
    order = DialOrder("+919876543210", "08047491899", STREAM, "https://x.example/st?u=1")
    async with FakeExotel() as fake:
        ours = exotel(
            account_sid="acme",
            api_key=Secret("key"),
            api_token=Secret("token"),
            base_url=fake.http_url,
        )
        assert await ours.dial(order) == "80bfbec2"
        form = fake.forms[-1]
        assert ("StreamUrl", f"{STREAM.url}?token=tok.en-1") in form
        assert ("StreamType", "bidirectional") in form
        assert [value for key, value in form if key == "StatusCallbackEvents[]"] == [
            *("answered", "terminal"),
        ]
        back = dict(form)["StatusCallback"]
        ours.verify(Webhook("POST", back, {}))
        fake.faults.status = 429
        with pytest.raises(ProviderError, match="429"):
            await ours.dial(order)
        await ours.aclose()
    bare = exotel()
    with pytest.raises(ProviderError, match="api_key"):
        await bare.dial(order)
    await bare.aclose()


async def test_what_it_cannot_do() -> None:
    ours = exotel()
    assert ours.can == {"dial"}
    with pytest.raises(UserFacingError, match="Connect applet"):
        await ours.transfer(TransferOrder("CA1", "+1", "+2", "https://x"))
    with pytest.raises(UserFacingError, match="stream is closed"):
        await ours.hang_up("CA1")
    with pytest.raises(UserFacingError):
        ours.whisper("a", "b")
    with pytest.raises(UserFacingError):
        ours.accept(webhook())
    with pytest.raises(BadMessage):
        ours.transfer_result(webhook())
