"""Digits that a caller types. Secret ones are kept here, and nobody but the tools is told them: not
the engine and its trace, not the LLM, not the log.

Everybody else has `{{secret.NAME}}` in their place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

HIDDEN_KEY = "•"
MAX_KEYS = 64
"""Of one number; further keys are ignored."""
MAX_SECRETS = 32
"""Numbers remembered for `hide`; the oldest are forgotten."""
_REFERENCE = re.compile(r"\{\{\s*secret\.(\w{1,64})\s*\}\}")
_WHOLE = 4
"""Shorter secrets are hidden where they stand alone: a `12` is found in every other number."""
_BETWEEN = r"[\s./-]{0,2}"


class Vault:
    """The digits of one call."""

    __slots__ = ("_keys", "_name", "_patterns", "_secret", "_secrets")

    def __init__(self) -> None:
        self._name, self._secret = "", False
        self._keys: list[str] = []
        self._secrets: dict[str, str] = {}
        self._patterns: dict[re.Pattern[str], str] = {}

    def __repr__(self) -> str:
        return f"Vault({len(self._secrets)} secrets)"

    # ---- while the caller types ------------------------------------------------------------

    def begin(self, name: str, secret: bool) -> None:
        """From now on keys belong to this number; what was typed of one before is dropped."""
        self._name, self._secret = name, secret
        self._keys.clear()

    def key(self, key: str) -> str:
        """The caller pressed a key: what others may see of it."""
        if not self._name or not key.isdecimal():
            return key
        if len(self._keys) < MAX_KEYS:
            self._keys.append(key)
        return HIDDEN_KEY if self._secret else key

    def finish(self, outcome: str = "complete") -> str:
        """The number is over, as DigitsCollected says: the tool's output, JSON for the LLM."""
        name, secret, digits = self._name, self._secret, "".join(self._keys)
        self._name = ""
        self._keys.clear()
        if outcome == "abandoned":
            return '{"error": "the caller did not type the number"}'
        if outcome != "complete" or not digits:
            return '{"error": "the caller pressed no keys, or too few"}'
        if not secret:
            return json.dumps({"digits": digits})
        self._keep(name, digits)
        return json.dumps({"digits": _place(name), "count": len(digits)})

    def _keep(self, name: str, digits: str) -> None:
        self._secrets[name] = digits
        self._patterns.update(dict.fromkeys(_patterns(digits), name))
        while len(self._patterns) > 2 * MAX_SECRETS:
            del self._patterns[next(iter(self._patterns))]

    # ---- tools -----------------------------------------------------------------------------

    def lacks(self, arguments_json: str) -> str:
        """The name of a secret that the arguments want and that was not typed; else empty."""
        names = _REFERENCE.findall(arguments_json)
        return next((name for name in names if name not in self._secrets), "")

    def reveal(self, arguments_json: str) -> str:
        """The arguments for a tool of ours, with the digits in their places."""
        if "secret." not in arguments_json:
            return arguments_json
        return _mapped(arguments_json, self._revealed, everywhere=False)

    def hide(self, text: str) -> str:
        """What a tool answers, or says in an error, without the digits."""
        return _mapped(text, self._hidden, everywhere=True) if self._patterns else text

    def forget(self) -> None:
        """The call is over."""
        self.begin("", secret=False)
        self._secrets.clear()
        self._patterns.clear()

    def _revealed(self, text: str) -> str:
        return _REFERENCE.sub(lambda match: self._secrets.get(match[1], match[0]), text)

    def _hidden(self, text: str) -> str:
        for pattern, name in self._patterns.items():
            text = pattern.sub(_place(name), text)
        return text


def _place(name: str) -> str:
    return f"{{{{secret.{name}}}}}"


def _patterns(digits: str) -> list[re.Pattern[str]]:
    """How the digits may be written: with gaps, and as a number, without leading zeros."""
    forms = dict.fromkeys((digits, digits.lstrip("0")))
    found = []
    for form in forms:
        if len(form) < _WHOLE and form != digits:
            continue
        body = _BETWEEN.join(form)
        whole = len(form) >= _WHOLE
        found.append(re.compile(body if whole else rf"(?<!\d){body}(?!\d)"))
    return found


def _mapped(text: str, change: Callable[[str], str], *, everywhere: bool) -> str:
    """JSON with its strings changed; `everywhere`: keys and numbers too, and what is no JSON."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list):
            return [walk(one) for one in value]
        if isinstance(value, dict):
            return {change(key) if everywhere else key: walk(one) for key, one in value.items()}
        if everywhere and isinstance(value, int | float) and not isinstance(value, bool):
            said = change(str(value))
            return value if said == str(value) else said
        return value

    try:
        value = json.loads(text)
        changed = walk(value)
    except (ValueError, RecursionError):
        return change(text) if everywhere else text
    # What holds nothing of the kind stays as it is written.
    return text if changed == value else json.dumps(changed, ensure_ascii=False)
