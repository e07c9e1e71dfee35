"""Unpack archives of others: plain files and folders only, and only below the folder given."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from antiphon.errors import UserFacingError

MAX_BYTES = 20_000_000_000
MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    plain: bool
    folder: bool
    raw: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar file into a folder that is there.

    Raises:
        UserFacingError: it is damaged, too large, or has links, devices or paths that lead out.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                _write(archive, folder, _zip_members(zipped), zipped)
        else:
            with tarfile.open(archive) as tarred:
                _write(archive, folder, _tar_members(tarred), tarred)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError) as error:
        raise UserFacingError(f"{archive.name} is not an archive, or damaged: {error}") from None


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG) and not info.is_dir()
        yield _Member(info.filename, info.file_size, plain, info.is_dir(), info)


def _tar_members(tarred: tarfile.TarFile) -> Iterator[_Member]:
    for info in tarred:
        yield _Member(info.name, info.size, info.isreg(), info.isdir(), info)


def _write(
    archive: Path,
    folder: Path,
    members: Iterator[_Member],
    opened: zipfile.ZipFile | tarfile.TarFile,
) -> None:
    total = 0
    for count, member in enumerate(members, start=1):
        path = PurePosixPath(member.name)
        total += member.size
        if path.is_absolute() or ".." in path.parts or "\\" in member.name:
            raise UserFacingError(f"{archive.name} wants to write outside its folder: {path}")
        if not member.plain and not member.folder:
            raise UserFacingError(f"{archive.name} has something that is no plain file: {path}")
        if total > MAX_BYTES or count > MAX_FILES:
            raise UserFacingError(f"{archive.name} is larger than any model")
        if total > shutil.disk_usage(folder).free:
            raise UserFacingError(f"there is no room to unpack {archive.name} in {folder}")
        target = folder / path
        if member.folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with _reading(opened, member) as source, target.open("wb") as out:
            _copy(archive, source, out, member.size)


@contextmanager
def _reading(opened: zipfile.ZipFile | tarfile.TarFile, member: _Member) -> Iterator[IO[bytes]]:
    if isinstance(opened, zipfile.ZipFile):
        assert isinstance(member.raw, zipfile.ZipInfo)
        if member.raw.flag_bits & 1:
            raise NotImplementedError("it has a password")
        with opened.open(member.raw) as source:
            yield source
        return
    assert isinstance(member.raw, tarfile.TarInfo)
    taken = opened.extractfile(member.raw)
    assert taken is not None
    with taken:
        yield taken


def _copy(archive: Path, source: IO[bytes], out: IO[bytes], size: int) -> None:
    """No more than the archive says, whatever it holds."""
    while chunk := source.read(1 << 20):
        size -= len(chunk)
        if size < 0:
            raise UserFacingError(f"{archive.name} is damaged: a file is longer than it says")
        out.write(chunk)
