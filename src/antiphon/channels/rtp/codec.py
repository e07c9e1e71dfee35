"""The audio codecs that a telephone line may agree on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Codec:
    """One line of an SDP: `a=rtpmap:<payload_type> <name>/<clock_hz>`. Opus always has two channels
    and 48 kHz there, whatever is sent (RFC 7587 section 4.1)."""

    name: str
    payload_type: int
    clock_hz: int = 8000
    channels: int = 1
    fmtp: str = ""


PCMU = Codec("PCMU", 0)
PCMA = Codec("PCMA", 8)
OPUS = Codec("opus", 111, 48_000, 2, "useinbandfec=1;maxaveragebitrate=32000;stereo=0")
TELEPHONE_EVENT = Codec("telephone-event", 101, 8000, 1, "0-16")
TELEPHONE_EVENT_48K = Codec("telephone-event", 110, 48_000, 1, "0-16")
KNOWN = {one.name.lower(): one for one in (PCMU, PCMA, OPUS)}
