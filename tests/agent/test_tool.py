"""Tools: whatever the function does, the answer is JSON."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from antiphon.agent import tool as module
from antiphon.agent.tool import MAX_RESULT_BYTES, Tool, run_tool
from antiphon.types import ToolSpec

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0}, "word": {"type": "string"}},
    "required": ["n"],
}
CALLER: ContextVar[str] = ContextVar("CALLER", default="nobody")


def tool(function: Callable[..., Any], *, timeout_ms: int = 2000, schema: Any = None) -> Tool:
    return Tool(
        ToolSpec("count", "Counts.", SCHEMA if schema is None else schema), function, timeout_ms
    )


async def run(function: Callable[..., Any], arguments: str = '{"n": 1}', **rest: Any) -> Any:
    return json.loads(await run_tool(tool(function, **rest), arguments))


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_sync_function_runs_in_its_own_thread_with_the_callers_context() -> None:
    CALLER.set("ann")
    here = threading.get_ident()

    def work(n: int, word: str = "x") -> dict[str, Any]:
        return {"n": n, "word": word, "here": threading.get_ident() == here, "who": CALLER.get()}

    assert await run(work) == {"n": 1, "word": "x", "here": False, "who": "ann"}


async def test_async_function_and_awaitable_of_a_sync_one() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    assert await run(work) == 2
    assert await run(lambda n: work(n)) == 2


async def test_async_callable_object() -> None:
    class Adder:
        async def __call__(self, n: int) -> int:
            return n + 1

    assert await run(Adder()) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "'n' is a required property"),
        ("{", "not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"n": -1}', "n: -1 is less than the minimum of 0"),
        ('{"n": "1", "word": 3}', "n: '1' is not of type 'integer'; word: 3"),
        ('{"n": 1, "colour": "red"}', "unexpected keyword argument 'colour'"),
        ("[" * 100_000, "too long"),
        ("[" * 60_000, "not JSON"),
    ],
)
async def test_arguments_are_checked(arguments: str, says: str) -> None:
    def never(n: int, word: str = "") -> None:
        raise AssertionError("must not run")

    assert says in (await run(never, arguments))["error"]


async def test_no_arguments_may_be_empty_text() -> None:
    assert await run(lambda: "fine", "", schema={}) == "fine"


@dataclass
class Receipt:
    day: date
    eur: Decimal
    drinks: set[str]


async def test_results_as_json() -> None:
    receipt = Receipt(date(2026, 11, 21), Decimal("4.50"), {"mocha", "latte"})
    expected = {"day": "2026-11-21", "eur": "4.50", "drinks": ["latte", "mocha"]}
    assert await run(lambda n: receipt) == expected
    assert await run(lambda n: None) == {"ok": True}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (object(), "a object has no form in JSON"),
        (float("nan"), "not JSON"),
        ({1: {(2, 3): 4}}, "not JSON"),
        ("x" * MAX_RESULT_BYTES, "larger than 64 KB"),
    ],
)
async def test_results_that_are_refused(result: object, says: str) -> None:
    assert says in (await run(lambda n: result))["error"]


async def test_a_result_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "not JSON" in (await run(lambda n: loop))["error"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no milk"),
        SystemExit("no milk"),
        StopIteration("no milk"),
        TimeoutError("no milk"),
    ],
)
async def test_exceptions_become_errors(error: BaseException) -> None:
    def fail(n: int) -> None:
        raise error

    async def fail_async(n: int) -> None:
        raise error

    assert "no milk" in (await run(fail))["error"]
    # Python itself replaces a StopIteration that leaves a coroutine.
    expected = "raised StopIteration" if isinstance(error, StopIteration) else "no milk"
    assert expected in (await run(fail_async))["error"]


async def test_deadline_of_a_thread_that_hangs(release: threading.Event) -> None:
    answer = await run(lambda n: release.wait(30), timeout_ms=100)
    assert answer == {"error": "count did not finish within 0.1 s"}


async def test_deadline_of_a_coroutine() -> None:
    async def hang(n: int) -> None:
        await asyncio.Event().wait()

    assert "did not finish" in (await run(hang, timeout_ms=100))["error"]


async def test_a_tool_that_cancels_itself_is_an_error() -> None:
    async def work(n: int) -> None:
        raise asyncio.CancelledError

    assert await run(work) == {"error": "count was cancelled"}


async def test_cancelling_the_caller_passes_through() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work(n: int) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(run_tool(tool(work), '{"n": 1}'))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_too_many_threads(monkeypatch: pytest.MonkeyPatch, release: threading.Event) -> None:
    monkeypatch.setattr(module, "_threads", threading.BoundedSemaphore(1))
    assert "did not finish" in (await run(lambda n: release.wait(30), timeout_ms=50))["error"]
    assert (await run(lambda n: 1)) == {"error": "too many tools are still running"}
