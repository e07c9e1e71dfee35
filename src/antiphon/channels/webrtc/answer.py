"""What is changed in aiortc's answer before it is sent. Pure, on the text of the SDP."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

_OPUS = re.compile(r"^a=rtpmap:(\d+) opus/48000/2$", re.IGNORECASE)
OPUS_FORMAT = (
    "minptime=10;useinbandfec=1;usedtx=0;stereo=0;maxplaybackrate=16000;maxaveragebitrate=32000"
)
"""What is to be sent to us (RFC 7587 section 6.1): with redundancy, without pauses, mono, and with
all bits in the half of the spectrum that is listened to: that is SILK, which alone knows
redundancy, and costs half as much to decode."""
_PREFERENCE_STEP = 256
"""One step of local preference within a priority (RFC 8445 section 5.1.2.1)."""


def finish(sdp: str, advertise: Sequence[str] = ()) -> str:
    """The answer as the caller gets it.

    Args:
        advertise: the addresses to tell in the place of this machine's, which are private to it,
            the best first. An address of this machine among them stays as it is; where there is
            none of a family (IPv4, IPv6), that family's stay too.
    """
    lines: list[str] = []
    for line in sdp.splitlines():
        lines.append(line)
        opus = _OPUS.match(line)
        if opus is not None and f"a=fmtp:{opus[1]} " not in sdp:
            lines.append(f"a=fmtp:{opus[1]} {OPUS_FORMAT}")
    if advertise:
        own = {line.split()[4] for line in lines if line.startswith("a=candidate:")}
        lines = list(_replaced(lines, advertise, own))
    return "\r\n".join(lines) + "\r\n"


def _replaced(lines: Sequence[str], advertise: Sequence[str], own: set[str]) -> Iterator[str]:
    told: set[tuple[str, str]] = set()
    for line in lines:
        if line.startswith("m="):
            told.clear()
        if line.startswith("a=candidate:"):
            for fields in _as_told(line.split(), advertise, own):
                if (fields[4], fields[5]) not in told:
                    told.add((fields[4], fields[5]))
                    yield " ".join(fields)
        elif line.startswith("c=IN IP") and line[9:] in own:
            yield _connection(next(iter(_of_family(line[9:], advertise)), line[9:]))
        else:
            yield line


def _as_told(fields: list[str], advertise: Sequence[str], own: set[str]) -> Iterator[list[str]]:
    """A candidate of ours: once for each advertised address of its family."""
    others = _of_family(fields[4], advertise)
    if not others:
        yield fields
    for rank, address in enumerate(others):
        if address in own and address != fields[4]:
            # That one is another socket's, with another port.
            continue
        priority = max(int(fields[3]) - rank * _PREFERENCE_STEP, 1)
        yield [f"{fields[0]}{rank or ''}", *fields[1:3], str(priority), address, *fields[5:]]


def _connection(address: str) -> str:
    return f"c=IN IP{ipaddress.ip_address(address).version} {address}"


def _of_family(address: str, advertise: Sequence[str]) -> list[str]:
    version = ipaddress.ip_address(address).version
    return [one for one in advertise if ipaddress.ip_address(one).version == version]
