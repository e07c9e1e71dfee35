"""Files around the code: pins, licences, addresses, tests beside modules."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions

import pytest
from tests.house import exceptions
from tests.house.source import ROOT, Module, functions, imports, modules

BINARY = {".png", ".wav", ".onnx", ".db", ".ico", ".woff2", ".jpg", ".gif", ".flac", ".ogg"}
# Written in pieces, or this file would be the first to name them.
FORBIDDEN = tuple(
    word.replace("_", "")
    for word in (
        *("/wo_rk/", "/ro_ot/", "py_pi.org", "python_hosted.org", "deb._debian.org"),
        *("extra-_index-url", "--_index-url", "--find_-links"),
    )
)
# Files of others that are shipped, and so need the terms that they are under.
SHIPPED = {".onnx", ".wav", ".lm", ".dict", ".bin", ".flac", ".woff2"}


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    return tracked()


def test_no_file_names_a_machine_or_a_registry(files: list[str]) -> None:
    found = []
    for name in files:
        if not name.endswith(tuple(BINARY)):
            text = (ROOT / name).read_text(encoding="utf-8")
            found += [f"{name}: {word}" for word in FORBIDDEN if word in text]
    assert not found, "\n".join(found)


def test_every_dependency_is_pinned() -> None:
    pin = runpy.run_path(str(ROOT / "scripts" / "pin.py"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    # Other Pythons and systems may need fewer of them, and none needs one that is not there.
    missing = sorted(set(pin["needed"]()) - set(pinned))
    assert not missing, f"run scripts/pin.py: {missing}"


def test_shipped_models_and_recordings_have_their_licence_beside_them(files: list[str]) -> None:
    for name in files:
        if name.endswith(tuple(SHIPPED)):
            folder = (ROOT / name).parent
            beside = [*folder.glob("LICENSE*"), *folder.glob("README*")]
            texts = [path.read_text(encoding="utf-8").lower() for path in beside]
            # A README may be where the terms and the source are named.
            assert any("licen" in text for text in texts), f"{name}: no licence"


def test_tests_mirror_the_source() -> None:
    missing = []
    for module in modules():
        name = module.key.rpartition("/")[2]
        # A private module is a part of the one beside it, and tested through that.
        if name.startswith("_") or not has_code(module):
            continue
        if not any((ROOT / "tests" / place).exists() for place in places(module.key)):
            missing.append(module.key)
    assert not set(missing) - set(exceptions.UNTESTED), f"no test module: {missing}"
    stale = sorted(set(exceptions.UNTESTED) - set(missing))
    assert not stale, f"no longer needed in exceptions.py: {stale}"


def has_code(module: Module) -> bool:
    """Some function does something; Protocols do not."""

    def does(statement: ast.stmt) -> bool:
        return not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))

    return any(does(line) for _, function in functions(module) for line in function.body)


def places(key: str) -> list[str]:
    """Where the tests of a module may lie. `agent/flow_state.py` is a part of the flow, so that
    test_flow.py will do; `providers/stt/x.py` may be tested in tests/providers, too."""
    *rooms, stem = key.removesuffix(".py").split("/")
    parts = stem.split("_")
    stems = ["_".join(parts[: n + 1]) for n in range(len(parts))]
    folders = ["/".join(rooms[: n + 1]) for n in range(len(rooms))] or ["."]
    found = [f"{folder}/test_{name}.py" for folder in folders for name in stems]
    return [*found, *(f"{folder}/test_{rooms[-1]}.py" for folder in folders if rooms)]


def test_the_package_is_typed() -> None:
    assert (ROOT / "src" / "antiphon" / "py.typed").exists()
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").strip().startswith("Apache License")


def test_decisions_are_short() -> None:
    found = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert found
    for number, path in enumerate(found, start=1):
        assert path.name.startswith(f"{number:03d}-"), path.name
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 40, path.name


def test_the_heading_of_the_changelog_is_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text


def test_everything_imported_is_a_dependency() -> None:
    """What a developer has installed by hand is not on the machine of a user."""
    pin = runpy.run_path(str(ROOT / "scripts" / "pin.py"))
    by_import = packages_distributions()
    core, every = pin["needed"](dev=False), pin["needed"]()
    core |= pin["extras"]()
    missing = set()
    for module in modules():
        missing |= undeclared({i.partition(".")[0] for i in imports(module)}, by_import, core)
    for folder in ("tests", "bench", "examples", "scripts"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            nodes = list(ast.walk(tree))
            tops = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
            tops |= {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
            own = {p.stem for p in path.parent.iterdir()} | {"tests", "bench", "no_such_package"}
            found = {top.partition(".")[0] for top in tops} - own
            missing |= undeclared(found, by_import, every)
    assert not missing, f"not in pyproject.toml: {sorted(missing)}"


def undeclared(
    tops: set[str], by_import: Mapping[str, list[str]], declared: Mapping[str, str]
) -> set[str]:
    outside = tops - set(sys.stdlib_module_names) - {"antiphon", "__future__", ""}
    return {
        name
        for name in outside
        # What is not installed here, an extra, is known by its own name.
        if not {n.lower().replace("_", "-") for n in by_import.get(name, [name])} & set(declared)
    }
