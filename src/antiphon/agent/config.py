"""The agent's file as values: what may be written in it, and what holds when it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from antiphon.agent.fields import FromDataclass, Group, StrictText
from antiphon.agent.flow import FlowConfig
from antiphon.agent.line import (
    BUILT_IN,
    REASON,
    DigitsConfig,
    DisclosureConfig,
    Name,
    RecordingConfig,
    TransferConfig,
)
from antiphon.agent.speech import SpeechConfig
from antiphon.engine.policy import Phrases, TurnPolicy
from antiphon.types import DIGITS_TOOL, END_CALL_TOOL, KEYS_TOOL, TRANSFER_TOOL

PHONES = frozenset(
    re.findall(
        r"\w+",
        "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW "
        "V W Y Z ZH",
    )
)
"""The ARPAbet phones of the CMU dictionary, without stress."""

ToolName = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class ProviderChoice(Group):
    """A provider by name, or `{provider: name, ...its options}`.

    `options` are as written; the provider's own `Options` model checks them.
    """

    provider: StrictText = Field(
        description="The provider's name (`antiphon providers` lists them)."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="The provider's options.")

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"provider": value}
        if isinstance(value, dict) and "options" not in value:
            rest = {key: one for key, one in value.items() if key != "provider"}
            return {**{k: value[k] for k in ("provider",) if k in value}, "options": rest}
        return value


class ToolConfig(Group):
    """A function that the agent may call."""

    name: ToolName = Field(description="What the LLM and the flow call it.")
    description: StrictText = Field(
        min_length=1, description="What it does and when to use it, for the LLM."
    )
    parameters: dict[str, Any] = Field(
        default_factory=lambda: {"type": "object", "properties": {}},
        description="JSON Schema of its arguments.",
    )
    python: StrictText = Field(
        pattern=r"^[^:]+:[A-Za-z_]\w*$",
        description="`file.py:function` beside the agent's file, or `package.module:function`.",
    )
    timeout_ms: int | None = Field(
        default=None,
        strict=True,
        ge=100,
        le=600_000,
        description="Longest run; `turn.dead_air.tool_deadline_ms` when absent.",
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in (END_CALL_TOOL, TRANSFER_TOOL, DIGITS_TOOL, KEYS_TOOL):
            raise ValueError(
                f"`{name}` is a tool that agents have of their own; choose another name"
            )
        return name

    @field_validator("parameters")
    @classmethod
    def _is_an_object_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError("the schema of a tool's arguments must say `type: object`")
        check = Draft202012Validator.check_schema
        try:
            check(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        except SchemaError as error:
            where = ".".join(str(part) for part in error.absolute_path) or "parameters"
            raise ValueError(f"not a JSON Schema: {where}: {error.message}") from None
        for reference in _references(schema):
            if not _resolves(schema, reference):
                raise ValueError(f"`$ref: {reference}` is not in this schema")
        return schema


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def _resolves(schema: Any, reference: Any) -> bool:
    """Whether a JSON pointer, `#/$defs/size`, leads to something in the schema itself. Others would
    be fetched from the network when the tool is called."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    for step in reference.removeprefix("#").split("/")[1:]:
        if not isinstance(schema, dict) or step not in schema:
            return False
        schema = schema[step]
    return True


def _one_is_a_list(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


Choices = Annotated[tuple[ProviderChoice, ...], BeforeValidator(_one_is_a_list)]


class Fallback(Group):
    """Who steps in when a provider fails, in order."""

    stt: Choices = Field(default=(), description="Recognisers, when the agent's own is lost.")
    llm: Choices = Field(default=(), description="Brains, when the agent's own gives no answer.")
    tts: Choices = Field(default=(), description="Voices, when the agent's own falls silent.")
    stt_final_ms: int = Field(
        default=800,
        ge=100,
        le=10_000,
        description="Longest wait for a recogniser's final text before the next one is asked.",
    )
    hedge_ms: int | None = Field(
        default=None,
        ge=50,
        le=10_000,
        description="Wait for the brain's first words after which the next one is asked as well, "
        "and the quicker one is heard; what the other one costs is lost. Absent: never.",
    )
    breaker_failures: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Failures in a row, over all calls, after which a provider is not asked any "
        "more until it answers a probe.",
    )


Dollars = Annotated[float, Field(strict=True, ge=0, le=1_000_000)]


class Limits(Group):
    """How much may be spent before something is done, in dollars."""

    warn: Dollars | None = Field(
        default=None, description="The server's log and the caller's screen are told."
    )
    cheaper: Dollars | None = Field(
        default=None, description="From the next answer on `cheaper_llm` is asked."
    )
    end: Dollars | None = Field(
        default=None,
        description="No answer is begun any more; the agent says `phrases.budget_end` and hangs "
        "up. Where it is a day's, further calls are refused.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Limits:
        given = [one for one in (self.warn, self.cheaper, self.end) if one is not None]
        if given != sorted(given):
            raise ValueError("`warn` <= `cheaper` <= `end` must hold")
        return self


class BudgetConfig(Group):
    """What the agent's calls may cost."""

    call: Limits = Field(default_factory=Limits, description="For one call.")
    day: Limits = Field(
        default_factory=Limits, description="For all of the agent's calls of one day."
    )
    cheaper_llm: ProviderChoice | None = Field(
        default=None,
        description="The brain for when money gets short. It also steps in when all others fail.",
    )

    @model_validator(mode="after")
    def _cheaper_is_named(self) -> BudgetConfig:
        if self.cheaper_llm is None and (self.call.cheaper, self.day.cheaper) != (None, None):
            raise ValueError("`cheaper` needs a brain: name it as `cheaper_llm`")
        return self


class AgentConfig(Group):
    """One agent."""

    name: StrictText = Field(min_length=1, max_length=80, description="The agent's name.")
    greeting: StrictText = Field(
        default="", description="The agent's first sentence; when empty the caller speaks first."
    )
    greeting_protected: bool = Field(
        default=False,
        strict=True,
        description="The greeting is heard to its end, whatever the caller says (a legal notice).",
    )
    persona: StrictText = Field(
        default="You are a helpful voice assistant.",
        description="Who the agent is and what it knows, for the LLM.",
    )
    language: StrictText = Field(
        default="en",
        pattern=r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$",
        description="The language spoken, as a BCP 47 tag such as `en` or `en-GB`.",
    )
    vad: ProviderChoice = Field(
        default=ProviderChoice(provider="silero"), description="Voice activity detection."
    )
    stt: ProviderChoice = Field(
        default=ProviderChoice(provider="pocketsphinx"), description="Speech to text."
    )
    llm: ProviderChoice = Field(default=ProviderChoice(provider="auto"), description="The brain.")
    tts: ProviderChoice = Field(default=ProviderChoice(provider="flite"), description="The voice.")
    realtime: ProviderChoice | None = Field(
        default=None,
        description="A speech-to-speech model that hears, thinks and speaks; `stt`, `llm` and "
        "`tts` then step in when it fails, and answer calls by text.",
    )
    turn_detector: ProviderChoice | None = Field(
        default=ProviderChoice(provider="prosody"),
        description="Judges by the sound of a pause whether the caller is done; `null`: none.",
    )
    echo_cancel: bool = Field(
        default=False,
        strict=True,
        description="Take the agent's voice out of the line; browsers and telephones do it "
        "themselves. Needs `pip install 'antiphon[aec]'`.",
    )
    fallback: Fallback = Field(
        default_factory=Fallback, description="Providers that step in when one fails."
    )
    budget: BudgetConfig = Field(
        default_factory=BudgetConfig, description="What calls may cost, in dollars."
    )
    prices: StrictText | None = Field(
        default=None,
        description="A file of prices that count before those of the package; beside this one.",
    )
    speech: SpeechConfig = Field(
        default_factory=SpeechConfig, description="How the agent speaks, whatever its voice."
    )
    turn: Annotated[TurnPolicy, FromDataclass()] = Field(
        default_factory=TurnPolicy, description="Timing of the conversation."
    )
    phrases: Annotated[Phrases, FromDataclass()] = Field(
        default_factory=Phrases, description="What the agent says on its own account."
    )
    tools: tuple[ToolConfig, ...] = Field(
        default=(), description="Functions that the agent may call."
    )
    disclosure: DisclosureConfig | None = Field(
        default=None,
        description="What callers are told first, to the end, and whether they are asked to agree.",
    )
    recording: RecordingConfig = Field(
        default_factory=lambda: RecordingConfig(enabled=False),
        validate_default=True,
        description="Whether calls are recorded.",
    )
    digits: dict[Name, DigitsConfig] = Field(
        default_factory=dict, description="Numbers that callers may type, by name."
    )
    transfer: TransferConfig | None = Field(
        default=None, description="People to whom callers may be passed."
    )
    press_keys: bool = Field(
        default=False,
        strict=True,
        description="The agent may press telephone keys, for calling into menus.",
    )
    variables: dict[Name, StrictText | None] = Field(
        default_factory=dict,
        description="Values of `{{name}}` in its sentences, where a call brings none; `null`: an "
        "outbound call has to.",
    )
    flow: FlowConfig | None = Field(
        default=None, description="A conversation led by rules; needs no LLM."
    )
    vocabulary: dict[str, StrictText | None] = Field(
        default_factory=dict,
        description="Words and names that callers say; a mapping gives pronunciations (ARPAbet).",
    )

    @property
    def realtimes(self) -> tuple[ProviderChoice, ...]:
        """The speech-to-speech model, when there is one. As brain and as voice it comes before all
        others."""
        return () if self.realtime is None else (self.realtime,)

    @property
    def voices(self) -> tuple[ProviderChoice, ...]:
        """The voice and its fallbacks, in order."""
        return (self.tts, *self.fallback.tts)

    @property
    def recognisers(self) -> tuple[ProviderChoice, ...]:
        """The recogniser and its fallbacks, in order."""
        return (self.stt, *self.fallback.stt)

    @property
    def brains(self) -> tuple[ProviderChoice, ...]:
        """The agent's own, its fallbacks, and the cheaper one, in the order of their numbers."""
        cheaper = () if self.budget.cheaper_llm is None else (self.budget.cheaper_llm,)
        return (self.llm, *self.fallback.llm, *cheaper)

    @field_validator("vocabulary", mode="before")
    @classmethod
    def _list_or_mapping(cls, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return dict.fromkeys(value)
        return value

    @field_validator("vocabulary")
    @classmethod
    def _known_phones(cls, value: dict[str, str | None]) -> dict[str, str | None]:
        for word, phones in value.items():
            for phone in (phones or "").split():
                if phone not in PHONES:
                    raise ValueError(
                        f"`{phone}` in the pronunciation of `{word}` is not an ARPAbet phone; "
                        f"phones are {' '.join(sorted(PHONES))}"
                    )
        return value

    @field_validator("tools")
    @classmethod
    def _names_differ(cls, tools: tuple[ToolConfig, ...]) -> tuple[ToolConfig, ...]:
        names = [tool.name for tool in tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two tools are called `{twice[0]}`")
        return tools

    @field_validator("variables")
    @classmethod
    def _names_are_free(cls, variables: dict[str, str | None]) -> dict[str, str | None]:
        if taken := [name for name in variables if name in (*BUILT_IN, REASON)]:
            raise ValueError(f"`{taken[0]}` is always there; choose another name")
        return variables

    @field_validator("recording")
    @classmethod
    def _is_announced(cls, recording: RecordingConfig, info: ValidationInfo) -> RecordingConfig:
        if "disclosure" not in info.data:
            return recording  # what is wrong with it is said of it
        told = info.data["disclosure"]
        if recording.enabled and told is None and not recording.announced:
            raise ValueError(
                "calls are recorded and callers are not told: write a `disclosure` that says so, "
                "or `announced: true` here where they know already"
            )
        if told is not None and told.consent == "ask" and not recording.enabled:
            raise ValueError(
                "`disclosure.consent: ask` asks to record the call; write `recording: true`, or "
                "leave `consent` out"
            )
        return recording
