"""What is written under `llm: router`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator

from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, Llm, ProviderOptions
from antiphon.providers.secret import Secret


class RoutedModel(ProviderOptions):
    """A provider as under `llm:`: its name, or a mapping with its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    provider: str = Field(description="The provider's name.")
    api_key: Secret | None = Field(default=None, description="The key, as `${VARIABLE}`.")

    @model_validator(mode="before")
    @classmethod
    def _name_or_mapping(cls, value: Any) -> Any:
        return {"provider": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_are_right(self) -> RoutedModel:
        try:
            registry.options_class("llm", self.provider).model_validate(self._given())
        except UserFacingError as error:
            raise ValueError(str(error)) from None
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise ValueError(f"llm `{self.provider}`: {wrong}") from None
        return self

    def make(self, hints: AgentHints) -> Llm:
        """Construct it; raises like `registry.make`."""
        return registry.make("llm", self.provider, self._given(), hints)

    def _given(self) -> dict[str, Any]:
        key = {"api_key": self.api_key} if self.api_key is not None else {}
        return {**(self.model_extra or {}), **key}


class Rule(ProviderOptions):
    """When the large model answers: all that is written here must hold."""

    words: tuple[str, ...] = Field(
        default=(), description="One of these words or phrases is in what the caller said last."
    )
    matches: str = Field(
        default="", description="A regular expression that is found in it, in small or capitals."
    )
    over_words: int | None = Field(default=None, ge=0, description="It has more words than this.")
    tools: tuple[str, ...] = Field(
        default=(), description="One of these tools has been called for this answer."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Rule:
        if not (self.words or self.matches or self.tools or self.over_words is not None):
            raise ValueError("a rule needs `words`, `matches`, `over_words` or `tools`")
        try:
            re.compile(self.matches)
        except re.error as error:
            raise ValueError(f"`matches` is no regular expression: {error}") from None
        return self

    def holds(self, text: str, tools: set[str]) -> bool:
        """Whether it does, for what the caller said last and the tools called since."""
        some = "|".join(re.escape(word) for word in self.words)
        return (
            (not some or re.search(rf"(?<!\w)(?:{some})(?!\w)", text, re.IGNORECASE) is not None)
            and (not self.matches or re.search(self.matches, text, re.IGNORECASE) is not None)
            and (self.over_words is None or len(text.split()) > self.over_words)
            and (not self.tools or not tools.isdisjoint(self.tools))
        )


class RouterOptions(ProviderOptions):
    """Options of `llm: router`."""

    fast: RoutedModel = Field(description="The model that talks: a provider as under `llm:`.")
    large: RoutedModel = Field(description="The model for what is hard: a provider, too.")
    rules: tuple[Rule, ...] = Field(
        default=(), description="The large model answers when one of these rules holds."
    )
    ask: bool = Field(
        default=True, description="Whether the fast model itself may hand over to the large one."
    )
    ask_description: str = Field(
        default="Hands this question to an expert, who answers in your place. Use it for anything "
        "that takes careful thought, calculation or knowledge that you are not sure of. Say one "
        "short sentence to the caller first, such as: let me think about that.",
        description="What the fast model is told about handing over.",
    )
    bridge: str = Field(
        default="Let me think about that.",
        description="Said while the large model thinks, when the fast one has said nothing; may "
        "be empty.",
    )

    @model_validator(mode="after")
    def _large_is_reached(self) -> RouterOptions:
        if not self.ask and not self.rules:
            raise ValueError("without `ask` and `rules` the large model would never answer")
        return self
