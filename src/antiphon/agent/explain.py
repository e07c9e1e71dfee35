"""What pydantic found wrong, as sentences with file, line, key and the nearest valid key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from antiphon.agent.yaml_lines import Document, Loc, dotted
from antiphon.errors import ConfigError
from antiphon.providers.registry import nearest

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "dataclass_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


class AgentFileError(ConfigError):
    """Everything that is wrong in an agent's file, in the order of its lines; one line each."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(sorted(errors, key=lambda one: one.line))
        super().__init__("\n".join(str(one) for one in self.errors))
        first = self.errors[0]
        self.path, self.line, self.key = first.path, first.line, first.key


def explain(
    error: ValidationError, document: Document, schema: Mapping[str, Any], base: Loc = ()
) -> list[ConfigError]:
    """One ConfigError for each of pydantic's.

    Args:
        schema: the JSON Schema of the model, for the names of the keys that are valid.
        base: where in the document the validated value is.
    """
    found: list[ConfigError] = []
    meant: set[Loc] = set()
    details = error.errors(include_url=False)
    for one in sorted(details, key=lambda detail: detail["type"] != "extra_forbidden"):
        loc = _written(one["loc"], document, base, missing=one["type"] == "missing")
        if one["type"] == "extra_forbidden":
            keys = valid_keys(schema, one["loc"][:-1])
            guess = nearest(str(one["loc"][-1]), keys)
            if guess is not None:
                meant.add((*loc[:-1], guess))
            message = _unknown_key(guess, keys)
        elif one["type"] == "missing" and loc in meant:
            # The key is there, misspelt, and that has been said.
            continue
        else:
            message = _sentence(one)
        found.append(_at(document, loc, message))
    return found


def valid_keys(schema: Mapping[str, Any], loc: Loc) -> tuple[str, ...]:
    """The keys that a mapping at `loc` may have; empty when any may be there."""
    keys: dict[str, None] = {}
    for part in _schemas_at(schema, loc):
        keys.update(dict.fromkeys(part.get("properties", {})))
    return tuple(keys)


def is_secret(schema: Mapping[str, Any], loc: Loc) -> bool:
    """Whether the value at `loc` is a secret by the schema."""
    return any(part.get("writeOnly") for part in _schemas_at(schema, loc))


def _schemas_at(root: Mapping[str, Any], loc: Loc) -> list[Mapping[str, Any]]:
    found = list(_alternatives(root, root))
    for step in loc:
        inner = [one for part in found for one in _step(root, part, step)]
        # A step that leads nowhere is pydantic's name of a union's member.
        found = inner or found
    return found


def _step(
    root: Mapping[str, Any], part: Mapping[str, Any], step: str | int
) -> Iterator[Mapping[str, Any]]:
    if isinstance(step, int):
        child = part.get("items")
    else:
        child = part.get("properties", {}).get(step) or part.get("additionalProperties")
    if isinstance(child, dict):
        yield from _alternatives(root, child)


def _alternatives(root: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        yield from _alternatives(root, root["$defs"][name])
        return
    yield part
    for word in ("anyOf", "oneOf", "allOf"):
        for one in part.get(word, ()):
            yield from _alternatives(root, one)


def _written(loc: Loc, document: Document, base: Loc, *, missing: bool) -> Loc:
    """The part of pydantic's place that is in the document (it also names members of unions)."""
    value = document.value
    for step in base:
        value = value[step]
    path = list(base)
    for number, step in enumerate(loc):
        in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if in_list or (isinstance(value, dict) and step in value):
            value = value[step]
        elif not (missing and number == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _at(document: Document, loc: Loc, message: str) -> ConfigError:
    return ConfigError(message, path=document.path, line=document.line_of(loc), key=dotted(loc))


def _unknown_key(guess: str | None, keys: tuple[str, ...]) -> str:
    if guess is not None:
        return f"unknown key; did you mean `{guess}`?"
    listed = ", ".join(f"`{key}`" for key in keys)
    return f"unknown key; {f'keys here are {listed}' if listed else 'none is allowed here'}"


def _sentence(one: ErrorDetails) -> str:
    kind, context, value = one["type"], one.get("ctx", {}), one["input"]
    if kind == "missing":
        return "this key is missing"
    if kind in _EXPECTED:
        return f"should be {_EXPECTED[kind]}, but is {_shown(value)}"
    if kind in ("greater_than_equal", "greater_than"):
        return f"{value} is too small; the least is {context.get('ge', context.get('gt'))}"
    if kind in ("less_than_equal", "less_than"):
        return f"{value} is too large; the most is {context.get('le', context.get('lt'))}"
    if kind in ("string_too_short", "too_short"):
        return "must not be empty"
    if kind == "string_pattern_mismatch":
        return f"{_shown(value)} does not have the form {context['pattern']}"
    if kind in ("literal_error", "enum"):
        return _not_one_of(value, str(context["expected"]))
    if kind == "value_error":
        return str(context["error"])
    return one["msg"]


def _not_one_of(value: Any, expected: str) -> str:
    words = tuple(expected.replace("'", "").replace(" or ", ", ").split(", "))
    guess = nearest(value, words) if isinstance(value, str) else None
    hint = f"did you mean `{guess}`?" if guess else f"it may be {expected}"
    return f"{_shown(value)} is not known here; {hint}"


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f"the text `{value[:40]}{'...' if len(value) > 40 else ''}`"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"the number {value}" if isinstance(value, int | float) else type(value).__name__
