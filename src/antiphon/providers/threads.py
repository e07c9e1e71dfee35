"""Work of local models, on a few threads that the whole process shares.

Their runtimes release the GIL. When all threads are busy, work waits for its turn; each stream has
one piece in work, so what waits is bounded by the number of calls.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import onnxruntime

from antiphon.errors import AntiphonError, ProviderError

T = TypeVar("T")
_MOST = 4
_END = object()


async def run(provider: str, work: Callable[..., T], *args: Any) -> T:
    """The result of `work(*args)`. When this is cancelled, work that has not begun never does, and
    the result of work that has is dropped.

    Raises:
        ProviderError: whatever went wrong in it, unless it is an error of ours already.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool(), work, *args)
    except AntiphonError:
        raise
    except Exception as error:
        message = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ProviderError(message, provider=provider, retryable=False) from error


async def steps(provider: str, results: Iterator[T]) -> AsyncGenerator[T, None]:
    """What an iterator gives, each step made when it is asked for; raises like `run`. Cancelled in
    a step, it takes no further one."""
    while True:
        result: Any = await run(provider, next, results, _END)
        if result is _END:
            return
        yield result


def onnx_session(path: str, threads: int = 1) -> onnxruntime.InferenceSession:
    """Load a model for the processor; safe to be run from several threads at once.

    Args:
        threads: how many compute one result.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Threads that spin while they wait would take the processor from other calls.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@functools.cache
def _pool() -> ThreadPoolExecutor:
    count = max(2, min(_MOST, os.cpu_count() or 1))
    return ThreadPoolExecutor(count, thread_name_prefix="model")
