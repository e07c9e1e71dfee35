"""`{{name}}` in the agent's sentences: what is known of a call only when it comes.

An agent's file lists its variables with their defaults; an outbound order gives them for one
person. `caller_number`, `called_number` and `channel` are always there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from antiphon.agent.config import AgentConfig
from antiphon.agent.line import BUILT_IN, REASON
from antiphon.providers.registry import nearest

SECRET = "secret."
"""`{{secret.account_number}}` stands for digits that only tools are told."""
MAX_VALUE_CHARS = 500
_REFERENCE = re.compile(r"\{\{\s*([^{}\s]{1,100})\s*\}\}")

Loc = tuple[str, ...]


def substitute(text: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in, once; those without a value stay as they are."""
    if "{{" not in text:
        return text
    return _REFERENCE.sub(lambda match: values.get(match[1], match[0]), text)


def names_in(text: str) -> tuple[str, ...]:
    """The variables of a text, in order."""
    return tuple(dict.fromkeys(_REFERENCE.findall(text)))


def clean(value: str) -> str:
    """A value as it may stand in a sentence: one line, of a bounded length, without variables of
    its own."""
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return line.replace("{{", "").replace("}}", "")[:MAX_VALUE_CHARS]


# ---- the agent's file ----------------------------------------------------------------------


def texts(config: AgentConfig) -> Iterator[tuple[Loc, str]]:
    """Every text of an agent in which variables count, with its place in the file."""
    yield ("greeting",), config.greeting
    yield ("persona",), config.persona
    if config.disclosure is not None:
        yield ("disclosure", "text"), config.disclosure.text
        yield ("disclosure", "question"), config.disclosure.question
    for name, digits in config.digits.items():
        yield ("digits", name, "ask"), digits.ask
    for name, target in config.transfer.targets.items() if config.transfer else ():
        yield ("transfer", "targets", name, "message"), target.message


def problems(config: AgentConfig) -> Iterator[tuple[Loc, str]]:
    """References to variables that there are not."""
    typed = config.flow.digits() if config.flow else ()
    secrets = [SECRET + name for name, one in config.digits.items() if one.secret]
    secrets += [SECRET + one.name for one in typed if one.secret]
    known = (*config.variables, *BUILT_IN)
    for loc, text in texts(config):
        here = (*known, REASON) if loc[0] == "transfer" else known
        for name in names_in(text):
            if name in here or (loc == ("persona",) and name in secrets):
                continue
            guess = nearest(name, (*here, *secrets))
            hint = f"did you mean `{{{{{guess}}}}}`?" if guess else "list it under `variables`"
            yield loc, f"there is no variable `{{{{{name}}}}}`; {hint}"


# ---- a call --------------------------------------------------------------------------------


def unknown(config: AgentConfig, given: Iterable[str]) -> tuple[str, ...]:
    """Variables that an order gives and the agent has not."""
    return tuple(name for name in given if name not in config.variables)


def missing(config: AgentConfig, given: Mapping[str, str]) -> tuple[str, ...]:
    """Variables without a default that an order does not give."""
    return tuple(
        name for name, default in config.variables.items() if default is None and name not in given
    )


def order_problem(config: AgentConfig, given: Mapping[str, str]) -> str:
    """What is wrong with an order's variables, as a sentence; empty when nothing is."""
    for name in unknown(config, given):
        guess = nearest(name, tuple(config.variables))
        listed = ", ".join(f"`{one}`" for one in config.variables) or "none"
        hint = f"did you mean `{guess}`?" if guess else f"its variables are: {listed}"
        return f"the agent `{config.name}` has no variable `{name[:60]}`; {hint}"
    if left_out := missing(config, given):
        return f"the agent `{config.name}` needs the variable `{left_out[0]}`"
    return ""


def fill(config: AgentConfig, values: Mapping[str, str]) -> AgentConfig:
    """The agent of one call. What is neither a variable of the agent's nor built in is ignored;
    what has no value at all is empty."""
    filled = {name: default or "" for name, default in config.variables.items()}
    filled |= dict.fromkeys(BUILT_IN, "")
    filled |= {name: clean(value) for name, value in values.items() if name in filled}
    if not any("{{" in text for _, text in texts(config)):
        return config
    changes: dict[str, object] = {
        "greeting": substitute(config.greeting, filled),
        "persona": substitute(config.persona, filled),
    }
    if (told := config.disclosure) is not None:
        texts_of = {key: substitute(getattr(told, key), filled) for key in ("text", "question")}
        changes["disclosure"] = told.model_copy(update=texts_of)
    changes["digits"] = {
        name: one.model_copy(update={"ask": substitute(one.ask, filled)})
        for name, one in config.digits.items()
    }
    if (transfer := config.transfer) is not None:
        targets = {
            name: one.model_copy(update={"message": substitute(one.message, filled)})
            for name, one in transfer.targets.items()
        }
        changes["transfer"] = transfer.model_copy(update={"targets": targets})
    return config.model_copy(update=changes)
