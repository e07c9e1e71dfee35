"""Twilio: webhooks and TwiML, the REST resource `Calls`, and Media Streams.

Signatures: https://www.twilio.com/docs/usage/security#validating-requests, and the SHA-256 form
with a shared key as in twilio 9.13 (`request_validator.py`). REST:
https://www.twilio.com/docs/voice/api/call-resource.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import ClassVar, Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

import httpx
from pydantic import Field

from antiphon.channels.base import CallFacts, TransferOutcome, TransferResult
from antiphon.channels.phone import twiml
from antiphon.channels.phone.twilio_stream import TwilioDialect
from antiphon.channels.phone.vendor import (
    BadMessage,
    Can,
    DialOrder,
    Document,
    Forged,
    LineStatus,
    Status,
    Stream,
    TransferOrder,
    VendorOptions,
    Webhook,
)
from antiphon.errors import ProviderError
from antiphon.net.http import error_message, open_client, read_body, transport_errors
from antiphon.providers.secret import Secret

REST_MS = 10_000
STALE_S = 300.0
"""A webhook that carries its time may be so old."""
MAX_REMEMBERED = 20_000
"""Signatures of webhooks that were answered; the oldest are forgotten. Most requests of Twilio
carry no time, so that what is remembered is all that tells one sent again by somebody else."""

_STATUS: dict[str, LineStatus] = {
    "queued": "queued",
    "initiated": "queued",
    "ringing": "ringing",
    "in-progress": "answered",
    "answered": "answered",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "canceled": "canceled",
}
_DIALED: dict[str, TransferOutcome] = {
    "completed": "connected",
    "answered": "connected",
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "no_answer",
    "failed": "failed",
}
_OVER = (21220, 20404)
"""Error codes of a call that is not in progress, or not there."""


class TwilioOptions(VendorOptions):
    """What `phone.yaml` says of Twilio."""

    account_sid: str = Field(description="`AC...`, on the console's first page.")
    auth_token: Secret = Field(description="Beside the account's SID; signs webhooks.")
    signing_keys: dict[str, Secret] = Field(
        default={}, description="Shared keys of signed webhooks, by the key's id (SHA-256)."
    )
    api_key: str = Field(default="", description="`SK...`, for REST instead of the auth token.")
    api_secret: Secret | None = None
    region: str = Field(default="", description="Such as `ie1`; empty: the United States.")
    edge: str = Field(default="", description="Such as `dublin`, beside a region.")
    base_url: str = Field(default="", description="Another address of the REST interface.")


class Twilio:
    """Twilio's telephone numbers."""

    name: ClassVar[str] = "twilio"
    Options: ClassVar[type[VendorOptions]] = TwilioOptions
    can: ClassVar[frozenset[Can]] = frozenset({"dial", "transfer", "detect_machine", "hang_up"})
    ends_with_stream: ClassVar[bool] = True
    """After `<Connect><Stream>` our document is over, and Twilio hangs up."""

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, TwilioOptions)
        self._options = options
        self._public_url = public_url
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._client: httpx.AsyncClient | None = None

    # ---- webhooks ----------------------------------------------------------------------------

    def verify(self, request: Webhook) -> None:
        signature = request.headers.get("x-twilio-signature", "")
        if not signature:
            raise Forged("unsigned", "no X-Twilio-Signature")
        key, digest = self._key(request.headers.get("x-twilio-webhooks-signature-settings", ""))
        split = _split(request.url)
        body_hash = parse_qs(split.query).get("bodySHA256")
        form: Sequence[tuple[str, str]] = request.form
        if body_hash is not None and not form:
            found = hashlib.sha256(request.body).hexdigest()
            if not hmac.compare_digest(found.encode(), body_hash[0].lower().encode()):
                raise Forged("forged", "the body is not the one that was signed")
        rest = "".join(name + value for name, value in sorted(set(form)))
        given = signature.encode("utf-8", "replace")
        if not any(
            hmac.compare_digest(
                base64.b64encode(hmac.digest(key, (url + rest).encode(), digest)), given
            )
            for url in _forms(split)
        ):
            raise Forged("forged", "the signature is not Twilio's")
        self._check_time(request)
        # A handshake's signature covers nothing but the address, and is the same each time.
        if split.scheme not in ("ws", "wss"):
            self._check_new(given)

    def signs_handshake(self, request: Webhook) -> bool:
        return "x-twilio-signature" in request.headers

    def incoming(self, request: Webhook) -> CallFacts:
        sid = request.get("CallSid") or _query(request, "CallSid")
        if not sid:
            raise BadMessage("a call without a CallSid")
        outbound = request.get("Direction").startswith("outbound")
        return CallFacts(
            "outbound" if outbound else "inbound",
            request.get("From") or _query(request, "From"),
            request.get("To") or _query(request, "To"),
            sid,
        )

    def answer(self, stream: Stream) -> Document:
        return Document(twiml.answer(stream))

    def refuse(self, message: str) -> Document:
        return twiml.document(f"{twiml.say(message)}<Hangup/>")

    def status(self, request: Webhook) -> Status:
        sid = request.get("CallSid")
        if not sid:
            raise BadMessage("a status without a CallSid")
        by, listening = _answered_by(request.get("AnsweredBy"))
        status = _STATUS.get(request.get("CallStatus"))
        if status is None:
            if not by:
                raise BadMessage("a status that is not known")
            status = "answered"
        seconds = request.get("CallDuration")
        detail = request.get("ErrorMessage") or request.get("SipResponseCode")
        return Status(
            *(sid, status, by, listening),
            duration_s=int(seconds) if seconds.isascii() and seconds.isdigit() else None,
            detail=detail[:200],
        )

    def transfer_result(self, request: Webhook) -> TransferResult:
        status = request.get("DialCallStatus")
        if not status:
            raise BadMessage("a transfer without a DialCallStatus")
        outcome = _DIALED.get(status, "failed")
        # The person answered, heard who is there, and hung up.
        if outcome == "connected" and request.get("DialBridged") == "false":
            outcome = "refused"
        return TransferResult(outcome, status[:60])

    def whisper(self, message: str, accept_url: str) -> Document:
        return twiml.whisper(message, accept_url)

    def accepted(self, request: Webhook) -> bool:
        """Whether the person takes the call."""
        return bool(request.get("Digits"))

    def accept(self, request: Webhook) -> Document:
        return twiml.document("" if self.accepted(request) else "<Hangup/>")

    def dialect(self) -> TwilioDialect:
        return TwilioDialect()

    # ---- REST --------------------------------------------------------------------------------

    async def dial(self, order: DialOrder) -> str:
        form = [
            ("To", order.to),
            ("From", order.sender),
            ("Twiml", twiml.answer(order.stream)),
            ("Timeout", str(order.ring_s)),
            ("TimeLimit", str(order.longest_s)),
            *self._status_fields(order.status_url),
        ]
        if order.machine_url:
            form += [
                ("MachineDetection", "DetectMessageEnd"),
                ("AsyncAmd", "true"),
                ("AsyncAmdStatusCallback", order.machine_url),
                ("AsyncAmdStatusCallbackMethod", "POST"),
            ]
        status, answer = await self._post("Calls.json", form)
        sid = answer.get("sid")
        if status >= 300 or not isinstance(sid, str) or not sid:
            raise _refused(status, answer)
        return sid

    async def hang_up(self, line_call_id: str) -> None:
        path = f"Calls/{quote(line_call_id, safe='')}.json"
        status, answer = await self._post(path, [("Status", "completed")])
        if status >= 300 and status != 404 and answer.get("code") not in _OVER:
            raise _refused(status, answer)

    async def transfer(self, order: TransferOrder) -> None:
        form = [
            ("Twiml", twiml.dial(order)),
            # So that it is known when the caller hangs up while it rings.
            *self._status_fields(f"{self._public_url}/{self.name}/status")[:2],
        ]
        path = f"Calls/{quote(order.line_call_id, safe='')}.json"
        status, answer = await self._post(path, form)
        if status >= 300:
            raise _refused(status, answer)

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    # ---- inside ------------------------------------------------------------------------------

    def _key(self, settings: str) -> tuple[bytes, str]:
        """The key and digest of a signature by the settings header, which SHA-1 goes without."""
        pairs = {
            name.strip(): value.strip()
            for name, _, value in (part.partition("=") for part in settings.split(","))
        }
        match pairs.get("algorithm", "").upper() or "HMAC_SHA1":
            case "HMAC_SHA1":
                digest = "sha1"
            case "HMAC_SHA256":
                digest = "sha256"
            case _:
                raise Forged("unknown", "a signature of an algorithm that is not known here")
        name = pairs.get("key", "")
        if not name:
            return self._options.auth_token.value.encode(), digest
        if name not in self._options.signing_keys:
            raise Forged("unknown", "a signature by a key that is not in signing_keys")
        return self._options.signing_keys[name].value.encode(), digest

    def _check_time(self, request: Webhook) -> None:
        """Status callbacks say when they were written."""
        written = request.get("Timestamp")
        if not written:
            return
        try:
            at_s = parsedate_to_datetime(written).timestamp()
        except (ValueError, OverflowError):
            return
        if request.now_s - at_s > STALE_S:
            raise Forged("stale", "a webhook of long ago")

    def _check_new(self, signature: bytes) -> None:
        if signature in self._seen:
            raise Forged("replayed", "a webhook that was answered already")
        self._seen[signature] = None
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _status_fields(self, url: str) -> list[tuple[str, str]]:
        events = ("initiated", "ringing", "answered", "completed")
        return [
            ("StatusCallback", url),
            ("StatusCallbackMethod", "POST"),
            *(("StatusCallbackEvent", event) for event in events),
        ]

    @property
    def _base_url(self) -> str:
        if self._options.base_url:
            return self._options.base_url
        parts = ("api", self._options.edge, self._options.region, "twilio.com")
        return "https://" + ".".join(part for part in parts if part)

    async def _post(self, path: str, form: list[tuple[str, str]]) -> tuple[int, dict[str, object]]:
        if self._client is None:
            self._client = open_client(self._base_url, connect_ms=5000, headers={})
        options = self._options
        user = options.api_key or options.account_sid
        secret = options.api_secret if options.api_key else options.auth_token
        url = f"2010-04-01/Accounts/{quote(options.account_sid, safe='')}/{path}"
        fields: dict[str, list[str]] = {}
        for name, value in form:
            fields.setdefault(name, []).append(value)
        with transport_errors(self.name, f"Twilio at {self._base_url}"):
            request = self._client.build_request("POST", url, data=fields)
            basic = base64.b64encode(f"{user}:{secret.value if secret else ''}".encode()).decode()
            request.headers["Authorization"] = f"Basic {basic}"
            # A call that is made twice rings twice: this request is never sent a second time.
            response = await _send_once(self._client, request)
            try:
                body = await read_body(response, self.name, within_ms=REST_MS)
            finally:
                await response.aclose()
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"message": error_message(body.decode("utf-8", "replace"))}
        return response.status_code, answer if isinstance(answer, dict) else {}


async def _send_once(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    try:
        async with asyncio.timeout(REST_MS / 1000):
            return await client.send(request, stream=True)
    except TimeoutError:
        message = f"no answer within {REST_MS // 1000} s"
        raise ProviderError(message, provider=Twilio.name, retryable=True) from None


def _refused(status: int, answer: dict[str, object]) -> ProviderError:
    said = f"{answer.get('message') or 'no reason given'}"[:300]
    code = f" ({answer['code']})" if "code" in answer else ""
    retryable = status == 429 or status >= 500
    message = f"HTTP {status}: {said}{code}"
    return ProviderError(message, provider=Twilio.name, retryable=retryable, status=status)


def _split(url: str) -> SplitResult:
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError:
        raise Forged("forged", "an address that is none") from None
    return split


def _forms(split: SplitResult) -> Iterable[str]:
    """The address without a port and with it: Twilio signs now one, now the other."""
    yield split.geturl()
    host = f"[{split.hostname}]" if ":" in (split.hostname or "") else split.hostname or ""
    yield split._replace(netloc=host).geturl()
    if split.port is None:
        for port in (
            (443, 80) if split.scheme == "wss" else (443 if split.scheme == "https" else 80,)
        ):
            yield split._replace(netloc=f"{split.netloc}:{port}").geturl()


def _query(request: Webhook, name: str) -> str:
    return parse_qs(_split(request.url).query).get(name, [""])[0]


def _answered_by(value: str) -> tuple[Literal["", "human", "machine", "unknown"], bool]:
    if value.startswith("machine_"):
        return "machine", value.startswith("machine_end")
    if value == "fax":
        return "machine", False
    if value == "human":
        return "human", False
    return ("unknown" if value else ""), False
