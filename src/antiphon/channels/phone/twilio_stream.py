"""Twilio's Media Streams, as JSON messages on a WebSocket.

https://www.twilio.com/docs/voice/media-streams/websocket-messages: all numbers are written as
strings; `mark` comes back when what was sent before it has been played, or dropped by `clear`.
"""

from __future__ import annotations

import binascii
import json
from typing import Any

from antiphon.channels.phone.vendor import (
    BadMessage,
    Encoding,
    Key,
    LineEvent,
    Marked,
    Sound,
    Started,
    Stopped,
)

KEYS = frozenset("0123456789*#")
_INBOUND = ("inbound", "inbound_track", None, "")


class TwilioDialect:
    """One stream. G.711 mu-law, 8 kHz."""

    encoding: Encoding = "mulaw"
    rate_hz = 8000

    def __init__(self) -> None:
        self._stream = '""'
        self._sound = ("", "")

    def read(self, message: str | bytes) -> LineEvent | None:
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            raise BadMessage("a message that is not JSON") from None
        if not isinstance(value, dict):
            raise BadMessage("a message that is not an object")
        match value.get("event"):
            case "media":
                return self._media(_part(value, "media"))
            case "mark":
                name = _part(value, "mark").get("name")
                return Marked(str(name)) if name is not None else None
            case "dtmf":
                key = str(_part(value, "dtmf").get("digit", ""))
                return Key(key) if key in KEYS else None
            case "start":
                return self._start(value)
            case "stop":
                return Stopped()
            case str():
                return None
            case _:
                raise BadMessage("a message without an event")

    def sound(self, payload: bytes) -> str:
        head, tail = self._sound
        return head + binascii.b2a_base64(payload, newline=False).decode() + tail

    def mark(self, name: str) -> str:
        return f'{{"event":"mark","streamSid":{self._stream},"mark":{{"name":{json.dumps(name)}}}}}'

    def clear(self) -> str:
        return f'{{"event":"clear","streamSid":{self._stream}}}'

    def _media(self, media: dict[str, Any]) -> Sound | None:
        if media.get("track") not in _INBOUND:
            return None
        payload = media.get("payload")
        if not isinstance(payload, str):
            raise BadMessage("sound without a payload")
        try:
            return Sound(binascii.a2b_base64(payload))
        except (binascii.Error, ValueError):
            raise BadMessage("sound that is not base64") from None

    def _start(self, value: dict[str, Any]) -> Started:
        start = _part(value, "start")
        stream_id = str(start.get("streamSid") or value.get("streamSid") or "")
        if not stream_id:
            raise BadMessage("a start without a stream")
        given = start.get("customParameters")
        items = given.items() if isinstance(given, dict) else ()
        parameters = {str(key): str(one) for key, one in items}
        self._stream = json.dumps(stream_id)
        self._sound = (
            f'{{"event":"media","streamSid":{self._stream},"media":{{"payload":"',
            '"}}',
        )
        return Started(stream_id, str(start.get("callSid") or ""), parameters)


def _part(value: dict[str, Any], name: str) -> dict[str, Any]:
    part = value.get(name)
    if not isinstance(part, dict):
        raise BadMessage(f"a {name} without its content")
    return part
