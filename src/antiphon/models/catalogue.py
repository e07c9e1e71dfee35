"""Local models that can be had by name: where from, how large, under which licence."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rapidfuzz import process

from antiphon.errors import UserFacingError


@dataclass(frozen=True, slots=True)
class File:
    """One download. `sha256` is None where the true one is not known here."""

    name: str
    url: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A model. `megabytes` is about what is downloaded, where that is known. `unpack`: its one file
    is an archive."""

    name: str
    kind: str
    provider: str
    about: str
    licence: str
    megabytes: int | None
    files: tuple[File, ...]
    unpack: bool = False


@functools.cache
def load() -> Mapping[str, Entry]:
    """Every model of the catalogue that comes with the package."""
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return {name: _entry(name, raw) for name, raw in yaml.safe_load(text).items()}


def entry(name: str) -> Entry:
    """One of them; raises UserFacingError when there is none of that name."""
    known = load()
    if name not in known:
        guess = nearest(name)
        meant = f"; did you mean {guess}?" if guess else "; see: antiphon models list"
        raise UserFacingError(f"there is no model called {name}{meant}")
    return known[name]


def nearest(name: str) -> str | None:
    """The model that was probably meant."""
    found = process.extractOne(name.lower(), list(load()), score_cutoff=75)
    return None if found is None else str(found[0])


def address(model: str, file: File) -> str:
    """Where a file is fetched: below `$ANTIPHON_MODELS_URL`, when that is set, as MODEL/FILE."""
    mirror = os.environ.get("ANTIPHON_MODELS_URL")
    return f"{mirror.rstrip('/')}/{model}/{file.name}" if mirror else file.url


def _entry(name: str, raw: Mapping[str, Any]) -> Entry:
    base = raw["base"]
    files = tuple(File(one, f"{base}/{one}", checksum) for one, checksum in raw["files"].items())
    plain = {key: raw[key] for key in ("kind", "provider", "about", "licence", "megabytes")}
    return Entry(name, files=files, unpack=raw.get("unpack", False), **plain)
