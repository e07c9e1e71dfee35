"""Telnyx: golden messages, signatures, documents, and REST against the fake."""

from __future__ import annotations

import base64
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError
from tests.fakes.broken import broken, read_all
from tests.fakes.telnyx import FakeTelnyx, TelnyxSigner

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.telnyx import Telnyx, TelnyxDialect, TelnyxOptions
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
from antiphon.errors import ProviderError
from antiphon.providers.secret import Secret

NOW_S = 1_795_000_000
STREAM = Stream("wss://voice.example.com/telnyx/media", "tok.en-1", "https://x.example/s")
CONNECTED = '{"event":"connected","version":"1.0.0"}'
START = """{"event":"start","sequence_number":"1","start":{"user_id":"3E6F995F",
 "call_control_id":"v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
 "client_state":"aGF2ZSBhIG5pY2UgZGF5ID1d","custom_parameters":{"token":"tok.en-1"},
 "media_format":{"encoding":"PCMU","sample_rate":8000,"channels":1}},
 "stream_id":"32DE0DEA-53CB-4B21-89A4-9E1819C043BC"}"""
MEDIA = """{"event":"media","sequence_number":"4","media":{"track":"inbound","chunk":"2",
 "timestamp":"5","payload":"f39/fw=="},"stream_id":"32DE0DEA-53CB-4B21-89A4-9E1819C043BC"}"""
DTMF = """{"event":"dtmf","stream_id":"32DE0DEA","occurred_at":"2026-11-21T21:00:00Z",
 "sequence_number":"5","dtmf":{"digit":"1"}}"""
MARK = '{"event":"mark","sequence_number":"5","stream_id":"32DE0DEA","mark":{"name":"a1"}}'
STOP = """{"event":"stop","sequence_number":"5","stop":{"user_id":"3E6F995F",
 "call_control_id":"v3:T02"},"stream_id":"32DE0DEA"}"""
ERROR = """{"event":"error","stream_id":"32DE0DEA","payload":{"code":100003,
 "title":"malformed_frame","detail":"x"}}"""
EXAMPLES = (CONNECTED, START, MEDIA, DTMF, MARK, STOP, ERROR)


def telnyx(signer: TelnyxSigner, **more: Any) -> Telnyx:
    options = TelnyxOptions(
        api_key=Secret("key"), public_key=signer.public_key, account_sid="acc-1", **more
    )
    return Telnyx(options, "https://voice.example.com")


def webhook(body: str = "", headers: dict[str, str] | None = None, **form: str) -> Webhook:
    return Webhook(
        "POST",
        "https://voice.example.com/telnyx/voice",
        headers or {},
        body.encode(),
        tuple(form.items()),
        NOW_S,
    )


def test_messages_in() -> None:
    dialect = TelnyxDialect()
    assert dialect.read(CONNECTED) is None
    assert dialect.read(START) == Started(
        "32DE0DEA-53CB-4B21-89A4-9E1819C043BC",
        "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ",
        {"token": "tok.en-1"},
    )
    assert dialect.read(MEDIA) == Sound(b"\x7f" * 4, chunk=2)
    assert dialect.read(MEDIA.replace('"inbound"', '"outbound"')) is None
    assert dialect.read(DTMF) == Key("1")
    assert dialect.read(DTMF.replace('"1"', '"A"')) is None
    assert dialect.read(MARK) == Marked("a1")
    assert dialect.read(STOP) == Stopped()
    assert dialect.read(ERROR) is None


def test_messages_out() -> None:
    dialect = TelnyxDialect()
    assert (dialect.encoding, dialect.rate_hz) == ("mulaw", 8000)
    assert json.loads(dialect.sound(b"\xff" * 160)) == {
        "event": "media",
        "media": {"payload": base64.b64encode(b"\xff" * 160).decode()},
    }
    assert dialect.mark('a"1') == '{"event":"mark","mark":{"name":"a\\"1"}}'
    assert dialect.clear() == '{"event":"clear"}'


@pytest.mark.parametrize(
    "message",
    [
        *("", "[]", "{}", b"binary", "[" * 100_000, '{"event":"media"}', '{"event":"mark"}'),
        *(MEDIA.replace("f39/fw==", "%"), START.replace("PCMU", "OPUS"), " " * 300_000),
    ],
)
def test_garbage(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        TelnyxDialect().read(message)


def test_broken_messages() -> None:
    good, bad = read_all(TelnyxDialect(), broken(EXAMPLES, 1, 5000))
    assert good > 300
    assert bad > 1000


def test_signatures() -> None:
    signer = TelnyxSigner()
    ours = telnyx(signer)
    body = b"CallSid=v3%3A1&From=%2B15550001"
    headers = signer.headers(body, NOW_S - 299)
    ours.verify(webhook(body.decode(), headers))

    def why(body: bytes, headers: dict[str, str]) -> str:
        with pytest.raises(Forged) as caught:
            ours.verify(webhook(body.decode(), headers))
        return caught.value.why

    assert why(body, headers) == "replayed"
    assert why(body + b"&x=1", signer.headers(body, NOW_S)) == "forged"
    assert why(body, {}) == "unsigned"
    assert why(body, {**headers, "telnyx-timestamp": ""}) == "unsigned"
    assert why(body, {**headers, "telnyx-timestamp": "\u0661"}) == "forged"
    assert why(body, signer.headers(body, NOW_S - 301)) == "stale"
    assert why(body, signer.headers(body, NOW_S + 301)) == "stale"
    assert why(body, TelnyxSigner(2).headers(body, NOW_S)) == "forged"
    later = {**headers, "telnyx-timestamp": str(NOW_S)}
    assert why(body, later) == "forged"
    for signature in ("\u00e9", "QQ==", "x" * 10_000):
        assert why(body, {**headers, "telnyx-signature-ed25519": signature}) == "forged"
    assert ours.signs_handshake(webhook(headers=headers))
    assert not ours.signs_handshake(webhook())


def test_keys_are_checked() -> None:
    with pytest.raises(ValidationError, match="32 bytes"):
        TelnyxOptions(api_key=Secret("k"), public_key="QQ==", account_sid="a")


def test_webhooks() -> None:
    ours = telnyx(TelnyxSigner())
    call: dict[str, Any] = {"CallSid": "v3:1", "From": "+15550001", "To": "+15550002"}
    assert ours.incoming(webhook(**call)) == CallFacts("inbound", "+15550001", "+15550002", "v3:1")
    assert ours.incoming(webhook(Direction="outbound-api", **call)).direction == "outbound"
    with pytest.raises(BadMessage):
        ours.incoming(webhook())
    for said, status in (
        *(("initiated", "queued"), ("ringing", "ringing"), ("in-progress", "answered")),
        *(("completed", "completed"), ("busy", "busy"), ("no-answer", "no_answer")),
        *(("failed", "failed"), ("canceled", "canceled")),
    ):
        found = ours.status(webhook(CallSid="v3:1", CallStatus=said, CallDuration="15"))
        assert (found.status, found.duration_s, found.answered_by) == (status, 15, "")
    machine = ours.status(webhook(CallSid="v3:1", AnsweredBy="machine"))
    assert (machine.status, machine.answered_by, machine.machine_is_listening) == (
        *("answered", "machine"),
        True,
    )
    assert ours.status(webhook(AnsweredBy="human")).answered_by == "human"
    assert ours.status(webhook(AnsweredBy="not_sure")).answered_by == "unknown"
    with pytest.raises(BadMessage):
        ours.status(webhook(StreamEvent="stream-started"))
    assert ours.transfer_result(webhook(DialCallStatus="no-answer")).outcome == "no_answer"
    assert ours.transfer_result(webhook(DialCallStatus="completed")).outcome == "connected"
    with pytest.raises(BadMessage):
        ours.transfer_result(webhook())


def test_documents() -> None:
    ours = telnyx(TelnyxSigner())
    answer = ElementTree.fromstring(ours.answer(STREAM).body)
    stream = answer.find("Connect/Stream")
    assert stream is not None
    assert stream.attrib == {
        "url": STREAM.url,
        "track": "inbound_track",
        "codec": "PCMU",
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMU",
        "statusCallback": "https://x.example/s",
        "statusCallbackMethod": "POST",
    }
    parameter = stream.find("Parameter")
    assert parameter is not None
    assert parameter.attrib == {"name": "token", "value": "tok.en-1"}
    refused = ElementTree.fromstring(ours.refuse('5 < 6 & "7"\x00').body)
    assert [(one.tag, one.text) for one in refused] == [("Say", '5 < 6 & "7"'), ("Hangup", None)]
    assert [one.tag for one in ElementTree.fromstring(ours.refuse("").body)] == ["Hangup"]
    whisper = ElementTree.fromstring(ours.whisper("Anna calls", "https://x.example/a?b=1&c").body)
    gather = whisper.find("Gather")
    assert gather is not None
    assert gather.attrib["action"] == "https://x.example/a?b=1&c"
    assert whisper[-1].tag == "Hangup"
    assert ours.accepted(webhook(Digits="1"))
    assert not ours.accepted(webhook())
    assert "Hangup" not in ours.accept(webhook(Digits="1")).body
    assert "Hangup" in ours.accept(webhook(Digits="")).body


async def test_rest() -> None:
    async with FakeTelnyx() as fake:
        ours = telnyx(
            TelnyxSigner(), base_url=f"{fake.http_url}/v2", application_id="1494404757140276705"
        )
        try:
            order = DialOrder(
                "+15550003", "+15550002", STREAM, "https://x.example/st", "https://x.example/m"
            )
            sid = await ours.dial(order)
            assert sid == "v3:0"
            body = fake.bodies[-1]
            assert body["MachineDetection"] == "DetectMessageEnd"
            assert body["AsyncAmd"] is True
            assert body["Texml"] == ours.answer(STREAM).body
            sip = TransferOrder(sid, "sip:anna@pbx.example", "+15550002", "https://x.example/t?u=1")
            await ours.transfer(sip)
            dial = ElementTree.fromstring(fake.bodies[-1]["Texml"])
            assert dial.findtext("Dial/Sip") == "sip:anna@pbx.example"
            assert dial[0].attrib["action"] == "https://x.example/t?u=1"
            assert fake.last.path == "/v2/texml/Accounts/acc-1/Calls/v3:0"
            await ours.hang_up(sid)
            await ours.hang_up(sid)
            with pytest.raises(ProviderError, match="422"):
                await ours.transfer(sip)
            fake.faults.garbage = True
            with pytest.raises(ProviderError, match="name was not told"):
                await ours.dial(order)
            fake.faults.status = 503
            before = len(fake.connections)
            with pytest.raises(ProviderError, match="503") as caught:
                await ours.dial(order)
            assert caught.value.retryable
            assert len(fake.connections) == before + 1, "a call is never asked for twice"
        finally:
            await ours.aclose()


async def test_what_is_missing_is_said() -> None:
    ours = telnyx(TelnyxSigner())
    with pytest.raises(ProviderError, match="application_id"):
        await ours.dial(DialOrder("+1", "+2", STREAM, "https://x.example/st"))
    await ours.aclose()
    gone = telnyx(TelnyxSigner(), base_url="http://127.0.0.1:9", application_id="1")
    with pytest.raises(ProviderError, match="cannot be reached"):
        await gone.dial(DialOrder("+1", "+2", STREAM, "https://x.example/st"))
    await gone.aclose()
