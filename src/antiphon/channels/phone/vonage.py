"""Vonage: NCCO, the Voice REST interface, and calls as WebSockets with binary sound.

Sources: https://developer.vonage.com/en/voice/voice-api/guides/websockets, .../webhook-reference,
https://developer.vonage.com/en/getting-started/concepts/webhooks (signed webhooks), and the PyPI
package `vonage-jwt` 1.1.5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field

from antiphon.channels.base import CallFacts, TransferOutcome, TransferResult
from antiphon.channels.phone.parts import (
    MAX_MESSAGE_CHARS,
    STALE_S,
    Seen,
    compact,
    fields,
    international,
    key_of,
    line_status,
    member,
    name_of,
    read_object,
    same,
    seconds,
    text,
    texts,
)
from antiphon.channels.phone.rest import Rest, found
from antiphon.channels.phone.vendor import (
    BadMessage,
    Can,
    Cleared,
    DialOrder,
    Document,
    Encoding,
    Forged,
    LineEvent,
    Marked,
    Sound,
    Started,
    Status,
    Stream,
    TransferOrder,
    VendorOptions,
    Webhook,
)
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.secret import Secret

JSON = "application/json"
TOKEN_S = 300
OVER = frozenset({400, 404})
"""How Vonage says that a call is not, or no longer, there."""
OUTCOMES: dict[str, TransferOutcome] = {
    "completed": "connected",
    "answered": "connected",
    "busy": "busy",
    "timeout": "no_answer",
    "unanswered": "no_answer",
    "cancelled": "no_answer",
    "rejected": "refused",
    "failed": "failed",
}
_MACHINE = ("human", "machine")
_UNDER_WAY = ("started", "ringing", "answered", *_MACHINE)


class VonageOptions(VendorOptions):
    """`vendors: {vonage: ...}`."""

    signature_secret: Secret = Field(description="Dashboard: settings, signature secret.")
    application_id: str = Field(description="Dashboard: applications.")
    private_key: Secret | None = Field(
        default=None, description="The application's key (PEM): calls, hanging up, transfers."
    )
    rate_hz: Literal[8_000, 16_000] = Field(default=16_000, description="Rate of the stream.")
    base_url: str = Field(default="https://api.nexmo.com", description="The REST server.")


class VonageDialect:
    """Text messages are events, binary ones are sound: s16 little-endian, 20 ms in each."""

    encoding: Encoding = "l16"
    most_ms: ClassVar[int] = 20

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz

    def read(self, message: str | bytes) -> LineEvent | None:
        if isinstance(message, bytes):
            if len(message) % 2 or len(message) > MAX_MESSAGE_CHARS:
                raise BadMessage("sound that is not s16, or too much of it")
            return Sound(message)
        said = read_object(message)
        event = text(said, "event")
        if event == "websocket:connected":
            return self._started(said)
        if event == "websocket:notify":
            return Marked(name_of(member(said, "payload")))
        if event == "websocket:cleared":
            return Cleared()
        if event == "websocket:dtmf":
            return key_of(said) or key_of(member(said, "dtmf"))
        if not event:
            raise BadMessage("a message without an event")
        return None

    def _started(self, said: dict[str, Any]) -> Started:
        kind = text(said, "content-type").replace(" ", "")
        if kind and kind != f"audio/l16;rate={self.rate_hz}":
            raise BadMessage(f"a stream of {kind[:40]}, where {self.rate_hz} Hz were asked for")
        # The `headers` of the NCCO are flattened into this message.
        own = {"event", "content-type"}
        given = {key: value for key, value in texts(said).items() if key not in own}
        return Started(given.get("uuid", ""), given.get("uuid", ""), given)

    def sound(self, payload: bytes) -> bytes:
        return payload

    def mark(self, name: str) -> str:
        return compact({"action": "notify", "payload": {"name": name}})

    def clear(self) -> str:
        return '{"action":"clear"}'


class Vonage:
    """Vonage's Voice API."""

    name: ClassVar[str] = "vonage"
    Options: ClassVar[type[VendorOptions]] = VonageOptions
    can: ClassVar[frozenset[Can]] = frozenset({"dial", "transfer", "detect_machine", "hang_up"})
    ends_with_stream: ClassVar[bool] = True
    token_chars: ClassVar[int] = 430
    """512 are allowed for `headers` as JSON, and the call's name is among them."""

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, VonageOptions)
        self._options, self._public_url = options, public_url
        self._key = _private_key(options.private_key)
        self._seen = Seen()
        self._rest = Rest(self.name, options.base_url)

    def signs_handshake(self, request: Webhook) -> bool:
        return request.headers.get("authorization", "").lower().startswith("bearer ")

    def verify(self, request: Webhook) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Forged("unsigned", "a request without Vonage's signature")
        claims = read_jwt(token.strip(), self._options.signature_secret.value)
        issued_s, expires_s = claims.get("iat"), claims.get("exp")
        if not isinstance(issued_s, int | float) or not abs(request.now_s - issued_s) <= STALE_S:
            raise Forged("stale", "a request that Vonage signed too long ago")
        if isinstance(expires_s, int | float) and request.now_s > expires_s:
            raise Forged("stale", "a request whose signature's time is over")
        application = claims.get("application_id", self._options.application_id)
        if application != self._options.application_id:
            raise Forged("forged", "a request for another application")
        if request.body:
            digest = hashlib.sha256(request.body).hexdigest()
            if not same(text(claims, "payload_hash").lower(), digest):
                raise Forged("forged", "a request whose body is not what was signed")
        if name := text(claims, "jti"):
            self._seen.demand_first(f"{request.url} {name}")

    def incoming(self, request: Webhook) -> CallFacts:
        said = fields(request)
        if not said.get("uuid"):
            raise BadMessage("an answer webhook without a uuid")
        return CallFacts(
            caller=international(said.get("from", "")),
            called=international(said.get("to", "")),
            line_call_id=said["uuid"],
        )

    def ordered(self, request: Webhook) -> Document | None:
        token = dict(parse_qsl(urlsplit(request.url).query)).get("token", "")
        if not token:
            return None
        url = f"ws{self._public_url.removeprefix('http')}/{self.name}/media"
        uuid = fields(request).get("uuid", "")
        return Document(compact(self._ncco(Stream(url, token), uuid)), JSON)

    def answer(self, stream: Stream) -> Document:
        return Document(compact(self._ncco(stream)), JSON)

    def _ncco(self, stream: Stream, uuid: str = "") -> list[dict[str, Any]]:
        endpoint = {
            "type": "websocket",
            "uri": stream.url,
            "content-type": f"audio/l16;rate={self._options.rate_hz}",
            "headers": {"token": stream.token, **({"uuid": uuid} if uuid else {})},
        }
        return [{"action": "connect", "endpoint": [endpoint]}]

    def refuse(self, message: str) -> Document:
        return Document(compact([{"action": "talk", "text": message}] if message else []), JSON)

    def status(self, request: Webhook) -> Status:
        said = fields(request)
        status, state = said.get("status", ""), said.get("sub_state", "")
        uuid = said.get("uuid") or said.get("call_uuid", "")
        if status in _MACHINE:
            machine = status == "machine"
            listening = machine and state in ("beep_start", "beep_timeout")
            kind: Literal["human", "machine"] = "machine" if machine else "human"
            return Status(uuid, "answered", kind, machine_is_listening=listening, detail=state)
        return Status(
            uuid,
            line_status(status),
            duration_s=seconds(said, "duration"),
            detail=said.get("detail", "") or said.get("reason", ""),
        )

    def transfer_result(self, request: Webhook) -> TransferResult:
        status = fields(request).get("status", "")
        if status not in OUTCOMES:
            raise BadMessage("an event that tells nothing of a transfer")
        return TransferResult(OUTCOMES[status], status)

    def meanwhile(self, request: Webhook) -> Document | None:
        # An NCCO in the answer to `answered` would replace the conversation with the person.
        return Document("", JSON) if fields(request).get("status") in _UNDER_WAY else None

    def answered(self, request: Webhook) -> bool:
        return fields(request).get("status") == "answered"

    def whisper(self, message: str, accept_url: str) -> Document:
        raise UserFacingError(_NO_WHISPER)

    def accept(self, request: Webhook) -> Document:
        raise UserFacingError(_NO_WHISPER)

    def dialect(self) -> VonageDialect:
        return VonageDialect(self._options.rate_hz)

    async def dial(self, order: DialOrder) -> str:
        query = urlencode({"token": order.stream.token})
        body: dict[str, Any] = {
            "to": [{"type": "phone", "number": order.to.removeprefix("+")}],
            "from": {"type": "phone", "number": order.sender.removeprefix("+")},
            # Not the NCCO itself: only who asks for it is told the call's name.
            "answer_url": [f"{self._public_url}/{self.name}/voice?{query}"],
            "answer_method": "POST",
            "event_url": [order.status_url],
            "event_method": "POST",
            "ringing_timer": max(1, min(order.ring_s, 120)),
            "length_timer": max(1, min(order.longest_s, 7200)),
        }
        if order.machine_url:
            detection = {"behavior": "continue", "mode": "detect_beep", "beep_timeout": 45}
            body["advanced_machine_detection"] = detection
        answer = await self._call("POST", "v1/calls", body)
        return found(answer, self.name, "uuid")

    async def hang_up(self, line_call_id: str) -> None:
        path = f"v1/calls/{quote(line_call_id, safe='')}"
        await self._call("PUT", path, {"action": "hangup"}, fine=OVER)

    async def transfer(self, order: TransferOrder) -> None:
        if order.whisper_url:
            raise ProviderError(_NO_WHISPER, provider=self.name, retryable=False)
        person: dict[str, Any] = {"type": "phone", "number": order.to.removeprefix("+")}
        if order.to.startswith(("sip:", "sips:")):
            person = {"type": "sip", "uri": order.to}
        connect = {
            "action": "connect",
            "from": order.sender.removeprefix("+"),
            "timeout": order.ring_s,
            "eventType": "synchronous",
            "eventUrl": [order.result_url],
            "eventMethod": "POST",
            "endpoint": [person],
        }
        change = {"action": "transfer", "destination": {"type": "ncco", "ncco": [connect]}}
        await self._call("PUT", f"v1/calls/{quote(order.line_call_id, safe='')}", change)

    async def _call(
        self, method: str, path: str, body: Any, *, fine: frozenset[int] = frozenset()
    ) -> dict[str, Any]:
        if self._key is None:
            raise ProviderError(
                "calls, hanging up and transfers need the application's key: write "
                "private_key: ${YOUR_VARIABLE} under vendors: vonage: in phone.yaml",
                provider=self.name,
                retryable=False,
            )
        token = write_jwt(self._key, self._options.application_id, int(time.time()))
        headers = {"Authorization": f"Bearer {token}"}
        return await self._rest.call(method, path, json_body=body, headers=headers, fine=fine)

    async def aclose(self) -> None:
        await self._rest.aclose()


_NO_WHISPER = (
    "Vonage joins a person at once and cannot ask first whether the call is taken: leave out the "
    "message of this transfer target"
)


# ---- JSON Web Tokens (RFC 7515, RFC 7519) --------------------------------------------------


def read_jwt(token: str, secret: str) -> dict[str, Any]:
    """The claims of a token signed with HS256. Their times are not looked at.

    Raises:
        Forged: it is none, or signed otherwise or with another secret.
    """
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    try:
        header, given = json.loads(_decoded(head)), _decoded(signature)
        claims = json.loads(_decoded(body))
    except (ValueError, RecursionError):
        raise Forged("forged", "a signature that is no token") from None
    if not isinstance(header, dict) or header.get("alg") != "HS256" or not isinstance(claims, dict):
        raise Forged("forged", "a token of another kind")
    wanted = hmac.digest(secret.encode(), f"{head}.{body}".encode("utf-8", "replace"), "sha256")
    if not hmac.compare_digest(wanted, given):
        raise Forged("forged", "a token that Vonage did not sign")
    return claims


def write_jwt(key: RSAPrivateKey, application_id: str, now_s: int) -> str:
    """A token for the REST interface, signed with RS256, good for five minutes."""
    claims = {
        "application_id": application_id,
        "iat": now_s,
        "exp": now_s + TOKEN_S,
        "jti": secrets.token_hex(16),
    }
    parts = (compact({"alg": "RS256", "typ": "JWT"}), compact(claims))
    signed = ".".join(_encoded(part.encode()) for part in parts)
    return f"{signed}.{_encoded(key.sign(signed.encode(), PKCS1v15(), hashes.SHA256()))}"


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _private_key(secret: Secret | None) -> RSAPrivateKey | None:
    if secret is None:
        return None
    wrong = UserFacingError(
        "vendors: vonage: private_key is not an RSA key in PEM form: take the file that the "
        "dashboard offers when the application's keys are made"
    )
    try:
        # A variable of an .env file has its lines joined by a written \n.
        key = load_pem_private_key(secret.value.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError):
        raise wrong from None
    if not isinstance(key, RSAPrivateKey):
        raise wrong
    return key
