"""`antiphon replay`: does the engine still decide as it did in a recorded call?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from antiphon.sim.replay import Difference, read_note, read_trace
from antiphon.sim.replay import replay as replay_trace
from antiphon.sim.script import script_lines


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace, of a call or of `antiphon sim`.")],
    script: Annotated[bool, typer.Option(help="Print the conversation as a script.")] = False,
) -> None:
    """Feed the events of a trace to the engine and compare its decisions, one by one.

    Exit code 1 when the engine decides differently now; the first difference is shown.
    """
    if script:
        for line in script_lines(read_trace(trace)[1]):
            print(line)
        print()
    if note := read_note(trace):
        print(f"In the simulation: {note}")
    difference = replay_trace(trace)
    if difference is not None:
        print(_describe(trace, difference), file=sys.stderr)
        raise typer.Exit(1)
    steps = len(read_trace(trace)[1])
    print(f"{trace}: {steps} steps, every decision as recorded.")


def _describe(trace: Path, difference: Difference) -> str:
    lines = [f"{trace}:{difference.line}: the engine decides differently now."]
    lines.append(f"  event     {_text(difference.event)}")
    lines.extend(f"  recorded  {_text(item)}" for item in difference.recorded)
    lines.extend(f"  now       {_text(item)}" for item in difference.got)
    return "\n".join(lines)


def _text(item: object) -> str:
    return json.dumps(item, ensure_ascii=False)
