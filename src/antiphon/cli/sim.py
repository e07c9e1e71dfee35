"""`antiphon sim`: simulated conversations, and whether the engine keeps its promises in them."""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from antiphon.errors import UserFacingError
from antiphon.sim.faults import FAULT_NAMES, parse_faults
from antiphon.sim.outage import run_outage
from antiphon.sim.promise import Broken
from antiphon.sim.replay import write_trace
from antiphon.sim.run import Outcome, Stats, run_many, run_world
from antiphon.sim.script import script_lines
from antiphon.sim.shrink import shrink

_TELL_EVERY_S = 30


def sim(
    seeds: Annotated[int, typer.Option(help="Number of conversations.", min=1)] = 1000,
    start: Annotated[int, typer.Option(help="First seed.", min=0)] = 0,
    faults: Annotated[
        str, typer.Option(help=f"all, none, or a list of: {', '.join(FAULT_NAMES)}.")
    ] = "all",
    processes: Annotated[int, typer.Option(help="Processes to share the work.", min=1)] = 1,
    keep_going: Annotated[
        bool, typer.Option(help="Run all seeds, also after a broken promise.")
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the trace of a seed that breaks a promise, or of the only seed. "
            "A broken one is always written, to sim-SEED.jsonl where nothing is named."
        ),
    ] = None,
    shrink_s: Annotated[
        float,
        typer.Option(
            "--shrink", help="Seconds to spend on making a broken conversation small.", min=0
        ),
    ] = 30,
    outage: Annotated[
        float | None,
        typer.Option(
            help="Instead: providers fail and stall at this share of requests; tells how soon "
            "callers heard something after each of --seeds turns.",
            min=0,
            max=1,
        ),
    ] = None,
) -> None:
    """Simulate conversations with all sorts of callers and faults, and check every promise.

    The same seed is the same conversation, on any machine. Exit code 1 when a promise breaks: the
    first conversation that does is made as small as it can be while it still breaks it, printed as
    a script, and its trace is written for `antiphon replay`. Ctrl-C stops it.
    """
    if outage is not None:
        _outage(seeds, outage, start)
        return
    try:
        names = parse_faults(faults)
    except ValueError as error:
        raise UserFacingError(f"--faults: {error}") from error
    begun = time.monotonic()
    total, broken = _run(range(start, start + seeds), names, processes, keep_going)
    if not broken and not total.worlds:
        raise typer.Exit(1)
    if not broken:
        print(_summary(total, time.monotonic() - begun, start))
        if trace is not None and seeds == 1:
            _write(trace, start, names)
        return
    _tell(broken[0], faults, names, trace, shrink_s)
    for outcome in broken[1:]:
        print(f"seed {outcome.seed}: {outcome.violation}")
    print(f"{len(broken)} of {total.worlds} conversations broke a promise.", file=sys.stderr)
    raise typer.Exit(1)


def _outage(turns: int, rate: float, start: int) -> None:
    late, delays, kinds = 0, array("i"), Counter[str]()
    try:
        for heard in run_outage(turns, rate, start):
            kinds[heard.what] += 1
            if heard.after_ms is not None:
                delays.append(heard.after_ms)
            if not heard.in_time:
                late += 1
                after = "nothing" if heard.after_ms is None else f"{heard.after_ms} ms"
                print(f"seed {heard.seed}: {after} ({heard.what})", file=sys.stderr)
    except Broken as broken:
        raise UserFacingError(f"a promise broke: {broken}") from broken
    ordered, count = sorted(delays), kinds.total()
    p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * q))] for q in (0.5, 0.99))
    print(f"{count:,} turns: {100 * (1 - late / count):.3f} % heard something within 3 s")
    print(f"p50 {p50} ms, p99 {p99} ms, longest {ordered[-1]} ms")
    print("first heard: " + ", ".join(f"{k} {n:,}" for k, n in kinds.most_common()))
    raise typer.Exit(1 if late > count // 10_000 else 0)


def _run(
    seeds: range, faults: tuple[str, ...], processes: int, keep_going: bool
) -> tuple[Stats, list[Outcome]]:
    total = Stats()
    broken: list[Outcome] = []
    progress = Progress(
        TextColumn("conversations"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[broken]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    lines = _Lines(len(seeds))
    with progress, closing(run_many(seeds, faults, processes)) as batches:
        task = progress.add_task("", total=len(seeds), broken="")
        try:
            for batch in batches:
                total += batch.stats
                broken.extend(batch.broken)
                told = f"{len(broken)} broken" if broken else ""
                progress.update(task, completed=total.worlds, broken=told)
                lines.update(total.worlds, told)
                if broken and not keep_going:
                    break
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
    return total, broken


class _Lines:
    """Progress where there is no terminal: a line now and then."""

    def __init__(self, seeds: int) -> None:
        self._seeds, self._begun_s = seeds, time.monotonic()
        self._told_s = self._begun_s

    def update(self, done: int, told: str) -> None:
        now_s = time.monotonic()
        if sys.stderr.isatty() or now_s - self._told_s < _TELL_EVERY_S:
            return
        self._told_s = now_s
        a_second = done / (now_s - self._begun_s)
        left_min = (self._seeds - done) / a_second / 60
        print(
            f"{done:,} of {self._seeds:,} conversations, {a_second:,.0f} a second, "
            f"{left_min:.0f} min left{told and ', ' + told}",
            file=sys.stderr,
            flush=True,
        )


def _summary(total: Stats, seconds: float, start: int) -> str:
    hours = total.call_ms / 3_600_000
    return (
        f"{total.worlds:,} conversations (seeds {start} to {start + total.worlds - 1}), "
        f"{hours:,.1f} hours of talk in {seconds:.1f} s, "
        f"{total.worlds / max(seconds, 0.001):,.0f} a second.\n"
        f"{total.events:,} events, {total.turns:,} turns, {total.responses:,} responses, "
        f"{total.tools:,} tools, {total.stops:,} interruptions, {total.resumes:,} resumed.\n"
        "No promise broken."
    )


def _tell(
    outcome: Outcome, faults: str, names: tuple[str, ...], path: Path | None, shrink_s: float
) -> None:
    until_s = time.monotonic() + shrink_s
    small = shrink(outcome.seed, names, lambda tries: time.monotonic() < until_s)
    world = small.world
    plan, with_faults = world.caller.plan, [n for n in names if getattr(world.faults, n)]
    print(f"Seed {outcome.seed}: a {plan.kind.value}, faults: {', '.join(with_faults) or 'none'}")
    for number, act in enumerate(plan.acts, 1):
        print(f"  {number}. {act.tell()}")
    print()
    for line in script_lines(world.trace):
        print(line)
    print(f"\nBroken: {outcome.violation}")
    if small.cut:
        print(f"Cut away in {small.tries} tries, and it still breaks: {'; '.join(small.cut)}.")
    path = path or Path(f"sim-{outcome.seed}.jsonl")
    write_trace(path, world, f"broken: {world.broken}")
    print(f"\nAgain:  antiphon sim --seeds 1 --start {outcome.seed} --faults {faults}")
    print(f"Replay: antiphon replay {path} --script")


def _write(path: Path, seed: int, names: tuple[str, ...]) -> None:
    world = run_world(seed, names)
    write_trace(path, world)
    print(f"Trace of seed {seed}: {path} ({len(world.trace)} steps)")
