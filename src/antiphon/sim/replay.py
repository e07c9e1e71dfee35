"""Traces as files: written by `sim`, or by a call; and replayed.

For the format see `engine.codec`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine import codec
from antiphon.engine.conversation import Conversation
from antiphon.engine.policy import Setup
from antiphon.errors import UserFacingError
from antiphon.sim.promise import ENGINE_BUGS
from antiphon.sim.world import Trace, World


@dataclass(frozen=True, slots=True)
class Difference:
    """The first line of a trace whose commands are not what the engine gives now."""

    line: int
    event: dict[str, Any]
    recorded: list[Any]
    got: list[Any]


def write_trace(path: Path, world: World, note: str = "") -> None:
    """Write what happened in a world, and a note that `antiphon replay` shows."""
    with path.open("w", encoding="utf-8") as file:
        header = codec.header_line(world.setup)
        if note:
            header = f'{header[:-1]},"note":{json.dumps(note, ensure_ascii=False)}}}'
        file.write(header + "\n")
        file.writelines(codec.step_line(event, given) + "\n" for event, given in world.trace)


def read_trace(path: Path) -> tuple[Setup, Trace]:
    """The setup and the steps of a trace.

    Raises:
        UserFacingError: not a trace; says which line is wrong.
    """
    trace: Trace = []
    lines = _lines(path)
    setup = _setup(path, lines)
    for number, step in lines:
        try:
            given = [codec.decode_command(item) for item in step["commands"]]
            trace.append((codec.decode_event(step["event"]), given))
        except (ValueError, KeyError, TypeError) as error:
            raise UserFacingError(f"{path}:{number}: not a step of a trace: {error}") from error
    return setup, trace


def read_note(path: Path) -> str:
    """What the simulation wrote about a trace; empty for that of a call."""
    for _, header in _lines(path):
        return str(header.get("note", ""))
    return ""


def replay(path: Path) -> Difference | None:
    """Feed the events of a trace to the engine; return where it decides differently now.

    An event that the engine refuses counts as one command with the type of the exception.

    Raises:
        UserFacingError: not a trace; says which line is wrong.
    """
    lines = _lines(path)
    engine = Conversation(_setup(path, lines))
    for number, step in lines:
        try:
            event = codec.decode_event(step["event"])
            recorded = list(step["commands"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserFacingError(f"{path}:{number}: not a step of a trace: {error}") from error
        got: list[Any]
        try:
            got = [codec.encode(command) for command in engine.handle(event)]
        except ENGINE_BUGS as error:
            got = [{"type": type(error).__name__, "message": str(error)}]
        if recorded != got:
            return Difference(number, step["event"], recorded, got)
    return None


def _setup(path: Path, lines: Iterator[tuple[int, Any]]) -> Setup:
    number, header = next(lines, (1, None))
    version = header.get("antiphon_trace") if isinstance(header, dict) else None
    if version != codec.TRACE_VERSION:
        raise UserFacingError(
            f"{path}:{number}: not a trace: its first line must be "
            f'{{"antiphon_trace": {codec.TRACE_VERSION}, "setup": ...}}'
        )
    try:
        assert header is not None
        return codec.decode_setup(header["setup"])
    except (ValueError, KeyError) as error:
        raise UserFacingError(f"{path}:{number}: not a setup: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    """The JSON value of each line and its number. A last line cut off by a crash is an error too:
    it says where the record ends."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _parse(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise UserFacingError(f"{path}: cannot be read: {error}") from error


def _parse(path: Path, number: int, line: str) -> Any:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UserFacingError(f"{path}:{number}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserFacingError(f"{path}:{number}: not a JSON object")
    return value
