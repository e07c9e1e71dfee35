"""`antiphon check FILE`: what an agent is made of, or everything that is wrong in its file."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.agent.config import ProviderChoice
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.cli.cost import unpriced
from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.providers.llm import auto


def check(file: Annotated[str, typer.Argument(help="The agent's YAML file.")]) -> None:
    """Say what is wrong in an agent's file, where, and what was probably meant.

    The modules of the agent's tools are imported. Exit code 1 when anything is wrong.
    """
    try:
        agent = load_agent(file)
        rows = _summary(agent)
    except UserFacingError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold green]OK[/] {escape(file)}: {escape(agent.config.name)}")
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(f"[bold]{name}[/]", escape(value))
    console.print(table)


def _summary(agent: LoadedAgent) -> list[tuple[str, str]]:
    config, hints = agent.config, agent.hints
    rows = [("language", config.language)]
    rows += [(kind, _provider(agent, kind)) for kind in registry.KINDS]
    rows.append(("tools", ", ".join(tool.spec.name for tool in agent.tools) or "none"))
    for name, intent in (config.flow.intents if config.flow else {}).items():
        slots = [slot + ("*" if one.required else "") for slot, one in intent.slots.items()]
        other = f"a transfer to {intent.transfer}" if intent.transfer else "an answer"
        rows.append((f"flow: {name}", ", ".join(slots) or other))
    rows += _line(agent)
    if missing := unpriced(agent):
        rows.append(("no price", ", ".join(missing)))
    words = f"{len(hints.vocabulary)} words, {len(hints.sentences)} sentences for recognition"
    return [*rows, ("words", words)]


def _line(agent: LoadedAgent) -> list[tuple[str, str]]:
    """What callers are told, what is recorded, what they type, to whom they are passed."""
    config, rows = agent.config, list[tuple[str, str]]()
    if config.disclosure is not None:
        asks = " (then asks for consent)" if config.disclosure.consent == "ask" else ""
        rows.append(("disclosure", f"{config.disclosure.text}{asks}"))
    if config.recording.enabled:
        rows.append(("recording", f"kept for {config.recording.keep_days} days"))
    if typed := agent.setup.digits:
        rows.append(("digits", ", ".join(d.name + " (secret)" * d.secret for d in typed)))
    for name, target in config.transfer.targets.items() if config.transfer else ():
        how = "warm" if target.warm else "cold"
        rows.append((f"transfer: {name}", f"{target.to}, {how}, {target.hours or 'always'}"))
    return rows


def _provider(agent: LoadedAgent, kind: registry.Kind) -> str:
    """The provider with what it lacks here; `auto` with what it would choose now.

    Raises:
        UserFacingError: `auto` would find nothing.
    """
    # The section `turn` has the timing; what hears the end of a turn is beside it.
    key = "turn_detector" if kind == "turn" else kind
    choice: ProviderChoice | None = getattr(agent.config, key, None)
    if choice is None:
        return "none"
    text = choice.provider
    if choice.options:
        text += f" ({', '.join(sorted(choice.options))})"
    lacks = registry.info(kind, choice.provider, choice.options).missing
    if lacks:
        return f"{text}: cannot run here: {lacks}"
    if (kind, choice.provider) != ("llm", "auto"):
        return text
    options = auto.AutoOptions.model_validate(choice.options)
    return f"{text}: {asyncio.run(auto.choose(options, agent.hints)).text}"
