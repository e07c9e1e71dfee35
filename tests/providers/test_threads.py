from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.threads import run, steps


async def test_results_come_from_other_threads() -> None:
    here = threading.get_ident()
    assert await run("one", threading.get_ident) != here
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(threading.get_ident())
            yield number

    assert [number async for number in steps("one", numbers())] == list(range(100))
    assert here not in made


async def test_nothing_is_made_that_is_not_asked_for() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    async with aclosing(steps("one", numbers())) as found:
        assert [await anext(found), await anext(found)] == [0, 1]
        await asyncio.sleep(0.01)
    assert made == [0, 1]


async def test_what_is_cancelled_in_a_step_takes_no_other() -> None:
    made, began, go_on = [], threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            began.set()
            go_on.wait(5)
            yield number

    async def read() -> None:
        async for _ in steps("one", numbers()):
            pass

    reader = asyncio.create_task(read())
    await asyncio.to_thread(began.wait, 5)
    reader.cancel()
    await asyncio.wait([reader], timeout=20)
    assert reader.cancelled()
    go_on.set()
    await asyncio.sleep(0.01)
    assert made == [0]


async def test_errors_are_the_providers() -> None:
    def fail() -> Iterator[int]:
        yield 1
        raise KeyError("no such\nphoneme")

    results = steps("one", fail())
    assert await anext(results) == 1
    with pytest.raises(ProviderError, match="one: KeyError: ") as caught:
        await anext(results)
    assert (caught.value.provider, caught.value.retryable) == ("one", False)

    def explain() -> None:
        raise UserFacingError("do this")

    with pytest.raises(UserFacingError, match="do this"):
        await run("one", explain)
