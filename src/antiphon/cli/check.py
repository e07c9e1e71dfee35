"""`antiphon check FILE`: what an agent is made of, or everything that is wrong in its file."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.errors import ConfigError, UserFacingError
from antiphon.providers import registry


def check(file: Annotated[str, typer.Argument(help="The agent's YAML file.")]) -> None:
    """Say what is wrong in an agent's file, where, and what was probably meant.

    The modules of the agent's tools are imported. Exit code 1 when anything is wrong.
    """
    try:
        agent = load_agent(file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold green]OK[/] {escape(file)}: {escape(agent.config.name)}")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in _summary(agent):
        table.add_row(f"[bold]{name}[/]", escape(value))
    console.print(table)


def _summary(agent: LoadedAgent) -> list[tuple[str, str]]:
    config = agent.config
    rows = [("language", config.language)]
    for kind in registry.KINDS:
        choice = getattr(config, kind)
        text = choice.provider
        if choice.options:
            text += f" ({', '.join(sorted(choice.options))})"
        if (kind, choice.provider) == ("llm", "auto"):
            text += f": {_auto(agent)}"
        rows.append((kind, text))
    rows.append(("tools", ", ".join(tool.spec.name for tool in agent.tools) or "none"))
    if config.flow is not None:
        for name, intent in config.flow.intents.items():
            slots = ", ".join(
                slot + ("*" if one.required else "") for slot, one in intent.slots.items()
            )
            rows.append((f"flow: {name}", slots or "answer"))
    hints = agent.hints
    rows.append(("words", f"{len(hints.vocabulary)} words, {len(hints.sentences)} sentences"))
    return rows


def _auto(agent: LoadedAgent) -> str:
    from antiphon.providers.llm.auto import AutoOptions, choose

    options = AutoOptions.model_validate(agent.config.llm.options)
    try:
        return asyncio.run(choose(options, agent.hints)).text
    except UserFacingError as error:
        return f"nothing found. {error}"
