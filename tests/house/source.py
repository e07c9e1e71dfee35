"""The project's source as the house tests see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "antiphon"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of src/antiphon. `key` is its path there, such as `engine/policy.py`."""

    key: str
    text: str
    tree: ast.Module

    @property
    def dotted(self) -> str:
        """Its import name."""
        return "antiphon." + self.key.removesuffix(".py").replace("/", ".")

    @property
    def name(self) -> str:
        """Its import name, a package's without `__init__`."""
        return self.dotted.removesuffix(".__init__")


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return tuple(
        Module(str(path.relative_to(PACKAGE)), text, ast.parse(text))
        for path in paths
        for text in [path.read_text(encoding="utf-8")]
    )


def imports(module: Module, *, lazy: bool = True) -> Iterator[str]:
    """Import names in a module; `from a import b` gives `a.b` where that is a module of ours.

    What is imported only for type checkers is left out; `lazy=False` leaves out what functions
    import as well.
    """
    ours = {m.name for m in modules()}
    for node in _walk(module.tree, lazy=lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.key}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in ours else (node.module or "")


def _walk(tree: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not lazy and isinstance(node, Function):
            continue
        yield node
        yield from _walk(node, lazy=lazy)


def functions(module: Module) -> Iterator[tuple[str, Function]]:
    """Every function with its dotted name within the module."""

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                yield prefix + child.name, child
                yield from visit(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from visit(child, f"{prefix}{child.name}.")
            else:
                yield from visit(child, prefix)

    return visit(module.tree, "")
