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
    tree = _tree(entry.module)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    cls = classes.get(entry.attr)
    if cls is None:
        return "", Traits()
    return ast.get_docstring(cls) or "", _traits(cls, tree)


def _tree(module: str) -> ast.Module:
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        return ast.parse(source)
    except (ImportError, OSError, ValueError, SyntaxError):
        return ast.parse("")


def _traits(cls: ast.ClassDef, tree: ast.Module) -> Traits:
    for node in cls.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if [target.id for target in node.targets if isinstance(target, ast.Name)] == ["traits"]:
            call, fields = node.value, list(Traits.__dataclass_fields__)
            written = dict(zip(fields, call.args, strict=False))
            written |= {one.arg: one.value for one in call.keywords if one.arg}
            read = {name: _value(one, tree) for name, one in written.items()}
            return Traits(**{name: value for name, value in read.items() if value})
    return Traits()


def _value(node: ast.expr, tree: ast.Module) -> Any:
    """A literal, or a name that stands for one here or where it is imported from."""
    if isinstance(node, ast.Name):
        for one in tree.body:
            if isinstance(one, ast.ImportFrom) and node.id in [a.name for a in one.names]:
                return _constants(_tree(one.module or "")).get(node.id)
        return _constants(tree).get(node.id)
    return _literal(node)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _constants(tree: ast.Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        found |= {name.id: _literal(one) for name, one in pairs if isinstance(name, ast.Name)}
    return found
