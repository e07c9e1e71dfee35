"""Plivo: XML, the REST interface, and audio streaming.

Sources: https://www.plivo.com/docs/voice/xml/audiostream, .../voice/xml/dial, .../voice/api/call,
and the PyPI package `plivo` 4.63 (`utils/signature_v3.py`, `resources/calls.py`).
"""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from pydantic import Field

from antiphon.channels.base import CallFacts, TransferOutcome, TransferResult
from antiphon.channels.phone.parts import (
    Seen,
    base64_of,
    compact,
    element,
    fields,
    international,
    key_of,
    line_status,
    member,
    name_of,
    read_object,
    response,
    same,
    samples,
    seconds,
    text,
    texts,
    written,
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
    Stopped,
    Stream,
    TransferOrder,
    VendorOptions,
    Webhook,
)
from antiphon.errors import ProviderError
from antiphon.providers.secret import Secret

ACCEPT_S = 10
MAX_TRANSFERS = 10_000
"""Transfers whose document is not fetched yet; the oldest are given up."""
GONE = frozenset({404})
OUTCOMES: dict[str, TransferOutcome] = {
    "completed": "connected",
    "answered": "connected",
    "busy": "busy",
    "no-answer": "no_answer",
    "timeout": "no_answer",
    "cancel": "no_answer",
    "failed": "failed",
}
# `extraHeaders` may have letters and digits only, says Plivo.
_WRITTEN = {"z": "z0", "-": "z1", "_": "z2", ".": "z3", "=": "z4"}


class PlivoOptions(VendorOptions):
    """`vendors: {plivo: ...}`."""

    auth_id: str = Field(description="Console: auth ID.")
    auth_token: Secret = Field(description="Console: auth token; it signs the webhooks, too.")
    base_url: str = Field(default="https://api.plivo.com/v1", description="The REST server.")


class PlivoDialect:
    """Audio streaming with mu-law both ways."""

    encoding: Encoding = "mulaw"
    rate_hz = 8_000

    def __init__(self) -> None:
        self._stream_id = ""

    def read(self, message: str | bytes) -> LineEvent | None:
        said = read_object(message)
        event = text(said, "event")
        if event == "media":
            media = member(said, "media")
            return None if text(media, "track") == "outbound" else Sound(samples(media))
        if event == "start":
            return self._started(said)
        if event == "playedStream":
            return Marked(name_of(said))
        if event == "clearedAudio":
            return Cleared()
        if event == "dtmf":
            return key_of(member(said, "dtmf"))
        if event == "stop":
            return Stopped()
        if not event:
            raise BadMessage("a message without an event")
        return None

    def _started(self, said: dict[str, Any]) -> Started:
        start = member(said, "start")
        encoding = text(member(start, "mediaFormat"), "encoding")
        if encoding not in ("", "audio/x-mulaw"):
            raise BadMessage(f"a stream of {encoding[:40]}, where audio/x-mulaw was asked for")
        self._stream_id = text(start, "streamId") or text(said, "streamId")
        given = said.get("extra_headers", start.get("customParameters"))
        return Started(self._stream_id, text(start, "callId"), extra_headers(given))

    def sound(self, payload: bytes) -> str:
        return (
            '{"event":"playAudio","media":{"contentType":"audio/x-mulaw","sampleRate":8000,'
            f'"payload":"{base64_of(payload)}"}}}}'
        )

    def mark(self, name: str) -> str:
        return compact({"event": "checkpoint", "streamId": self._stream_id, "name": name})

    def clear(self) -> str:
        return compact({"event": "clearAudio", "streamId": self._stream_id})


class Plivo:
    """Plivo."""

    name: ClassVar[str] = "plivo"
    Options: ClassVar[type[VendorOptions]] = PlivoOptions
    can: ClassVar[frozenset[Can]] = frozenset({"dial", "transfer", "detect_machine", "hang_up"})
    ends_with_stream: ClassVar[bool] = True
    token_chars: ClassVar[int] = 440
    """512 are allowed; see `alphanumeric`."""

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, PlivoOptions)
        self._options, self._public_url = options, public_url
        self._seen = Seen()
        self._transfers: dict[str, str] = {}
        pair = f"{options.auth_id}:{options.auth_token.value}".encode()
        basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        account = f"{options.base_url.rstrip('/')}/Account/{quote(options.auth_id, safe='')}"
        self._rest = Rest(self.name, account, basic)

    def signs_handshake(self, request: Webhook) -> bool:
        return "x-plivo-signature-v3" in request.headers

    def verify(self, request: Webhook) -> None:
        given = request.headers.get("x-plivo-signature-v3", "")
        nonce = request.headers.get("x-plivo-signature-v3-nonce", "")
        if not given or not nonce:
            raise Forged("unsigned", "a request without Plivo's signature")
        key = self._options.auth_token.value
        # One signature for each auth token that is in use.
        signatures = given.split(",")[:8]
        for url in _spellings(request.url):
            wanted = sign(key, request.method, url, request.form, nonce)
            if any(same(wanted, one.strip()) for one in signatures):
                break
        else:
            raise Forged("forged", "a request that Plivo did not sign")
        self._seen.demand_first(nonce)

    def incoming(self, request: Webhook) -> CallFacts:
        said = fields(request)
        if not said.get("CallUUID"):
            raise BadMessage("an answer webhook without a CallUUID")
        outbound = said.get("Direction") == "outbound"
        return CallFacts(
            "outbound" if outbound else "inbound",
            international(said.get("From", "")),
            international(said.get("To", "")),
            said["CallUUID"],
        )

    def ordered(self, request: Webhook) -> Document | None:
        token = dict(parse_qsl(urlsplit(request.url).query)).get("token", "")
        if not token:
            return None
        url = f"ws{self._public_url.removeprefix('http')}/{self.name}/media"
        return self.answer(Stream(url, token))

    def answer(self, stream: Stream) -> Document:
        attributes = {
            "bidirectional": "true",
            "keepCallAlive": "true",
            "audioTrack": "inbound",
            "contentType": "audio/x-mulaw;rate=8000",
            "extraHeaders": f"token={alphanumeric(stream.token)}",
            "statusCallbackUrl": stream.status_url,
            "statusCallbackMethod": "POST" if stream.status_url else "",
        }
        return Document(response(element("Stream", attributes, written(stream.url))))

    def refuse(self, message: str) -> Document:
        speak = element("Speak", None, written(message)) if message else ""
        return Document(response(speak, "<Hangup/>"))

    def status(self, request: Webhook) -> Status:
        said = fields(request)
        call = said.get("CallUUID") or said.get("RequestUUID", "")
        if "Machine" in said:
            machine = said["Machine"].lower() == "true"
            return Status(call, "answered", "machine" if machine else "human")
        return Status(
            call,
            line_status(said.get("CallStatus", "")),
            duration_s=seconds(said, "Duration"),
            detail=said.get("HangupCauseName", "") or said.get("HangupCause", ""),
        )

    def transfer_result(self, request: Webhook) -> TransferResult:
        status = fields(request).get("DialStatus", "")
        if status not in OUTCOMES:
            raise BadMessage("a request that tells nothing of a transfer")
        return TransferResult(OUTCOMES[status], status)

    def meanwhile(self, request: Webhook) -> Document | None:
        said = fields(request)
        if "DialAction" in said:
            return Document(response())
        if "DialStatus" in said:
            return None
        document = self._transfers.pop(said.get("CallUUID", ""), None)
        return None if document is None else Document(document)

    def answered(self, request: Webhook) -> bool:
        said = fields(request)
        action = said.get("DialAction", "")
        return action == "connected" or (action == "answer" and "confirm" not in said)

    def whisper(self, message: str, accept_url: str) -> Document:
        # Which key accepts is said by `confirmKey` of <Dial>: Plivo does not ask `accept_url`.
        return Document(response(element("Speak", None, written(message))))

    def accept(self, request: Webhook) -> Document:
        return Document(response())

    def dialect(self) -> PlivoDialect:
        return PlivoDialect()

    async def dial(self, order: DialOrder) -> str:
        query = urlencode({"token": order.stream.token})
        body: dict[str, Any] = {
            "from": order.sender.removeprefix("+"),
            "to": order.to.removeprefix("+"),
            "answer_url": f"{self._public_url}/{self.name}/voice?{query}",
            "answer_method": "POST",
            "ring_url": order.status_url,
            "ring_method": "POST",
            "hangup_url": order.status_url,
            "hangup_method": "POST",
            "ring_timeout": order.ring_s,
            "time_limit": order.longest_s,
        }
        if order.machine_url:
            body |= {
                "machine_detection": "true",
                "machine_detection_url": order.machine_url,
                "machine_detection_method": "POST",
            }
        answer = await self._rest.call("POST", "Call/", json_body=body)
        return found(answer, self.name, "request_uuid")

    async def hang_up(self, line_call_id: str) -> None:
        call = quote(line_call_id, safe="")
        await self._rest.call("DELETE", f"Call/{call}/", fine=GONE)

    async def transfer(self, order: TransferOrder) -> None:
        if order.to.startswith("sips:"):
            raise ProviderError(
                "calls are passed on to numbers and to sip: addresses",
                provider=self.name,
                retryable=False,
            )
        noun = "User" if order.to.startswith("sip:") else "Number"
        warm = bool(order.whisper_url)
        # Whoever confirms is told of nowhere else.
        told = order.answered_url or order.result_url
        if warm:
            told += ("&" if "?" in told else "?") + "confirm=1"
        dial = {
            "action": order.result_url,
            "method": "POST",
            "callerId": order.sender.removeprefix("+"),
            "timeout": str(order.ring_s),
            "callbackUrl": told,
            "callbackMethod": "POST",
            "confirmSound": order.whisper_url,
            "confirmKey": "1" if warm else "",
            "confirmTimeout": str(ACCEPT_S) if warm else "",
        }
        person = element(noun, None, written(order.to.removeprefix("+")))
        self._transfers[order.line_call_id] = response(element("Dial", dial, person))
        while len(self._transfers) > MAX_TRANSFERS:
            del self._transfers[next(iter(self._transfers))]
        body = {"legs": "aleg", "aleg_url": order.result_url, "aleg_method": "POST"}
        path = f"Call/{quote(order.line_call_id, safe='')}/"
        await self._rest.call("POST", path, json_body=body)

    async def aclose(self) -> None:
        await self._rest.aclose()


def sign(key: str, method: str, url: str, form: tuple[tuple[str, str], ...], nonce: str) -> str:
    """`X-Plivo-Signature-V3` of a request.

    Address, sorted query, sorted form and nonce, as `plivo.utils.signature_v3` joins them; what is
    percent-encoded in the query is decoded.
    """
    parts = urlsplit(url)
    query = "&".join(
        "&".join(f"{name}={value}" for value in sorted(values))
        for name, values in sorted(parse_qs(parts.query, keep_blank_values=True).items())
    )
    params: dict[str, list[str]] = {}
    for name, value in form if method.upper() != "GET" else ():
        params.setdefault(name, []).append(value)
    signed = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    if query or params:
        signed += f"?{query}"
    if query and params:
        signed += "."
    for name in sorted(params):
        signed += "".join(f"{name}{value}" for value in sorted(params[name]))
    digest = hmac.digest(key.encode(), f"{signed}.{nonce}".encode("utf-8", "replace"), "sha256")
    return base64.b64encode(digest).decode()


def _spellings(url: str) -> tuple[str, ...]:
    # A handshake's scheme is told differently by proxies and by Plivo.
    scheme, separator, rest = url.partition("://")
    other = {"wss": "https", "ws": "http"}.get(scheme)
    return (url,) if other is None else (url, f"{other}{separator}{rest}")


def alphanumeric(token: str) -> str:
    """A token in letters and digits."""
    return "".join(_WRITTEN.get(char, char) for char in token)


def plain(token: str) -> str:
    """A token as it was before `alphanumeric`."""
    for char in ("=", ".", "_", "-", "z"):
        token = token.replace(_WRITTEN[char], char)
    return token


def extra_headers(given: object) -> dict[str, str]:
    """The stream's `extraHeaders`, which Plivo tells as an object, as its JSON, or as
    `{X-PH-token: 123}`."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            words = str(given).strip("{} ").replace(";", ",").split(",")[:32]
            pairs = (word.replace("=", ":", 1).partition(":") for word in words)
            given = {name.strip(): value.strip() for name, _, value in pairs if value.strip()}
    if not isinstance(given, dict):
        return {}
    read = {}
    for name, value in texts({str(key): one for key, one in given.items()}).items():
        bare = name[5:] if name.lower().startswith("x-ph-") else name
        read[bare] = plain(value) if bare == "token" else value
    return read
