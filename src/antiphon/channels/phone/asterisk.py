"""Asterisk's `chan_websocket`: the PBX dials our WebSocket, text is control and binary is sound.

Source: https://docs.asterisk.org/Configuration/Channel-Drivers/WebSocket, with control messages as
JSON (`f(json)`; Asterisk 20.18, 22.8, 23.2 and later). There are no webhooks: the handshake is
admitted by a password, of `websocket_client.conf` or in the address.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from antiphon.channels.base import CallFacts, TransferResult
from antiphon.channels.phone.parts import (
    MAX_MESSAGE_CHARS,
    check_password,
    compact,
    fields,
    key_of,
    member,
    name_of,
    password_of,
    read_object,
    same,
    text,
    texts,
)
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
    Stream,
    TransferOrder,
    VendorOptions,
    Webhook,
)
from antiphon.errors import UserFacingError
from antiphon.providers.secret import Secret

MAX_SOUND_BYTES = 65_500
"""A longer message ends the call."""
_FORMATS: dict[str, tuple[Encoding, int]] = {
    "ulaw": ("mulaw", 8_000),
    "alaw": ("alaw", 8_000),
    "slin": ("l16", 8_000),
    "slin16": ("l16", 16_000),
}
_CALLER, _CALLED = "ANTIPHON_CALLER", "ANTIPHON_CALLED"
_NO_WEBHOOKS = "Asterisk is configured by its own dialplan and asks for no documents"


class AsteriskOptions(VendorOptions):
    """`vendors: {asterisk: ...}`."""

    secret: Secret = Field(description="The password in websocket_client.conf.")
    codec: Literal["ulaw", "alaw", "slin", "slin16"] = Field(
        default="ulaw", description="As `c(...)` in the dialplan says."
    )


class AsteriskDialect:
    """One media WebSocket of `chan_websocket`. What `FLUSH_MEDIA` drops takes its marks along: they
    never come back."""

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self.encoding, self.rate_hz = _FORMATS[codec]

    def read(self, message: str | bytes) -> LineEvent | None:
        if isinstance(message, bytes):
            odd = self.encoding == "l16" and len(message) % 2
            if odd or len(message) > MAX_MESSAGE_CHARS:
                raise BadMessage("sound that is not of the codec, or too much of it")
            return Sound(message)
        if message.startswith("MEDIA_START "):
            raise BadMessage("control messages in plain text: write f(json) in the dialplan")
        said = read_object(message)
        event = text(said, "event")
        if event == "MEDIA_START":
            return self._started(said)
        if event == "DTMF_END":
            return key_of(said)
        if event == "MEDIA_MARK_PROCESSED":
            return Marked(name_of(said, "correlation_id"))
        if not event:
            raise BadMessage("a message without an event")
        return None

    def _started(self, said: dict[str, Any]) -> Started:
        codec = text(said, "format")
        if codec != self._codec:
            raise BadMessage(f"a channel of {codec[:20]}, where {self._codec} is set")
        variables = texts(member(said, "channel_variables"))
        return Started(
            text(said, "connection_id"),
            text(said, "channel_id"),
            variables,
            variables.get(_CALLER, ""),
            variables.get(_CALLED, ""),
        )

    def sound(self, payload: bytes) -> bytes:
        return payload[:MAX_SOUND_BYTES]

    def mark(self, name: str) -> str:
        return compact({"command": "MARK_MEDIA", "correlation_id": name})

    def clear(self) -> str:
        return '{"command":"FLUSH_MEDIA"}'


class Asterisk:
    """An Asterisk of yours."""

    name: ClassVar[str] = "asterisk"
    Options: ClassVar[type[VendorOptions]] = AsteriskOptions
    can: ClassVar[frozenset[Can]] = frozenset()
    admits_by_secret: ClassVar[bool] = True
    ends_with_stream: ClassVar[bool] = True

    def __init__(self, options: VendorOptions, public_url: str) -> None:
        assert isinstance(options, AsteriskOptions)
        self._options = options

    def signs_handshake(self, request: Webhook) -> bool:
        # There is nothing else that could admit a stream, so that `verify` is always asked.
        return True

    def admits(self, request: Webhook) -> bool:
        return same(password_of(request), self._options.secret.value)

    def verify(self, request: Webhook) -> None:
        check_password(request, self._options.secret.value)

    def incoming(self, request: Webhook) -> CallFacts:
        """Of a handshake: `v(caller=...,called=...)` of the dialplan."""
        said = fields(request)
        return CallFacts(caller=said.get("caller", ""), called=said.get("called", ""))

    def answer(self, stream: Stream) -> Document:
        raise BadMessage(_NO_WEBHOOKS)

    def refuse(self, message: str) -> Document:
        raise BadMessage(_NO_WEBHOOKS)

    def status(self, request: Webhook) -> Status:
        raise BadMessage(_NO_WEBHOOKS)

    def transfer_result(self, request: Webhook) -> TransferResult:
        raise BadMessage(_NO_WEBHOOKS)

    def whisper(self, message: str, accept_url: str) -> Document:
        raise BadMessage(_NO_WEBHOOKS)

    def accept(self, request: Webhook) -> Document:
        raise BadMessage(_NO_WEBHOOKS)

    def dialect(self) -> AsteriskDialect:
        return AsteriskDialect(self._options.codec)

    async def dial(self, order: DialOrder) -> str:
        raise UserFacingError(
            "calls through Asterisk are made over SIP: write vendor: sip under outbound: in "
            "phone.yaml, with the PBX as a trunk"
        )

    async def hang_up(self, line_call_id: str) -> None:
        """Closing the WebSocket hangs up; there is nothing else to do."""

    async def transfer(self, order: TransferOrder) -> None:
        raise UserFacingError(
            "Asterisk's dialplan goes on when the stream is closed: put the transfer after Dial() "
            "there, or connect the PBX over SIP, where calls can be passed on"
        )

    async def aclose(self) -> None:
        """Nothing is open."""
