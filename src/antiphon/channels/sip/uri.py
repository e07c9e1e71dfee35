"""Addresses in SIP: URIs, the forms in `From`, `To` and `Contact`, and `Via` (RFC 3261 sections
19.1, 20 and 25). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

MAX_PARAMS = 64
TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._\-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]+\])")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_DISPLAY = re.compile(r"[^<>\"\x00]*")
Params = tuple[tuple[str, str], ...]


class AddressError(ValueError):
    """An address that nobody can read."""


@dataclass(frozen=True, slots=True)
class Uri:
    """`sip:user@host:port;params`. Of a `tel:` URI the number is the user and the host is empty; of
    any other scheme `rest` is everything behind the colon."""

    scheme: str
    user: str = ""
    host: str = ""
    port: int = 0
    params: Params = ()
    rest: str = ""

    @property
    def is_sip(self) -> bool:
        return self.scheme in ("sip", "sips")

    def param(self, name: str) -> str:
        """The value of a parameter; empty where there is none."""
        return next((value for key, value in self.params if key == name), "")

    def bare(self) -> Uri:
        """Without its parameters."""
        return replace(self, params=())

    def __str__(self) -> str:
        if self.rest:
            return f"{self.scheme}:{self.rest}"
        if self.scheme == "tel":
            return f"tel:{self.user}{_params_text(self.params)}"
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}:{user}{self.host}{port}{_params_text(self.params)}"


@dataclass(frozen=True, slots=True)
class Address:
    """`"Name" <uri>;params`."""

    uri: Uri
    name: str = ""
    params: Params = ()

    def param(self, name: str) -> str:
        """The value of a parameter; empty where there is none."""
        return next((value for key, value in self.params if key == name), "")

    @property
    def tag(self) -> str:
        return self.param("tag")

    def with_param(self, name: str, value: str) -> Address:
        """With a parameter set."""
        rest = tuple(pair for pair in self.params if pair[0] != name)
        return replace(self, params=(*rest, (name, value)))

    def __str__(self) -> str:
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{quoted}" ' if self.name else ""
        return f"{name}<{self.uri}>{_params_text(self.params)}"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop that a request took."""

    transport: str
    host: str
    port: int = 0
    params: Params = field(default=())

    def param(self, name: str) -> str:
        """The value of a parameter; empty where there is none."""
        return next((value for key, value in self.params if key == name), "")

    @property
    def branch(self) -> str:
        return self.param("branch")

    @property
    def sent_by(self) -> str:
        return f"{self.host}:{self.port or 5060}".lower()

    def with_param(self, name: str, value: str) -> Via:
        """With a parameter set."""
        rest = tuple(pair for pair in self.params if pair[0] != name)
        return replace(self, params=(*rest, (name, value)))

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"SIP/2.0/{self.transport} {self.host}{port}{_params_text(self.params)}"


# ---- reading -------------------------------------------------------------------------------


def split_list(text: str, mark: str = ",") -> Iterator[str]:
    """The members of a list, without those inside quotes or angle brackets.

    Raises:
        AddressError: a quote or bracket is not closed.
    """
    if '"' not in text and "<" not in text and ">" not in text:
        yield from (part.strip() for part in text.split(mark))
        return
    start, quoted, angle, escaped = 0, False, False, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "<>":
            angle = char == "<"
        elif char == mark and not angle:
            yield text[start:at].strip()
            start = at + 1
    if quoted or angle:
        raise AddressError("a quote or bracket is not closed")
    yield text[start:].strip()


def parse_uri(text: str) -> Uri:
    """Read a URI.

    Raises:
        AddressError: it cannot be read. A scheme that is not known is no error.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme) or not rest or any(c in rest for c in ' <>"\t'):
        raise AddressError("not a URI")
    scheme = scheme.lower()
    if scheme == "tel":
        number, *params = rest.split(";")
        return Uri("tel", number, params=_params(params))
    if scheme not in ("sip", "sips"):
        return Uri(scheme, rest=rest)
    rest, question, _ = _after_user(rest)
    user, at, place = rest.rpartition("@")
    if question and not place:
        raise AddressError("a URI without a host")
    hostport, *params = place.split(";")
    host, port = parse_host(hostport)
    if at and not user:
        raise AddressError("an empty user")
    return Uri(scheme, user, host, port, _params(params))


def parse_address(text: str) -> Address:
    """Read a `name-addr` or `addr-spec` with its parameters.

    Raises:
        AddressError: it cannot be read.
    """
    text = text.strip()
    name, rest = "", text
    if text.startswith('"'):
        name, rest = _quoted(text)
        if not rest.lstrip().startswith("<"):
            raise AddressError("a name without an address in brackets")
    before, bracket, inside = rest.partition("<")
    if not bracket:
        # Without brackets, parameters belong to the header and not to the URI (section 20.10).
        spec, *params = (part.strip() for part in rest.split(";"))
        if "?" in spec:
            raise AddressError("headers in an address without brackets")
        return Address(parse_uri(spec), "", _params(params))
    spec, closed, after = inside.partition(">")
    if not closed or not _DISPLAY.fullmatch(before):
        raise AddressError("a bracket is not closed")
    after = after.strip()
    if after and not after.startswith(";"):
        raise AddressError("something behind an address")
    params = list(split_list(after, ";"))[1:] if after else []
    return Address(parse_uri(spec.strip()), name or before.strip(), _params(params))


def parse_via(text: str) -> Via:
    """Read one `Via`. Spaces may stand around its slashes.

    Raises:
        AddressError: it cannot be read.
    """
    first, *params = split_list(text, ";")
    parts = [part.strip() for part in first.split("/", 2)]
    if len(parts) != 3 or parts[0].upper() != "SIP" or parts[1] != "2.0":
        raise AddressError("not a Via of SIP/2.0")
    words = parts[2].split(None, 1)
    if len(words) != 2 or not TOKEN.fullmatch(words[0]):
        raise AddressError("a Via without an address")
    host, port = parse_host("".join(words[1].split()))
    return Via(words[0].upper(), host, port, _params(params))


def parse_host(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]` or `[v6]:port`; port 0 where none is said.

    Raises:
        AddressError: it is none of these.
    """
    match = _HOST.match(text)
    if match is None or len(match[0]) > 255:
        raise AddressError("not a host")
    rest = text[match.end() :]
    if not rest:
        return match[0], 0
    digits = rest[1:]
    if rest[0] != ":" or not (digits.isascii() and digits.isdigit() and len(digits) <= 5):
        raise AddressError("not a port")
    port = int(digits)
    if not 0 < port < 65_536:
        raise AddressError("no such port")
    return match[0], port


def _after_user(rest: str) -> tuple[str, str, str]:
    """Cut the headers off a URI; a question mark may also stand in the user."""
    at = rest.rfind("@")
    question = rest.find("?", at + 1)
    return (rest, "", "") if question < 0 else (rest[:question], "?", rest[question + 1 :])


def _quoted(text: str) -> tuple[str, str]:
    """The string in the quotes at the beginning, and what follows."""
    out: list[str] = []
    at = 1
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(out), text[at + 1 :]
        if char == "\\" and at + 1 < len(text):
            at += 1
            char = text[at]
        out.append(char)
        at += 1
    raise AddressError("a quote is not closed")


def _params(parts: list[str]) -> Params:
    if len(parts) > MAX_PARAMS:
        raise AddressError("too many parameters")
    found = []
    for part in parts:
        key, equals, value = part.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not key:
            if equals:
                raise AddressError("a parameter without a name")
            continue
        if value.startswith('"'):
            value = _quoted(value)[0]
        found.append((key, value))
    return tuple(found)


def _params_text(params: Params) -> str:
    return "".join(f";{key}={_value(value)}" if value else f";{key}" for key, value in params)


def _value(value: str) -> str:
    if any(char in value for char in ' ",;<>'):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return value
