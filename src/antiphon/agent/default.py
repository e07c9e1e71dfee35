"""Where things are when nobody says: the agent that runs, and what calls leave behind."""

from __future__ import annotations

import os
from pathlib import Path

from antiphon.errors import UserFacingError

_PACKAGE = Path(__file__).resolve().parent.parent


def default_agent() -> Path:
    """The example `cafe.yaml`: beside the package when it was installed, in `examples/` of a
    checkout."""
    for folder in (_PACKAGE / "examples", _PACKAGE.parent.parent / "examples"):
        if (path := folder / "cafe.yaml").is_file():
            return path
    raise UserFacingError("name an agent's file with --agent: the examples are not installed")


def data_folder() -> Path:
    """Where records of calls and the examples' databases are kept: `ANTIPHON_DATA`, else `var` in
    the current folder."""
    return Path(os.environ.get("ANTIPHON_DATA", "var"))
