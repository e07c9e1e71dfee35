"""Where the files of local models lie, and how providers find them. Nothing here downloads."""

from __future__ import annotations

import os
from pathlib import Path

from antiphon.errors import UserFacingError


def home() -> Path:
    """`$ANTIPHON_MODELS`, else `$XDG_DATA_HOME/antiphon/models`, by default under
    `~/.local/share`."""
    if chosen := os.environ.get("ANTIPHON_MODELS"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "antiphon" / "models"


def find(name: str | Path, inside: str = "", *, family: str = "") -> Path:
    """A model's folder, or a file in it.

    Args:
        name: a path, which is taken as it is, or the name of a model in the models folder.
        inside: which of the folder's files is wanted, as a pattern such as `*.onnx`; a path to a
            file is that file.
        family: what the names of such models begin with and users may leave out: `small` is
            `faster-whisper-small` in the family `faster-whisper`.

    Raises:
        UserFacingError: it is not there; says how to get it.
    """
    given = Path(name).expanduser()
    if not given.exists():
        given = _by_name(str(name), family)
    if not inside or given.is_file():
        return given
    found = sorted(given.glob(inside))
    if not found:
        raise UserFacingError(f"{given} has no file {inside}: it is not a model of this kind")
    return found[0]


def lack(name: str | Path, inside: str = "", *, family: str = "") -> str | None:
    """What `find` would say of a model that is not there; None when it is."""
    try:
        find(name, inside, family=family)
    except UserFacingError as error:
        return str(error)
    return None


def _by_name(name: str, family: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise UserFacingError(f"there is no file or folder {name}")
    full = [name, f"{family}-{name}"] if family else [name]
    for one in full:
        if (home() / one).is_dir():
            return home() / one
    from antiphon.models import catalogue

    known = catalogue.load()
    for one in full:
        if one in known:
            raise UserFacingError(
                f"the model {one} is not on this machine; run: antiphon models pull {one}"
            )
    guess = catalogue.nearest(full[-1])
    meant = f"did you mean {guess}? " if guess else ""
    raise UserFacingError(
        f"there is no model {name} in {home()}; {meant}`antiphon models list` shows what there is"
    )
