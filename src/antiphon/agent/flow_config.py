"""The `flow:` section of an agent's file.

A flow is a set of intents. An intent is what a caller may want: phrases by which it is asked for,
slots to fill, a sentence that says the slots back, a tool that is called after "yes", and a
sentence made from the tool's result. The notation of phrases and sentences is in
`flow_template.py`.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from antiphon.agent.flow_template import Template, parse_template, slots_of, validate_macros
from antiphon.engine.policy import Digits

MAX_DIGITS = 32

SlotKind = Literal["choice", "number", "name", "date", "time", "yes_no", "text", "digits"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlotConfig(_Section):
    """One thing to know, such as the size of a drink.

    A `choice` has `values`: a list, or a mapping from the value to other ways of saying it. The
    other kinds are understood by rule; `examples` are then what callers may say, for the speech
    recogniser (names, for instance). `digits` are typed on the telephone's keys, or spoken; those
    of a `secret` slot are typed, and only tools are told them.
    """

    kind: SlotKind = "choice"
    values: dict[str, list[str]] = Field(default_factory=dict)
    required: bool = False
    ask: str = Field(default="", description="The question when a required slot is missing.")
    amounts: bool = Field(
        default=False, description='Keep a spoken amount with the value: "a bit of sugar".'
    )
    decline: list[str] = Field(
        default_factory=list, description='Phrases that leave the slot empty: "black".'
    )
    examples: list[str] = Field(default_factory=list)
    min: int = 0
    max: int = 1000
    secret: bool = False

    @property
    def digits_range(self) -> tuple[int, int]:
        """Fewest and most digits."""
        most = self.max if "max" in self.model_fields_set else MAX_DIGITS
        return max(1, self.min), most

    @field_validator("values", mode="before")
    @classmethod
    def _values_may_be_a_list(cls, value: object) -> object:
        if isinstance(value, list):
            return {str(item): [] for item in value}
        if isinstance(value, dict):
            return {str(k): [] if v is None else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "choice" and not self.values:
            raise ValueError("a choice needs `values`")
        if self.kind != "choice" and self.values:
            raise ValueError(f"`values` belong to a choice, not to a {self.kind}")
        if self.required and not self.ask:
            raise ValueError("a required slot needs a question: `ask`")
        if self.kind == "digits":
            least, most = self.digits_range
            if not least <= most <= MAX_DIGITS:
                raise ValueError(f"`min` and `max` of digits are 1 to {MAX_DIGITS}, in this order")
        elif self.secret:
            raise ValueError("only `kind: digits` can be `secret`")
        return self


class CheckConfig(_Section):
    """A read-only tool that is asked before the values are said back.

    It is given the slots. It returns `{"ok": true}`, or `{"ok": false}` with other values for some
    slots, which are proposed by the sentence `otherwise`. Fields of its result that have a slot's
    name replace what is said for that slot.
    """

    tool: str
    otherwise: str


class IntentConfig(_Section):
    """Something that a caller may want: either an `answer`, a `tool` to call after "yes", or a
    `transfer` to somebody whom the agent's file names, with the `answer` said before."""

    phrases: list[str] = Field(min_length=1)
    slots: dict[str, SlotConfig] = Field(default_factory=dict)
    answer: str = ""
    transfer: str = ""
    check: CheckConfig | None = None
    confirm: str = Field(
        default="", description="Says every slot back and asks whether it is right."
    )
    tool: str = ""
    done: str = Field(
        default="", description="What is said after the tool, from its result's fields."
    )
    failed: str = "I am sorry, that did not work. Shall I try again?"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.answer or self.transfer) == bool(self.tool):
            raise ValueError("an intent has either an `answer` or a `tool`, or a `transfer`")
        if self.tool and not (self.confirm and self.done):
            raise ValueError("an intent with a `tool` needs `confirm` and `done`")
        for phrase in self.phrases:
            self._known(parse_template(phrase))
        read_backs = [self.confirm, self.check.otherwise if self.check else self.confirm]
        for text in read_backs if self.tool else ():
            said = self._known(parse_template(text))
            if missing := [name for name in self.slots if name not in said]:
                # What is not said back would be ordered unheard.
                raise ValueError(f"{text!r} does not say back: {', '.join(missing)}")
        return self

    def _known(self, template: Template) -> set[str]:
        names = slots_of(template)
        if unknown := sorted(names - set(self.slots)):
            raise ValueError(
                f"unknown slot {{{unknown[0]}}}; slots are: {', '.join(self.slots) or 'none'}"
            )
        return names


class FlowSays(_Section):
    """Sentences of the flow that belong to no intent."""

    not_understood: list[str] = Field(
        default=["Sorry, I did not get that.", "I am sorry, I still did not get that."],
        min_length=1,
    )
    cancelled: str = "All right, I have cancelled that. What would you like to do?"
    nothing_to_cancel: str = "There is nothing to cancel. What would you like to do?"
    start_over: str = "All right, from the beginning."
    change: str = "What should I change?"
    take_your_time: str = "Of course, take your time."
    too_late: str = "I am sorry, I cannot take that back any more."
    still_working: str = "One moment, I am still working on it."
    anything_else: str = "Is there anything else?"
    thanks: str = "You are welcome."
    goodbye: str = "Goodbye."
    hello: str = "Hello."
    no_transfer: str = "I am sorry, I could not do that:"


class FlowConfig(_Section):
    """The `flow:` section.

    Attributes:
        intents: by name; the first is what the agent is mainly for.
        help: what a caller can say, said when asked for and after misunderstandings.
        macros: name -> alternatives, for use as `<name>` in phrases.
        say: other sentences.
    """

    intents: dict[str, IntentConfig] = Field(min_length=1)
    help: str = Field(min_length=1)
    macros: dict[str, str] = Field(default_factory=dict)
    say: FlowSays = Field(default_factory=lambda: FlowSays())

    @model_validator(mode="after")
    def _macros_exist(self) -> Self:
        validate_macros(
            [p for intent in self.intents.values() for p in intent.phrases], self.macros
        )
        return self

    @model_validator(mode="after")
    def _digits_have_one_meaning(self) -> Self:
        seen: dict[str, Digits] = {}
        for one in self._digits():
            if seen.setdefault(one.name, one) != one:
                raise ValueError(
                    f"two intents have digits called `{one.name}` that differ; rename one"
                )
        return self

    def _digits(self) -> list[Digits]:
        return [
            Digits(name, slot.ask, *slot.digits_range, slot.secret)
            for intent in self.intents.values()
            for name, slot in intent.slots.items()
            if slot.kind == "digits"
        ]

    def digits(self) -> tuple[Digits, ...]:
        """The numbers that callers of the flow type."""
        return tuple(dict.fromkeys(self._digits()))

    def tool_names(self) -> tuple[str, ...]:
        """The tools that the flow calls; the agent's file must define each."""
        names = [i.tool for i in self.intents.values() if i.tool]
        names += [i.check.tool for i in self.intents.values() if i.check]
        return tuple(dict.fromkeys(names))
