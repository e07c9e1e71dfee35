"""`antiphon bench`: what the server costs, beside what others cost, and how it takes turns."""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from antiphon import __version__
from antiphon.cli.bench_load import load
from antiphon.cli.bench_providers import providers
from antiphon.cli.bench_turns import turns
from antiphon.errors import UserFacingError

_CHECKOUT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: ours, from figures by their names; what we allow; the two peers'.

    The peers' figures were measured in November 2026 on a machine with two cores, with their
    defaults and providers that take no time: LiveKit Agents 1.8 and Pipecat 1.14.
    """

    what: str
    ours: str
    keys: tuple[str, ...]
    budget: str
    most: tuple[float | None, ...] = ()
    livekit: str = ""
    pipecat: str = ""


ROWS = (
    Row(
        "decided turn to first audio, p50 / p95, ms",
        "{:.1f} / {:.1f}", ("answer_p50_ms", "answer_p95_ms"),
        "3 / 10", (3, 10), "3.0 / 10.6", "-",
    ),
    Row("CPU of one answer, ms", "{:.1f}", ("answer_cpu_ms",), "", (), "-", "6.8"),
    Row(
        "CPU per listening call with VAD, core",
        "{:.4f} / {:.4f} / {:.4f}", ("cores_1", "cores_10", "cores_50"),
        "0.008", (None, 0.008, 0.008), "0.016 to 0.027", "0.046",
    ),
    Row(
        "CPU per speaking call with VAD, core",
        "{:.4f} / {:.4f} / {:.4f}",
        ("speaking_cores_1", "speaking_cores_10", "speaking_cores_50"),
        "", (), "-", "0.062",
    ),
    Row(
        "memory per speaking call, MB",
        "{:.1f} / {:.1f} / {:.1f}", ("speaking_mb_1", "speaking_mb_10", "speaking_mb_50"),
        "3", (None, 3, 3), "1 to 4, or 46 to 321", "22 to 24",
    ),
    Row(
        "asyncio tasks per call, listening / speaking",
        "{:.0f} / {:.0f}", ("tasks_10", "speaking_tasks_10"),
        "8", (8, 8), "15 to 17", "36 to 41",
    ),
    Row("queue puts per microphone frame", "{:.2f}", ("frame_puts",), "1", (1,), "5", "55"),
    Row("a microphone frame without VAD, us", "{:.1f}", ("frame_us",), "50", (50,)),
    Row(
        "event loop late at 1 / 10 / 50 calls, p99, ms",
        "{:.1f} / {:.1f} / {:.1f}", ("late_p99_ms_1", "late_p99_ms_10", "late_p99_ms_50"), "",
    ),
    Row(
        "import antiphon, s / MB",
        "{:.2f} / {:.0f}", ("import_s", "import_mb"),
        "0.3 / 60", (0.3, 60), "1.1 / 135", "1.4 / 75",
    ),
    Row(
        "all that `antiphon serve` imports, s / MB",
        "{:.2f} / {:.0f}", ("serve_import_s", "serve_import_mb"), "",
    ),
)  # fmt: skip


bench = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
bench.command("turns")(turns)
bench.command("load")(load)
bench.command("providers")(providers)


@bench.command("core")
def core(
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
    history: Annotated[bool, typer.Option(help="Add the figures to bench/history.jsonl.")] = True,
) -> None:
    """Measure latency and the cost of a call. Exit code 1 when a budget is not met."""
    module = _module("core")
    console = Console(stderr=True)
    figures = module.measure(lambda text: console.print(f"measuring: {text}", style="dim"))
    if history:
        _append(figures)
    if json_:
        print(json.dumps(figures))
    else:
        Console().print(_table(figures))
    raise typer.Exit(1 if any(_over(row, figures) for row in ROWS) else 0)


def _module(name: str) -> Any:
    if not (_CHECKOUT / "bench" / f"{name}.py").is_file():
        raise UserFacingError(
            "the benchmarks are part of the source: run this in a checkout of the project"
        )
    sys.path.insert(0, str(_CHECKOUT))
    return importlib.import_module(f"bench.{name}")


def _over(row: Row, figures: dict[str, float]) -> bool:
    values = [figures[key] for key in row.keys]
    return any(most is not None and v > most for v, most in zip(values, row.most, strict=False))


def _table(figures: dict[str, float]) -> Table:
    title = f"Antiphon {__version__}, scripted providers; three figures: 1, 10 and 50 calls"
    table = Table(title=title, box=box.SIMPLE, show_edge=False)
    for name in ("what", "Antiphon", "budget", "LiveKit", "Pipecat"):
        table.add_column(name, overflow="fold")
    for row in ROWS:
        ours = row.ours.format(*(figures[key] for key in row.keys))
        style = "red" if _over(row, figures) else "green" if row.most else ""
        table.add_row(row.what, f"[{style}]{ours}[/]" if style else ours, row.budget,
                      row.livekit or "-", row.pipecat or "-")  # fmt: skip
    table.caption = f"{_machine()}; load {os.getloadavg()[0]:.1f}. Others: bench/README.md"
    return table


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}"


def _append(figures: dict[str, float]) -> None:
    git = ["git", "-C", str(_CHECKOUT), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False)
        commit = done.stdout.strip()
    except FileNotFoundError:
        commit = ""
    line = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": _machine(),
        "load": round(os.getloadavg()[0], 2),
        **figures,
    }
    with (_CHECKOUT / "bench" / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
