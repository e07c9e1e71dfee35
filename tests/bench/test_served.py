"""What a server in another process costs."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from antiphon.bench.served import (
    MemoryWatch,
    ServerProcess,
    histogram,
    process_cost,
    read_metrics,
    sum_of,
)
from antiphon.errors import UserFacingError


def test_what_this_process_costs() -> None:
    cost = process_cost(os.getpid())
    assert cost.cpu_s > 0
    assert cost.rss_mb > 10
    assert cost.files > 2
    assert process_cost(2**22 + 1).rss_mb == 0


def test_prometheus_text_is_read() -> None:
    text = '# HELP x y\nx_total 3.0\nx_bucket{le="0.02"} 7.0\nbroken\nx{a="b c"} nonsense\n'
    assert read_metrics(text) == {"x_total": 3.0, 'x_bucket{le="0.02"}': 7.0}


def test_a_histogram_is_what_came_in_between() -> None:
    def reading(*counts: float) -> dict[str, float]:
        edges = ("0.01", "0.02", "0.05", "+Inf")
        return {f'late_bucket{{le="{edge}"}}': n for edge, n in zip(edges, counts, strict=True)}

    before, after = reading(5, 5, 5, 5), reading(95, 103, 105, 105)
    assert histogram([before], [after], "late") == {
        "count": 100, "p50": 5.56, "p99": 35.0, "p99.9": 48.5, "within_20_ms": 0.98,
    }  # fmt: skip
    beyond = histogram([reading(0, 0, 0, 0)], [reading(0, 0, 0, 4)], "late")
    assert beyond["p50"] is None, "nothing is known beyond the last edge"
    assert histogram([before], [before], "late")["count"] == 0
    both = histogram([before, before], [after, after], "late")
    assert both["count"] == 200


async def test_what_its_children_cost_counts() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        async with asyncio.timeout(20):
            while process_cost(process.pid).rss_mb < 16:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.01)
    finally:
        process.stdin.close()
        await process.wait()


def test_values_are_added_up_over_labels() -> None:
    readings = [{"x": 1.0, 'x{a="b"}': 2.0}, {'x{a="c"}': 4.0, "xy": 8.0}]
    assert sum_of(readings, "x") == 7.0


async def test_memory_is_watched_while_something_goes_on() -> None:
    class Costly(ServerProcess):
        @property
        def pid(self) -> int:
            return os.getpid()

    async def work() -> dict[str, int]:
        return {"done": 1}

    watch = MemoryWatch([Costly(Path("nowhere"), ())])
    assert await watch.during(work()) == {"done": 1}
    assert watch.most_mb > 10


async def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no room at {port}')")
    server = ServerProcess(tmp_path, command)
    with pytest.raises(UserFacingError, match=f"no room at {server.port}"):
        await server.start()
    await server.stop()
