"""Exotel: the Voicebot applet, whose WebSocket is admitted by a secret of ours, and calls by REST.

Sources: https://developer.exotel.com/docs/agentstream/websocket-protocol,
.../agentstream/stream-voicebot-applet, .../agentstream/developer-guide (calls/connect), and
https://developer.exotel.com/api/statuscallback. Exotel signs nothing.
"""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode

from pydantic import Field

from antiphon.channels.base import CallFacts, TransferResult
from antiphon.channels.phone.parts import (
    base64_of,
    check_password,
    compact,
    count,
    fields,
    international,
    key_of,
    line_status,
    member,
    name_of,
    password_of,
    read_object,
    same,
    samples,
    seconds,
    text,
    texts,
)
from antiphon.channels.phone.rest import Rest, found
from antiphon.channels.phone.vendor import (
    BadMessage,
    Can,
    DialOrder,
    Document,
    Encoding,
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
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.secret import Secret

_NO_TRANSFER = (
    "Exotel passes nobody on from a stream: end the call there, and put a Connect applet after the "
    "Voicebot applet in the flow"
)


class ExotelOptions(VendorOptions):
    """`vendors: {exotel: ...}`."""

    secret: Secret = Field(description="The password of the applet's URL: a long word of yours.")
    account_sid: str = Field(default="", description="Dashboard: API settings; to make calls.")
    api_key: Secret | None = Field(default=None, description="Likewise.")
    api_token: Secret | None = Field(default=None, description="Likewise.")
    rate_hz: Literal[8_000, 16_000] = Field(default=8_000, description="Rate of the stream.")
    base_url: str = Field(
        default="https://api.exotel.com", description="`https://api.in.exotel.com` for Mumbai."
    )


class ExotelDialect:
    """PCM both ways, s16 little-endian as base64. Messages should carry 100 ms or more."""

    encoding: Encoding = "l16"
    least_ms: ClassVar[int] = 100

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._stream_id = ""

    def read(self, message: str | bytes) -> LineEvent | None:
        said = read_object(message)
        event = text(said, "event")
        if event == "media":
            return Sound(_whole(samples(member(said, "media"))))
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

    def _started(self, said: dict[str, Any]) -> Started:
        start = member(said, "start")
        rate_hz = count(member(start, "media_format"), "sample_rate")
        if rate_hz not in (0, self.rate_hz):
            raise BadMessage(f"a stream of {rate_hz} Hz, where {self.rate_hz} Hz are set")
        self._stream_id = text(start, "stream_sid") or text(said, "stream_sid")
        return Started(
            self._stream_id,
            text(start, "call_sid"),
            texts(member(start, "custom_parameters")),
            international(text(start, "from")),
            international(text(start, "to")),
        )

    def sound(self, payload: bytes) -> str:
        media = {"payload": base64_of(payload)}
        return compact({"event": "media", "stream_sid": self._stream_id, "media": media})

    def mark(self, name: str) -> str:
        mark = {"name": name}
        return compact({"event": "mark", "stream_sid": self._stream_id, "mark": mark})

    def clear(self) -> str:
        return compact({"event": "clear", "stream_sid": self._stream_id})


class Exotel:
    """Exotel. The applet asks `/exotel/voice` for the stream's address, or has it written in it."""

    name: ClassVar[str] = "exotel"
    Options: ClassVar[type[VendorOptions]] = ExotelOptions
    can: ClassVar[frozenset[Can]] = frozenset({"dial"})
    admits_by_secret: ClassVar[bool] = True
    token_chars: ClassVar[int] = 230
    """256 are allowed for all parameters and their names."""
    ends_with_stream: ClassVar[bool] = True

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, ExotelOptions)
        self._options = options
        key, token = options.api_key, options.api_token
        self._rest: Rest | None = None
        if options.account_sid and key is not None and token is not None:
            pair = base64.b64encode(f"{key.value}:{token.value}".encode()).decode()
            self._rest = Rest(self.name, options.base_url, {"Authorization": f"Basic {pair}"})

    def signs_handshake(self, request: Webhook) -> bool:
        return bool(password_of(request))

    def admits(self, request: Webhook) -> bool:
        return same(password_of(request), self._options.secret.value)

    def verify(self, request: Webhook) -> None:
        check_password(request, self._options.secret.value)

    def incoming(self, request: Webhook) -> CallFacts:
        said = fields(request)
        if not said.get("CallSid"):
            raise BadMessage("a request for a stream without a CallSid")
        return CallFacts(
            "outbound" if said.get("Direction", "").startswith("outbound") else "inbound",
            international(said.get("CallFrom", "") or said.get("From", "")),
            international(said.get("CallTo", "") or said.get("To", "")),
            said["CallSid"],
        )

    def answer(self, stream: Stream) -> Document:
        return Document(compact({"url": self._stream_url(stream)}), "application/json")

    def _stream_url(self, stream: Stream) -> str:
        # The query comes back as `custom_parameters`; 256 characters are allowed.
        query = {"token": stream.token}
        if self._options.rate_hz != 8_000:
            query["sample-rate"] = str(self._options.rate_hz)
        return f"{stream.url}?{urlencode(query)}"

    def refuse(self, message: str) -> Document:
        # Without an address the flow goes on to its next applet; nothing can be said.
        return Document('{"url":""}', "application/json")

    def status(self, request: Webhook) -> Status:
        said = fields(request)
        status = said.get("Status", "") or said.get("CallStatus", "")
        if said.get("EventType") == "answered":
            status = "answered"
        return Status(
            said.get("CallSid", ""),
            line_status(status),
            duration_s=seconds(said, "ConversationDuration", "Duration"),
        )

    def transfer_result(self, request: Webhook) -> TransferResult:
        raise BadMessage("Exotel tells nothing of transfers")

    def whisper(self, message: str, accept_url: str) -> Document:
        raise UserFacingError(_NO_TRANSFER)

    def accept(self, request: Webhook) -> Document:
        raise UserFacingError(_NO_TRANSFER)

    def dialect(self) -> ExotelDialect:
        return ExotelDialect(self._options.rate_hz)

    async def dial(self, order: DialOrder) -> str:
        if self._rest is None:
            raise ProviderError(
                "calls need account_sid:, api_key: and api_token: under vendors: exotel: in "
                "phone.yaml",
                provider=self.name,
                retryable=False,
            )
        joined = "&" if "?" in order.status_url else "?"
        secret = urlencode({"secret": self._options.secret.value})
        form: dict[str, str | list[str]] = {
            "From": order.to,
            "CallerId": order.sender,
            "StreamUrl": self._stream_url(order.stream),
            "StreamType": "bidirectional",
            "TimeLimit": str(min(order.longest_s, 14_400)),
            "TimeOut": str(order.ring_s),
            "StatusCallback": f"{order.status_url}{joined}{secret}",
            "StatusCallbackEvents[]": ["answered", "terminal"],
            "StatusCallbackContentType": "application/json",
        }
        path = f"v1/Accounts/{quote(self._options.account_sid, safe='')}/Calls/connect.json"
        return found(await self._rest.call("POST", path, form=form), self.name, "Sid", "sid")

    async def hang_up(self, line_call_id: str) -> None:
        raise UserFacingError("Exotel ends a call when its stream is closed; it cannot be told to")

    async def transfer(self, order: TransferOrder) -> None:
        raise UserFacingError(_NO_TRANSFER)

    async def aclose(self) -> None:
        if self._rest is not None:
            await self._rest.aclose()


def _whole(pcm: bytes) -> bytes:
    if len(pcm) % 2:
        raise BadMessage("sound that is not s16")
    return pcm
