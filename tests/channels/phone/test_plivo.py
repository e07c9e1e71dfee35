"""Plivo: golden messages, signatures, XML, and REST against the fake."""

from __future__ import annotations

import base64
import json
import random
import string
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from tests.fakes.broken import broken, read_all
from tests.fakes.plivo import AUTH_ID, FakePlivo

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.parts import Seen
from antiphon.channels.phone.plivo import (
    Plivo,
    PlivoDialect,
    PlivoOptions,
    alphanumeric,
    extra_headers,
    plain,
    sign,
)
from antiphon.channels.phone.vendor import (
    BadMessage,
    Cleared,
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
from antiphon.errors import ProviderError
from antiphon.providers.secret import Secret

URL = "https://voice.example.com/plivo/voice"
STREAM = Stream("wss://voice.example.com/plivo/media", "to-k_z1.en=", "https://x.example/s")
START = """{"sequenceNumber":0,"event":"start","start":{"callId":"c-1","streamId":"s-1",
 "accountId":"500025","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw",
 "sampleRate":8000}},"extra_headers":"{X-PH-token: toz1kz2z01z3enz4}"}"""
MEDIA = """{"sequenceNumber":3,"streamId":"s-1","event":"media","media":{"track":"inbound",
 "timestamp":"1778597597091","chunk":1,"payload":"f39/fw=="},"extra_headers":"{}"}"""
PLAYED = '{"event":"playedStream","streamId":"s-1","name":"a7"}'
CLEARED = '{"sequenceNumber":7,"event":"clearedAudio","streamId":"s-1"}'
DTMF = """{"event":"dtmf","sequenceNumber":5,"streamId":"s-1","dtmf":{"track":"inbound",
 "digit":"5","timestamp":"1"},"extra_headers":"{}"}"""
STOP = '{"event":"stop","streamId":"s-1"}'
EXAMPLES = (START, MEDIA, PLAYED, CLEARED, DTMF, STOP)


def plivo(**more: Any) -> Plivo:
    options = PlivoOptions(auth_id=AUTH_ID, auth_token=Secret("token"), **more)
    return Plivo(options, "https://voice.example.com")


def webhook(url: str = URL, headers: dict[str, str] | None = None, **form: str) -> Webhook:
    return Webhook("POST", url, headers or {}, b"", tuple(form.items()))


def signed(url: str = URL, nonce: str = "1", method: str = "POST", **form: str) -> Webhook:
    pairs = tuple(form.items())
    headers = {
        "x-plivo-signature-v3": f"other,{sign('token', method, url, pairs, nonce)}",
        "x-plivo-signature-v3-nonce": nonce,
    }
    return Webhook(method, url, headers, b"", pairs)


def test_messages_in() -> None:
    dialect = PlivoDialect()
    assert dialect.read(START) == Started("s-1", "c-1", {"token": "to-k_z1.en="})
    assert dialect.read(MEDIA) == Sound(b"\x7f" * 4)
    assert dialect.read(MEDIA.replace('"inbound"', '"outbound"')) is None
    assert dialect.read(PLAYED) == Marked("a7")
    assert dialect.read(CLEARED) == Cleared()
    assert dialect.read(DTMF) == Key("5")
    assert dialect.read(STOP) == Stopped()
    assert dialect.read('{"event":"incorrectPayload"}') is None


def test_messages_out() -> None:
    dialect = PlivoDialect()
    dialect.read(START)
    assert json.loads(dialect.sound(b"\xff" * 160)) == {
        "event": "playAudio",
        "media": {
            "contentType": "audio/x-mulaw",
            "sampleRate": 8000,
            "payload": base64.b64encode(b"\xff" * 160).decode(),
        },
    }
    assert dialect.mark("a7") == '{"event":"checkpoint","streamId":"s-1","name":"a7"}'
    assert dialect.clear() == '{"event":"clearAudio","streamId":"s-1"}'


@pytest.mark.parametrize(
    "message",
    [
        *("", "[]", "{}", b"binary", '{"event":"media"}', '{"event":"playedStream"}'),
        START.replace("x-mulaw", "x-l16"),
    ],
)
def test_garbage(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        PlivoDialect().read(message)


def test_broken_messages() -> None:
    good, bad = read_all(PlivoDialect(), broken(EXAMPLES, 3, 5000))
    assert good > 300
    assert bad > 1000


def test_headers_of_a_stream() -> None:
    for given in (
        *('{"token":"az1b"}', '{"X-PH-token":"az1b"}', "{X-PH-token: az1b}", "token=az1b"),
        {"X-PH-token": "az1b"},
    ):
        assert extra_headers(given) == {"token": "a-b"}
    assert extra_headers("{a: 1, X-PH-b: x y;c=2, d}") == {"a": "1", "b": "x y", "c": "2"}
    nothings: tuple[object, ...] = ("", "{}", None, 5, "[1]", {"a": []})
    for nothing in nothings:
        assert extra_headers(nothing) == {}
    dice = random.Random(4)
    for _ in range(500):
        token = "".join(dice.choices(string.ascii_letters + string.digits + "-_.=z01234", k=40))
        assert alphanumeric(token).isalnum()
        assert plain(alphanumeric(token)) == token


def test_signatures() -> None:
    ours = plivo()
    query = f"{URL}?b=2&a=%C3%A9&a=1&empty="
    ours.verify(signed(query, "1", From="15550001", To="+1"))
    ours.verify(signed(query, "2", "GET"))
    ours.verify(signed(nonce="3"))

    def why(request: Webhook) -> str:
        with pytest.raises(Forged) as caught:
            ours.verify(request)
        return caught.value.why

    assert why(signed(query, "1", From="15550001", To="+1")) == "replayed"
    assert why(webhook()) == "unsigned"
    good = signed(nonce="4", From="15550001")
    assert why(webhook(URL, {"x-plivo-signature-v3": "x"})) == "unsigned"
    assert why(webhook(URL, dict(good.headers), From="15550009")) == "forged"
    assert why(webhook(URL + "?a=1", dict(good.headers), From="15550001")) == "forged"
    other = {**good.headers, "x-plivo-signature-v3-nonce": "5"}
    assert why(webhook(URL, other, From="15550001")) == "forged"
    assert why(webhook(URL, {**other, "x-plivo-signature-v3": "\u00e9,,"})) == "forged"
    ours.verify(good)
    # One that was refused is not remembered, so that it cannot block a good one.
    ours.verify(webhook(URL, dict(signed(nonce="5").headers)))


def test_a_handshake_is_signed_as_either_scheme() -> None:
    ours = plivo()
    for number, scheme in enumerate(("wss", "https")):
        given = signed(f"{scheme}://voice.example.com/plivo/media", f"h{number}", "GET")
        handshake = Webhook("GET", "wss://voice.example.com/plivo/media", given.headers)
        assert ours.signs_handshake(handshake)
        ours.verify(handshake)
    assert not ours.signs_handshake(webhook())


def test_memory_is_bounded() -> None:
    seen = Seen(most=3)
    for nonce in "abcd":
        seen.demand_first(nonce)
    with pytest.raises(Forged):
        seen.demand_first("d")
    seen.demand_first("a")


def test_webhooks() -> None:
    ours = plivo()
    call: dict[str, Any] = {
        "CallUUID": "c-1",
        "From": "15550001",
        "To": "15550002",
        "Direction": "inbound",
    }
    assert ours.incoming(webhook(**call)) == CallFacts("inbound", "+15550001", "+15550002", "c-1")
    with pytest.raises(BadMessage):
        ours.incoming(webhook())
    for said, status in (
        *(("ringing", "ringing"), ("in-progress", "answered"), ("completed", "completed")),
        *(("busy", "busy"), ("no-answer", "no_answer"), ("timeout", "no_answer")),
        *(("failed", "failed"), ("cancel", "canceled")),
    ):
        found = ours.status(webhook(CallUUID="c-1", CallStatus=said, Duration="9"))
        assert (found.line_call_id, found.status, found.duration_s) == ("c-1", status, 9)
    machine = ours.status(webhook(CallUUID="c-1", Event="MachineDetection", Machine="true"))
    assert (machine.answered_by, machine.machine_is_listening) == ("machine", False)
    with pytest.raises(BadMessage):
        ours.status(webhook(Event="StartStream"))


def test_documents() -> None:
    ours = plivo()
    document = ElementTree.fromstring(ours.answer(STREAM).body)
    stream = document[0]
    assert (stream.tag, stream.text) == ("Stream", STREAM.url)
    assert stream.attrib == {
        "bidirectional": "true",
        "keepCallAlive": "true",
        "audioTrack": "inbound",
        "contentType": "audio/x-mulaw;rate=8000",
        "extraHeaders": "token=toz1kz2z01z3enz4",
        "statusCallbackUrl": "https://x.example/s",
        "statusCallbackMethod": "POST",
    }
    refused = ElementTree.fromstring(ours.refuse("<No>").body)
    assert [(one.tag, one.text) for one in refused] == [("Speak", "<No>"), ("Hangup", None)]
    assert ElementTree.fromstring(ours.whisper("Anna", "https://x/a").body)[0].text == "Anna"
    ElementTree.fromstring(ours.accept(webhook()).body)


async def test_calls() -> None:
    async with FakePlivo() as fake:
        ours = plivo(base_url=f"{fake.http_url}/v1")
        order = DialOrder("+15550003", "+15550002", STREAM, "https://x/st", "https://x/m")
        uuid = await ours.dial(order)
        body = fake.bodies[-1]
        assert (body["from"], body["to"], body["machine_detection"]) == (
            *("15550002", "15550003"),
            "true",
        )
        # Plivo asks for the document when the call is answered.
        fetched = webhook(body["answer_url"], CallUUID=uuid, Direction="outbound")
        document = ours.ordered(fetched)
        assert document is not None
        stream = ElementTree.fromstring(document.body)[0]
        assert stream.text == "wss://voice.example.com/plivo/media"
        assert stream.attrib["extraHeaders"] == "token=toz1kz2z01z3enz4"
        assert ours.ordered(webhook(CallUUID=uuid)) is None
        await ours.hang_up(uuid)
        await ours.hang_up(uuid)
        fake.faults.status = 500
        before = len(fake.connections)
        with pytest.raises(ProviderError, match="500"):
            await ours.dial(order)
        assert len(fake.connections) == before + 1
        await ours.aclose()


async def test_transfers() -> None:
    async with FakePlivo() as fake:
        ours = plivo(base_url=f"{fake.http_url}/v1")
        fake.calls.add("c-1")
        warm = TransferOrder(
            *("c-1", "+15550009", "+15550002", "https://x.example/t?u=1"),
            *("https://x.example/answered?u=1", "https://x.example/w"),
        )
        await ours.transfer(warm)
        assert fake.bodies[-1] == {
            "legs": "aleg",
            "aleg_url": "https://x.example/t?u=1",
            "aleg_method": "POST",
        }
        # Plivo fetches the document from there, and tells the result there, too.
        fetched = webhook(CallUUID="c-1", CallStatus="in-progress")
        document = ours.meanwhile(fetched)
        assert document is not None
        dial = ElementTree.fromstring(document.body)[0]
        assert dial.findtext("Number") == "15550009"
        assert dial.attrib["confirmKey"] == "1"
        assert urlsplit(dial.attrib["callbackUrl"]).query == "u=1&confirm=1"
        assert ours.meanwhile(fetched) is None
        told = webhook(CallUUID="c-1", DialStatus="no-answer")
        assert ours.meanwhile(told) is None
        assert ours.transfer_result(told).outcome == "no_answer"
        assert ours.transfer_result(webhook(DialStatus="completed")).outcome == "connected"
        with pytest.raises(BadMessage):
            ours.transfer_result(fetched)
        told_url = dial.attrib["callbackUrl"]
        assert not ours.answered(webhook(told_url, DialAction="answer"))
        assert ours.answered(webhook(told_url, DialAction="connected"))
        assert ours.answered(webhook(DialAction="answer"))
        assert not ours.answered(webhook(DialAction="hangup"))
        underway = ours.meanwhile(webhook(told_url, DialAction="answer"))
        assert underway is not None
        assert len(ElementTree.fromstring(underway.body)) == 0
        cold = TransferOrder("c-1", "sip:anna@pbx.example", "+1", "https://x/t")
        await ours.transfer(cold)
        document = ours.meanwhile(fetched)
        assert document is not None
        dial = ElementTree.fromstring(document.body)[0]
        assert dial.findtext("User") == "sip:anna@pbx.example"
        assert "confirmKey" not in dial.attrib
        assert dial.attrib["callbackUrl"] == "https://x/t"
        with pytest.raises(ProviderError, match="404"):
            await ours.transfer(TransferOrder("gone", "+1", "+2", "https://x/t"))
        await ours.aclose()
