"""`rtc.yaml`: how callers by browser find their way to this server through a network."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from antiphon.channels.voice.base import Patience
from antiphon.providers.secret import REFERENCE, Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# A host may be a name, an IPv4 address or an IPv6 address in brackets.
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
_STUN = re.compile(rf"stuns?:{_HOST}(?::\d{{1,5}})?")
_TURN = re.compile(rf"turns?:{_HOST}(?::\d{{1,5}})?(?:\?transport=(?:udp|tcp))?")
MOST_SERVERS = 10
"""A browser asks every one of them before each call; more than four make calls begin slowly."""
LEAST_PORTS = 10
LEAST_REDUNDANT = 20_000
"""Bits per second; with fewer libopus leaves no room for a copy."""


def _stun_or_turn(url: str) -> str:
    if not _STUN.fullmatch(url) and not _TURN.fullmatch(url):
        raise ValueError(
            f"`{url[:80]}` is no address of a STUN or TURN server; they look like "
            "`stun:stun.example.com:3478` or `turn:turn.example.com:3478?transport=udp`"
        )
    return url


def _turn(url: str) -> str:
    if not _TURN.fullmatch(url):
        raise ValueError(
            f"`{url[:80]}` is no address of a TURN server; they look like "
            "`turn:turn.example.com:3478?transport=udp` or `turns:turn.example.com:5349`"
        )
    return url


def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"`{text[:80]}` is not an IP address; write it in numbers") from None
    if found.is_unspecified or found.is_multicast:
        raise ValueError(f"`{text}` is no address that a caller could reach")
    return str(found)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(
            f"`{text[:80]}` is neither an IP address nor a network such as `10.0.0.0/8`"
        ) from None


def _plain(text: str) -> str:
    if REFERENCE.fullmatch(text):
        raise ValueError("only secrets are taken from the environment; write it here")
    return text


def _some(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("at least one address belongs here")
    return urls


StunUrls = Annotated[
    tuple[Annotated[str, AfterValidator(_stun_or_turn)], ...],
    Field(max_length=MOST_SERVERS),
    AfterValidator(_some),
]
TurnUrls = Annotated[
    tuple[Annotated[str, AfterValidator(_turn)], ...],
    Field(max_length=MOST_SERVERS),
    AfterValidator(_some),
]


class Group(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IceServer(Group):
    """A STUN or TURN server that needs no password, or a fixed one."""

    urls: StunUrls = Field(description="`stun:`, `turn:` or `turns:` addresses.")
    username: Annotated[str, AfterValidator(_plain)] = Field(
        default="", max_length=200, description="The name for a TURN server."
    )
    credential: Secret | None = Field(
        default=None, description="Its password. Every caller gets to see it; prefer `turn`."
    )

    @model_validator(mode="after")
    def _whole(self) -> IceServer:
        if any(url.startswith("turn") for url in self.urls) and not (
            self.username and self.credential
        ):
            raise ValueError(
                "a TURN server needs `username` and `credential`, or belongs under `turn:`"
            )
        return self


class TurnConfig(Group):
    """TURN servers of ours, which share a secret with this server: each caller gets a name and a
    password of their own, for a while (coturn: `use-auth-secret`)."""

    urls: TurnUrls = Field(description="`turn:` or `turns:` addresses.")
    secret: Secret = Field(description="What is `static-auth-secret` at the TURN server.")
    ttl_s: int = Field(
        default=600, ge=60, le=86_400,
        description="How long a call may begin with a name. What is relayed by then goes on, at "
        "coturn; a server that asks again during a call needs the longest call's time.",
    )  # fmt: skip


class AudioConfig(Group):
    """How the agent's voice is coded."""

    bitrate: int = Field(
        default=64_000, ge=6_000, le=128_000, description="Bits per second, while it speaks."
    )
    redundancy: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether packets have a copy of what was in the one before: where the caller "
        "tells of losses, always, or never.",
    )

    @field_validator("redundancy")
    @classmethod
    def _has_room(cls, redundancy: str, info: ValidationInfo) -> str:
        bitrate: int | None = info.data.get("bitrate")
        if redundancy == "always" and bitrate is not None and bitrate < LEAST_REDUNDANT:
            raise ValueError(f"`always` needs a `bitrate` of {LEAST_REDUNDANT} or more")
        return redundancy


PLAIN = AudioConfig()


class RtcConfig(Group):
    """The whole file."""

    ice_servers: tuple[IceServer, ...] = Field(
        default=(), max_length=MOST_SERVERS, description="STUN and TURN servers for the page."
    )
    turn: TurnConfig | None = None
    relay_only: bool = Field(
        default=False, description="Whether callers come by a TURN server and in no other way."
    )
    advertise: tuple[Annotated[str, AfterValidator(_address)], ...] = Field(
        default=(), max_length=4,
        description="The addresses that callers are told, where this machine has others: behind a "
        "1:1 NAT (AWS, GCP), in a container. Empty: those of this machine.",
    )  # fmt: skip
    addresses: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(), max_length=16,
        description="Addresses or networks of this machine that calls may use, such as "
        "`10.0.0.0/8`. Empty: all but loopback.",
    )  # fmt: skip
    udp_ports: tuple[int, int] | None = Field(
        default=None,
        description="First and last UDP port for calls; each call takes one for each address. "
        "Empty: any that is free.",
    )
    resume_s: float = Field(
        default=60.0, ge=0, le=600, description="How long a call waits for a caller who is away."
    )
    leave_s: float | None = Field(
        default=None, ge=0, le=600,
        description="The same after the page said that it goes away: it is loaded again, or it is "
        "closed. Empty: as `resume_s`.",
    )  # fmt: skip

    audio: AudioConfig = PLAIN

    @field_validator("udp_ports")
    @classmethod
    def _range(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None:
            low, high = ports
            if not 1024 <= low <= high <= 65_535:
                raise ValueError("two ports from 1024 to 65535 belong here, the lower one first")
            if high - low + 1 < LEAST_PORTS:
                raise ValueError(f"{LEAST_PORTS} ports are the least; every call takes one or two")
        return ports

    @field_validator("leave_s")
    @classmethod
    def _no_longer(cls, leave_s: float | None, info: ValidationInfo) -> float | None:
        resume_s: float | None = info.data.get("resume_s")
        if leave_s is not None and resume_s is not None and leave_s > resume_s:
            raise ValueError(f"at most `resume_s`, which is {resume_s:g}")
        return leave_s

    @model_validator(mode="after")
    def _fits(self) -> RtcConfig:
        relays = self.turn or any(
            url.startswith("turn") for server in self.ice_servers for url in server.urls
        )
        if self.relay_only and not relays:
            raise ValueError("`relay_only` needs a TURN server: add `turn:`")
        return self

    @property
    def patience(self) -> Patience:
        """`resume_s` and `leave_s`."""
        leave_s = self.resume_s if self.leave_s is None else self.leave_s
        return Patience(self.resume_s, leave_s)

    @property
    def networks(self) -> tuple[Network, ...]:
        """`addresses`, parsed."""
        return tuple(ipaddress.ip_network(text) for text in self.addresses)
