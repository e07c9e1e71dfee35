"""What an agent's file says about a telephone line: what callers are told, whether they are
recorded, which numbers they type, and to whom they are passed."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from antiphon.agent.fields import Group, StrictText
from antiphon.agent.hours import parse_hours, zone_named

BUILT_IN = ("caller_number", "called_number", "channel")
"""Variables that every call has."""
REASON = "reason"
"""The variable, in what a person is told of a caller, for why the caller is passed on."""
MAX_DIGITS = 32
QUESTION = "May I record this call? Please say yes or press 1, or say no or press 2."
MESSAGE = "Hello, I have a caller for you. {{reason}}"
_SIP = re.compile(r"sips?:[^\s@;?]+(@[^\s@;?]+)?([;?]\S*)?")

Name = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]


class DisclosureConfig(Group):
    """What every caller is told before anything else, to the end; or just that sentence."""

    text: StrictText = Field(
        min_length=1,
        max_length=1000,
        description="Such as: this is an automated assistant, and the call is recorded.",
    )
    consent: Literal["none", "ask"] = Field(
        default="none", description="`ask`: nothing is recorded before the caller has said yes."
    )
    question: StrictText = Field(
        default=QUESTION,
        min_length=1,
        max_length=500,
        description="How it is asked. Key 1 and a yes agree.",
    )
    if_refused: Literal["continue", "hang_up"] = Field(
        default="continue", description="What follows a no: the call without a recording, or none."
    )

    @model_validator(mode="before")
    @classmethod
    def _text_or_mapping(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value


class RecordingConfig(Group):
    """Whether calls are recorded, the caller on the left and the agent on the right; or just
    `true`."""

    enabled: bool = Field(default=True, strict=True, description="Record the calls.")
    keep_days: int = Field(
        default=30, strict=True, ge=1, le=3650, description="Recordings are removed after so long."
    )
    announced: bool = Field(
        default=False,
        strict=True,
        description="Callers know already that they are recorded: no `disclosure` is demanded.",
    )

    @model_validator(mode="before")
    @classmethod
    def _switch_or_mapping(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else value


class DigitsConfig(Group):
    """A number that the caller types on the telephone's keys."""

    ask: StrictText = Field(
        min_length=1, max_length=500, description="The request, such as: type it, then press hash."
    )
    min: int = Field(default=1, strict=True, ge=1, le=MAX_DIGITS, description="Fewest keys.")
    max: int = Field(
        default=MAX_DIGITS,
        strict=True,
        ge=1,
        le=MAX_DIGITS,
        description="Most keys; with that one the number is over.",
    )
    secret: bool = Field(
        default=False,
        strict=True,
        description="Only tools are told it: not the LLM, no log, no trace, no recording.",
    )
    description: StrictText = Field(default="", description="What it is, for the LLM.")

    @model_validator(mode="after")
    def _in_order(self) -> DigitsConfig:
        if self.min > self.max:
            raise ValueError(f"`min` is {self.min} and `max` {self.max}: no number has both")
        return self


class TargetConfig(Group):
    """A person, or a place with people, to whom callers may be passed."""

    to: StrictText = Field(description="A number such as `+493012345678`, or a `sip:` address.")
    description: StrictText = Field(default="", description="Who that is and when, for the LLM.")
    warm: bool = Field(
        default=False,
        strict=True,
        description="The person is told `message` before the caller is put through.",
    )
    message: StrictText = Field(
        default=MESSAGE,
        min_length=1,
        max_length=1000,
        description="What the person is told; `{{reason}}` is why the caller is passed on.",
    )
    hours: StrictText = Field(
        default="",
        description="When somebody is there, such as `Mon-Fri 09:00-17:00`; empty: always.",
    )
    ring_s: int = Field(
        default=25, strict=True, ge=5, le=120, description="How long it rings, in seconds."
    )

    @field_validator("to")
    @classmethod
    def _can_be_called(cls, to: str) -> str:
        if not _SIP.fullmatch(to) and not _is_number(to):
            raise ValueError(
                f"`{to[:60]}` cannot be called; write a number with its country, such as "
                "`+493012345678` (in quotes), or an address such as `sip:desk@pbx.example.com`"
            )
        return to

    @field_validator("hours")
    @classmethod
    def _are_hours(cls, hours: str) -> str:
        if hours:
            parse_hours(hours)
        return hours

    @model_validator(mode="after")
    def _message_is_told(self) -> TargetConfig:
        if "message" in self.model_fields_set and not self.warm:
            raise ValueError("`message` is told to nobody without `warm: true`")
        return self


class TransferConfig(Group):
    """To whom callers may be passed. The agent can reach nobody else."""

    targets: dict[Name, TargetConfig] = Field(
        min_length=1, max_length=50, description="By name; the LLM chooses one of these names."
    )
    time_zone: StrictText = Field(
        default="", description="The clock of all `hours`, such as `Europe/Berlin`."
    )
    on_failure: StrictText = Field(
        default="", description="Who gets the caller when the agent can do nothing more."
    )

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if name:
            zone_named(name)
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> TransferConfig:
        if self.on_failure and self.on_failure not in self.targets:
            named = ", ".join(f"`{name}`" for name in self.targets)
            raise ValueError(
                f"`on_failure` names `{self.on_failure[:60]}`, which is not one of: {named}"
            )
        if not self.time_zone and any(one.hours for one in self.targets.values()):
            raise ValueError("`hours` need a clock: write `time_zone`, such as `Europe/Berlin`")
        return self


def _is_number(text: str) -> bool:
    """Whether it is E.164, and of a length that its country has."""
    if not re.fullmatch(r"\+[1-9]\d{6,14}", text):
        return False
    import phonenumbers

    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False
