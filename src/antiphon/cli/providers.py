"""`antiphon providers`: what can be named in an agent's file, and what is missing for it here."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.providers import registry

_TITLES = {
    "vad": "vad: voice activity detection",
    "turn": "turn: the end of the caller's turn, by its sound",
    "stt": "stt: speech to text",
    "llm": "llm: the brain",
    "tts": "tts: the voice",
    "realtime": "realtime: speech to speech",
}


def providers() -> None:
    """List the providers that an agent's file may name, and whether they can run here."""
    console = Console(highlight=False)
    for kind in registry.KINDS:
        table = Table(title=_TITLES[kind], title_justify="left", title_style="bold", expand=False)
        table.add_column("name", no_wrap=True)
        table.add_column("what it is")
        table.add_column("here")
        for one in registry.describe(kind):
            status = "[green]ready[/]" if one.missing is None else f"[red]{escape(one.missing)}[/]"
            table.add_row(escape(one.name), escape(one.summary), status)
        console.print(table)
