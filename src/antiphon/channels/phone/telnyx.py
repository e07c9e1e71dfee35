"""Telnyx: TeXML and media streaming.

Sources: https://developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/stream,
https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket, the TeXML
REST commands and the webhook verifier of the PyPI package `telnyx` 4.189.
"""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, field_validator

from antiphon.channels.base import CallFacts, TransferOutcome, TransferResult
from antiphon.channels.phone.parts import (
    STALE_S,
    Seen,
    base64_of,
    compact,
    count,
    element,
    fields,
    international,
    key_of,
    line_status,
    member,
    name_of,
    read_object,
    response,
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
OVER = frozenset({404, 422})
"""How Telnyx says that a call is not, or no longer, there."""
OUTCOMES: dict[str, TransferOutcome] = {
    "completed": "connected",
    "answered": "connected",
    "no-answer": "no_answer",
    "busy": "busy",
    "failed": "failed",
    "canceled": "failed",
}


class TelnyxOptions(VendorOptions):
    """`vendors: {telnyx: ...}`."""

    api_key: Secret = Field(description="Portal: API keys.")
    public_key: str = Field(description="Portal: Keys & credentials, public key; base64.")
    account_sid: str = Field(description="`AccountSid` of each webhook; Portal: account settings.")
    application_id: str = Field(default="", description="The TeXML application that makes calls.")
    base_url: str = Field(default="https://api.telnyx.com/v2", description="The REST server.")

    @field_validator("public_key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        try:
            size = len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            size = 0
        if size != 32:
            raise ValueError("not an Ed25519 public key: 32 bytes in base64 are expected")
        return value


class TelnyxDialect:
    """Media streaming with mu-law both ways. Media may come out of order: chunks are numbered."""

    encoding: Encoding = "mulaw"
    rate_hz = 8_000

    def read(self, message: str | bytes) -> LineEvent | None:
        said = read_object(message)
        event = text(said, "event")
        if event == "media":
            media = member(said, "media")
            if text(media, "track") in ("outbound", "outbound_track"):
                return None
            return Sound(samples(media), count(media, "chunk"))
        if event == "start":
            return self._started(said)
        if event == "mark":
            return Marked(name_of(member(said, "mark")))
        if event == "dtmf":
            return key_of(member(said, "dtmf"))
        if event == "stop":
            return Stopped()
        if not event:
            raise BadMessage("a message without an event")
        return None

    def _started(self, said: dict[str, object]) -> Started:
        start = member(said, "start")
        encoding = text(member(start, "media_format"), "encoding").upper()
        if encoding not in ("", "PCMU"):
            raise BadMessage(f"a stream of {encoding[:20]}, where PCMU was asked for")
        return Started(
            text(said, "stream_id") or text(start, "stream_id"),
            text(start, "call_control_id"),
            texts(member(start, "custom_parameters")),
            text(start, "from"),
            text(start, "to"),
        )

    def sound(self, payload: bytes) -> str:
        return f'{{"event":"media","media":{{"payload":"{base64_of(payload)}"}}}}'

    def mark(self, name: str) -> str:
        return compact({"event": "mark", "mark": {"name": name}})

    def clear(self) -> str:
        return '{"event":"clear"}'


class Telnyx:
    """Telnyx, by TeXML: the dialect of TwiML that it speaks."""

    name: ClassVar[str] = "telnyx"
    Options: ClassVar[type[VendorOptions]] = TelnyxOptions
    can: ClassVar[frozenset[Can]] = frozenset({"dial", "transfer", "detect_machine", "hang_up"})
    ends_with_stream: ClassVar[bool] = True

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, TelnyxOptions)
        self._options = options
        key = base64.b64decode(options.public_key)
        self._key = Ed25519PublicKey.from_public_bytes(key)
        self._seen = Seen()
        authorization = f"Bearer {options.api_key.value}"
        self._rest = Rest(self.name, options.base_url, {"Authorization": authorization})

    def signs_handshake(self, request: Webhook) -> bool:
        return "telnyx-signature-ed25519" in request.headers

    def verify(self, request: Webhook) -> None:
        signature = request.headers.get("telnyx-signature-ed25519", "")
        timestamp = request.headers.get("telnyx-timestamp", "")
        if not signature or not timestamp:
            raise Forged("unsigned", "a request without Telnyx's signature")
        try:
            raw = base64.b64decode(signature, validate=True)
            signed = timestamp.encode("ascii") + b"|" + request.body
            self._key.verify(raw, signed)
            sent_s = int(timestamp)
        except (InvalidSignature, ValueError):
            raise Forged("forged", "a request that Telnyx did not sign") from None
        if abs(request.now_s - sent_s) > STALE_S:
            raise Forged("stale", "a request that Telnyx signed too long ago")
        self._seen.demand_first(signature)

    def incoming(self, request: Webhook) -> CallFacts:
        said = fields(request)
        if not said.get("CallSid"):
            raise BadMessage("a voice webhook without a CallSid")
        outbound = said.get("Direction", "").startswith("outbound")
        return CallFacts(
            "outbound" if outbound else "inbound",
            international(said.get("From", "")),
            international(said.get("To", "")),
            said["CallSid"],
        )

    def answer(self, stream: Stream) -> Document:
        return Document(response(_connect(stream)))

    def refuse(self, message: str) -> Document:
        say = element("Say", None, written(message)) if message else ""
        return Document(response(say, "<Hangup/>"))

    def status(self, request: Webhook) -> Status:
        said = fields(request)
        answered_by = said.get("AnsweredBy", "")
        status = line_status(said.get("CallStatus") or ("answered" if answered_by else ""))
        machine = answered_by.startswith(("machine", "fax"))
        human = answered_by.startswith("human")
        return Status(
            said.get("CallSid", ""),
            status,
            "machine" if machine else "human" if human else "unknown" if answered_by else "",
            # `DetectMessageEnd` is what was asked for.
            machine_is_listening=answered_by.startswith("machine"),
            duration_s=seconds(said, "CallDuration", "Duration"),
            detail=said.get("HangupCause", "") or said.get("ErrorMessage", ""),
        )

    def transfer_result(self, request: Webhook) -> TransferResult:
        status = fields(request).get("DialCallStatus", "")
        if status not in OUTCOMES:
            raise BadMessage("a request that tells nothing of a transfer")
        return TransferResult(OUTCOMES[status], status)

    def whisper(self, message: str, accept_url: str) -> Document:
        gather = {
            "action": accept_url,
            "method": "POST",
            "numDigits": "1",
            "timeout": str(ACCEPT_S),
        }
        say = element("Say", None, written(message))
        return Document(response(element("Gather", gather, say), "<Hangup/>"))

    def accept(self, request: Webhook) -> Document:
        return Document(response("" if self.accepted(request) else "<Hangup/>"))

    def accepted(self, request: Webhook) -> bool:
        """Whether the person pressed a key."""
        return bool(fields(request).get("Digits"))

    def dialect(self) -> TelnyxDialect:
        return TelnyxDialect()

    async def dial(self, order: DialOrder) -> str:
        if not self._options.application_id:
            raise ProviderError(
                "calls are made by a TeXML application: write its id as application_id: under "
                "vendors: telnyx: in phone.yaml",
                provider=self.name,
                retryable=False,
            )
        body: dict[str, object] = {
            "ApplicationSid": self._options.application_id,
            "To": order.to,
            "From": order.sender,
            "Texml": self.answer(order.stream).body,
            "StatusCallback": order.status_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": "initiated ringing answered completed",
            "Timeout": order.ring_s,
            "TimeLimit": order.longest_s,
        }
        if order.machine_url:
            body |= {
                "MachineDetection": "DetectMessageEnd",
                "AsyncAmd": True,
                "AsyncAmdStatusCallback": order.machine_url,
                "AsyncAmdStatusCallbackMethod": "POST",
            }
        path = f"texml/Accounts/{quote(self._options.account_sid, safe='')}/Calls"
        answer = await self._rest.call("POST", path, json_body=body)
        return found(answer, self.name, "call_sid", "sid", "CallSid", "call_control_id")

    async def hang_up(self, line_call_id: str) -> None:
        await self._update(line_call_id, {"Status": "completed"}, over_is_fine=True)

    async def transfer(self, order: TransferOrder) -> None:
        told = {
            "url": order.whisper_url,
            "statusCallback": order.answered_url,
            "statusCallbackEvent": "answered" if order.answered_url else "",
        }
        noun = "Sip" if order.to.startswith(("sip:", "sips:")) else "Number"
        dial = {
            "action": order.result_url,
            "method": "POST",
            "callerId": order.sender,
            "timeout": str(order.ring_s),
        }
        document = response(element("Dial", dial, element(noun, told, written(order.to))))
        await self._update(order.line_call_id, {"Texml": document}, over_is_fine=False)

    async def _update(self, call: str, change: dict[str, str], *, over_is_fine: bool) -> None:
        account = quote(self._options.account_sid, safe="")
        path = f"texml/Accounts/{account}/Calls/{quote(call, safe='')}"
        fine = OVER if over_is_fine else frozenset[int]()
        await self._rest.call("POST", path, json_body=change, fine=fine)

    async def aclose(self) -> None:
        await self._rest.aclose()


def _connect(stream: Stream) -> str:
    attributes = {
        "url": stream.url,
        "track": "inbound_track",
        "codec": "PCMU",
        "bidirectionalMode": "rtp",
        "bidirectionalCodec": "PCMU",
        "statusCallback": stream.status_url,
        "statusCallbackMethod": "POST" if stream.status_url else "",
    }
    token = element("Parameter", {"name": "token", "value": stream.token})
    return element("Connect", None, element("Stream", attributes, token))
