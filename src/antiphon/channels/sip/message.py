"""SIP messages as values, read from and written to bytes (RFC 3261 section 7). Pure.

Reading survives any bytes: what is no message is a `ParseError`, which knows whether an answer is
deserved. Text is UTF-8; bytes that are not pass through unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from antiphon.channels.sip.uri import (
    MAX_PARAMS,
    TOKEN,
    Address,
    AddressError,
    Via,
    parse_address,
    parse_uri,
    parse_via,
    split_list,
)

MAX_BYTES = 65_535
MAX_HEADERS = 256
MAX_START_LINE = 8_192
MAX_HEAD_BYTES = 32_768
VERSION = "SIP/2.0"
LARGEST = 2**31
"""CSeq numbers are below it (section 8.1.1.5)."""

COMPACT = {
    "v": "via", "f": "from", "t": "to", "m": "contact", "i": "call-id", "l": "content-length",
    "c": "content-type", "e": "content-encoding", "k": "supported", "s": "subject",
    "r": "refer-to", "b": "referred-by", "o": "event", "u": "allow-events",
    "x": "session-expires", "y": "identity", "a": "accept-contact", "d": "request-disposition",
}  # fmt: skip
SPELLED = {
    "call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate",
    "min-se": "Min-SE", "rack": "RAck", "rseq": "RSeq", "mime-version": "MIME-Version",
}  # fmt: skip
SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type")
NEEDED = ("via", "from", "to", "call-id", "cseq")
REASONS = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted",
    302: "Moved Temporarily", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 407: "Proxy Authentication Required",
    408: "Request Timeout", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 422: "Session Interval Too Small",
    423: "Interval Too Brief", 480: "Temporarily Unavailable", 482: "Loop Detected",
    481: "Call/Transaction Does Not Exist", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 603: "Decline",
    500: "Server Internal Error", 503: "Service Unavailable", 505: "Version Not Supported",
}  # fmt: skip

Headers = tuple[tuple[str, str], ...]
_BLANK = re.compile(rb"\r?\n\r?\n")
_REQUEST = re.compile(r"([^ ]+) ([^ ]+) SIP/2\.0", re.IGNORECASE)
_ANY_VERSION = re.compile(r"\sSIP/(\d{1,9}\.\d{1,9})\s*$", re.IGNORECASE)
_RESPONSE = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?", re.IGNORECASE)


class ParseError(ValueError):
    """Bytes that are no message we take.

    Args:
        reason: what is wrong, without anything out of the message.
        status: with which response to answer; 0: with none.
        request: as much as could be read of it, for that answer.
    """

    def __init__(self, reason: str, status: int = 0, request: Request | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status, self.request = reason, status, request


@dataclass(frozen=True)
class Message:
    """What requests and responses share. Header names are in lower case and in their long form;
    what `parse` returned has the headers of `NEEDED`, each of them readable."""

    headers: Headers = ()
    body: bytes = b""

    def get(self, name: str, default: str = "") -> str:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), default)

    def all(self, name: str) -> list[str]:
        """Every member of a header that is a list, over all its lines. Empty ones are left out, and
        everything behind a quote that is not closed."""
        found: list[str] = []
        for key, value in self.headers:
            if key == name:
                try:
                    found += (member for member in split_list(value) if member)
                except AddressError:
                    break
        return found

    def tokens(self, name: str) -> frozenset[str]:
        """The members of a list of words, in lower case."""
        return frozenset(member.lower() for member in self.all(name))

    def with_headers(self, *headers: tuple[str, str]) -> Self:
        """With headers put at the end."""
        return replace(self, headers=(*self.headers, *headers))

    def without(self, *names: str) -> Self:
        """Without these headers."""
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0] not in names))

    def with_body(self, content_type: str, body: bytes) -> Self:
        """With a body."""
        plain = self.without("content-type")
        return replace(plain, headers=(*plain.headers, ("content-type", content_type)), body=body)

    @property
    def content_type(self) -> str:
        """Without its parameters, in lower case."""
        return self.get("content-type").partition(";")[0].strip().lower()

    @cached_property
    def call_id(self) -> str:
        return self.get("call-id")

    @cached_property
    def cseq(self) -> tuple[int, str]:
        number, _, method = self.get("cseq").strip().partition(" ")
        return int(number), method.strip()

    @cached_property
    def from_(self) -> Address:
        return parse_address(self.get("from"))

    @cached_property
    def to(self) -> Address:
        return parse_address(self.get("to"))

    @cached_property
    def via(self) -> Via:
        """The topmost."""
        return parse_via(self.all("via")[0])

    def contact(self) -> Address | None:
        """The first contact that can be called; None where there is none."""
        for value in self.all("contact"):
            try:
                address = parse_address(value)
            except AddressError:
                return None
            return address if address.uri.is_sip else None
        return None


@dataclass(frozen=True)
class Request(Message):
    """A request; `uri` as it was written."""

    method: str = ""
    uri: str = ""

    def __bytes__(self) -> bytes:
        return _written(f"{self.method} {self.uri} {VERSION}", self)


@dataclass(frozen=True)
class Response(Message):
    """A response."""

    status: int = 0
    reason: str = ""

    def __bytes__(self) -> bytes:
        return _written(f"{VERSION} {self.status} {self.reason}", self)


def respond(request: Request, status: int, *headers: tuple[str, str], tag: str = "") -> Response:
    """The response to a request, with what has to be the same (section 8.2.6.2). `tag` is put into
    `To` where there is none."""
    kept: list[tuple[str, str]] = []
    seen: set[str] = set()
    for key, value in request.headers:
        if key == "via" or (key == "record-route" and status < 300):
            kept.append((key, value))
        elif key in ("from", "to", "call-id", "cseq") and key not in seen:
            seen.add(key)
            tagged = key != "to" or not tag or _tagged(value)
            kept.append((key, value if tagged else f"{value};tag={tag}"))
    return Response((*kept, *headers), b"", status, REASONS.get(status, "Unknown"))


def _tagged(to: str) -> bool:
    try:
        return bool(parse_address(to).tag)
    except AddressError:
        return True


def _written(start: str, message: Message) -> bytes:
    lines = [start]
    for key, value in message.headers:
        if key != "content-length":
            lines.append(f"{SPELLED.get(key) or key.title()}: {value}")
    lines.append(f"Content-Length: {len(message.body)}")
    # A line break inside a value, from a file of ours, must not become a header of its own.
    head = "\r\n".join(" ".join(line.splitlines()) for line in lines)
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + message.body


# ---- reading -------------------------------------------------------------------------------


def parse(data: bytes, *, stream: bool = False) -> Request | Response:
    """Read one message.

    Args:
        data: a datagram, or one message of a stream.
        stream: the message came by TCP, so that its length must be said.

    Raises:
        ParseError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise ParseError("longer than any message")
    data = data.lstrip(b"\r\n")
    blank = _BLANK.search(data)
    head, body = (data[: blank.start()], data[blank.end() :]) if blank else (data, b"")
    if len(head) > MAX_HEAD_BYTES:
        raise ParseError("its headers are too long")
    lines = unfold(head.decode("utf-8", "surrogateescape"))
    start = lines[0]
    headers, bad = _headers(lines[1:])
    if start[:4].upper() == "SIP/":
        return _response(start, headers, bad, body)
    return _request(start, headers, bad if blank else bad or "cut off", body, stream)


def unfold(text: str) -> list[str]:
    """The lines, with those that go on in the next one joined (section 7.3.1)."""
    lines: list[str] = []
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if lines and line[:1] in (" ", "\t"):
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        else:
            lines.append(line)
    return lines


def _headers(lines: Iterable[str]) -> tuple[Headers, str]:
    """The headers, and what is wrong with them."""
    found: list[tuple[str, str]] = []
    bad = ""
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not TOKEN.fullmatch(name):
            bad = bad or "a line that is no header"
        elif len(found) >= MAX_HEADERS:
            return tuple(found), "too many headers"
        else:
            found.append((COMPACT.get(name, name), value.strip()))
    return tuple(found), bad


def _request(start: str, headers: Headers, bad: str, body: bytes, stream: bool) -> Request:
    match = _REQUEST.fullmatch(start) if len(start) <= MAX_START_LINE else None
    if match is None:
        method, uri = [*start.split(None, 2), "", ""][:2]
        version = _ANY_VERSION.search(start)
        if not TOKEN.fullmatch(method) or version is None:
            raise ParseError("neither request nor response")
        partial = Request(headers, b"", method, uri)
        _judge(partial, "a start line that cannot be read", 400 if version[1] == "2.0" else 505)
    assert match is not None
    request = Request(headers, body, match[1], match[2])
    problem = bad or _wrong(request)
    if problem:
        _judge(request, problem, 400)
    length = _length(request)
    if length is None and stream and body:
        _judge(request, "no length in a stream", 400)
    if length is not None and length > len(body):
        _judge(request, "shorter than it says", 400)
    return request if length is None else replace(request, body=body[:length])


def _judge(request: Request, problem: str, status: int) -> None:
    """Raise, with an answer where its addressee can be known. An ACK is never answered."""
    answerable = request.method != "ACK" and _can_be_answered(request)
    if not answerable:
        raise ParseError(problem)
    raise ParseError(problem, status, request)


def _can_be_answered(request: Request) -> bool:
    try:
        return bool(request.via and request.get("from") and request.get("to") and request.call_id)
    except (AddressError, IndexError):
        return False


def _wrong(request: Request) -> str:
    """What is wrong with a request; empty: nothing."""
    if problem := _wrong_headers(request):
        return problem
    if not TOKEN.fullmatch(request.method):
        return "no method"
    if request.cseq[1] != request.method:
        return "another method in CSeq"
    forwards = request.get("max-forwards", "70").strip()
    if not (forwards.isascii() and forwards.isdigit() and int(forwards[:9]) <= 255):
        return "Max-Forwards"
    try:
        parse_uri(request.uri)
    except AddressError:
        return "its URI"
    return ""


def _wrong_headers(message: Message) -> str:
    names = [key for key, _ in message.headers]
    for name in NEEDED:
        if name not in names:
            return f"no {name}"
    for name in SINGLE:
        if names.count(name) > 1 and len({v for k, v in message.headers if k == name}) > 1:
            return f"more than one {name}"
    length = message.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) <= 9):
        return "content-length"
    number, _, method = message.get("cseq").strip().partition(" ")
    if not (number.isascii() and number.isdigit() and len(number) <= 12) or not method.strip():
        return "cseq"
    if int(number) >= LARGEST or not message.call_id or len(message.call_id) > 4096:
        return "cseq or call-id"
    try:
        # What is added to it on the way has to find room.
        if len(message.via.params) > MAX_PARAMS - 2:
            return "via"
        return "" if message.from_ and message.to else "addresses"
    except (AddressError, IndexError):
        return "addresses"


def _response(start: str, headers: Headers, bad: str, body: bytes) -> Response:
    match = _RESPONSE.fullmatch(start)
    if match is None or len(start) > MAX_START_LINE:
        raise ParseError("neither request nor response")
    response = Response(headers, body, int(match[1]), match[2] or "")
    if problem := bad or _wrong_headers(response):
        raise ParseError(problem)
    length = _length(response)
    if length is not None and length > len(body):
        raise ParseError("shorter than it says")
    return response if length is None else replace(response, body=body[:length])


def _length(message: Message) -> int | None:
    text = message.get("content-length")
    return int(text) if text else None


def first_address(values: Sequence[str]) -> Address | None:
    """The first of these that can be read."""
    for value in values:
        try:
            return parse_address(value)
        except AddressError:
            continue
    return None
