"""What a flow remembers between messages, and how each message changes it.

All of it is folded from the messages anew: there is no other memory. The one rule that everything
here serves: a tool is called only after its values were said back, *heard*, and agreed to.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from antiphon.agent.flow_config import FlowConfig, IntentConfig, SlotConfig
from antiphon.agent.flow_digits import say_digits
from antiphon.agent.flow_spoken import say_number
from antiphon.agent.flow_template import parse_template, render
from antiphon.agent.flow_understand import (
    Context,
    Meaning,
    SlotValue,
    Understanding,
    Values,
    tokens_of,
)
from antiphon.providers.base import FlowReply
from antiphon.types import DIGITS_TOOL, TRANSFER_TOOL, Message, ToolCall

MANY_CHOICES = 8
"""More values than this are not listed when a caller asks what there is."""
MISSED_DIGITS = 1
"""How often a number that was not typed is asked for again."""


class Phase(enum.Enum):
    """Where the flow stands."""

    IDLE = "idle"
    FILLING = "filling"
    CHECKING = "checking"
    CONFIRMING = "confirming"
    CALLING = "calling"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class State:
    """The fold of the messages so far.

    `asked` is the slot asked for; `read_back` the sentence that says the values; `heard` what the
    caller has heard since it was written; `call_id` the tool call that is open, and `issued`
    whether the history says that it was really made: a reply may be dropped before it is acted on.
    `given_up`: digits did not come, and are not waited for until the caller speaks; `transfer_id`:
    the tool call by which the caller was to be passed on.
    """

    phase: Phase = Phase.IDLE
    intent: str = ""
    values: Values = field(default_factory=dict)
    asked: str = ""
    read_back: str = ""
    heard: str = ""
    call_id: str = ""
    issued: bool = False
    misses: int = 0
    last: FlowReply = field(default_factory=lambda: FlowReply(""))
    ending: bool = False
    given_up: bool = False
    transfer_id: str = ""


class Steps:
    """The transitions. Each returns the next state, whose `last` is the reply."""

    def __init__(self, config: FlowConfig, understanding: Understanding) -> None:
        self._config, self._say = config, config.say
        self._understanding = understanding

    def step(self, state: State, message: Message, call_id: str) -> State:
        """Take one message. `call_id` is the id for a tool call, should there be one."""
        match message.role:
            case "user":
                state = self._on_user(state, message.content, call_id)
            case "assistant":
                return self._on_assistant(state, message)
            case "tool":
                state = self._on_tool(state, message, call_id)
            case _:
                return state
        return self._collecting(state, call_id)

    def _collecting(self, state: State, call_id: str) -> State:
        """Whatever is said while digits are wanted, the keys belong to them from then on."""
        slot = self._asked_slot(state)
        if slot is None or slot.kind != "digits" or state.given_up or state.last.tool_calls:
            return state
        call = ToolCall(call_id, DIGITS_TOOL, json.dumps({"name": state.asked}))
        return replace(state, last=FlowReply(state.last.text, (call,)))

    def _on_assistant(self, state: State, message: Message) -> State:
        state = replace(state, heard=f"{state.heard} {message.content}".strip())
        for call in message.tool_calls:
            if call.name == DIGITS_TOOL and f'"{state.asked}"' in call.arguments:
                state = replace(state, call_id=call.tool_call_id, issued=True)
            if call.name == TRANSFER_TOOL:
                state = replace(state, transfer_id=call.tool_call_id)
            # What was really called counts, even where this fold would not have called it: what a
            # message holds may have shrunk since then to what was heard of it.
            for name, intent in self._config.intents.items():
                checks = intent.check is not None and intent.check.tool == call.name
                if checks or intent.tool == call.name:
                    phase = Phase.CHECKING if checks else Phase.CALLING
                    intent_name = state.intent or name
                    state = replace(state, phase=phase, intent=intent_name)
                    state = replace(state, call_id=call.tool_call_id, issued=True)
                    break
        return state

    # ---- the caller ------------------------------------------------------------------------

    def _part(self, state: State, text: str) -> State:
        """Say goodbye and hang up; a caller who goes on talking is still answered."""
        return replace(self._reply(state, text), ending=True)

    def _on_user(self, state: State, text: str, call_id: str) -> State:
        state = replace(state, ending=False, given_up=False)
        if state.phase is Phase.CALLING and state.issued:
            # What runs cannot be taken back; saying otherwise would be a lie.
            return self._reply(state, self._say.still_working)
        if state.phase is Phase.CALLING:
            state = replace(state, phase=Phase.CONFIRMING, call_id="")
        if state.phase is Phase.CHECKING:
            # A check only reads, so it is simply made again with what is known then.
            state = replace(state, phase=Phase.FILLING)
        if state.phase is Phase.FILLING:
            state = replace(state, call_id="")  # digits that come yet are not waited for
        context = Context(
            intent=state.intent or None,
            asked=state.asked or None,
            values=state.values,
            confirming=state.phase is Phase.CONFIRMING,
        )
        meaning = self._understanding.understand(text, context)
        if meaning.command in ("cancel", "start_over", "repeat", "help"):
            return self._command(state, meaning.command)
        if meaning.intent and (meaning.values or meaning.removed or not self._busy(state)):
            return self._on_intent(state, meaning, call_id)
        if meaning.intent and not self._config.intents[meaning.intent].tool:
            return self._on_intent(state, meaning, call_id)
        if state.phase is Phase.CONFIRMING and meaning.answer is not None:
            return self._on_answer(state, meaning.answer, call_id)
        if state.phase is Phase.FAILED and meaning.answer is not None:
            return self._on_retry(state, meaning.answer, call_id)
        if meaning.intent:
            return self._prompt(replace(state, misses=0), "", call_id)
        return self._small_talk(state, meaning)

    def _busy(self, state: State) -> bool:
        return state.phase not in (Phase.IDLE, Phase.DONE)

    def _command(self, state: State, command: str) -> State:
        if command == "repeat":
            text = state.last.text or self._config.help
            return self._reply(state, text)
        if command == "help":
            return self._reply(state, self._help(state))
        if command == "start_over" and self._busy(state):
            fresh = State(phase=Phase.FILLING, intent=state.intent)
            return self._ask(fresh, self._say.start_over)
        if self._busy(state):
            return self._reply(State(), self._say.cancelled)
        late = state.phase is Phase.DONE
        return self._reply(state, self._say.too_late if late else self._say.nothing_to_cancel)

    def _on_intent(self, state: State, meaning: Meaning, call_id: str) -> State:
        name = meaning.intent or ""
        intent = self._config.intents[name]
        if intent.transfer:
            arguments = json.dumps({"target": intent.transfer})
            call = ToolCall(call_id, TRANSFER_TOOL, arguments)
            return replace(state, last=FlowReply(self._render(intent.answer, {}), (call,)))
        if intent.answer:
            busy = self._busy(state)
            text = self._render(intent.answer, {})
            return self._prompt(state, text, call_id) if busy else self._reply(state, text)
        if name != state.intent or not self._busy(state):
            state = State(phase=Phase.FILLING, intent=name)
        values = {k: v for k, v in state.values.items() if k not in meaning.removed}
        values.update(meaning.values)
        ordered = {k: values[k] for k in intent.slots if k in values}
        if state.phase is Phase.CONFIRMING and ordered == state.values and meaning.answer:
            return self._on_answer(state, True, call_id)
        state = replace(state, phase=Phase.FILLING, values=ordered, asked="", misses=0)
        return self._advance(state, "", call_id)

    def _on_answer(self, state: State, yes: bool, call_id: str) -> State:
        if not yes:
            # The values stay; what is wrong with them is the caller's to say.
            changing = replace(state, phase=Phase.FILLING, asked="", read_back="", heard="")
            return self._reply(changing, self._say.change)
        if not self._was_heard(state):
            return self._read_back(state, "")
        return self._call(state, self._config.intents[state.intent].tool, Phase.CALLING, call_id)

    def _on_retry(self, state: State, yes: bool, call_id: str) -> State:
        if not yes:
            return self._reply(State(), self._say.cancelled)
        if self._was_heard(state):
            tool = self._config.intents[state.intent].tool
            return self._call(state, tool, Phase.CALLING, call_id)
        return self._advance(replace(state, phase=Phase.FILLING), "", call_id)

    def _small_talk(self, state: State, meaning: Meaning) -> State:
        busy = self._busy(state)
        match meaning.command:
            case "hello":
                return self._prompt(state, self._say.hello)
            case "wait":
                return self._reply(state, self._say.take_your_time)
            case "thanks" if not busy:
                return self._part(state, f"{self._say.thanks} {self._say.goodbye}")
            case "goodbye":
                return self._part(State(), self._say.goodbye)
            case "thanks":
                return self._prompt(state, self._say.thanks)
        if state.phase is Phase.DONE and meaning.answer is not None:
            if meaning.answer:
                return self._reply(State(), self._config.help)
            return self._part(state, self._say.goodbye)
        return self._missed(state)

    def _missed(self, state: State) -> State:
        sorry = self._say.not_understood
        text = sorry[min(state.misses, len(sorry) - 1)]
        state = replace(state, misses=state.misses + 1)
        if state.misses > 1 or not self._busy(state):
            return self._prompt(state, f"{text} {self._help(state)}", ask=not self._lists(state))
        return self._prompt(state, text)

    # ---- tools -----------------------------------------------------------------------------

    def _call(self, state: State, tool: str, phase: Phase, call_id: str) -> State:
        arguments = json.dumps({name: value.value for name, value in state.values.items()})
        reply = FlowReply("", (ToolCall(call_id, tool, arguments),))
        return replace(
            state, phase=phase, call_id=call_id, issued=False, asked="", misses=0, last=reply
        )

    def _on_tool(self, state: State, message: Message, call_id: str) -> State:
        if state.transfer_id and message.tool_call_id == state.transfer_id:
            return self._on_transfer(state, _result(message.content), call_id)
        if not state.call_id or message.tool_call_id != state.call_id:
            return state
        result = _result(message.content)
        if result.get("status") == "still running":
            return state
        intent = self._config.intents[state.intent]
        state = replace(state, call_id="")
        if state.phase is Phase.FILLING:
            return self._on_digits(state, result, call_id)
        if "error" in result:
            return self._reply(replace(state, phase=Phase.FAILED), intent.failed)
        if state.phase is Phase.CHECKING:
            return self._checked(state, intent, result)
        said = {k: v.say for k, v in state.values.items()}
        said |= {k: str(v) for k, v in result.items() if not isinstance(v, dict | list)}
        done = State(phase=Phase.DONE)
        return self._reply(done, self._render(intent.done, said) or self._say.anything_else)

    def _on_digits(self, state: State, result: Mapping[str, Any], call_id: str) -> State:
        slot = self._asked_slot(state)
        if slot is None or slot.kind != "digits":
            return state  # asked for before the caller went on to something else
        match result:
            case {"digits": str(digits), "count": int(count)} if slot.secret:
                value = SlotValue(f"{say_number(count)} digits", digits)
            case {"digits": str(digits)} if digits.isdecimal() and not slot.secret:
                value = SlotValue(say_digits(digits), digits)
            case _:
                return self._missed_digits(state)
        values = {**state.values, state.asked: value}
        return self._advance(replace(state, values=values, asked="", misses=0), "", call_id)

    def _missed_digits(self, state: State) -> State:
        if state.misses < MISSED_DIGITS:
            return self._missed(state)
        text = f"{self._say.not_understood[-1]} {self._config.help}"
        return replace(self._reply(state, text), given_up=True)

    def _on_transfer(self, state: State, result: Mapping[str, Any], call_id: str) -> State:
        if "error" not in result:
            return state
        state = replace(state, transfer_id="")
        return self._prompt(state, f"{self._say.no_transfer} {result['error']}.", call_id)

    def _checked(self, state: State, intent: IntentConfig, result: Mapping[str, Any]) -> State:
        values = dict(state.values)
        for name in intent.slots:
            match result.get(name):
                case {"say": str(say), "value": (str() | int()) as value}:
                    values[name] = SlotValue(say, value)
                case str(text):
                    values[name] = SlotValue(text, text)
        state = replace(state, values=values)
        taken = result.get("ok") is False and intent.check is not None
        template = intent.check.otherwise if taken and intent.check else intent.confirm
        return self._read_back(state, "", template)

    # ---- what to say next ------------------------------------------------------------------

    def _advance(self, state: State, prefix: str, call_id: str) -> State:
        """Ask for what is missing, else check, else say everything back."""
        intent = self._config.intents[state.intent]
        if any(s.required and n not in state.values for n, s in intent.slots.items()):
            return self._ask(state, prefix)
        if intent.check is not None:
            return self._call(state, intent.check.tool, Phase.CHECKING, call_id)
        return self._read_back(state, prefix)

    def _ask(self, state: State, prefix: str) -> State:
        for name, slot in self._config.intents[state.intent].slots.items():
            if slot.required and name not in state.values:
                asked = replace(state, phase=Phase.FILLING, asked=name)
                return self._reply(asked, f"{prefix} {slot.ask}")
        intent = self._config.intents[state.intent]
        if intent.check is None and state.values:
            return self._read_back(state, prefix)
        return self._reply(state, f"{prefix} {self._say.change}")

    def _read_back(self, state: State, prefix: str, template: str = "") -> State:
        text = state.read_back
        if template or not text or state.phase is not Phase.CONFIRMING:
            intent = self._config.intents[state.intent]
            said = {name: value.say for name, value in state.values.items()}
            text = self._render(template or intent.confirm, said)
        state = replace(state, phase=Phase.CONFIRMING, read_back=text, heard="", asked="")
        return self._reply(state, f"{prefix} {text}")

    def _prompt(self, state: State, prefix: str, call_id: str = "", ask: bool = True) -> State:
        """Lead back to what the flow wants to know."""
        if not ask:
            return self._reply(state, prefix)
        if state.phase is Phase.CONFIRMING:
            return self._read_back(state, prefix)
        if state.phase is Phase.FILLING:
            return self._ask(state, prefix)
        if state.phase is Phase.FAILED:
            return self._reply(state, f"{prefix} {self._config.intents[state.intent].failed}")
        first = next(iter(self._config.intents.values()))
        question = next((s.ask for s in first.slots.values() if s.ask), "")
        wanted = prefix if self._config.help in prefix else f"{prefix} {question}"
        return self._reply(state, wanted)

    def _lists(self, state: State) -> bool:
        return bool(self._asked_choice(state))

    def _asked_slot(self, state: State) -> SlotConfig | None:
        intent = self._config.intents.get(state.intent)
        filling = intent is not None and state.phase is Phase.FILLING
        return intent.slots.get(state.asked) if intent and filling else None

    def _asked_choice(self, state: State) -> SlotConfig | None:
        slot = self._asked_slot(state)
        return slot if slot and slot.kind == "choice" else None

    def _help(self, state: State) -> str:
        """What can be said here: the choices of the slot asked for, else the flow's help."""
        slot = self._asked_choice(state)
        if slot is None:
            return self._config.help
        values = list(slot.values)[:MANY_CHOICES]
        return f"{slot.ask} You can have {', '.join(values[:-1])} or {values[-1]}."

    def _was_heard(self, state: State) -> bool:
        """Whether every value of the read-back reached the caller's ear."""
        heard = " ".join(["", *tokens_of(state.heard), ""])
        return bool(state.values) and all(
            f" {' '.join(tokens_of(value.say))} " in heard for value in state.values.values()
        )

    def _render(self, template: str, said: Mapping[str, str]) -> str:
        return render(parse_template(template), said)

    def _reply(self, state: State, text: str) -> State:
        return replace(state, last=FlowReply(" ".join(text.split())))


def _result(content: str) -> Mapping[str, Any]:
    """A tool's result. What is no JSON object counts as a failure."""
    try:
        result = json.loads(content)
    except ValueError:
        return {"error": "not JSON"}
    return result if isinstance(result, dict) else {"error": "not an object"}
