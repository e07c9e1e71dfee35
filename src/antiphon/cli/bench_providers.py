"""`antiphon bench providers`: how long each part of an agent's chain takes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.agent.default import default_agent
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.bench.providers import SHARES, Chain, Report
from antiphon.bench.recordings import examples, recorded, spoken, voice_of
from antiphon.errors import ProviderError, UserFacingError

EXAMPLES = 10

_File = Annotated[Path | None, typer.Argument(help="The agent's file; the cafe if absent.")]
_Rounds = Annotated[int, typer.Option(help="How often each recording is played.", min=1, max=1000)]
_AtOnce = Annotated[int, typer.Option(help="Turns at a time.", min=1, max=200)]
_Speech = Annotated[
    list[Path] | None,
    typer.Option(help="Recordings, or folders of them; each is one turn of a caller."),
]
_Fallbacks = Annotated[bool, typer.Option("--fallbacks", help="Measure those that step in, too.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")]


def providers(
    agent: _File = None,
    rounds: _Rounds = 1,
    at_once: _AtOnce = 1,
    speech: _Speech = None,
    fallbacks: _Fallbacks = False,
    json_: _Json = False,
) -> None:
    """Measure an agent's recogniser, brain and voice, each alone, and what a caller waits in all.

    Recordings are played in real time. Without any, the built-in voice says what callers say to the
    agent. Exit code 1 when a part never worked.
    """
    loaded = load_agent(agent or default_agent())
    try:
        report = asyncio.run(_measure(loaded, rounds, at_once, speech or [], fallbacks))
    except ProviderError as error:
        raise UserFacingError(f"the recordings could not be made: {error}") from None
    if json_:
        print(json.dumps(_values(loaded, report), ensure_ascii=False))
    else:
        _print(loaded, report, speech or [])
    raise typer.Exit(0 if report.works else 1)


async def _measure(
    agent: LoadedAgent, rounds: int, at_once: int, paths: list[Path], fallbacks: bool
) -> Report:
    print("preparing", file=sys.stderr)
    if paths:
        speeches = await recorded(agent, paths)
    else:
        speeches = await spoken(agent, examples(agent, EXAMPLES))
    async with Chain(agent, fallbacks=fallbacks, at_once=at_once) as chain:
        return await chain.measure(speeches * rounds, _tell)


def _tell(done: int, of: int) -> None:
    if done == of or done * 10 // of > (done - 1) * 10 // of:
        print(f"{done} of {of} turns", file=sys.stderr)


def _values(agent: LoadedAgent, report: Report) -> dict[str, Any]:
    return {
        "agent": agent.config.name,
        "endpointing_min_ms": agent.config.turn.endpointing.min_ms,
        "rows": [row.figures() for row in report.rows],
        "turns": [
            {
                "speech": one.speech,
                "understood": one.understood,
                "answer": one.answer,
                "tools": list(one.tools),
                "caller_ms": None if one.caller_ms is None else round(one.caller_ms),
            }
            for one in report.turns
        ],
    }


def _print(agent: LoadedAgent, report: Report, paths: list[Path]) -> None:
    console = Console(highlight=False)
    source = ", ".join(map(str, paths)) or f"sentences said by {voice_of(agent).provider}"
    console.print(
        f"{escape(agent.config.name)}: {len(report.turns)} turns, {escape(source)}; milliseconds"
    )
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for name in ("part", "provider", "from ... to"):
        table.add_column(name)
    for name in (*SHARES, "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        figures = row.figures()
        if row.part == "all":
            table.add_section()
        cells = ["-" if (x := figures[f"{name}_ms"]) is None else str(x) for name in SHARES]
        failed = str(figures["failed"] or "")
        table.add_row(
            row.part,
            escape(row.provider),
            row.what,
            *cells,
            f"[red]{failed}[/]" if failed else "0",
            style="bold" if row.part == "all" else None,
        )
    console.print(table)
    nothing = sum(not one.understood for one in report.turns)
    told = [f"Nothing was understood of {nothing} of {len(report.turns)}."] if nothing else []
    if agent.config.realtime is None:
        least = agent.config.turn.endpointing.min_ms
        told.append(
            f"All: the final text or {least} ms (turn.endpointing.min_ms), what is later, then "
            "the first sentence, then its first sound. Where the words do not sound over the agent "
            "waits longer; where its answer is prepared during the wait, it comes sooner."
        )
    for line in told:
        console.print(line)
    for row in report.rows:
        for message, count in row.failures.most_common(3):
            console.print(f"[red]{row.part}: {count} times {escape(message)}[/]")
