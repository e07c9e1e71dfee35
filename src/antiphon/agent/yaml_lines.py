"""Read a YAML file into plain values, remembering the line of every key and value.

The dialect is YAML 1.2's core schema, so `no`, `on` and `12:30` stay the words that they look like
(1.1 makes `False`, `True` and 750 of them), and so does a number with leading zeros. Anything that
could make a small file large or run code is refused: tags, deep nesting, aliases beyond a bound.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from antiphon.errors import ConfigError

EMPTY = "the file is empty"
MAX_BYTES = 512 * 1024
MAX_DEPTH = 40
MAX_VALUES = 50_000
"""Values in a document, each alias counted as often as it is used."""

Loc = tuple[str | int, ...]

_BOOL, _INT, _FLOAT, _NULL, _STR, _MAP, _SEQ = (
    f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "str", "map", "seq")
)


class _Loader(yaml.SafeLoader):
    """PyYAML's pure Python loader with the resolvers of YAML 1.2 and a bound on nesting."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                raise yaml.MarkedYAMLError(
                    problem=f"nested more than {MAX_DEPTH} levels deep", problem_mark=mark
                )
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern, _first in (
    (_BOOL, r"true|True|TRUE|false|False|FALSE", "tTfF"),
    (_NULL, r"~|null|Null|NULL|", "~nN\0"),
    (_INT, r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        _FLOAT,
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        _tag, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, the 1-based line of each place in it, and what is wrong so far."""

    path: str
    value: Any
    lines: dict[Loc, int]
    problems: tuple[ConfigError, ...] = ()

    def line_of(self, loc: Loc) -> int:
        """The line of a place, or of the nearest place around it that is written in the file."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def read_document(path: str | Path) -> Document:
    """Read and parse a file.

    Raises:
        ConfigError: it cannot be read, is not UTF-8, too large, empty or not YAML.
    """
    name = str(path)
    return parse_document(_read_text(name), name)


def read_mapping(path: str | Path, *, if_empty: str, if_other: str) -> Document:
    """A file whose value is a mapping.

    Args:
        if_empty: what an empty one should have, after a semicolon.
        if_other: what to say of one that is something else.

    Raises:
        ConfigError: it is not, or as `read_document`.
    """
    try:
        document = read_document(path)
    except ConfigError as error:
        if not error.message.startswith(EMPTY):
            raise
        message = f"{EMPTY}; {if_empty}"
        raise ConfigError(message, path=error.path, line=error.line) from None
    if not isinstance(document.value, dict):
        raise ConfigError(if_other, path=document.path, line=1)
    return document


def parse_document(text: str, name: str) -> Document:
    """Parse the text of a file called `name`; raises like `read_document`."""
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, name) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"a control character that YAML does not allow ({error.character!r})",
            path=name,
            line=line,
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"this is not YAML: {error}", path=name) from None
    if node is None or node.tag == _NULL:
        raise ConfigError(f"{EMPTY}; an agent needs at least `name:`", path=name, line=1)
    builder = _Builder(name)
    value = builder.build(node, ())
    return Document(name, value, builder.lines, tuple(builder.problems))


def _read_text(name: str) -> str:
    try:
        with open(name, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError("there is no such file", path=name) from None
    except IsADirectoryError:
        raise ConfigError("this is a directory; name the agent's YAML file", path=name) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"the file cannot be read: {reason}", path=name) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"the file is larger than {MAX_BYTES // 1024} KB; is it an agent's file?", path=name
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8",
            path=name,
            line=line,
        ) from None


def _syntax_error(error: yaml.MarkedYAMLError, name: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    problem = error.problem or "this is not YAML"
    if "'\\t'" in problem:
        problem = "a tab; YAML is indented with spaces only"
    elif "mapping values are not allowed" in problem:
        problem = "a colon that YAML does not expect; put text that contains `: ` in quotes"
    elif "expected a single document" in str(error):
        problem = "a second document (`---`) begins; an agent's file holds one"
    elif error.context and error.context_mark:
        problem = f"{problem} ({error.context}, line {error.context_mark.line + 1})"
    return ConfigError(problem, path=name, line=line)


class _Builder:
    """Turns nodes into values. An anchored node is built as often as it is used, under a bound."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Loc, int] = {}
        self.problems: list[ConfigError] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(loc, line)
        self._count += 1
        if self._count > MAX_VALUES:
            raise ConfigError(
                f"more than {MAX_VALUES} values, aliases counted", path=self.name, line=line
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        if id(node) in self._open:
            raise ConfigError("an alias that contains itself", path=self.name, line=line)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                self._check_tag(node, _SEQ, loc)
                return [self.build(item, (*loc, i)) for i, item in enumerate(node.value)]
            self._check_tag(node, _MAP, loc)
            return self._mapping(node, loc)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, loc: Loc) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem("a key must be a plain word", line, loc)
                continue
            key = self._key(key_node, loc)
            where = (*loc, key)
            if key in result:
                first = self.lines[where]
                self._problem(f"given twice; the first is in line {first}", line, where)
                continue
            self.lines[where] = line
            result[key] = self.build(value_node, where)
        return result

    def _key(self, node: yaml.ScalarNode, loc: Loc) -> str:
        """Keys are text: `1:` and `true:` mean the words, as every JSON reader would have it."""
        if not node.tag.startswith("tag:yaml.org,2002:"):
            self._check_tag(node, _STR, loc)
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Hashable:
        text = str(node.value)
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag in (_INT, _FLOAT):
            return self._number(node.tag, text, loc)
        self._check_tag(node, _STR, loc)
        return text

    def _number(self, tag: str, text: str, loc: Loc) -> int | float | None:
        try:
            if tag == _FLOAT:
                return float(text)
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        except ValueError:
            # An explicit `!!int word`, or more digits than Python converts.
            self._problem("this is not a number", self.lines[loc], loc)
            return None

    def _check_tag(self, node: yaml.Node, plain: str, loc: Loc) -> None:
        if node.tag not in (plain, "!"):
            line = node.start_mark.line + 1
            self._problem(f"the tag `{node.tag}` is not allowed here", line, loc)

    def _problem(self, message: str, line: int, loc: Loc) -> None:
        self.problems.append(ConfigError(message, path=self.name, line=line, key=dotted(loc)))


def dotted(loc: Loc) -> str:
    """`("tools", 0, "name")` as `tools[0].name`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text
