"""What can be said of a provider whose module cannot be imported here."""

from __future__ import annotations

import ast
import re
from importlib.metadata import EntryPoint, PackageNotFoundError, requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from antiphon.providers.base import Traits

_OURS = "antiphon"
# Where a distribution is not called like the module that it brings.
_PACKAGE_OF_MODULE = {
    "google": "protobuf",
    "grpc": "grpcio",
    "piper": "piper-tts",
    "webrtcvad": "webrtcvad-wheels",
    "yaml": "pyyaml",
}
# Not for users: what the tests and the project's own work need.
_INTERNAL = ("dev", "vendors")
_REQUIREMENT = re.compile(r"""([\w.-]+).*;.*extra\s*==\s*['"]([\w-]+)['"]""")


def advice(module: str, entry: EntryPoint) -> str:
    """What to do about a module that a provider's module imports and that is not there."""
    top = module.partition(".")[0]
    own = entry.module.partition(".")[0]
    if top == own:
        return f"its module {module} is not part of this installation"
    package = _PACKAGE_OF_MODULE.get(top, top.replace("_", "-"))
    # A provider of another package has its own dependencies, which are not our extras.
    extra = extras().get(package.lower()) if own == _OURS else None
    what = f"'{_OURS}[{extra}]'" if extra else package
    return f"the Python package {package} is not installed; run: pip install {what}"


def extras() -> dict[str, str]:
    """Distribution, in small letters -> the extra of ours that installs it."""
    try:
        listed = requires(_OURS) or []
    except PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in listed:
        if (match := _REQUIREMENT.match(line)) and match[2] not in _INTERNAL:
            found.setdefault(match[1].lower().replace("_", "-"), match[2])
    return found


def outline(entry: EntryPoint) -> tuple[str, Traits]:
    """A provider's docstring and traits, read from its source rather than by importing it. Empty
    where there is no source, or it does not write its traits down as constants."""
    try:
        spec = find_spec(entry.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        tree = ast.parse(source)
    except (ImportError, OSError, ValueError, SyntaxError):
        return "", Traits()
    names = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    cls = names.get(entry.attr)
    if cls is None:
        return "", Traits()
    return ast.get_docstring(cls) or "", _traits(cls)


def _traits(cls: ast.ClassDef) -> Traits:
    for node in cls.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if [target.id for target in node.targets if isinstance(target, ast.Name)] == ["traits"]:
            call, fields = node.value, list(Traits.__dataclass_fields__)
            written = dict(zip(fields, call.args, strict=False))
            written |= {one.arg: one.value for one in call.keywords if one.arg}
            return Traits(**{name: v for name, n in written.items() if (v := _literal(n))})
    return Traits()


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None
