"""Which providers there are, and how one is made.

A provider is a class named in the entry-point group `antiphon.<kind>`; ours and those of other
packages come in by the same door. Its module is imported only when an agent names it. The class has
an attribute `Options` (a `ProviderOptions`), a docstring whose first sentence says what it is, and
optionally a static method `missing() -> str | None` that says what this machine lacks for it (a
shared library, a model file) and how to get it. Where that depends on the options, it takes them:
`missing(options=None)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast, get_args, overload

from pydantic import ValidationError
from rapidfuzz import process

from antiphon.errors import UserFacingError
from antiphon.providers._absent import advice, outline
from antiphon.providers.base import (
    AgentHints,
    Llm,
    ProviderOptions,
    Realtime,
    Stt,
    Traits,
    Tts,
    TurnDetector,
    Vad,
)

Kind = Literal["vad", "turn", "stt", "llm", "tts", "realtime"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AnyProvider = Vad | TurnDetector | Stt | Llm | Tts | Realtime


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """One entry of `antiphon providers`. `missing` is None where the provider can run here;
    `required` are the options that have no default."""

    kind: Kind
    name: str
    summary: str
    missing: str | None
    traits: Traits = field(default_factory=Traits)
    required: tuple[str, ...] = ()


def available(kind: Kind) -> tuple[str, ...]:
    """Names of the installed providers of a kind, sorted. Imports none of them."""
    return tuple(sorted(_entries(kind)))


def provider_class(kind: Kind, name: str) -> type[Any]:
    """The class of a provider.

    Raises:
        UserFacingError: there is none of that name, or its module cannot be imported here.
    """
    entries = _entries(kind)
    if name not in entries:
        raise UserFacingError(_unknown(kind, name, tuple(sorted(entries))))
    missing, cls = _load(entries[name])
    if cls is None:
        raise UserFacingError(f"{kind} `{name}` cannot run here: {missing}")
    return cls


@overload
def make(
    kind: Literal["vad"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> Vad: ...
@overload
def make(
    kind: Literal["turn"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> TurnDetector: ...
@overload
def make(
    kind: Literal["stt"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> Stt: ...
@overload
def make(
    kind: Literal["llm"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> Llm: ...
@overload
def make(
    kind: Literal["tts"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> Tts: ...
@overload
def make(
    kind: Literal["realtime"],
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> Realtime: ...
def make(
    kind: Kind,
    name: str,
    options: Mapping[str, Any] | ProviderOptions | None = None,
    hints: AgentHints | None = None,
) -> AnyProvider:
    """Construct a provider; it is not started yet.

    Raises:
        UserFacingError: it is unknown, cannot run here, or an option is wrong.
    """
    cls = provider_class(kind, name)
    if not isinstance(options, ProviderOptions):
        try:
            options = cls.Options.model_validate(dict(options or {}))
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in one['loc']) or 'options'}: {one['msg']}"
                for one in error.errors(include_url=False, include_input=False)
            )
            raise UserFacingError(f"{kind} `{name}`: {wrong}") from None
    return cast("AnyProvider", cls(options, hints or AgentHints()))


def options_class(kind: Kind, name: str) -> type[ProviderOptions]:
    """The pydantic model of a provider's options; raises like `provider_class`."""
    return cast("type[ProviderOptions]", provider_class(kind, name).Options)


def info(kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> ProviderInfo:
    """One provider, and whether it can run on this machine with these options (else with those that
    it has when nothing is written); raises when there is none."""
    entries = _entries(kind)
    if name not in entries:
        raise UserFacingError(_unknown(kind, name, tuple(sorted(entries))))
    return _describe(kind, name, entries[name], options or {})


def describe(kind: Kind) -> tuple[ProviderInfo, ...]:
    """Every provider of a kind, whether it can run on this machine or not. Imports all of them; one
    that cannot be imported is told of nevertheless."""
    return tuple(_describe(kind, name, entry) for name, entry in sorted(_entries(kind).items()))


def nearest(word: str, valid: tuple[str, ...]) -> str | None:
    """The valid word that was probably meant, or None when nothing is close."""
    found = process.extractOne(word.lower(), valid, score_cutoff=60)
    return None if found is None else str(found[0])


def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return _found(entry_points, f"antiphon.{kind}")


@cache
def _found(find: Callable[..., Iterable[EntryPoint]], group: str) -> dict[str, EntryPoint]:
    # Each look goes through the metadata of all that is installed, which takes 50 ms.
    return {entry.name: entry for entry in find(group=group)}


def _describe(
    kind: Kind, name: str, entry: EntryPoint, given: Mapping[str, Any] | None = None
) -> ProviderInfo:
    missing, cls = _load(entry)
    if cls is None:
        text, traits = outline(entry)
        return ProviderInfo(kind, name, _summary(text), missing, traits)
    fields = cls.Options.model_fields.items()
    return ProviderInfo(
        kind,
        name,
        _summary(cls.__doc__ or ""),
        _missing(cls, given or {}),
        getattr(cls, "traits", Traits()),
        tuple(key for key, one in fields if one.is_required()),
    )


def _missing(cls: type[Any], given: Mapping[str, Any]) -> str | None:
    probe = getattr(cls, "missing", None)
    if probe is None:
        return None
    if not inspect.signature(probe).parameters:
        return cast("str | None", probe())
    try:
        options = cls.Options.model_validate(dict(given))
    except ValidationError:
        options = None
    return cast("str | None", probe(options))


def _summary(docstring: str) -> str:
    """Its first sentence."""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    first, dot, _ = paragraph.partition(". ")
    return first + dot.strip()


def _load(entry: EntryPoint) -> tuple[str | None, type[Any] | None]:
    """The class, or what is missing. A shared library that ctypes cannot find is an OSError."""
    try:
        return None, cast("type[Any]", entry.load())
    except ModuleNotFoundError as error:
        return advice(error.name or "", entry), None
    except (ImportError, OSError, AttributeError) as error:
        return f"{entry.value} cannot be loaded: {error}", None


def _unknown(kind: Kind, name: str, valid: tuple[str, ...]) -> str:
    guess = nearest(name, valid)
    if guess is not None:
        return f"there is no {kind} called `{name}`; did you mean `{guess}`?"
    listed = ", ".join(f"`{one}`" for one in valid) or "none"
    return f"there is no {kind} called `{name}`; installed here: {listed}"
