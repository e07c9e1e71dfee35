"""What the LLM may do with a telephone line: pass the caller to a person, have a number typed,
press keys. Only what the agent's file names is offered, and nothing else can be reached."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from antiphon.agent.config import AgentConfig
from antiphon.agent.hours import parse_hours
from antiphon.agent.line import REASON, TargetConfig, TransferConfig
from antiphon.agent.tool import argument_problems
from antiphon.agent.variables import SECRET, clean, substitute
from antiphon.types import DIGITS_TOOL, KEYS_TOOL, TRANSFER_TOOL, ToolSpec

MAX_KEYS = 64
MAX_ARGUMENT_CHARS = 4000
KEYS = ToolSpec(
    KEYS_TOOL,
    "Press telephone keys, such as an option of a menu that you hear. `w` waits half a second.",
    {
        "type": "object",
        "properties": {"keys": {"type": "string", "pattern": f"^[0-9*#w]{{1,{MAX_KEYS}}}$"}},
        "required": ["keys"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Destination:
    """To whom a caller is passed; the fields of channels' TransferTarget.

    `to`: a number in E.164 or a `sip:` address. `message`: what the person is told first; empty:
    the caller is put through unannounced.
    """

    name: str
    to: str
    ring_s: int
    message: str


def line_tools(config: AgentConfig, telephone: bool) -> tuple[ToolSpec, ...]:
    """The tools of an agent's line. Callers can be passed on and keys pressed only on a
    `telephone`; numbers are typed everywhere."""
    tools = []
    if telephone and config.transfer is not None:
        tools.append(_transfer_tool(config.transfer))
    if config.digits:
        tools.append(_digits_tool(config))
    if telephone and config.press_keys:
        tools.append(KEYS)
    return tuple(tools)


def resolve_transfer(config: AgentConfig, arguments_json: str, now: datetime) -> Destination | str:
    """Whom the tool's arguments mean: `{"target": name, "reason": text}`.

    Args:
        now: with its time zone; by it somebody is there or not.

    Returns:
        The destination, or a sentence for the LLM that says why there is none.
    """
    transfer = config.transfer
    if transfer is None:
        return "there is nobody to whom callers can be passed"
    arguments = _arguments(arguments_json)
    if isinstance(arguments, str):
        return arguments
    name = arguments.get("target")
    if not isinstance(name, str) or name not in transfer.targets:
        listed = ", ".join(transfer.targets)
        return f"callers cannot be passed to `{str(name)[:60]}`; they can to: {listed}"
    if problems := argument_problems(_transfer_tool(transfer), arguments):
        return "; ".join(problems[:3])
    target = transfer.targets[name]
    if target.hours and (closed := _closed(name, target, transfer.time_zone, now)):
        return closed
    reason = clean(arguments.get("reason", ""))
    message = substitute(target.message, {REASON: reason}) if target.warm else ""
    return Destination(name, target.to, target.ring_s, " ".join(message.split()))


def keys_of(arguments_json: str) -> tuple[str, str]:
    """The keys that `press_keys` is to press, else a sentence for the LLM: `(keys, "")` or
    `("", problem)`."""
    arguments = _arguments(arguments_json)
    if isinstance(arguments, str):
        return "", arguments
    problems = argument_problems(KEYS, arguments)
    return ("", "; ".join(problems[:3])) if problems else (arguments["keys"], "")


def _arguments(text: str) -> dict[str, Any] | str:
    if len(text) > MAX_ARGUMENT_CHARS:
        return "the arguments are too long"
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return "the arguments are not JSON"
    return arguments if isinstance(arguments, dict) else "the arguments must be a JSON object"


def _closed(name: str, target: TargetConfig, zone: str, now: datetime) -> str:
    hours = parse_hours(target.hours)
    opens = hours.opens(now, zone)
    if opens is None:
        return f"nobody is ever there at {name}"
    if hours.open(now, zone):
        return ""
    return f"{name} is closed now and opens again on {opens:%A} at {opens:%H:%M}"


def _transfer_tool(transfer: TransferConfig) -> ToolSpec:
    people = [f"- {name}: {_about(one)}".rstrip(": ") for name, one in transfer.targets.items()]
    return ToolSpec(
        TRANSFER_TOOL,
        "Pass the caller to a person, after what you say in the same answer. Use it when the "
        "caller asks for it or when only a person can help. There are:\n" + "\n".join(people),
        {
            "type": "object",
            "properties": {
                "target": {"type": "string", "enum": list(transfer.targets)},
                "reason": {
                    "type": "string",
                    "description": "Who calls and why, in one sentence, for the person.",
                },
            },
            "required": ["target"],
            "additionalProperties": False,
        },
    )


def _about(target: TargetConfig) -> str:
    hours = f"(there {target.hours})" if target.hours else ""
    return " ".join(part for part in (target.description.strip(), hours) if part)


def _digits_tool(config: AgentConfig) -> ToolSpec:
    numbers = [
        f"- {name}: {one.description.strip()}".rstrip(": ") + _secret(name, one.secret)
        for name, one in config.digits.items()
    ]
    return ToolSpec(
        DIGITS_TOOL,
        "Have the caller type a number on the telephone's keys. What is asked is said for you "
        "when your answer says nothing. There are:\n" + "\n".join(numbers),
        {
            "type": "object",
            "properties": {"name": {"type": "string", "enum": list(config.digits)}},
            "required": ["name"],
            "additionalProperties": False,
        },
    )


def _secret(name: str, secret: bool) -> str:
    if not secret:
        return ""
    return f" (you are not told it; give tools the text {{{{{SECRET}{name}}}}} in its place)"
