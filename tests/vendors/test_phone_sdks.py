"""The companies' own libraries: as signers, as verifiers, and as clients of our fakes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
import warnings
from typing import Any
from xml.etree import ElementTree

import jwt
import pytest
import vonage_jwt
from telnyx import AsyncTelnyx
from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature
from tests.fakes.plivo import AUTH_ID, FakePlivo
from tests.fakes.telnyx import FakeTelnyx, TelnyxSigner
from tests.fakes.vonage import APPLICATION, FakeVonage, make_key

from antiphon.channels.phone.plivo import Plivo, PlivoOptions
from antiphon.channels.phone.telnyx import Telnyx, TelnyxOptions
from antiphon.channels.phone.vendor import DialOrder, Forged, Stream, TransferOrder, Webhook
from antiphon.channels.phone.vonage import Vonage, VonageOptions, read_jwt
from antiphon.providers.secret import Secret

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # old idioms of Python inside
    import plivo
    from plivo.rest import client as plivo_client
    from plivo.utils import signature_v3

SECRET = "a signature secret that is long enough for HS256"
STREAM = Stream("wss://voice.example.com/media", "tok.en-1", "https://voice.example.com/stream")
ORDER = DialOrder(
    "+15550003", "+15550002", STREAM, "https://x.example/status", "https://x.example/machine"
)


# ---- Telnyx --------------------------------------------------------------------------------


def ours_telnyx(key: str, url: str = "https://api.telnyx.com") -> Telnyx:
    options = TelnyxOptions(
        api_key=Secret("key"),
        public_key=key,
        account_sid="acc-1",
        application_id="app-1",
        base_url=f"{url}/v2",
    )
    return Telnyx(options, "https://voice.example.com")


def test_telnyx_and_we_agree_on_signatures() -> None:
    signer, now_s = TelnyxSigner(), int(time.time())
    ours = ours_telnyx(signer.public_key)
    dice = random.Random(5)
    agreed = 0
    for number in range(200):
        body = f"CallSid=v3%3A{number}&From=%2B1555&To=%2B1556".encode()
        age_s = dice.choice((0, 0, 0, 250, 400))
        headers = signer.headers(body, now_s - age_s)
        if dice.random() < 0.3:
            body += b"&x=1"
        if dice.random() < 0.2:
            headers = TelnyxSigner(2).headers(body, now_s)
        if dice.random() < 0.1:
            del headers[dice.choice(list(headers))]
        assert telnyx_accepts(body, headers, signer.public_key) is we_accept(
            ours, Webhook("POST", "https://x.example/", headers, body, now_s=now_s)
        )
        agreed += telnyx_accepts(body, headers, signer.public_key)
    assert 50 < agreed < 150


def telnyx_accepts(body: bytes, headers: dict[str, str], key: str) -> bool:
    try:
        verify_webhook_signature(body, headers, key)
    except WebhookVerificationError:
        return False
    return True


def we_accept(vendor: Telnyx | Vonage | Plivo, request: Webhook) -> bool:
    try:
        vendor.verify(request)
    except Forged:
        return False
    return True


async def test_telnyx_client_and_we_ask_for_the_same() -> None:
    signer = TelnyxSigner()
    async with FakeTelnyx() as fake:
        ours = ours_telnyx(signer.public_key, fake.http_url)
        sid = await ours.dial(ORDER)
        asked, path = fake.bodies[-1], fake.last.path
        async with AsyncTelnyx(api_key="key", base_url=f"{fake.http_url}/v2") as client:
            # This method sends the names as they are given, unlike `update`.
            body: dict[str, Any] = {
                "ApplicationSid": "app-1",
                "To": ORDER.to,
                "From": ORDER.sender,
                "Texml": asked["Texml"],
                "StatusCallback": ORDER.status_url,
                "StatusCallbackMethod": "POST",
                "StatusCallbackEvent": "initiated ringing answered completed",
                "Timeout": ORDER.ring_s,
                "TimeLimit": ORDER.longest_s,
                "MachineDetection": "DetectMessageEnd",
                "AsyncAmd": True,
                "AsyncAmdStatusCallback": ORDER.machine_url,
                "AsyncAmdStatusCallbackMethod": "POST",
            }
            made = await client.texml.accounts.calls.calls("acc-1", body=body)
            assert made.status == "queued"
            assert (fake.bodies[-1], fake.last.path) == (asked, path)
            await ours.transfer(TransferOrder(sid, "+15550009", "+15550002", "https://x.example/t"))
            ours_asked, path = fake.bodies[-1], fake.last.path
            await client.texml.accounts.calls.update(
                sid, account_sid="acc-1", texml=ours_asked["Texml"]
            )
            assert (fake.bodies[-1], fake.last.path) == (ours_asked, path)
            await client.texml.accounts.calls.update(sid, account_sid="acc-1", status="completed")
            theirs = fake.bodies[-1]
            await ours.hang_up(sid)
            assert fake.bodies[-1] == theirs
        await ours.aclose()


# ---- Vonage --------------------------------------------------------------------------------


def test_vonage_and_we_agree_on_tokens() -> None:
    now_s = int(time.time())
    options = VonageOptions(signature_secret=Secret(SECRET), application_id=APPLICATION)
    ours = Vonage(options, "https://voice.example.com")
    body = json.dumps({"uuid": "1", "from": "1555", "to": "1556"}).encode()
    claims = {
        "iat": now_s,
        "application_id": APPLICATION,
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    for number, key in enumerate((SECRET, "another secret that is long enough for it")):
        token = jwt.encode({**claims, "jti": str(number)}, key, "HS256")
        request = Webhook(
            *("POST", "https://x.example/", {"authorization": f"Bearer {token}"}, body),
            now_s=now_s,
        )
        assert vonage_jwt.verify_signature(token, SECRET) is we_accept(ours, request)
    good = jwt.encode(claims, SECRET, "HS256")
    dice = random.Random(6)
    for _ in range(500):
        at = dice.randrange(len(good))
        bent = good[:at] + dice.choice("AZaz09-_.") + good[at + 1 :]
        assert vonage_accepts(bent) is we_read(bent), bent


def vonage_accepts(token: str) -> bool:
    try:
        return bool(vonage_jwt.verify_signature(token, SECRET))
    except vonage_jwt.VonageVerifyJwtError:
        return False


def we_read(token: str) -> bool:
    try:
        read_jwt(token, SECRET)
    except Forged:
        return False
    return True


async def test_vonage_takes_our_token_as_its_own() -> None:
    private, public = make_key()
    async with FakeVonage(public) as fake:
        options = VonageOptions(
            signature_secret=Secret(SECRET),
            application_id=APPLICATION,
            private_key=Secret(private),
            base_url=fake.http_url,
        )
        ours = Vonage(options, "https://voice.example.com")
        await ours.dial(ORDER)
        await ours.aclose()
        theirs = vonage_jwt.JwtClient(APPLICATION, private).generate_application_jwt()
        claims = jwt.decode(theirs, public, algorithms=["RS256"])
        assert set(claims) == set(fake.claims[-1])
        ours_head = jwt.get_unverified_header(fake.last.headers["authorization"].split()[1])
        assert ours_head == jwt.get_unverified_header(theirs)


# ---- Plivo ---------------------------------------------------------------------------------


def ours_plivo(url: str = "https://api.plivo.com") -> Plivo:
    options = PlivoOptions(auth_id=AUTH_ID, auth_token=Secret("token"), base_url=f"{url}/v1")
    return Plivo(options, "https://voice.example.com")


URLS = (
    "https://voice.example.com/plivo/voice",
    "https://voice.example.com/plivo/status?b=2&a=1&a=0",
    "https://voice.example.com:8443/plivo/status?name=a%20b%2B&empty=",
)


def test_plivo_signs_and_we_verify() -> None:
    ours, dice = ours_plivo(), random.Random(7)
    names = ("From", "To", "CallUUID", "CallStatus", "Digits", "x")
    for number in range(300):
        url, method = dice.choice(URLS), dice.choice(("POST", "POST", "GET"))
        form = {name: str(dice.randrange(99)) for name in dice.sample(names, dice.randrange(5))}
        if method == "GET":
            form = {}
        nonce = f"{number:020d}"
        if method == "GET":
            base = signature_v3.construct_get_url(url, {})
        else:
            base = signature_v3.construct_post_url(url, dict(form))
        signature = signature_v3.get_signature_v3("token", base.decode(), nonce).decode()
        headers = {"x-plivo-signature-v3": signature, "x-plivo-signature-v3-nonce": nonce}
        ours.verify(Webhook(method, url, headers, b"", tuple(form.items())))
        assert signature_v3.validate_v3_signature(
            method, url, nonce, "token", signature, dict(form)
        )
        bent = Webhook(method, url, {**headers, "x-plivo-signature-v3-nonce": nonce + "1"})
        with pytest.raises(Forged):
            ours.verify(bent)


async def test_plivo_client_and_we_ask_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakePlivo() as fake:
        monkeypatch.setattr(plivo_client, "API_VOICE_BASE_URI", f"{fake.http_url}/v1/Account")
        ours = ours_plivo(fake.http_url)
        uuid = await ours.dial(ORDER)
        asked, path = fake.bodies[-1], fake.last.path
        with plivo.RestClient(AUTH_ID, "token") as client:
            await asyncio.to_thread(
                client.calls.create,
                **{
                    **{key: value for key, value in asked.items() if key not in ("from", "to")},
                    "from_": asked["from"],
                    "to_": asked["to"],
                    "machine_detection_time": None,
                    "error_if_parent_not_found": None,
                    "fallback_method": None,
                },
            )
            assert (fake.bodies[-1], fake.last.path) == (asked, path)
            await ours.transfer(
                TransferOrder(uuid, "+15550009", "+15550002", "https://x.example/t")
            )
            asked, path = fake.bodies[-1], fake.last.path
            await asyncio.to_thread(client.calls.transfer, uuid, **asked)
            # The client repeats in the body what is in the path.
            assert fake.bodies[-1].pop("call_uuid") == uuid
            assert (fake.bodies[-1], fake.last.path) == (asked, path)
            await asyncio.to_thread(client.calls.hangup, uuid)
            theirs = (fake.last.method, fake.last.path)
            await ours.hang_up(uuid)
            assert (fake.last.method, fake.last.path) == theirs
        await ours.aclose()


def test_plivo_writes_the_same_stream() -> None:
    theirs = plivo.plivoxml.ResponseElement().add(
        plivo.plivoxml.StreamElement(
            STREAM.url,
            bidirectional=True,
            audioTrack="inbound",
            statusCallbackUrl=STREAM.status_url,
            statusCallbackMethod="POST",
            contentType="audio/x-mulaw;rate=8000",
            extraHeaders="token=tokz3enz11",
            keepCallAlive=True,
        )
    )
    wanted = ElementTree.fromstring(theirs.to_string(pretty=False))[0]
    ours = ElementTree.fromstring(ours_plivo().answer(STREAM).body)[0]
    assert (ours.tag, ours.attrib, ours.text) == (wanted.tag, wanted.attrib, wanted.text)
