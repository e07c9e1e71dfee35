"""Sizes, tasks and broad handlers."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from tests.house import exceptions
from tests.house.source import Function, Module, functions, modules

MODULE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 8


def judge(measured: Mapping[str, int], limit: int, listed: Mapping[str, int], unit: str) -> None:
    """Fail for what is over the limit and not listed, or has grown, or need not be listed."""
    over = {name: size for name, size in measured.items() if size > limit}
    new = {name: size for name, size in over.items() if size > listed.get(name, limit)}
    assert not new, f"more than {limit} {unit}: {new}"
    # A listed figure may be a tenth too high, so that not every edit has to change it.
    stale = {name: size for name, size in listed.items() if over.get(name, 0) < size * 0.9}
    assert not stale, f"smaller than listed in exceptions.py; lower or remove: {stale}"


def test_modules_are_short() -> None:
    sizes = {m.key: len(m.text.splitlines()) for m in modules()}
    judge(sizes, MODULE_LINES, exceptions.LONG_MODULES, "lines")


def test_functions_fit_a_screen() -> None:
    sizes = {
        f"{module.key}:{name}": (node.end_lineno or 0) - node.lineno + 1
        for module in modules()
        for name, node in functions(module)
    }
    judge(sizes, FUNCTION_LINES, exceptions.LONG_FUNCTIONS, "lines")


def test_constructors_are_narrow() -> None:
    # Dataclasses and pydantic models write no __init__, so that only real constructors are seen.
    sizes = {}
    for module in modules():
        for name, node in functions(module):
            if name.endswith(".__init__"):
                arguments = node.args
                count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
                sizes[f"{module.key}:{name.removesuffix('.__init__')}"] = count
    judge(sizes, PARAMETERS, exceptions.WIDE_CONSTRUCTORS, "parameters")


def owners(module: Module, nodes: list[ast.AST]) -> set[str]:
    """`module:function` of each node, the innermost function that has it."""
    found = set()
    for node in nodes:
        names = [
            (function.lineno, name)
            for name, function in functions(module)
            if function.lineno <= getattr(node, "lineno", 0) <= (function.end_lineno or 0)
        ]
        found.add(f"{module.key}:{max(names)[1] if names else ''}")
    return found


def test_only_the_session_starts_tasks() -> None:
    starts = {"create_task", "ensure_future", "run_coroutine_threadsafe", "gather"}
    found: set[str] = set()
    for module in modules():
        if module.key.startswith("session/"):
            continue
        calls = [
            node
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) in starts
        ]
        found |= owners(module, list(calls))
    listed = set(exceptions.SPAWNS)
    assert not found - listed, f"only session/ starts tasks: {sorted(found - listed)}"
    assert not listed - found, f"no longer needed in exceptions.py: {sorted(listed - found)}"


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Catches everything and does not raise it again, or something else because of it."""
    kind = handler.type
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    every = {"Exception", "BaseException"}
    if not any(n is None or (isinstance(n, ast.Name) and n.id in every) for n in names):
        return False
    last = handler.body[-1]
    return not (isinstance(last, ast.Raise) and (last.exc is None or last.cause is not None))


def test_everything_is_caught_only_in_outermost_frames() -> None:
    found: set[str] = set()
    for module in modules():
        handlers = [n for n in ast.walk(module.tree) if isinstance(n, ast.ExceptHandler)]
        found |= owners(module, [h for h in handlers if is_broad(h)])
    listed = set(exceptions.BROAD_EXCEPT)
    assert not found - listed, f"catch what can happen, by name: {sorted(found - listed)}"
    assert not listed - found, f"no longer needed in exceptions.py: {sorted(listed - found)}"


def test_cancellation_is_never_swallowed() -> None:
    for module in modules():
        for name, function in functions(module):
            for handler in ast.walk(function):
                if isinstance(handler, ast.ExceptHandler) and _names_cancelled(handler):
                    assert _lets_go(function, handler), (
                        f"{module.key}:{name} swallows CancelledError; raise it again, or say "
                        "with `# cancelled by us` which task it was"
                    )


def _names_cancelled(handler: ast.ExceptHandler) -> bool:
    return handler.type is not None and "CancelledError" in ast.unparse(handler.type)


def _lets_go(function: Function, handler: ast.ExceptHandler) -> bool:
    """It is raised again, or the awaited task is one that this very function has cancelled."""
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
    return raises or ".cancel()" in ast.unparse(function)
