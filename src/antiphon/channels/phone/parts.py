"""What the companies' files have in common: reading messages and requests, remembering what came
before, and writing XML."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape, quoteattr

from antiphon.channels.phone.vendor import BadMessage, Forged, Key, LineStatus, Webhook

MAX_MESSAGE_CHARS = 256 * 1024
"""A message longer than this is not one: four seconds of sound take 90,000 characters."""
MAX_NAME_CHARS = 512
STALE_S = 300
"""How old a signed request may be, and how far ahead of our clock."""
MAX_SEEN = 20_000
"""Requests remembered; beyond that the oldest are forgotten, and could be sent once more."""

_KEYS = frozenset("0123456789*#")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CALL_STATUS: dict[str, LineStatus] = {
    "initiated": "queued",
    "queued": "queued",
    "started": "queued",
    "ringing": "ringing",
    "early": "ringing",
    "answered": "answered",
    "in-progress": "answered",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "timeout": "no_answer",
    "unanswered": "no_answer",
    "failed": "failed",
    "rejected": "failed",
    "canceled": "canceled",
    "cancelled": "canceled",
    "cancel": "canceled",
}


# ---- messages ------------------------------------------------------------------------------


def read_object(message: str | bytes) -> dict[str, Any]:
    """A text message that is a JSON object.

    Raises:
        BadMessage: it is not.
    """
    if isinstance(message, bytes):
        raise BadMessage("a binary message, where text is spoken")
    if len(message) > MAX_MESSAGE_CHARS:
        raise BadMessage(f"a message of more than {MAX_MESSAGE_CHARS // 1024} kB")
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        raise BadMessage("a message that is no JSON") from None
    if not isinstance(value, dict):
        raise BadMessage("a message that is no JSON object")
    return value


def member(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """An object inside an object; empty when there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def text(value: Mapping[str, Any], key: str) -> str:
    """A string or whole number inside an object, as a string; empty when there is none."""
    found = value.get(key)
    if isinstance(found, str):
        return found[: 4 * MAX_NAME_CHARS]
    is_number = isinstance(found, int) and not isinstance(found, bool) and abs(found) < 1 << 63
    return str(found) if is_number else ""


def texts(value: Mapping[str, Any]) -> dict[str, str]:
    """The strings and numbers of an object."""
    return {key: text(value, key) for key in value if isinstance(value[key], str | int | float)}


def count(value: Mapping[str, Any], key: str) -> int:
    """A whole number that is not negative, written as such or as a string; 0 when there is none."""
    found = text(value, key)
    return int(found) if found.isascii() and found.isdigit() and len(found) < 19 else 0


def samples(media: Mapping[str, Any]) -> bytes:
    """The sound in `payload`, base64.

    Raises:
        BadMessage: there is none.
    """
    payload = media.get("payload")
    if not isinstance(payload, str):
        raise BadMessage("media without a payload")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise BadMessage("media whose payload is not base64") from None


def base64_of(payload: bytes) -> str:
    return base64.b64encode(payload).decode("ascii")


def name_of(value: Mapping[str, Any], key: str = "name") -> str:
    """The name of a mark.

    Raises:
        BadMessage: it has none.
    """
    name = text(value, key)
    if not name:
        raise BadMessage("a mark without a name")
    return name[:MAX_NAME_CHARS]


def key_of(value: Mapping[str, Any], key: str = "digit") -> Key | None:
    """A pressed key; None for those that a telephone does not have (`A` to `D`)."""
    digit = text(value, key)
    return Key(digit) if digit in _KEYS else None


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


# ---- requests ------------------------------------------------------------------------------


def fields(request: Webhook) -> dict[str, str]:
    """What a request says: its query, its form and its JSON body, the latter ones first."""
    said = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    if request.form:
        said.update(reversed(request.form))
    elif request.body[:1] == b"{":
        try:
            value = json.loads(request.body)
        except (ValueError, RecursionError):
            raise BadMessage("a body that is no JSON") from None
        said.update(texts(value))
    return said


def line_status(status: str) -> LineStatus:
    """Raises BadMessage for a word that tells nothing about a call."""
    found = _CALL_STATUS.get(status.lower())
    if found is None:
        raise BadMessage("a request that tells nothing of a call")
    return found


def seconds(said: Mapping[str, str], *keys: str) -> int | None:
    """The first of these fields that is a whole number of seconds."""
    for key in keys:
        value = said.get(key, "")
        if value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
    return None


def international(number: str) -> str:
    """E.164 with its plus, where a company leaves it out; anything else as it is."""
    return f"+{number}" if number.isascii() and number.isdigit() and len(number) > 6 else number


def password_of(request: Webhook) -> str:
    """What admits a request without a signature: the password of HTTP Basic, else the query's
    `secret`. Empty: neither is there."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return ""
        return password
    return dict(parse_qsl(urlsplit(request.url).query)).get("secret", "")


def check_password(request: Webhook, secret: str) -> None:
    """Raises Forged."""
    given = password_of(request)
    if not given:
        raise Forged("unsigned", "neither a password nor a secret")
    if not same(given, secret):
        raise Forged("forged", "a wrong password or secret")


def same(one: str, other: str) -> bool:
    """Compares in a time that tells nothing of where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


class Seen:
    """Remembers what came, so that it counts once. Only this process knows it."""

    def __init__(self, most: int = MAX_SEEN) -> None:
        self._most = most
        self._keys: dict[bytes, None] = {}

    def demand_first(self, key: str) -> None:
        """Raises Forged when it came before."""
        short = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16).digest()
        if short in self._keys:
            raise Forged("replayed", "a request that came before")
        self._keys[short] = None
        while len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]


# ---- documents -----------------------------------------------------------------------------


def written(words: str) -> str:
    """Text of an XML element; characters that XML 1.0 does not have are left out."""
    return escape(_ILLEGAL.sub("", words))


def element(name: str, attributes: Mapping[str, str] | None = None, *inside: str) -> str:
    """An element with attributes, those that are empty left out, and what is inside, as XML."""
    given = "".join(
        f" {key}={quoteattr(_ILLEGAL.sub('', value))}"
        for key, value in (attributes or {}).items()
        if value
    )
    content = "".join(inside)
    return f"<{name}{given}>{content}</{name}>" if content else f"<{name}{given}/>"


def response(*inside: str) -> str:
    """A whole document: TeXML and Plivo XML have the same outermost element."""
    return f'<?xml version="1.0" encoding="UTF-8"?>{element("Response", None, *inside)}'
