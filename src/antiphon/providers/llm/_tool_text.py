"""Tool calls that a local model writes as text, as its template taught it. Pure.

Known are those of Hermes and Qwen (`<tool_call>{...}</tool_call>`), Qwen3-Coder (the same with
`<function=name><parameter=key>`), Mistral (`[TOOL_CALLS] [{...}]`), and Llama 3 (an answer that is
one JSON object, or several with `;` between them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from antiphon.types import ToolCall

_MARKS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<function=")
_XML = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|$)", re.DOTALL)
_XML_ARGUMENT = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_NAMED = re.compile(r"([A-Za-z_][\w.-]*)\s*(?:\[ARGS\])?\s*(?=\{)")


class ToolText:
    """Takes an answer piece by piece; gives what is to be said, and the calls at the end.

    Args:
        names: the tools there are. JSON that names none of them is text, unless a mark says that it
            is a call; then it is dropped, because JSON must not be spoken.
        request_id: makes ids of the calls.
    """

    def __init__(self, names: Collection[str], request_id: str) -> None:
        self._names, self._request_id = frozenset(names), request_id
        self._held = ""
        self._said = self._marked = False

    def add(self, text: str) -> str:
        """Take more of the answer; return what may be said now."""
        self._held += text
        if self._marked or not self._names:
            return "" if self._marked else self._release(len(self._held))
        found = [at for mark in _MARKS if (at := self._held.find(mark)) >= 0]
        if found:
            self._marked = True
            return self._release(min(found))
        start = self._held.lstrip()
        if not self._said and (start in ("", "[") or re.match(r"\{|\[\s*\{", start)):
            return ""
        return self._release(len(self._held) - _begun(self._held))

    def finish(self) -> tuple[str, list[ToolCall]]:
        """The answer has ended: text that was held and is no call, and the calls."""
        held, self._held = self._held, ""
        calls = [
            ToolCall(f"call_{self._request_id}_{number}", name, arguments)
            for number, (name, arguments) in enumerate(self._calls(held))
        ]
        return "" if calls or self._marked else held, calls

    def _release(self, size: int) -> str:
        text, self._held = self._held[:size], self._held[size:]
        self._said = self._said or bool(text.strip())
        return text

    def _calls(self, text: str) -> list[tuple[str, str]]:
        xml = [
            (match[1], json.dumps(dict(_XML_ARGUMENT.findall(match[2])), ensure_ascii=False))
            for match in _XML.finditer(text)
        ]
        found = xml or [one for value in _objects(text) if (one := _call(value))]
        return [one for one in found if one[0] in self._names]


def _call(value: dict[str, Any]) -> tuple[str, str] | None:
    function = value.get("function")
    value = function if isinstance(function, dict) else value
    arguments = value.get("arguments", value.get("parameters", {}))
    if not isinstance(value.get("name"), str):
        return None
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return value["name"], text


def _objects(text: str) -> list[dict[str, Any]]:
    """Every outermost JSON object in the text, in lists or not; what is between them is skipped.
    A name right before one is that of a call, and the object its arguments."""
    decoder, at, found = json.JSONDecoder(), 0, list[dict[str, Any]]()
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        named = [match for match in _NAMED.finditer(text, 0, at + 1) if match.end() == at]
        if named and named[0][1] not in ("json",):
            value = {"name": named[0][1], "arguments": value}
        found.append(value)
        at = end
    return found


def _begun(text: str) -> int:
    """The length of the longest end of the text that may become a mark."""
    longest = max(len(mark) for mark in _MARKS) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-size:]) for mark in _MARKS):
            return size
    return 0
