"""`antiphon bench turns`: how well the agent takes turns, over recordings whose truth is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from antiphon.agent.default import default_agent
from antiphon.bench.items import SETS, Item, read_items
from antiphon.bench.measure import Miss, decisions, measure, misses
from antiphon.bench.play import Outcome
from antiphon.bench.run import Plan, run_items
from antiphon.bench.score import Figures, score
from antiphon.errors import UserFacingError

PATIENCE = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 1.8, 2.0)
"""What `--sweep` multiplies the waits by."""


class Words(StrEnum):
    """Where the transcripts come from."""

    SCRIPTED = "scripted"
    EMBEDDED = "embedded"


def turns(
    folder: Annotated[Path, typer.Argument(help="The benchmark: a folder with eot.jsonl etc.")],
    agent: Annotated[
        Path | None,
        typer.Option(
            help="The agent's file: its timing, detectors, recogniser, flow. By default the cafe."
        ),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="An agent with nothing but defaults: it knows no words.")
    ] = False,
    stt: Annotated[
        Words,
        typer.Option(help="The items' own words as they are said, or the agent's recogniser."),
    ] = Words.SCRIPTED,
    only: Annotated[str, typer.Option(help="Some of the sets, separated by commas.")] = ",".join(
        SETS
    ),
    limit: Annotated[int | None, typer.Option(help="So many items of each set.", min=1)] = None,
    processes: Annotated[int, typer.Option(help="Processes to share the work.", min=1)] = 1,
    system_out: Annotated[
        Path | None, typer.Option(help="Write what was decided when, a line of JSON per item.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option(help="Delay against cut-ins, for agents more and less patient.")
    ] = False,
    show_misses: Annotated[
        bool, typer.Option("--misses", help="List every cut-in, late end and wrong stop.")
    ] = False,
    traces: Annotated[
        Path | None, typer.Option(help="Keep a trace of each item (for `antiphon replay`) here.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
) -> None:
    """Run the real detectors and the real engine over recordings, and score them.

    Times are those of the stream, and what computing costs is charged to them.
    """
    items = _limited(read_items(folder, [name for name in only.split(",") if name]), limit)
    if plain and (agent is not None or stt is Words.EMBEDDED):
        raise UserFacingError("--plain is an agent without a file and without a recogniser")
    file = None if plain else agent or default_agent()
    plan = Plan(file, stt is Words.EMBEDDED, traces=traces)
    if sweep:
        _sweep([item for item in items if item.kind.startswith("eot")], plan, processes)
        return
    outcomes = _run(items, plan, processes)
    decided = decisions(outcomes)
    if system_out is not None:
        _write(system_out, items, decided)
    table, more = score(items, decided), measure(items, outcomes)
    if json_:
        print(json.dumps({"score": table, "measured": more}))
        return
    console = Console()
    console.print(f"Agent: {'nothing but defaults' if file is None else file.name}\n")
    for part in _tables(table, more):
        console.print(part, "", highlight=False)
    if show_misses:
        console.print(_miss_table(misses(items, outcomes)))


def _limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    if limit is None:
        return list(items)
    return [item for name in SETS for item in [one for one in items if one.kind == name][:limit]]


def _run(
    items: Sequence[Item], plan: Plan, processes: int, about: str = "items"
) -> dict[str, Outcome]:
    # Drawn only where an item ends: a thread that draws would be charged to the items.
    progress = Progress(
        TextColumn(about),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        disable=not sys.stderr.isatty(),
    )
    outcomes: dict[str, Outcome] = {}
    with progress:
        task = progress.add_task("", total=len(items))
        for outcome in run_items(items, plan, processes):
            outcomes[outcome.item_id] = outcome
            progress.update(task, advance=1, refresh=True)
    return outcomes


def _write(path: Path, items: Sequence[Item], decided: dict[str, dict[str, list[float]]]) -> None:
    lines = [json.dumps({"id": item.id, **decided[item.id]}) + "\n" for item in items]
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise UserFacingError(f"{path}: cannot be written ({error.strerror}).") from error


# ---- tables ------------------------------------------------------------------------------------


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cells(row: Figures, *keys: str) -> list[str]:
    return ["-" if row[key] is None else str(row[key]) for key in keys]


def _tables(figures: dict[str, Figures], more: dict[str, Figures]) -> Iterator[Table | str]:
    turned = [(name, row) for name, row in figures.items() if "delay_p50_ms" in row]
    if turned:
        yield _turn_table(turned)
    stopped = [(name, row) for name, row in figures.items() if "precision" in row]
    if stopped:
        yield _stop_table([*stopped, ("bargein_with_echo", more["bargein_with_echo"])])
    edges = [(name, row) for name, row in more.items() if name.startswith("vad.")]
    if edges:
        yield _edge_table(edges)
    yield "\n".join(_sentences(figures, more))


def _turn_table(rows: Sequence[tuple[str, Figures]]) -> Table:
    columns = ("turns", "p50", "mean", "p90", "p95", "late", "never", "cut-ins", "cut")
    table = _table("End of turn: ms from the true end to the decision", columns)
    for name, row in rows:
        delays = _cells(row, *(f"delay_{key}_ms" for key in ("p50", "mean", "p90", "p95")))
        cut = [f"{row['cut_in']}/{row['holds']}", f"{row['items_cut']}/{row['items']}"]
        table.add_row(name, str(row["turns"]), *delays, *_cells(row, "late", "never"), *cut)
    return table


def _stop_table(rows: Sequence[tuple[str, Figures]]) -> Table:
    columns = ("precision", "recall", "p50", "p95", "early", "missed", "false")
    table = _table("Interruptions: ms from the onset to silence", columns)
    keys = ("precision", "recall", "stop_p50_ms", "stop_p95_ms", "early", "missed", "false_stops")
    for name, row in rows:
        table.add_row(name, *_cells(row, *keys))
    return table


def _edge_table(rows: Sequence[tuple[str, Figures]]) -> Table:
    columns = ("p50", "p95", "max", "told: p50", "p95", "max", "edges")
    table = _table("Voice activity: ms from the truth to its edges, and until told", columns)
    for name, row in rows:
        for side in ("start", "end"):
            if count := row[f"{side}s"]:
                keys = [f"{side}_{at}_{q}_ms" for at in ("off", "told") for q in _PERCENTILES]
                table.add_row(f"{name} {side}", *_cells(row, *keys), str(count))
    return table


_PERCENTILES = ("p50", "p95", "max")


def _sentences(figures: dict[str, Figures], more: dict[str, Figures]) -> Iterator[str]:
    if "bargein" in figures:
        counts = figures["bargein"]["stops_by_category"].items()
        yield "Stopped: " + ", ".join(f"{name} {count}" for name, count in counts) + "."
    if "echo_real" in figures:
        real = figures["echo_real"]
        yield f"Stopped by real residual echo: {real['stops']}/{real['items']}."
    if "lowered" in more:
        row = more["lowered"]
        onset, edge = (_three(row, name) for name in ("after_onset", "after_edge"))
        yield (
            f"Lowered in {row['lowered']} of {row['interruptions']} interruptions: "
            f"{onset} after the onset, {edge} after the detector's edge."
        )
    if "false_stops" in more:
        row = more["false_stops"]
        yield (
            f"Silent for nothing {row['silences']} times; {row['resumed']} times it went on, "
            f"{_three(row, 'sound_again')} later, repeating at most {row['repeated_max_ms']} ms."
        )
    if "words" in more:
        row = more["words"]
        yield f"Turns committed without words that had been said: {row['without_words_said']}."
    row = more["computing"]
    yield f"{row['audio_s']} s of audio, {row['cores']} core in real time."


def _three(row: Figures, name: str) -> str:
    return "/".join(_cells(row, *(f"{name}_{q}_ms" for q in _PERCENTILES))) + " ms (p50/p95/max)"


def _miss_table(found: Sequence[Miss]) -> Table:
    table = Table(title="Misses", box=box.SIMPLE, show_edge=False, title_justify="left")
    for name in ("what", "item", "at, s", "waited, ms", "text"):
        table.add_column(name, overflow="fold")
    for miss in found:
        at = "-" if miss.at_s is None else f"{miss.at_s:.2f}"
        waited = "-" if miss.wait_ms is None else str(miss.wait_ms)
        table.add_row(miss.what, miss.item_id, at, waited, miss.text)
    return table


def _sweep(items: Sequence[Item], plan: Plan, processes: int) -> None:
    """A line for each patience, as it is measured."""
    if not items:
        raise UserFacingError("--sweep is about the end of turns: it needs the set eot")
    sets = [name for name in SETS if any(item.kind == name for item in items)]
    head = ["patience"]
    for name in sets:
        head += [f"{name}: p50", "mean", "p95", "cut in", "items cut", "never"]
    print("  ".join(head))
    for patience in PATIENCE:
        about = f"patience {patience:.1f}"
        outcomes = _run(items, replace(plan, patience=patience), processes, about)
        table = score(items, decisions(outcomes))
        cells = [f"{patience:8.1f}"]
        for name in sets:
            row = table[name]
            texts = [
                *_cells(row, "delay_p50_ms", "delay_mean_ms", "delay_p95_ms"),
                f"{row['cut_in']}/{row['holds']}",
                f"{row['items_cut']}/{row['items']}",
                str(row["never"]),
            ]
            widths = [len(name) + 5, 4, 4, 6, 9, 5]
            cells += [text.rjust(width) for text, width in zip(texts, widths, strict=True)]
        print("  ".join(cells), flush=True)
