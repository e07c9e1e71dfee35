"""`phone.yaml`: what a server is on the telephone network. The agents' own files say how they talk;
this one says by which companies and which numbers they are reached, and whom they may call."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from antiphon.channels.sip.config import SipConfig
from antiphon.providers.secret import Secret


class Group(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OutboundConfig(Group):
    """Who may be called. Without this section nobody is."""

    vendor: str = Field(description="The company that makes the calls, one of `vendors`, or `sip`.")
    sender: str = Field(description="The number that is shown, one of ours, in E.164.")
    countries: tuple[str, ...] = Field(
        default=(), description="Countries that may be called, such as `US`; empty: none."
    )
    prefixes: tuple[str, ...] = Field(
        default=(), description="Beginnings of numbers that may be called too, such as `+1555`."
    )
    blocked_prefixes: tuple[str, ...] = Field(
        default=(), description="Beginnings of numbers that are never called."
    )
    do_not_call: str | None = Field(
        default=None, description="A file of numbers that are never called, one a line; read anew."
    )
    per_number_per_day: int = Field(
        default=3, ge=1, le=1000, description="Calls to one number in 24 hours."
    )
    per_hour: int = Field(default=60, ge=1, le=100_000, description="Calls in an hour, all told.")
    at_once: int = Field(default=10, ge=1, le=10_000, description="Calls at the same time.")
    longest_minutes: int = Field(default=30, ge=1, le=1440, description="Longest call.")
    hours: str = Field(
        default="Mon-Sat 09:00-20:00",
        description="When people may be called, by the clock where the number is.",
    )
    time_zone: str | None = Field(
        default=None, description="The zone of numbers that are not known to be in one."
    )
    ring_s: int = Field(default=30, ge=5, le=120, description="How long it rings.")
    machine: Literal["ignore", "hang_up", "message"] = Field(
        default="hang_up",
        description="What happens when an answering machine takes the call: talk on, hang up, or "
        "leave `message`.",
    )
    message: str = Field(default="", description="What is said to an answering machine.")


class PhoneConfig(Group):
    """The whole file."""

    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^/?#\s]+)?$",
        description="How companies reach this server, such as `https://voice.example.com`.",
    )
    secret: Secret | None = Field(
        default=None,
        description="Signs the tokens of streams; set it where several processes share a port. "
        "Otherwise one is made at the start.",
    )
    vendors: dict[str, dict[str, Any]] = Field(
        default={}, description="Companies by name, each with its own options."
    )
    sip: SipConfig | None = None
    outbound: OutboundConfig | None = None
