"""Vonage: golden messages, tokens, NCCO, and REST against the fake."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jwt
import pytest
from tests.fakes.broken import broken, read_all
from tests.fakes.vonage import APPLICATION, FakeVonage, make_key

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.vendor import (
    BadMessage,
    Cleared,
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
from antiphon.channels.phone.vonage import Vonage, VonageDialect, VonageOptions
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.secret import Secret

NOW_S = 1_795_000_000
SECRET = "a signature secret that is long enough for HS256"
STREAM = Stream("wss://voice.example.com/vonage/media", "tok.en-1")
CONNECTED = """{"event":"websocket:connected","content-type":"audio/l16;rate=16000",
 "token":"tok.en-1","caller":15550001}"""
DTMF = '{"event":"websocket:dtmf","digit":"5","duration":260}'
NOTIFY = '{"event":"websocket:notify","payload":{"name":"a7"}}'
CLEARED = '{"event":"websocket:cleared"}'
EXAMPLES = (CONNECTED, DTMF, NOTIFY, CLEARED, b"\x00\x01" * 320)
UUID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"


def vonage(private_key: str = "", **more: Any) -> Vonage:
    key = Secret(private_key) if private_key else None
    options = VonageOptions(
        signature_secret=Secret(SECRET), application_id=APPLICATION, private_key=key, **more
    )
    return Vonage(options, "https://voice.example.com")


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """Made by PyJWT, as Vonage's own library reads them."""
    said = {
        "iat": NOW_S,
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "application_id": APPLICATION,
        "api_key": "a1b2c3d",
    }
    return jwt.encode({**said, **claims}, secret, algorithm)


def webhook(body: dict[str, Any] | None = None, authorization: str = "", url: str = "") -> Webhook:
    raw = b"" if body is None else json.dumps(body).encode()
    return Webhook(
        "GET" if body is None else "POST",
        url or "https://voice.example.com/vonage/voice",
        {"authorization": authorization} if authorization else {},
        raw,
        now_s=NOW_S,
    )


def signed(body: dict[str, Any], **claims: Any) -> Webhook:
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    return webhook(body, f"Bearer {token(**{'payload_hash': digest, **claims})}")


def test_messages_in() -> None:
    dialect = VonageDialect(16_000)
    said = {"token": "tok.en-1", "caller": "15550001"}
    assert dialect.read(CONNECTED) == Started("", "", said)
    assert dialect.read(b"\x01\x00" * 320) == Sound(b"\x01\x00" * 320)
    assert dialect.read(DTMF) == Key("5")
    assert dialect.read('{"event":"websocket:dtmf","dtmf":{"digit":"#"}}') == Key("#")
    assert dialect.read(NOTIFY) == Marked("a7")
    assert dialect.read(CLEARED) == Cleared()
    assert dialect.read('{"event":"websocket:media:update"}') is None


def test_messages_out() -> None:
    dialect = VonageDialect(16_000)
    assert (dialect.encoding, dialect.rate_hz) == ("l16", 16_000)
    assert dialect.sound(b"\x00" * 640) == b"\x00" * 640
    assert json.loads(dialect.mark("a7")) == {"action": "notify", "payload": {"name": "a7"}}
    assert json.loads(dialect.clear()) == {"action": "clear"}


@pytest.mark.parametrize(
    "message",
    [
        *("", "[]", "{}", b"odd", b"\x00" * 300_000, '{"event":"websocket:notify"}'),
        CONNECTED.replace("16000", "24000"),
    ],
)
def test_garbage(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        VonageDialect(16_000).read(message)


def test_broken_messages() -> None:
    good, bad = read_all(VonageDialect(16_000), broken(EXAMPLES, 2, 5000))
    assert good > 300
    assert bad > 1000


def test_signatures() -> None:
    ours = vonage()
    body = {"from": "442079460000", "to": "447700900000", "uuid": UUID}
    ours.verify(signed(body))

    def why(request: Webhook) -> str:
        with pytest.raises(Forged) as caught:
            ours.verify(request)
        return caught.value.why

    assert why(signed(body)) == "replayed"
    assert why(webhook(body)) == "unsigned"
    assert why(webhook(body, "Basic YTpi")) == "unsigned"
    assert why(webhook(body, f"Bearer {token(jti='2')}")) == "forged", "no hash of the body"
    assert why(webhook({**body, "x": 1}, f"Bearer {token(payload_hash='0' * 64)}")) == "forged"
    assert why(signed(body, secret="another secret that is long enough for it")) == "forged"
    assert why(signed(body, algorithm="HS384")) == "forged"
    assert why(signed(body, application_id="another")) == "forged"
    assert why(signed(body, iat=NOW_S - 301)) == "stale"
    assert why(signed(body, iat=NOW_S + 301)) == "stale"
    assert why(signed(body, iat="now")) == "stale"
    assert why(signed(body, exp=NOW_S - 1)) == "stale"
    for garbage in ("x", "a.b.c", "\u00e9.\u00e9.\u00e9", "..", "e30.e30.", "W10.W10.W10"):
        assert why(webhook(body, f"Bearer {garbage}")) == "forged"
    nothing = token().split(".")
    none = f"Bearer {'eyJhbGciOiJub25lIn0'}.{nothing[1]}."
    assert why(webhook(body, none)) == "forged"


def test_the_handshake_is_signed() -> None:
    ours = vonage()
    handshake = webhook(authorization=f"Bearer {token()}", url="wss://voice.example.com/x")
    assert ours.signs_handshake(handshake)
    ours.verify(handshake)
    with pytest.raises(Forged, match="before"):
        ours.verify(handshake)
    assert not ours.signs_handshake(webhook())


def test_webhooks() -> None:
    ours = vonage()
    body = {"from": "442079460000", "to": "447700900000", "uuid": UUID}
    facts = CallFacts("inbound", "+442079460000", "+447700900000", UUID)
    assert ours.incoming(webhook(body)) == facts
    query = f"https://voice.example.com/vonage/voice?from=442079460000&to=447700900000&uuid={UUID}"
    assert ours.incoming(webhook(url=query)) == facts
    assert ours.incoming(webhook({**body, "from": "anonymous"})).caller == "anonymous"
    with pytest.raises(BadMessage):
        ours.incoming(webhook({"from": 1}))
    for said, status in (
        *(("started", "queued"), ("ringing", "ringing"), ("answered", "answered")),
        *(("busy", "busy"), ("cancelled", "canceled"), ("unanswered", "no_answer")),
        *(("timeout", "no_answer"), ("rejected", "failed"), ("failed", "failed")),
    ):
        assert ours.status(webhook({"uuid": UUID, "status": said})).status == status
    done = ours.status(webhook({"uuid": UUID, "status": "completed", "duration": "2"}))
    assert (done.status, done.duration_s, done.line_call_id) == ("completed", 2, UUID)
    machine = {"call_uuid": UUID, "status": "machine"}
    found = ours.status(webhook(machine))
    assert (found.line_call_id, found.answered_by, found.machine_is_listening) == (
        *(UUID, "machine"),
        False,
    )
    assert ours.status(webhook({**machine, "sub_state": "beep_start"})).machine_is_listening
    assert ours.status(webhook({**machine, "status": "human"})).answered_by == "human"
    with pytest.raises(BadMessage):
        ours.status(webhook({"uuid": UUID, "status": "transfer"}))
    with pytest.raises(BadMessage):
        ours.status(Webhook("POST", "https://x.example/", {}, b"{broken"))


def test_a_transfer_is_told_in_events() -> None:
    ours = vonage()
    for status in ("started", "ringing", "answered"):
        event = webhook({"uuid": UUID, "status": status})
        document = ours.meanwhile(event)
        assert document is not None
        assert document.body == ""
        assert ours.answered(event) is (status == "answered")
    for status, outcome in (
        *(("completed", "connected"), ("timeout", "no_answer"), ("busy", "busy")),
        *(("rejected", "refused"), ("failed", "failed")),
    ):
        event = webhook({"uuid": UUID, "status": status})
        assert ours.meanwhile(event) is None
        assert ours.transfer_result(event).outcome == outcome
    with pytest.raises(BadMessage):
        ours.transfer_result(webhook({"status": "record"}))
    with pytest.raises(UserFacingError, match="leave out the message"):
        ours.whisper("hello", "https://x")
    with pytest.raises(UserFacingError, match="leave out the message"):
        ours.accept(webhook())


def test_documents() -> None:
    ours = vonage()
    assert json.loads(ours.answer(STREAM).body) == [
        {
            "action": "connect",
            "endpoint": [
                {
                    "type": "websocket",
                    "uri": STREAM.url,
                    "content-type": "audio/l16;rate=16000",
                    "headers": {"token": "tok.en-1"},
                }
            ],
        }
    ]
    assert ours.answer(STREAM).content_type == "application/json"
    assert json.loads(ours.refuse("No.").body) == [{"action": "talk", "text": "No."}]
    assert json.loads(ours.refuse("").body) == []
    assert vonage(rate_hz=8000).dialect().rate_hz == 8000


async def test_rest() -> None:
    private, public = make_key()
    async with FakeVonage(public) as fake:
        # As from an .env file.
        ours = vonage(private.replace("\n", "\\n"), base_url=fake.http_url)
        try:
            order = DialOrder(
                "+15550003", "+15550002", STREAM, "https://x.example/st", "https://x.example/m"
            )
            uuid = await ours.dial(order)
            body = fake.bodies[-1]
            assert body["to"] == [{"type": "phone", "number": "15550003"}]
            # Vonage asks for the NCCO when the call is answered.
            (answer_url,) = body["answer_url"]
            document = ours.ordered(webhook({"uuid": uuid, "to": "1"}, url=answer_url))
            assert document is not None
            (endpoint,) = json.loads(document.body)[0]["endpoint"]
            assert endpoint["uri"] == "wss://voice.example.com/vonage/media"
            assert endpoint["headers"] == {"token": "tok.en-1", "uuid": uuid}
            assert ours.ordered(webhook({"uuid": uuid})) is None
            assert body["advanced_machine_detection"]["mode"] == "detect_beep"
            assert fake.claims[-1]["exp"] - fake.claims[-1]["iat"] == 300
            cold = TransferOrder(uuid, "+15550009", "+15550002", "https://x.example/t", ring_s=25)
            await ours.transfer(cold)
            connect = fake.bodies[-1]["destination"]["ncco"][0]
            assert connect["endpoint"] == [{"type": "phone", "number": "15550009"}]
            assert (connect["eventType"], connect["timeout"]) == ("synchronous", 25)
            warm = TransferOrder(uuid, "+1", "+2", "https://x/t", whisper_url="https://x/w")
            with pytest.raises(ProviderError, match="leave out the message"):
                await ours.transfer(warm)
            await ours.hang_up(uuid)
            await ours.hang_up(uuid)
            with pytest.raises(ProviderError, match="404"):
                await ours.transfer(cold)
        finally:
            await ours.aclose()
        other = vonage(make_key()[0], base_url=fake.http_url)
        with pytest.raises(ProviderError, match="401"):
            await other.dial(order)
        await other.aclose()


async def test_keys() -> None:
    with pytest.raises(UserFacingError, match="PEM"):
        vonage("not a key")
    ours = vonage()
    with pytest.raises(ProviderError, match="private_key"):
        await ours.hang_up(UUID)
    await ours.aclose()
