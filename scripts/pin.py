"""Print constraints.txt: the versions, in this environment, of everything that the project needs.

    .venv/bin/python scripts/pin.py > constraints.new && mv constraints.new constraints.txt

Only what pyproject.toml reaches is printed, so that a package tried by hand does not get in. The
house tests call `needed` to find a dependency that is not pinned.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
HEAD = (
    "# Exact versions of everything that `make setup` installs, tools for the tests included.\n"
    "# Made by scripts/pin.py from an environment in which `make test` passes.\n"
)
# hatchling needs it to install the project from its checkout, but only says so while it builds.
BUILD_NEEDS = ("editables",)
# The extras that `make test` installs; the others are for users.
TESTING = ("dev", "vendors")


def normalized(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def extras() -> dict[str, str]:
    """Name -> version of every package that a user's extra needs, as pinned in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    listed = [Requirement(t) for name, one in optional.items() if name not in TESTING for t in one]
    return {normalized(one.name): str(one.specifier).removeprefix("==") for one in listed}


def needed(*, dev: bool = True) -> dict[str, str]:
    """Name -> installed version of every package that the project, or its tests too, need.

    Raises PackageNotFoundError for one that is not installed.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [
        *project["build-system"]["requires"],
        *BUILD_NEEDS,
        *project["project"]["dependencies"],
    ]
    if dev:
        listed += [t for name in TESTING for t in project["project"]["optional-dependencies"][name]]
    todo = [Requirement(text) for text in listed]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        name, extras = normalized(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        package = distribution(name)
        found[name] = package.version
        for text in package.requires or []:
            inner = Requirement(text)
            marker = inner.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in (*extras, "")):
                todo.append(inner)
    return found


def main() -> None:
    """Print the file."""
    lines = [f"{name}=={version}" for name, version in sorted(needed().items())]
    print(HEAD + "\n".join(lines))


if __name__ == "__main__":
    main()
