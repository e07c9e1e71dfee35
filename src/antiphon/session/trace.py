"""The record of a call: every event with the commands that it gave, one JSON line each.

`antiphon replay` feeds the events to the engine again and compares the commands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from antiphon.engine.codec import header_line, step_line
from antiphon.engine.commands import Command
from antiphon.engine.events import Event
from antiphon.engine.policy import Setup

MAX_BYTES = 64 * 1024 * 1024
"""A trace ends here; an hour of talk is about 2 MB."""


class TraceWriter:
    """Writes one trace. Lines are buffered; `close` makes the file whole."""

    def __init__(self, path: Path, setup: Setup) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._left = MAX_BYTES
        self._file: IO[str] | None = path.open("w", encoding="utf-8")
        self._write(header_line(setup))

    def step(self, event: Event, commands: Sequence[Command]) -> None:
        """Note one event."""
        if self._file is not None and self._left > 0:
            self._write(step_line(event, commands))

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: str) -> None:
        assert self._file is not None
        self._left -= len(line)
        self._file.write(line + "\n")


class TraceFolder:
    """Where the traces of a server are kept; the oldest are removed past `keep`."""

    def __init__(self, folder: Path, keep: int = 500) -> None:
        self._folder, self._keep = folder, keep

    def open(self, call_id: str, setup: Setup) -> TraceWriter:
        """Begin the trace of a call."""
        writer = TraceWriter(self._folder / f"{call_id}.jsonl", setup)
        self._prune()
        return writer

    def _prune(self) -> None:
        traces = []
        for path in self._folder.glob("*.jsonl"):
            # Several processes share the folder, and another one may be removing the same.
            with contextlib.suppress(FileNotFoundError):
                traces.append((path.stat().st_mtime, path))
        for _, path in sorted(traces)[: max(0, len(traces) - self._keep)]:
            path.unlink(missing_ok=True)
            path.with_suffix(".cost.json").unlink(missing_ok=True)
