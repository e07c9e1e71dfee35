"""The company's end of Twilio Media Streams: what a caller's line writes, and what it reads.

Written from Twilio's description of the WebSocket messages
(https://www.twilio.com/docs/voice/media-streams/websocket-messages), of `<Stream>`
(https://www.twilio.com/docs/voice/twiml/stream) and of its signatures
(https://www.twilio.com/docs/usage/security), and on purpose not from the server's dialect: the two
check each other. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from antiphon.errors import AntiphonError, UserFacingError

FRAME_BYTES = 160
"""20 ms of mu-law at 8 kHz."""
MAX_BUFFERED_MS = 600_000
"""Twilio discards what is more (warning 31931)."""
_LOUDEST_QUIET = 132  # of 32635: -48 dBFS


def _magnitude(code: int) -> int:
    code = ~code & 0x7F
    return (((code & 0x0F) << 3) + 0x84 << (code >> 4)) - 0x84


_QUIET_CODES = bytes(code for code in range(256) if _magnitude(code) <= _LOUDEST_QUIET)


def sounds(payload: bytes) -> bool:
    """Whether something is audible in so much mu-law: a tenth of it above -48 dBFS."""
    return len(payload.translate(None, _QUIET_CODES)) * 10 >= max(1, len(payload))


class Unreadable(AntiphonError):
    """A message that Twilio would not accept. The text says why."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound to be played: mu-law at 8 kHz, any length."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class MarkWanted:
    """To be sent back when everything before it has been played or dropped."""

    name: str


@dataclass(frozen=True, slots=True)
class ClearWanted:
    """What was not played yet is to be dropped."""


Said = Audio | MarkWanted | ClearWanted


class Line:
    """Writes the messages of one stream. Sequence numbers count all messages but `connected`,
    chunks only media; both begin with 1 and are strings."""

    tells_clear = True

    def __init__(
        self, number: str, parameters: Mapping[str, str] | None = None, account: str = ""
    ) -> None:
        self.stream_sid = "MZ" + number
        self.call_sid = "CA" + number
        self.account_sid = account or "AC" + "0" * 32
        self._parameters = dict(parameters or {})
        self._sequence = 0
        self._chunks = 0
        self._media_head = ""

    def connected(self) -> str:
        """The first message."""
        return '{"event":"connected","protocol":"Call","version":"1.0.0"}'

    def start(self) -> str:
        """The second message."""
        start = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._parameters,
        }
        return self._message("start", start)

    def media(self, payload: str, at_ms: int) -> str:
        """20 ms of the caller in base64, `at_ms` after the stream's beginning."""
        # By hand, because a load of calls writes thousands of these in a second.
        self._sequence += 1
        self._chunks += 1
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunks}","timestamp":"{at_ms}","payload":"{payload}"}},'
            f'"streamSid":"{self.stream_sid}"}}'
        )

    def lost(self) -> None:
        """A frame that the network has lost: its number is used up."""
        self._chunks += 1

    def dtmf(self, digit: str) -> str:
        """A key of the telephone."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> str:
        """A mark comes back."""
        return self._message("mark", {"name": name})

    def stop(self) -> str:
        """The last message."""
        return self._message("stop", {"accountSid": self.account_sid, "callSid": self.call_sid})

    def _message(self, event: str, body: Mapping[str, object]) -> str:
        self._sequence += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._sequence),
            event: body,
            "streamSid": self.stream_sid,
        }
        return json.dumps(message, separators=(",", ":"))

    def read(self, message: str | bytes) -> Said:
        """What the server says.

        Raises:
            Unreadable: Twilio would not accept it.
        """
        if isinstance(message, bytes):
            raise Unreadable("a binary message; Media Streams are JSON text")
        try:
            fields = json.loads(message)
        except ValueError:
            raise Unreadable("not JSON") from None
        if not isinstance(fields, dict):
            raise Unreadable("not a JSON object")
        event = fields.get("event")
        if fields.get("streamSid") != self.stream_sid:
            raise Unreadable(f"{event}: streamSid is not this stream's")
        if event == "media":
            return Audio(_payload(fields))
        if event == "mark":
            mark = fields.get("mark")
            name = mark.get("name") if isinstance(mark, dict) else None
            if not isinstance(name, str) or not name:
                raise Unreadable("mark: no mark.name")
            return MarkWanted(name)
        if event == "clear":
            return ClearWanted()
        raise Unreadable(f"no such event to Twilio: {str(event)[:40]}")


def _payload(fields: Mapping[str, object]) -> bytes:
    media = fields.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str):
        raise Unreadable("media: no media.payload")
    try:
        sound = base64.b64decode(payload, validate=True)
    except binascii.Error:
        raise Unreadable("media: the payload is not base64") from None
    if not sound:
        raise Unreadable("media: the payload is empty")
    if sound.startswith(b"RIFF"):
        raise Unreadable("media: the payload begins with a WAV header")
    return sound


def sign(auth_token: str, url: str, form: Mapping[str, str] | None = None) -> str:
    """`X-Twilio-Signature`: base64 of HMAC-SHA1 over the URL and the sorted form fields."""
    text = url + "".join(key + value for key, value in sorted((form or {}).items()))
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@dataclass(frozen=True, slots=True)
class StreamPlace:
    """Where a document sends the call."""

    url: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_twiml(document: str) -> StreamPlace:
    """The stream of `<Response><Connect><Stream>`.

    Raises:
        UserFacingError: the document has none.
    """
    # ElementTree expands no external entities; a document full of internal ones is refused by
    # expat itself.
    try:
        root = ET.fromstring(document)
    except ET.ParseError as error:
        raise UserFacingError(f"the server's answer is not TwiML: {error}") from None
    stream = root.find("./Connect/Stream")
    if root.tag != "Response" or stream is None:
        said = " ".join(text.strip() for text in root.itertext() if text.strip())
        verbs = ", ".join(child.tag for child in root) or "nothing"
        hint = f" and says: {said[:200]}" if said else ""
        raise UserFacingError(
            f"the server does not connect the call to a stream: its TwiML has {verbs}{hint}"
        )
    url = stream.get("url", "")
    if urlsplit(url).scheme not in ("ws", "wss") or urlsplit(url).query:
        raise UserFacingError(f"<Stream url={url!r}>: Twilio wants ws(s)://, without a query")
    pairs = ((one.get("name", ""), one.get("value", "")) for one in stream.iter("Parameter"))
    return StreamPlace(url, dict(pairs))


def moved_to(url: str, base: str) -> str:
    """`url` with the host of `base`, for a server whose public name leads somewhere else."""
    there, here = urlsplit(url), urlsplit(base)
    scheme = "wss" if here.scheme in ("https", "wss") else "ws"
    return urlunsplit((scheme, here.netloc, there.path, there.query, ""))
