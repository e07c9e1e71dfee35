"""Session descriptions: which audio goes where (RFC 8866), offer and answer (RFC 3264). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from antiphon.channels.rtp.codec import KNOWN, TELEPHONE_EVENT, TELEPHONE_EVENT_48K, Codec

CONTENT_TYPE = "application/sdp"
MAX_LINES = 1_000
MAX_MEDIA = 16
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
STATIC = {0: Codec("PCMU", 0), 8: Codec("PCMA", 8)}
MIRROR: dict[Direction, Direction] = {"sendonly": "recvonly", "recvonly": "sendonly"}


class SdpError(ValueError):
    """No description, or one without audio that can be agreed on."""


@dataclass(frozen=True, slots=True)
class Media:
    """One m-line. `codecs` are those of its formats that are named by an rtpmap, or are static."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...] = ()
    host: str = ""
    direction: Direction = "sendrecv"
    codecs: tuple[Codec, ...] = ()

    @property
    def is_audio(self) -> bool:
        return self.kind == "audio" and self.protocol == "RTP/AVP" and self.port > 0


@dataclass(frozen=True, slots=True)
class Description:
    """What was read."""

    media: tuple[Media, ...] = ()

    @property
    def audio(self) -> int:
        """Index of the first m-line with audio that we could use; -1 for none."""
        return next((at for at, one in enumerate(self.media) if one.is_audio), -1)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What both sides know after offer and answer.

    `codec` has the payload type that the other side wants to receive; `accepts` are those that may
    come in, by payload type. `sends` and `receives` are ours.
    """

    remote: tuple[str, int]
    codec: Codec
    accepts: Mapping[int, Codec] = field(default_factory=dict)
    keys_type: int | None = None
    sends: bool = True
    receives: bool = True

    @property
    def held(self) -> bool:
        """The other side does not want to hear us."""
        return not self.sends


# ---- reading -------------------------------------------------------------------------------


def parse_sdp(body: bytes) -> Description:
    """Read a description. Lines and attributes that are not known are ignored.

    Raises:
        SdpError: it is none.
    """
    lines = body.decode("utf-8", "replace").split("\n", MAX_LINES)[:MAX_LINES]
    sections: list[list[tuple[str, str]]] = [[]]
    for line in lines:
        kind, equals, value = line.strip("\r").partition("=")
        if not equals or len(kind) != 1:
            continue
        if kind == "m":
            sections.append([])
        sections[-1].append((kind, value.strip()))
    head, *rest = sections
    if ("v", "0") not in head:
        raise SdpError("not a session description")
    if len(rest) > MAX_MEDIA:
        raise SdpError("too many media")
    host, direction = _address(head), _direction(head) or "sendrecv"
    return Description(tuple(_media(section, host, direction) for section in rest))


def _media(section: list[tuple[str, str]], host: str, direction: Direction) -> Media:
    words = section[0][1].split()
    port = words[1].partition("/")[0] if len(words) > 1 else ""
    if len(words) < 3 or not (port.isascii() and port.isdigit()) or int(port[:6]) > 65_535:
        raise SdpError("an m-line that cannot be read")
    formats = tuple(words[3:64])
    return Media(
        kind=words[0].lower(),
        port=int(port),
        protocol=words[2].upper(),
        formats=formats,
        host=_address(section) or host,
        direction=_direction(section) or direction,
        codecs=_codecs(formats, section),
    )


def _codecs(formats: Sequence[str], section: list[tuple[str, str]]) -> tuple[Codec, ...]:
    named: dict[int, tuple[str, int, int]] = {}
    fmtp: dict[int, str] = {}
    for kind, value in section:
        name, _, text = value.partition(":")
        number, _, rest = text.strip().partition(" ")
        if kind != "a" or name not in ("rtpmap", "fmtp") or _small(number) is None:
            continue
        if name == "fmtp":
            fmtp[int(number)] = rest.strip()
            continue
        parts = [part.strip() for part in rest.split("/")]
        clock, channels = _small(parts[1]) if len(parts) > 1 else None, 1
        if len(parts) > 2:
            channels = _small(parts[2]) or 1
        if clock:
            named[int(number)] = (parts[0], clock, channels)
    found = []
    for text in formats:
        payload_type = _small(text)
        if payload_type is None or payload_type > 127:
            continue
        if payload_type in named:
            name, clock, channels = named[payload_type]
            found.append(Codec(name, payload_type, clock, channels, fmtp.get(payload_type, "")))
        elif payload_type in STATIC:
            found.append(STATIC[payload_type])
    return tuple(found)


def _small(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def _address(section: list[tuple[str, str]]) -> str:
    for kind, value in section:
        words = value.split()
        if kind == "c" and len(words) >= 3 and words[0].upper() == "IN":
            host = words[2].partition("/")[0]
            if not _can_be_sent_to(host):
                raise SdpError("an address that cannot be used")
            return host
    return ""


def _can_be_sent_to(host: str) -> bool:
    """Not a name: looking it up would take time that the sound does not have."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return not address.is_multicast and str(address) != "255.255.255.255"


def _direction(section: list[tuple[str, str]]) -> Direction | None:
    values = {value.lower() for kind, value in section if kind == "a"}
    return next((one for one in DIRECTIONS if one in values), None)


# ---- agreeing ------------------------------------------------------------------------------


def usable(codec: Codec, allowed: Sequence[str]) -> bool:
    """Whether it is one of ours. Names of codecs are written in any case."""
    known = KNOWN.get(codec.name.lower())
    if known is None or known.name not in allowed:
        return False
    return (codec.clock_hz, codec.channels) == (known.clock_hz, known.channels)


def agree(theirs: Media, allowed: Sequence[str], ours: Sequence[Codec] = ()) -> Agreed:
    """What comes of their audio line.

    Args:
        theirs: their offer, or their answer.
        allowed: names of codecs.
        ours: the codecs of our offer, when theirs is the answer: they fix our payload types.

    Raises:
        SdpError: no codec in common, or no address.
    """
    codecs = [one for one in theirs.codecs if usable(one, allowed)]
    if not codecs:
        raise SdpError("no codec in common")
    if not theirs.host:
        raise SdpError("no address")
    chosen = codecs[0]
    names = {one.name.lower() for one in codecs}
    offered = [one for one in ours if one.name.lower() in names] or [chosen]
    muted = theirs.host in ("0.0.0.0", "::")
    return Agreed(
        remote=(theirs.host, theirs.port),
        codec=chosen,
        accepts={one.payload_type: one for one in offered},
        keys_type=_keys_type(theirs.codecs, chosen.clock_hz),
        sends=theirs.direction in ("sendrecv", "recvonly") and not muted,
        receives=theirs.direction in ("sendrecv", "sendonly"),
    )


def _keys_type(codecs: Sequence[Codec], clock_hz: int) -> int | None:
    events = [one for one in codecs if one.name.lower() == "telephone-event"]
    # The clock of events is that of the audio that they interrupt (RFC 4733 section 2.1).
    same = [one for one in events if one.clock_hz == clock_hz]
    found = same or events
    return found[0].payload_type if found else None


# ---- writing -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Who describes: the `o=` line. `version` counts our changes."""

    host: str
    session: int
    version: int = 1


def offer(origin: Origin, port: int, names: Sequence[str], direction: Direction) -> bytes:
    """Our offer of one line of audio."""
    return _written(origin, [_audio_lines(port, offered(names), direction)])


def offered(names: Sequence[str]) -> tuple[Codec, ...]:
    """The codecs of our offers, by name, and the telephone's keys for each clock."""
    codecs = [KNOWN[name.lower()] for name in names]
    keys = []
    if any(one.clock_hz == 8000 for one in codecs):
        keys.append(TELEPHONE_EVENT)
    if any(one.clock_hz == 48_000 for one in codecs):
        keys.append(TELEPHONE_EVENT_48K)
    return (*codecs, *keys)


def answer(
    theirs: Description, agreed: Agreed, origin: Origin, port: int, *, hold: bool = False
) -> bytes:
    """Our answer: one line for each of theirs (RFC 3264 section 6); all but the audio are refused.

    Args:
        hold: we want to hear nothing, whatever they offer.
    """
    at = theirs.audio
    lines = []
    for index, media in enumerate(theirs.media):
        if index != at:
            formats = " ".join(media.formats[:1]) or "0"
            lines.append([f"m={media.kind} 0 {media.protocol} {formats}"])
            continue
        codecs = [agreed.codec]
        codecs += [one for one in media.codecs if one.payload_type == agreed.keys_type][:1]
        direction = MIRROR.get(media.direction, media.direction)
        if not agreed.sends and direction == "sendrecv":
            direction = "recvonly"
        if hold:
            direction = "sendonly" if direction in ("sendrecv", "sendonly") else "inactive"
        lines.append(_audio_lines(port, codecs, direction))
    return _written(origin, lines)


def _audio_lines(port: int, codecs: Sequence[Codec], direction: Direction) -> list[str]:
    formats = " ".join(str(one.payload_type) for one in codecs)
    lines = [f"m=audio {port} RTP/AVP {formats}"]
    for one in codecs:
        channels = f"/{one.channels}" if one.channels > 1 else ""
        lines.append(f"a=rtpmap:{one.payload_type} {one.name}/{one.clock_hz}{channels}")
        known = KNOWN.get(one.name.lower())
        # What we can do is ours to say, not an echo of what they can (RFC 7587 section 7.1).
        if fmtp := (known.fmtp if known else TELEPHONE_EVENT.fmtp):
            lines.append(f"a=fmtp:{one.payload_type} {fmtp}")
    return [*lines, "a=ptime:20", "a=maxptime:60", f"a={direction}"]


def _written(origin: Origin, media: Sequence[Sequence[str]]) -> bytes:
    family = "IP6" if ":" in origin.host else "IP4"
    lines = [
        "v=0",
        f"o=- {origin.session} {origin.version} IN {family} {origin.host}",
        "s=-",
        f"c=IN {family} {origin.host}",
        "t=0 0",
        *(line for section in media for line in section),
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
