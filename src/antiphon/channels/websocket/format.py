"""How sound looks on a WebSocket, as its client asked for it in the address (docs/websocket.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from antiphon.errors import UserFacingError

Encoding = Literal["pcm16", "ulaw", "alaw", "opus"]

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
RATES: dict[Encoding, tuple[int, ...]] = {
    "pcm16": (16_000, 8_000, 24_000, 48_000),
    "ulaw": (8_000,),
    "alaw": (8_000,),
    "opus": (48_000,),
}
"""What may be asked for, in Hz, the default first. Opus has one clock (RFC 7587 section 4.1),
whatever it carries."""
PARAMETERS = frozenset(
    {"agent", "session", "format", "rate", "up_format", "up_rate", "down_format", "down_rate"}
)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Sound in one direction: mono, s16 little-endian PCM, G.711, or a packet of Opus a message."""

    encoding: Encoding
    rate_hz: int

    def told(self) -> dict[str, Any]:
        """As it stands in an event."""
        return {"format": self.encoding, "rate": self.rate_hz}


@dataclass(frozen=True, slots=True)
class SocketFormats:
    """`up` is what the caller sends, `down` what they get."""

    up: AudioFormat
    down: AudioFormat


def read_formats(asked: Mapping[str, str]) -> SocketFormats:
    """The formats that an address asks for by its parameters.

    Raises:
        UserFacingError: what is wrong with them.
    """
    if "token" in asked:
        raise UserFacingError(
            "A token does not belong into an address, which is written to logs: "
            "send it as the first message, of type antiphon.socket.resume."
        )
    if unknown := sorted(set(asked) - PARAMETERS):
        raise UserFacingError(
            f"Unknown parameter {unknown[0][:40]!r}; there are {', '.join(sorted(PARAMETERS))}."
        )
    return SocketFormats(_direction(asked, "up"), _direction(asked, "down"))


def _direction(asked: Mapping[str, str], name: str) -> AudioFormat:
    own = asked.get(f"{name}_format")
    encoding = _encoding(asked.get("format", "pcm16") if own is None else own)
    rate = asked.get(f"{name}_rate")
    if rate is None and own is None:
        # The rate for both belongs to the format for both.
        rate = asked.get("rate")
    return AudioFormat(encoding, RATES[encoding][0] if rate is None else _rate(encoding, rate))


def _encoding(name: str) -> Encoding:
    for one in ENCODINGS:
        if one == name:
            return one
    raise UserFacingError(f"Unknown format {name[:40]!r}; there are {', '.join(ENCODINGS)}.")


def _rate(encoding: Encoding, text: str) -> int:
    for rate_hz in RATES[encoding]:
        if text == str(rate_hz):
            return rate_hz
    possible = ", ".join(map(str, sorted(RATES[encoding])))
    raise UserFacingError(f"The rate of {encoding} is {possible}, not {text[:40]!r}.")
