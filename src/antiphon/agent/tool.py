"""Run a tool: a Python function that the LLM or the flow calls with JSON and that answers JSON.

Whatever the function does, `run_tool` returns JSON text: a failure is `{"error": "..."}`, which the
LLM can speak about. Only cancellation of the caller passes through.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import json
import threading
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator
from pydantic import BaseModel
from referencing import Registry

from antiphon.types import ToolSpec

MAX_RESULT_BYTES = 64 * 1024
MAX_ARGUMENT_CHARS = 64 * 1024
MAX_THREADS = 64
"""Synchronous tools running at once in the process, those past their deadline included: a thread
cannot be stopped, so a tool that hangs keeps its place until it returns."""

_threads = threading.BoundedSemaphore(MAX_THREADS)


@dataclasses.dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can be run. `timeout_ms` is the deadline of one run."""

    spec: ToolSpec
    function: Callable[..., Any]
    timeout_ms: int


class _Refused(Exception):
    """The run did not happen or gave nothing usable; the text goes to the LLM."""


async def run_tool(tool: Tool, arguments_json: str) -> str:
    """Run a tool to its end or its deadline.

    An async function runs on the event loop, any other one in a thread of its own. A result that is
    not JSON or larger than 64 KB is an error too; `None` becomes `{"ok": true}`.
    """
    try:
        arguments = _arguments(tool, arguments_json)
        async with asyncio.timeout(tool.timeout_ms / 1000) as deadline:
            result = await _call(tool.function, arguments)
        return _result(result)
    except _Refused as error:
        return _error(str(error))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The function cancelled itself, or something that it awaited; nobody cancelled the call.
        return _error(f"{tool.spec.name} was cancelled")
    except TimeoutError as error:
        if not deadline.expired():
            return _error(f"TimeoutError: {error}")
        return _error(f"{tool.spec.name} did not finish within {tool.timeout_ms / 1000:g} s")
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # The function is foreign code, and this is its outermost frame.
        return _error(f"{type(error).__name__}: {error}")


def argument_problems(tool: ToolSpec, arguments: object) -> list[str]:
    """What is wrong with arguments by the tool's schema, one sentence each."""
    # An empty registry: the default one fetches foreign references from the network.
    validator = Draft202012Validator(tool.parameters or {"type": "object"}, registry=Registry())
    return [
        f"{'.'.join(str(part) for part in error.absolute_path) or 'arguments'}: {error.message}"
        for error in validator.iter_errors(arguments)
    ]


def _arguments(tool: Tool, text: str) -> dict[str, Any]:
    if len(text) > MAX_ARGUMENT_CHARS:
        raise _Refused("the arguments are too long")
    try:
        # Several models write nothing at all for a tool without arguments.
        arguments = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _Refused(f"the arguments are not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise _Refused("the arguments must be a JSON object")
    if problems := argument_problems(tool.spec, arguments):
        raise _Refused("; ".join(problems[:5]))
    try:
        inspect.signature(tool.function).bind(**arguments)
    except TypeError as error:
        raise _Refused(f"arguments: {error}") from None
    except ValueError:
        # Some functions written in C have no signature; calling them will tell.
        return arguments
    return arguments


async def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    if _is_async(function):
        return await function(**arguments)
    result = await _in_thread(partial(function, **arguments))
    return await result if inspect.isawaitable(result) else result


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is wanted
    )


async def _in_thread(run: Callable[[], Any]) -> Any:
    """Run in a daemon thread: one that hangs must neither fill the event loop's own pool, which
    resolves host names, nor keep the process from ending."""
    places = _threads
    if not places.acquire(blocking=False):
        raise _Refused("too many tools are still running")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result, failure = None, None
        try:
            result = context.run(run)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            # The thread's outermost frame. A future does not take StopIteration.
            failure = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        finally:
            places.release()
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            # The loop was closed while the tool ran past its deadline: nobody waits any more.
            return

    threading.Thread(target=work, name="antiphon-tool", daemon=True).start()
    return await future


def _result(value: Any) -> str:
    if value is None:
        return '{"ok": true}'
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise _Refused(f"the tool's result is not JSON: {error}") from None
    if len(text.encode("utf-8", "replace")) > MAX_RESULT_BYTES:
        raise _Refused(f"the tool's result is larger than {MAX_RESULT_BYTES // 1024} KB")
    return text


def _plain(value: Any) -> Any:
    """Values that tools commonly return, as JSON would have them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str)
    if isinstance(value, Decimal | UUID | Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def _error(message: str) -> str:
    return json.dumps({"error": message[:1000]}, ensure_ascii=False)
