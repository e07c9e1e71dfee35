"""Which telephone companies there are, and how one is made.

A company is a class named in the entry-point group `antiphon.phone`; ours and those of other
packages come in by the same door. Its module is imported when `phone.yaml` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import ValidationError
from rapidfuzz import process

from antiphon.channels.phone.vendor import Vendor, VendorOptions
from antiphon.errors import UserFacingError
from antiphon.phone.config import PhoneConfig


@dataclass(frozen=True, slots=True)
class Company:
    """A company as `phone.yaml` sets it up."""

    vendor: Vendor
    options: VendorOptions


def available() -> tuple[str, ...]:
    """Names of the companies, sorted. Imports none of them."""
    return tuple(sorted(_entries()))


def vendor_class(name: str) -> type[Vendor]:
    """The class of a company.

    Raises:
        UserFacingError: there is none of that name, or its module cannot be imported here.
    """
    entries = _entries()
    if name not in entries:
        found = process.extractOne(name.lower(), sorted(entries), score_cutoff=60)
        hint = f"did you mean `{found[0]}`?" if found else f"there are {', '.join(available())}"
        raise UserFacingError(f"there is no telephone company called `{name}`; {hint}")
    try:
        return cast("type[Vendor]", entries[name].load())
    except (ImportError, AttributeError) as error:
        raise UserFacingError(f"`{name}` cannot be loaded: {error}") from None


def make_vendors(config: PhoneConfig) -> dict[str, Company]:
    """The companies of a `phone.yaml`, by name.

    Raises:
        UserFacingError: one is unknown, or an option is wrong; `load_phone` says in which line.
    """
    return {name: _make(name, given, config.public_url) for name, given in config.vendors.items()}


def _make(name: str, given: Mapping[str, Any], public_url: str) -> Company:
    cls = vendor_class(name)
    try:
        options = cls.Options.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'options'}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        )
        raise UserFacingError(f"{name}: {wrong}") from None
    return Company(cls(options, public_url.rstrip("/")), options)


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="antiphon.phone")}
