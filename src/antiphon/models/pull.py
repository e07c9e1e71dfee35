"""Bring models onto this machine, look after them, and take them away.

A model is a folder in the models folder. It appears there whole: it is put together beside it and
renamed. `SHA256SUMS` in it lists its files, in the format of sha256sum; `downloads.json` in the
models folder holds the checksums of what was fetched, so that the same address has to give the same
file again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from antiphon.errors import UserFacingError
from antiphon.models import catalogue, home
from antiphon.models.catalogue import Entry, File
from antiphon.models.unpack import unpack
from antiphon.net.download import Limits, download

SUMS = "SHA256SUMS"
_SEEN = "downloads.json"

Tell = Callable[[str, int, int | None], None]
"""File, bytes that are there, bytes in all where that is known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as it came. `known`: its checksum is one that was known before."""

    name: str
    sha256: str
    known: bool


def pull(
    name: str, tell: Tell, *, again: bool = False, limits: Limits | None = None
) -> list[Fetched]:
    """Fetch a model of the catalogue, or go on where an earlier pull broke off.

    Args:
        again: fetch it though it is there, and replace it when that has worked.

    Raises:
        UserFacingError: it cannot be had, or is not what it was before.
    """
    entry = catalogue.entry(name)
    target = home() / name
    if target.is_dir() and not again:
        return []
    work = home() / f".{name}.pulling"
    _prepare(work, entry)
    with _alone(work, name):
        fetched = [_fetch(entry, file, work, tell, limits) for file in entry.files]
        whole = work / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir()
        for file in entry.files:
            if entry.unpack:
                _unpack(work / file.name, whole)
            else:
                (work / file.name).rename(whole / file.name)
        tops = list(whole.iterdir())
        if entry.unpack and len(tops) == 1 and tops[0].is_dir():
            whole = tops[0]
        _write_sums(whole)
        _replace(target, whole, work)
        _remember(name, fetched)
        shutil.rmtree(work)
    return fetched


def remove(name: str) -> bool:
    """Take a model away, and what is left of an interrupted pull; whether there was one."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise UserFacingError(f"{name} is not the name of a model")
    found = [one for one in (home() / name, home() / f".{name}.pulling") if one.is_dir()]
    for one in found:
        shutil.rmtree(one)
    return bool(found)


def verify(name: str) -> list[str]:
    """Names of a model's files that are no longer what was fetched."""
    folder = home() / name
    sums = folder / SUMS
    if Path(name).name != name or not sums.is_file():
        raise UserFacingError(f"{name} was not pulled; there is nothing to compare it with")
    bad = []
    for line in sums.read_text(encoding="utf-8").splitlines():
        expected, _, file = line.partition("  ")
        path = folder / file
        if not path.is_file() or checksum(path) != expected:
            bad.append(file)
    return bad


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _prepare(work: Path, entry: Entry) -> None:
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserFacingError(
            f"{work.parent} cannot be written ({error.strerror}); set ANTIPHON_MODELS to a folder"
        ) from None
    # An archive and what is in it are there at once.
    needed = (entry.megabytes or 0) * (3 if entry.unpack else 1)
    there = sum(one.stat().st_size for one in work.rglob("*") if one.is_file()) // 1_000_000
    free = shutil.disk_usage(work).free // 1_000_000
    if needed - there > free:
        raise UserFacingError(f"{entry.name} needs {needed} MB; {work.parent} has {free} MB free")


@contextmanager
def _alone(work: Path, name: str) -> Iterator[None]:
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserFacingError(f"{name} is being pulled by another process") from None
        yield


def _fetch(entry: Entry, file: File, work: Path, tell: Tell, limits: Limits | None) -> Fetched:
    path = work / file.name
    if not path.exists():
        download(catalogue.address(entry.name, file), path, partial(tell, file.name), limits)
    key = f"{entry.name}/{file.name}"
    found, expected = checksum(path), file.sha256 or _seen().get(key)
    if expected is not None and found != expected:
        path.unlink()
        wrong = f"{file.name} is not what it should be: its sha256 is {found}, not {expected}"
        advice = "If its publisher has changed it, a newer version of Antiphon may know it"
        if file.sha256 is None:
            advice = f"If its publisher has changed it, take {key} out of {home() / _SEEN}"
        raise UserFacingError(f"{wrong}. It was deleted. {advice}")
    return Fetched(file.name, found, expected is not None)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        unpack(archive, folder)
    except UserFacingError:
        archive.unlink()
        raise


def _remember(name: str, fetched: list[Fetched]) -> None:
    fresh = {f"{name}/{one.name}": one.sha256 for one in fetched if not one.known}
    if fresh:
        _write_json(home() / _SEEN, {**_seen(), **fresh})


def _seen() -> Mapping[str, str]:
    try:
        seen = json.loads((home() / _SEEN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserFacingError(f"{home() / _SEEN} is damaged: {error}") from None
    return seen if isinstance(seen, dict) else {}


def _write_json(path: Path, value: Mapping[str, str]) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)


def _write_sums(folder: Path) -> None:
    files = sorted(one for one in folder.rglob("*") if one.is_file())
    lines = [f"{checksum(one)}  {one.relative_to(folder)}\n" for one in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _replace(target: Path, whole: Path, work: Path) -> None:
    if target.exists():
        target.rename(work / "old")
    whole.rename(target)
