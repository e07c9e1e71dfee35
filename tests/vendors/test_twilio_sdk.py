"""Twilio's own library as signer of webhooks, as writer and reader of TwiML, and as REST client."""

from __future__ import annotations

import hashlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio, fake_twilio
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.voice_response import Connect, Dial, Gather, Parameter, VoiceResponse
from twilio.twiml.voice_response import Stream as TwimlStream

from antiphon.channels.base import TransferResult
from antiphon.channels.phone.twilio import Twilio, TwilioOptions
from antiphon.channels.phone.vendor import (
    BadMessage,
    DialOrder,
    Document,
    Forged,
    Status,
    Stream,
    TransferOrder,
    Webhook,
)
from antiphon.errors import ProviderError
from antiphon.providers.secret import Secret

VOICE = "https://voice.example.com/twilio/voice"
FORM = {
    "CallSid": "CA1",
    "AccountSid": ACCOUNT,
    "From": "+15550100",
    "To": "+15550199",
    "CallerName": "Zoë & Söhne",
    "Direction": "inbound",
    "Empty": "",
}


def twilio(base_url: str = "", **more: Any) -> Twilio:
    options = TwilioOptions(
        account_sid=ACCOUNT, auth_token=Secret(TOKEN), base_url=base_url, **more
    )
    return Twilio(options, "https://voice.example.com")


def signed(
    url: str, form: dict[str, str] | None = None, *, key: str = TOKEN, **more: Any
) -> Webhook:
    """A webhook that Twilio's library has signed."""
    algorithm = more.pop("algorithm", None)
    asked = more.pop("asked", url)
    signature = RequestValidator(key).compute_signature(url, form or {}, algorithm)
    headers = {"x-twilio-signature": signature, **more.pop("headers", {})}
    return Webhook(
        "POST", asked, headers, form=tuple((form or {}).items()), now_s=time.time(), **more
    )


def why(vendor: Twilio, request: Webhook) -> str:
    with pytest.raises(Forged) as caught:
        vendor.verify(request)
    return caught.value.why


def same(document: str | Document, expected: VoiceResponse) -> None:
    """Both are the same XML, whatever the order of attributes."""
    body = document.body if isinstance(document, Document) else document
    assert ET.canonicalize(body) == ET.canonicalize(str(expected))


# ---- signatures --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [VOICE, f"{VOICE}?a=1&b=%20x", "https://voice.example.com:8443/twilio/voice", "http://h/x"],
)
def test_sha1(url: str) -> None:
    twilio().verify(signed(url, FORM))


@pytest.mark.parametrize(
    ("as_signed", "as_asked"),
    [
        ("https://voice.example.com:443/twilio/voice", VOICE),
        (VOICE, "https://voice.example.com:443/twilio/voice"),
        ("http://voice.example.com:80/v", "http://voice.example.com/v"),
        (VOICE, "https://voice.example.com:8443/twilio/voice"),
    ],
)
def test_with_and_without_a_port(as_signed: str, as_asked: str) -> None:
    request = signed(as_signed, FORM, asked=as_asked)
    twilio().verify(request)
    # Twilio's library judges the same.
    assert RequestValidator(TOKEN).validate(as_asked, FORM, request.headers["x-twilio-signature"])


def test_sha256_with_a_shared_key() -> None:
    vendor = twilio(signing_keys={"webhooks_sharedkey_1": Secret("other")})
    settings = {
        "x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    }
    vendor.verify(signed(VOICE, FORM, key="other", algorithm="HMAC_SHA256", headers=settings))
    wrong = signed(VOICE, FORM, key="wrong", algorithm="HMAC_SHA256", headers=settings)
    assert why(vendor, wrong) == "forged"
    unknown = {"x-twilio-webhooks-signature-settings": "key=other,algorithm=HMAC_SHA256"}
    assert why(vendor, signed(VOICE, FORM, headers=unknown)) == "unknown"
    unknown = {"x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=MD5"}
    assert why(vendor, signed(VOICE, FORM, headers=unknown)) == "unknown"


def test_a_json_body() -> None:
    body = b'{"a": "\xc3\xab"}'
    url = f"{VOICE}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    twilio().verify(signed(url, body=body))
    assert why(twilio(), signed(url, body=body + b" ")) == "forged"
    assert RequestValidator(TOKEN).validate(
        url, body.decode(), signed(url).headers["x-twilio-signature"]
    )


def test_a_handshake_is_signed_without_fields_and_always_the_same() -> None:
    vendor = twilio()
    request = signed("wss://voice.example.com/twilio/media")
    assert vendor.signs_handshake(request)
    vendor.verify(request)
    vendor.verify(request)
    assert not vendor.signs_handshake(Webhook("GET", request.url, {}))


@pytest.mark.parametrize("change", ["value", "field", "less", "url", "signature", "key"])
def test_a_changed_request_is_forged(change: str) -> None:
    request = signed(VOICE, FORM, key="other" if change == "key" else TOKEN)
    form, url, headers = dict(request.form), request.url, dict(request.headers)
    match change:
        case "value":
            form["From"] = "+15550101"
        case "field":
            form["Extra"] = "1"
        case "less":
            del form["To"]
        case "url":
            url += "x"
        case "signature":
            headers["x-twilio-signature"] = "ünsigned"
    changed = Webhook("POST", url, headers, form=tuple(form.items()), now_s=time.time())
    assert why(twilio(), changed) == "forged"


def test_unsigned_replayed_and_stale() -> None:
    vendor = twilio()
    assert why(vendor, Webhook("POST", VOICE, {})) == "unsigned"
    request = signed(VOICE, FORM)
    vendor.verify(request)
    assert why(vendor, request) == "replayed"
    vendor.verify(signed(VOICE, {**FORM, "CallSid": "CA2"}))
    old = {**FORM, "Timestamp": "Mon, 16 Nov 2020 10:00:00 +0000"}
    assert why(vendor, signed(VOICE, old)) == "stale"
    vendor.verify(signed(VOICE, {**FORM, "Timestamp": "yesterday"}))


def test_an_address_that_is_none() -> None:
    assert why(twilio(), Webhook("POST", "http://[x", {"x-twilio-signature": "a"})) == "forged"


# ---- what webhooks say -------------------------------------------------------------------------


def test_a_call_comes_in() -> None:
    facts = twilio().incoming(signed(VOICE, FORM))
    assert (facts.caller, facts.called, facts.line_call_id) == ("+15550100", "+15550199", "CA1")
    assert facts.direction == "inbound"
    asked = Webhook("GET", f"{VOICE}?{urlencode(FORM)}", {})
    assert twilio().incoming(asked).caller == "+15550100"
    with pytest.raises(BadMessage):
        twilio().incoming(Webhook("POST", VOICE, {}))


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"CallStatus": "initiated"}, Status("CA1", "queued")),
        ({"CallStatus": "in-progress"}, Status("CA1", "answered")),
        ({"CallStatus": "no-answer"}, Status("CA1", "no_answer")),
        (
            {"CallStatus": "completed", "CallDuration": "17"},
            Status("CA1", "completed", duration_s=17),
        ),
        ({"CallStatus": "busy", "SipResponseCode": "486"}, Status("CA1", "busy", detail="486")),
        ({"AnsweredBy": "human"}, Status("CA1", "answered", "human")),
        ({"AnsweredBy": "machine_end_beep"}, Status("CA1", "answered", "machine", True)),
        ({"AnsweredBy": "machine_start"}, Status("CA1", "answered", "machine")),
        ({"AnsweredBy": "fax"}, Status("CA1", "answered", "machine")),
        ({"AnsweredBy": "unknown"}, Status("CA1", "answered", "unknown")),
    ],
)
def test_what_became_of_a_call(form: dict[str, str], status: Status) -> None:
    assert twilio().status(signed(VOICE, {"CallSid": "CA1", **form})) == status


@pytest.mark.parametrize("form", [{}, {"CallSid": "CA1"}, {"CallSid": "CA1", "CallStatus": "odd"}])
def test_a_status_that_says_nothing(form: dict[str, str]) -> None:
    with pytest.raises(BadMessage):
        twilio().status(signed(VOICE, form))


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        ({"DialCallStatus": "completed"}, "connected"),
        ({"DialCallStatus": "completed", "DialBridged": "true"}, "connected"),
        ({"DialCallStatus": "completed", "DialBridged": "false"}, "refused"),
        ({"DialCallStatus": "no-answer"}, "no_answer"),
        ({"DialCallStatus": "busy"}, "busy"),
        ({"DialCallStatus": "failed"}, "failed"),
    ],
)
def test_what_came_of_a_transfer(form: dict[str, str], outcome: str) -> None:
    result = twilio().transfer_result(signed(VOICE, form))
    assert result == TransferResult(outcome, form["DialCallStatus"])  # type: ignore[arg-type]
    with pytest.raises(BadMessage):
        twilio().transfer_result(signed(VOICE, {}))


# ---- TwiML -------------------------------------------------------------------------------------

STREAM = Stream("wss://voice.example.com/twilio/media", 'to"k&n', "https://voice.example.com/s")


def connected(stream: Stream) -> VoiceResponse:
    told = {}
    if stream.status_url:
        told = {"status_callback": stream.status_url, "status_callback_method": "POST"}
    inner = TwimlStream(url=stream.url, **told)
    for name, value in {"token": stream.token, **stream.parameters}.items():
        inner.append(Parameter(name=name, value=value))
    connect = Connect()
    connect.append(inner)
    response = VoiceResponse()
    response.append(connect)
    return response


def test_a_stream_is_connected() -> None:
    same(twilio().answer(STREAM), connected(STREAM))
    told = replace(STREAM, parameters={"from": "+15550001", "to": "+1555<2>", "call_id": "CA1"})
    same(twilio().answer(told), connected(told))
    bare = Stream(STREAM.url, "t")
    same(twilio().answer(bare), connected(bare))


def test_a_call_is_refused() -> None:
    expected = VoiceResponse()
    expected.say("All <5> lines are busy & so on.")
    expected.hangup()
    same(twilio().refuse("All <5> lines are busy & so on."), expected)
    silent = VoiceResponse()
    silent.hangup()
    same(twilio().refuse(""), silent)


def test_a_person_is_told_and_accepts() -> None:
    gather = Gather(num_digits=1, timeout=10, method="POST", action="https://x/a?b=1&c=2")
    gather.say("Somebody calls.")
    gather.say("Press any key to take the call.")
    expected = VoiceResponse()
    expected.append(gather)
    expected.hangup()
    same(twilio().whisper("Somebody calls.", "https://x/a?b=1&c=2"), expected)
    same(twilio().accept(signed(VOICE, {"Digits": "1"})), VoiceResponse())
    refused = VoiceResponse()
    refused.hangup()
    same(twilio().accept(signed(VOICE, {"Digits": ""})), refused)


# ---- REST --------------------------------------------------------------------------------------


@pytest.fixture
def fake() -> Iterator[FakeTwilio]:
    with fake_twilio() as one:
        yield one


def their_client(fake: FakeTwilio) -> Client:
    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = fake.url
    return client


async def test_a_call_is_made_as_their_library_makes_it(fake: FakeTwilio) -> None:
    order = DialOrder(
        *("+15550100", "+15550199", STREAM, "https://x/s"),
        machine_url="https://x/m", ring_s=25, longest_s=600,
    )  # fmt: skip
    vendor = twilio(fake.url)
    sid = await vendor.dial(order)
    await vendor.aclose()
    theirs = their_client(fake).calls.create(
        to="+15550100",
        from_="+15550199",
        twiml=twilio().answer(STREAM).body,
        timeout=25,
        time_limit=600,
        status_callback="https://x/s",
        status_callback_method="POST",
        status_callback_event=["initiated", "ringing", "answered", "completed"],
        machine_detection="DetectMessageEnd",
        async_amd="true",
        async_amd_status_callback="https://x/m",
        async_amd_status_callback_method="POST",
    )
    (path, form, user), (their_path, their_form, their_user) = fake.asked
    assert (path, form, user) == (their_path, their_form, their_user)
    assert sid.startswith("CA")
    assert theirs.sid is not None
    assert theirs.sid.startswith("CA")


async def test_a_call_is_hung_up_as_their_library_does(fake: FakeTwilio) -> None:
    vendor = twilio(fake.url)
    await vendor.hang_up("CA7")
    their_client(fake).calls("CA7").update(status="completed")
    assert fake.asked[0] == fake.asked[1]
    fake.failures.append((404, {"code": 20404, "message": "not found"}))
    await vendor.hang_up("CA7")
    fake.failures.append((400, {"code": 21220, "message": "Call is not in-progress."}))
    await vendor.hang_up("CA7")
    await vendor.aclose()


@pytest.mark.parametrize("to", ["+15550177", "sip:desk@pbx.example.com"])
@pytest.mark.parametrize("warm", [True, False])
async def test_a_caller_is_passed_on(fake: FakeTwilio, to: str, warm: bool) -> None:
    order = TransferOrder(
        *("CA7", to, "+15550199", "https://x/r"),
        answered_url="" if warm else "https://x/a",
        whisper_url="https://x/w?x=1&y=2" if warm else "",
        ring_s=20,
    )
    vendor = twilio(fake.url)
    await vendor.transfer(order)
    await vendor.aclose()
    path, form, _ = fake.asked[0]
    assert path.endswith("/Calls/CA7.json")
    dial = Dial(timeout=20, method="POST", action="https://x/r", caller_id="+15550199")
    extra: dict[str, str] = (
        {"url": order.whisper_url, "method": "POST"}
        if warm
        else {
            "status_callback": "https://x/a",
            "status_callback_method": "POST",
            "status_callback_event": "answered",
        }
    )
    (dial.sip if to.startswith("sip:") else dial.number)(to, **extra)
    expected = VoiceResponse()
    expected.append(dial)
    same(form["Twiml"][0], expected)
    assert form["StatusCallback"] == ["https://voice.example.com/twilio/status"]


async def test_what_twilio_refuses_is_said(fake: FakeTwilio) -> None:
    order = DialOrder("x", "+15550199", STREAM, "https://x/s")
    vendor = twilio(fake.url)
    refusal = {"code": 21211, "message": "Invalid 'To' Phone Number: x", "status": 400}
    fake.failures += [(400, refusal), (400, refusal), (429, {}), (201, {})]
    with pytest.raises(ProviderError, match="Invalid 'To' Phone Number") as caught:
        await vendor.dial(order)
    assert (caught.value.retryable, caught.value.blame) == (False, "request")
    with pytest.raises(TwilioRestException, match="Invalid 'To' Phone Number"):
        their_client(fake).calls.create(to="x", from_="+15550199", url="https://x")
    with pytest.raises(ProviderError) as caught:
        await vendor.dial(order)
    assert caught.value.retryable
    with pytest.raises(ProviderError):
        await vendor.dial(order)
    await vendor.aclose()


async def test_an_api_key_instead_of_the_token(fake: FakeTwilio) -> None:
    vendor = twilio(fake.url, api_key="SK1", api_secret=Secret("secret"))
    await vendor.hang_up("CA7")
    await vendor.aclose()
    assert fake.asked[0][2] == "SK1:secret"


async def test_nobody_is_there() -> None:
    vendor = twilio("http://127.0.0.1:9")
    with pytest.raises(ProviderError, match="cannot be reached"):
        await vendor.hang_up("CA7")
    await vendor.aclose()


def test_where_twilio_is() -> None:
    assert twilio()._base_url == "https://api.twilio.com"
    assert twilio(region="ie1", edge="dublin")._base_url == "https://api.dublin.ie1.twilio.com"
