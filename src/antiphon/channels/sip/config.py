"""What `phone.yaml` says of our SIP endpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from antiphon.providers.secret import Secret


class Group(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrunkConfig(Group):
    """Somebody else's SIP server that we sign in to, or send calls to."""

    server: str = Field(description="`host` or `host:port`.")
    transport: Literal["udp", "tcp"] = "udp"
    user: str = ""
    password: Secret | None = None
    domain: str = Field(default="", description="The realm part of our address; else the server.")
    register_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        default=300, description="How long a registration is to last; 0: none is made."
    )
    agent: str | None = Field(default=None, description="Who answers calls that come from it.")


class AccountConfig(Group):
    """A telephone or PBX that may sign in to us, and then call."""

    user: str
    password: Secret
    agent: str | None = None


class SipConfig(Group):
    """Our SIP endpoint."""

    host: str = Field(default="0.0.0.0", description="Address to listen on.")
    port: int = Field(default=5060, ge=0, le=65_535)
    tcp: bool = Field(default=True, description="Listen on TCP as well as on UDP.")
    advertised_host: str = Field(
        default="", description="The address that others reach us at, behind a NAT."
    )
    rtp_ports: tuple[int, int] = Field(
        default=(20_000, 20_999), description="First and last UDP port for audio."
    )
    peers: tuple[str, ...] = Field(
        default=(), description="Addresses or networks that may call without a password."
    )
    accounts: tuple[AccountConfig, ...] = ()
    trunks: dict[str, TrunkConfig] = {}
    numbers: dict[str, str] = Field(
        default={}, description="Which agent answers which user part of a called address."
    )
    codecs: tuple[Literal["opus", "PCMU", "PCMA"], ...] = ("opus", "PCMU", "PCMA")
    digests: tuple[Literal["MD5", "SHA-256"], ...] = Field(
        default=("MD5",),
        min_length=1,
        description="How accounts prove their password, best first. Many telephones know MD5 only, "
        "and some give up when they are offered another one beside it.",
    )
    calls_per_second: int = Field(
        default=50, ge=1, le=10_000, description="New calls in a second; more are sent away."
    )
