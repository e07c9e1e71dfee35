"""The event loop on stream time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from antiphon.bench.loop import StreamLoop


class Work:
    """What computing costs, as the test says."""

    def __init__(self) -> None:
        self.done_s = 0.0

    def __call__(self) -> float:
        return self.done_s


def run(main: Callable[[StreamLoop], Awaitable[Any]], **options: Any) -> Any:
    loop = StreamLoop(**options)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def start() -> Any:
            return await main(loop)

        return runner.run(start())


def test_waiting_takes_no_time() -> None:
    async def main(loop: StreamLoop) -> float:
        begun_s = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - begun_s

    # Waited for in earnest, the test's own deadline would end it.
    assert run(main) >= 3600


def test_what_is_computed_is_charged_and_delays_what_is_due_meanwhile() -> None:
    work, seen = Work(), list[float]()

    async def main(loop: StreamLoop) -> None:
        def compute(seconds: float) -> None:
            work.done_s += seconds
            seen.append(loop.time())

        for frame in range(4):
            loop.call_at(0.02 * (frame + 1), compute, 0.03 if frame == 0 else 0.001)
        await asyncio.sleep(0.2)

    run(main, charged=work)
    # The first takes 30 ms; the second was due at 40 ms and begins at 50, the third is in time.
    assert [round(at, 3) for at in seen] == [0.05, 0.051, 0.061, 0.081]


def test_time_stands_still_for_a_thread_but_for_what_it_computes() -> None:
    work = Work()
    release = threading.Event()

    def infer() -> str:
        release.wait(5)
        work.done_s += 0.012
        return "done"

    async def main(loop: StreamLoop) -> tuple[str, float]:
        fired = loop.call_at(0.010, lambda: None)
        threading.Timer(0.05, release.set).start()
        result = await loop.run_in_executor(None, infer)
        fired.cancel()
        return result, loop.time()

    result, at_s = run(main, charged=work)
    assert result == "done"
    assert 0.012 <= at_s < 0.013


def test_nothing_is_skipped_while_somebody_else_computes() -> None:
    async def main(loop: StreamLoop) -> float:
        with loop.outside():
            begun_s = time.perf_counter()
            await asyncio.sleep(0.03)
            return time.perf_counter() - begun_s

    assert run(main, charged=time.perf_counter) >= 0.03


def test_waiting_can_be_shortened_rather_than_skipped() -> None:
    async def main(loop: StreamLoop) -> tuple[float, float]:
        begun_s, stream_s = time.perf_counter(), loop.time()
        await asyncio.sleep(0.4)
        return time.perf_counter() - begun_s, loop.time() - stream_s

    waited_s, passed_s = run(main, charged=time.perf_counter, fastest=10.0)
    assert waited_s >= 0.04
    assert 0.4 <= passed_s < 0.4 + waited_s
