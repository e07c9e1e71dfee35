"""The callers of a load, in a process of their own: a job as JSON goes in on stdin, and lines of
JSON come out. So what callers cost is no part of what the server costs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

MOST_BYTES = 64 * 2**20
"""Of one line: the figures of thousands of calls."""


def say(stage: str) -> None:
    """In the process of the callers: tell how far it is."""
    print(json.dumps({"stage": stage}), flush=True)


async def run_child(
    module: str, job: dict[str, Any], on_stage: Callable[[str], None] = lambda stage: None
) -> dict[str, Any]:
    """Run `module.main()` in another process; its last line is the figures.

    Args:
        on_stage: told what the process says meanwhile.

    Raises:
        RuntimeError: that process broke down.
    """
    code = f"from {module} import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MOST_BYTES,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    figures: dict[str, Any] | None = None
    try:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        # No deadline: the job says how long its calls last, and each of them has one.
        async for line in process.stdout:
            said = json.loads(line)
            if "stage" in said:
                on_stage(said["stage"])
            else:
                figures = said
        await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode or figures is None:
        raise RuntimeError("the process with the callers broke down")
    return figures
