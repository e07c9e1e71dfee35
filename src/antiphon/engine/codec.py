"""Events, commands and setups as plain JSON values, and the lines of a trace.

A trace is a text of JSON lines. The first is `{"antiphon_trace":1,"setup":{...}}`; every other is
`{"event":{...},"commands":[...]}`, one call of `Conversation.handle`. Events and commands carry
their class name as `type`. Nothing here knows a single class by name: the fields are read from
the dataclasses, so a new event or command needs no line in this module.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from antiphon.engine import commands, events
from antiphon.engine.commands import Command
from antiphon.engine.events import Event
from antiphon.engine.policy import Setup

TRACE_VERSION = 1

_Decoder = Callable[[Any, str], Any]
_PLAIN = frozenset({int, str, float, bool, type(None)})


# ---- encoding ------------------------------------------------------------------------------


def encode(value: Event | Command | Setup) -> dict[str, Any]:
    """JSON values of an event, a command or a setup, with the class name under `type`.

    Enums become their values and tuples become lists. Keys keep the order of the fields, so equal
    values give equal text.
    """
    cls = type(value)
    encoded: dict[str, Any] = {"type": cls.__name__}
    for name in _field_names(cls):
        item = getattr(value, name)
        encoded[name] = item if type(item) in _PLAIN else _encode_item(item)
    return encoded


_field_names_of: dict[type, tuple[str, ...]] = {}


def _field_names(cls: Any) -> tuple[str, ...]:
    names = _field_names_of.get(cls)
    if names is None:
        names = _field_names_of[cls] = tuple(item.name for item in fields(cls))
    return names


def _encode_item(item: Any) -> Any:
    cls = type(item)
    if cls in _PLAIN:
        return item
    if cls is tuple:
        return [_encode_item(part) for part in item]
    if isinstance(item, Enum):
        return item.value
    if is_dataclass(cls):
        return {name: _encode_item(getattr(item, name)) for name in _field_names(cls)}
    raise TypeError(f"a trace cannot hold a {cls.__name__}")


# ---- decoding ------------------------------------------------------------------------------


def decode_event(encoded: dict[str, Any]) -> Event:
    """The event that `encode` was given.

    Raises:
        ValueError: names the class and the field that does not fit.
    """
    decoded: Event = _decode_named(encoded, _event_types())
    return decoded


def decode_command(encoded: dict[str, Any]) -> Command:
    """The command that `encode` was given.

    Raises:
        ValueError: as for `decode_event`.
    """
    decoded: Command = _decode_named(encoded, _command_types())
    return decoded


def decode_setup(encoded: dict[str, Any]) -> Setup:
    """The setup that `encode` was given. Fields left out have their defaults, so a short setup can
    be written by hand.

    Raises:
        ValueError: as for `decode_event`, and for a policy that is out of range.
    """
    decoded: Setup = _decode_named(encoded, {"Setup": Setup})
    return decoded


@cache
def _event_types() -> dict[str, type]:
    return _subclasses(events, Event)


@cache
def _command_types() -> dict[str, type]:
    return _subclasses(commands, Command)


def _subclasses(module: types.ModuleType, base: type) -> dict[str, type]:
    return {
        name: item
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, base) and item is not base
    }


def _decode_named(encoded: Any, known: dict[str, type]) -> Any:
    name = encoded.get("type") if isinstance(encoded, dict) else None
    cls = known.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"unknown type {name!r}; known are {', '.join(sorted(known))}")
    return _decode_fields(cls, {key: item for key, item in encoded.items() if key != "type"}, "")


def _decode_fields(cls: type, encoded: Any, place: str) -> Any:
    place = place or cls.__name__
    if not isinstance(encoded, dict):
        raise ValueError(f"{place} is {encoded!r}; it must be an object")
    plan = _plan(cls)
    unknown = encoded.keys() - plan.keys()
    if unknown:
        raise ValueError(f"{place} has no field {', '.join(sorted(unknown))}")
    values = {}
    for name, (decoder, required) in plan.items():
        if name in encoded:
            values[name] = decoder(encoded[name], f"{place}.{name}")
        elif required:
            raise ValueError(f"{place}.{name} is missing")
    return cls(**values)


@cache
def _plan(cls: type) -> dict[str, tuple[_Decoder, bool]]:
    """Decoder of each field of a dataclass, and whether the field must be there."""
    hints = typing.get_type_hints(cls)
    return {
        item.name: (
            _decoder(hints[item.name]),
            item.default is MISSING and item.default_factory is MISSING,
        )
        for item in fields(cls)
    }


def _decoder(hint: Any) -> _Decoder:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _tuple_decoder(args)
    if origin in (types.UnionType, typing.Union):
        return _optional_decoder(args)
    if is_dataclass(hint):
        return lambda item, place: _decode_fields(typing.cast(type, hint), item, place)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda item, place: hint(item)
    return _plain_decoder(hint)


def _tuple_decoder(args: tuple[Any, ...]) -> _Decoder:
    if len(args) == 2 and args[1] is Ellipsis:
        each = _decoder(args[0])

        def decode_list(item: Any, place: str) -> Any:
            return tuple(each(part, place) for part in _checked_list(item, place, None))

        return decode_list
    parts = tuple(_decoder(arg) for arg in args)

    def decode_record(item: Any, place: str) -> Any:
        listed = _checked_list(item, place, len(parts))
        return tuple(decode(part, place) for decode, part in zip(parts, listed, strict=True))

    return decode_record


def _checked_list(item: Any, place: str, length: int | None) -> list[Any]:
    if not isinstance(item, list) or (length is not None and len(item) != length):
        raise ValueError(
            f"{place} is {item!r}; it must be a list" + (f" of {length}" if length else "")
        )
    return item


def _optional_decoder(args: tuple[Any, ...]) -> _Decoder:
    (inner,) = (_decoder(arg) for arg in args if arg is not type(None))
    return lambda item, place: None if item is None else inner(item, place)


def _plain_decoder(cls: type) -> _Decoder:
    # JSON has one kind of number; a float that happens to be whole may be written as an integer.
    accepted: tuple[type, ...] = (float, int) if cls is float else (cls,)

    def decode(item: Any, place: str) -> Any:
        if type(item) not in accepted:
            raise ValueError(f"{place} is {item!r}; it must be {cls.__name__}")
        return item

    return decode


# ---- lines of a trace ----------------------------------------------------------------------


def header_line(setup: Setup) -> str:
    """The first line of a trace, without its line end."""
    return _dump({"antiphon_trace": TRACE_VERSION, "setup": encode(setup)})


def step_line(event: Event, given: Iterable[Command]) -> str:
    """One further line: an event and the commands that it gave, without its line end."""
    return _dump({"event": encode(event), "commands": [encode(item) for item in given]})


_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
