"""`antiphon providers`: what can be named in an agent's file, and what is missing for it here."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from antiphon.cli.cost import price_text
from antiphon.cli.providers_try import try_provider
from antiphon.cost.book import PriceBook, load_book
from antiphon.errors import UserFacingError
from antiphon.models import catalogue, home
from antiphon.providers import registry
from antiphon.providers.base import AgentHints

TITLES: dict[registry.Kind, str] = {
    "vad": "voice activity detection",
    "turn": "the end of the caller's turn, by its sound",
    "stt": "speech to text",
    "llm": "the brain",
    "tts": "the voice",
    "realtime": "speech to speech",
}
_PULL = "antiphon models pull"
PLACES = {"here": "here", "server": "a server of yours", "cloud": "cloud"}
# The file of a service account is a key, too; and a vendor's host has a name by its region.
_INSTEAD = {"GOOGLE_API_KEY": "GOOGLE_APPLICATION_CREDENTIALS"}
_FURTHER = {
    "GOOGLE_API_KEY": ", or GOOGLE_APPLICATION_CREDENTIALS to a service account's file",
    "AZURE_SPEECH_KEY": ", and AZURE_SPEECH_REGION or the option `region`",
}

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

providers = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    help="List speech, voice and language providers; try one.",
)


@providers.callback()
def _all(context: typer.Context, json_: _Json = False) -> None:
    """List the providers that an agent's file may name: what they are, what they can do, and what
    is missing for them here. Name a kind to see only those."""
    if context.invoked_subcommand is None:
        _show(registry.KINDS, json_)


def _of_kind(kind: registry.Kind) -> Callable[..., None]:
    def show(json_: _Json = False) -> None:
        _show((kind,), json_)

    return show


for _kind in registry.KINDS:
    providers.command(_kind, help=f"List only these: {TITLES[_kind]}.")(_of_kind(_kind))
providers.command("try")(try_provider)


# ---- what is known of one ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """A provider on this machine. `needs` says what must be done before it can be used, one
    sentence each; `hint` what to write or to start."""

    info: registry.ProviderInfo
    needs: tuple[str, ...]
    hint: str
    model: str
    price: str
    address: str

    def values(self) -> dict[str, Any]:
        """As JSON tells it."""
        info, key = self.info, self.info.traits.key
        return {
            "kind": info.kind,
            "name": info.name,
            "summary": info.summary,
            "where": info.traits.where,
            "can": list(info.traits.can),
            "ready": not self.needs,
            "needs": list(self.needs),
            "hint": self.hint,
            "key": {"variable": key, "set": _is_set(key)} if key else None,
            "required_options": list(info.required),
            "model": self.model,
            "price": self.price,
            "address": self.address,
        }


def standing(info: registry.ProviderInfo, book: PriceBook) -> Standing:
    """What there is to say of a provider when nothing but its name is written."""
    needs = [info.missing] if info.missing else []
    hint = []
    listed = [one for one in catalogue.load().values() if one.provider == info.name]
    if here := [one.name for one in listed if (home() / one.name).is_dir()]:
        # One that it would not take by itself will do.
        needs = [one for one in needs if _PULL not in one]
        hint.append(f"`model: {here[0]}` is here")
    elif listed and not any(_PULL in one for one in needs):
        needs.append(f"it needs a model; run: {_PULL} {listed[0].name}")
    key = info.traits.key
    if key and not _is_set(key) and not _is_set(_INSTEAD.get(key, "")):
        needs.append(f"its key: set the environment variable {key}{_FURTHER.get(key, '')}")
    if info.required:
        options = " and ".join(f"`{one}`" for one in info.required)
        hint.append(f"write {options} beside its name")
    made, address = _made(info)
    if info.traits.where == "server" and address:
        hint.append(f"looks for its server at {address}; another one by `base_url`")
    model = str(getattr(made, "model", None) or "")
    price = book.find(info.kind, info.name, model) if made is not None else None
    told = "" if price is None or price.local else price_text(price)
    return Standing(info, tuple(needs), "; ".join(hint), model, told, address)


def _made(info: registry.ProviderInfo) -> tuple[Any, str]:
    """The provider as it is when nothing is written, for its model's name, and its address; the
    constructor does no I/O."""
    try:
        options = registry.options_class(info.kind, info.name).model_fields
        field = options.get("base_url")
        address = str(field.default or "") if field is not None else ""
    except UserFacingError:
        return None, ""
    try:
        return registry.make(info.kind, info.name, None, AgentHints()), address
    except UserFacingError:
        return None, address


def _is_set(variable: str) -> bool:
    return bool(variable and os.environ.get(variable, "").strip())


# ---- what is shown -------------------------------------------------------------------------


def _show(kinds: tuple[registry.Kind, ...], as_json: bool) -> None:
    book = load_book()
    found = [standing(info, book) for kind in kinds for info in registry.describe(kind)]
    if as_json:
        print(json.dumps([one.values() for one in found], indent=1))
        return
    console = Console(highlight=False)
    for kind in kinds:
        console.print(f"[bold]{kind}[/]: {TITLES[kind]}")
        for one in found:
            if one.info.kind == kind:
                _print(console, one)
        console.print()
    ready = sum(not one.needs for one in found)
    console.print(
        f"{ready} of {len(found)} are ready. Try one: antiphon providers try NAME. "
        "Prices: antiphon cost --prices. Options: docs/providers.md"
    )


def _print(console: Console, one: Standing) -> None:
    info = one.info
    state = "[red]not ready[/]" if one.needs else "[green]ready[/]"
    if info.traits.where == "server" and not one.needs:
        state = "[green]ready when it runs[/]"
    console.print(f"  [bold]{escape(info.name):16}[/] {PLACES[info.traits.where]:17} {state}")
    lines = [("", info.summary)]
    if info.traits.can:
        lines.append(("can:", ", ".join(info.traits.can)))
    if one.price:
        lines.append(("price:", f"${one.price}" + (f" ({one.model})" if one.model else "")))
    for need in one.needs:
        # A command is copied more easily from a line of its own.
        what, _, command = need.partition("; run: ")
        lines += [("missing:", what), *([("run:", command)] if command else [])]
    if one.hint:
        lines.append(("note:", one.hint))
    for label, text in lines:
        _wrapped(console, label, text)


def _wrapped(console: Console, label: str, text: str) -> None:
    whole = f"{label} {text}".strip()
    rows = wrap(whole, console.width - 5, break_long_words=False, break_on_hyphens=False)
    for number, row in enumerate(rows):
        line = escape(row)
        if label and number == 0:
            style = "red" if label in ("missing:", "run:") else "dim"
            line = f"[{style}]{label}[/]{escape(row.removeprefix(label))}"
        console.print(f"    {line}", soft_wrap=True)
