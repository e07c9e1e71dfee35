"""Write the reference tables in docs/ from the code that they describe.

    .venv/bin/python scripts/docs.py            # rewrite them
    .venv/bin/python scripts/docs.py --check    # exit code 1 when they are out of date

A table stands between `<!-- begin NAME -->` and `<!-- end NAME -->`; the rest of a page is written
by hand. A house test calls `outdated`, so that an event, a setting or an option that nobody
documented cannot get in.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from antiphon.agent.config import AgentConfig, BudgetConfig, Limits, ToolConfig
from antiphon.agent.line import (
    DigitsConfig,
    DisclosureConfig,
    RecordingConfig,
    TargetConfig,
    TransferConfig,
)
from antiphon.agent.speech import SpeechConfig
from antiphon.engine import commands, events
from antiphon.engine.policy import Phrases, TurnPolicy
from antiphon.models import catalogue
from antiphon.providers import registry

DOCS = Path(__file__).resolve().parent.parent / "docs"


undocumented: list[str] = []
"""What was found to have no description while tables were made."""


# ---- tables --------------------------------------------------------------------------------------


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in rows:
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def members(module: Any, base: type[Any]) -> str:
    """The dataclasses of a module: name, fields, first docstring."""
    rows = []
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, base) and cls is not base:
            own = [f"`{f.name}`" for f in fields(cls) if f.name != "at_ms"]
            rows.append([f"`{cls.__name__}`", ", ".join(own), doc_of(cls)])
    return table(("name", "fields", "meaning"), rows)


def settings(cls: Any, prefix: str = "") -> str:
    """The fields of a policy: key, default, range, meaning."""
    rows = []
    for field in _leaves(cls, prefix):
        key, item, default = field
        low, high = item.metadata.get("min"), item.metadata.get("max")
        meaning = item.metadata.get("doc", "")
        if not meaning:
            undocumented.append(f"{cls.__name__}: {key}")
        allowed = (
            f"{low} to {high}"
            if low is not None
            else ", ".join(f"`{one}`" for one in item.metadata.get("choices", ()))
        )
        rows.append([f"`{key}`", show(default), allowed, meaning])
    return table(("key", "default", "allowed", "meaning"), rows)


def _leaves(cls: Any, prefix: str) -> Iterable[tuple[str, Field[Any], Any]]:
    for field in fields(cls):
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        if is_dataclass(made):
            yield from _leaves(type(made), f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field, made


def options(model: type[BaseModel]) -> str:
    """The fields of a pydantic model: key, default, meaning."""
    rows = []
    for name, field in model.model_fields.items():
        meaning = field.description or attribute_docs(model).get(name, "")
        if not meaning:
            undocumented.append(f"{model.__name__}.{name} has no description")
        default = field.get_default(call_default_factory=True)
        required = field.is_required() or default is PydanticUndefined
        rows.append([f"`{name}`", "required" if required else show(default), meaning])
    return table(("key", "default", "meaning"), rows) if rows else "No options."


def attribute_docs(model: type) -> dict[str, str]:
    """Strings written under the attributes of a class and its bases."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if not cls.__module__.startswith("antiphon."):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        name = ""
        for node in body.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
            elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                found[name] = str(node.value.value)
                name = ""
            else:
                name = ""
    return found


def doc_of(thing: Any) -> str:
    """The docstring, which has to be there. Dataclasses write one of their own when it is not."""
    text = inspect.cleandoc(thing.__doc__ or "")
    if not text or text.startswith(f"{thing.__name__}("):
        undocumented.append(f"{thing.__name__} has no docstring")
        return ""
    return text.split("\n\n")[0]


def show(value: Any) -> str:
    """A default, short."""
    if value is None or value == "" or value == () or value == {} or value == []:
        return ""
    if isinstance(value, tuple | list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, BaseModel):
        inner = value.model_dump(exclude_defaults=True)
        if not inner:
            return "" if type(value).__name__ != "Delay" else "0"
        return f"`{inner['provider']}`" if "provider" in inner else "see below"
    return "see below" if is_dataclass(value) else str(value)


# ---- pages ---------------------------------------------------------------------------------------


def provider_tables() -> str:
    """Every provider of every kind with its options."""
    parts = []
    for kind in registry.KINDS:
        for name in registry.available(kind):
            cls = registry.provider_class(kind, name)
            parts.append(f"### {kind}: {name}\n\n{doc_of(cls)}\n\n{options(cls.Options)}")
    return "\n\n".join(parts)


EXTRAS = {
    "faster-whisper": "whisper", "google": "google", "kokoro": "kokoro", "llama-cpp": "llama",
    "piper": "piper", "sherpa-onnx": "sherpa", "vosk": "vosk", "webrtc": "webrtcvad",
}  # fmt: skip
"""Provider -> the extra that it is installed with."""
LIBRARIES = {"espeak-ng": "`apt-get install libespeak-ng1`"}
PLACES = {"here": "this machine", "server": "your server", "cloud": "cloud"}


def choice_table(kind: registry.Kind) -> str:
    """The providers of a kind with what each can do, and what it takes to use it anywhere."""
    rows = []
    for one in registry.describe(kind):
        needs = [f"`antiphon[{EXTRAS[one.name]}]`"] if one.name in EXTRAS else []
        needs += [LIBRARIES[one.name]] if one.name in LIBRARIES else []
        if any(entry.provider == one.name for entry in catalogue.load().values()):
            needs.append("a [model](models.md)")
        needs += [f"`{one.traits.key}`"] if one.traits.key else []
        needs += [f"`{key}`" for key in one.required]
        can = ", ".join(one.traits.can)
        rows.append([f"`{one.name}`", one.summary, PLACES[one.traits.where], can, ", ".join(needs)])
    return table(("name", "what it is", "works on", "can", "needs"), rows)


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "engine.md": {
        "events": lambda: members(events, events.Event),
        "commands": lambda: members(commands, commands.Command),
        "policy": lambda: settings(TurnPolicy),
    },
    "agents.md": {
        "agent": lambda: options(AgentConfig),
        "turn": lambda: settings(TurnPolicy),
        "phrases": lambda: settings(Phrases),
        "tools": lambda: options(ToolConfig),
        "disclosure": lambda: options(DisclosureConfig),
        "recording": lambda: options(RecordingConfig),
        "digits": lambda: options(DigitsConfig),
        "transfer": lambda: options(TransferConfig),
        "target": lambda: options(TargetConfig),
    },
    "choosing-providers.md": {kind: partial(choice_table, kind) for kind in registry.KINDS},
    "costs.md": {
        "budget": lambda: options(BudgetConfig),
        "limits": lambda: options(Limits),
    },
    "providers.md": {"providers": provider_tables},
    "speaking.md": {"speech": lambda: options(SpeechConfig)},
}


def written(page: str) -> str:
    """The page with its tables made anew."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, make in TABLES[page].items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        # As a template, a table's own backslashes would be escapes.
        body = make().replace("\\", r"\\")
        text, count = re.subn(pattern, rf"\g<1>{body}\n\g<2>", text, flags=re.DOTALL)
        if count != 1:
            raise ValueError(f"docs/{page} has no place for the table {name!r}")
    return text


def outdated() -> list[str]:
    """Pages whose tables are not what the code says."""
    return [page for page in TABLES if written(page) != (DOCS / page).read_text(encoding="utf-8")]


def main() -> None:
    """Rewrite the tables, or check them."""
    late = outdated()
    if undocumented:
        print("no description:", *dict.fromkeys(undocumented), sep="\n  ")
    if "--check" in sys.argv:
        print("out of date:", *late) if late else print("up to date")
        sys.exit(1 if late else 0)
    for page in late:
        (DOCS / page).write_text(written(page), encoding="utf-8")
        print("written:", page)


if __name__ == "__main__":
    main()
