from __future__ import annotations

import asyncio

from tests.providers.failover.common import Probe, breakers, failure

from antiphon.providers.failover.breaker import ALONE, Breaker


async def test_it_opens_after_failures_in_a_row_and_closes_when_the_probe_is_answered() -> None:
    probe = Probe(failure())
    breaker = Breaker("tts x", 3, probe, first_s=0.01)
    breaker.failed(failure())
    breaker.failed(failure())
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(failure())
    assert not breaker.open
    breaker.failed(failure())
    assert breaker.open
    for _ in range(200):
        if not breaker.open:
            break
        await asyncio.sleep(0.01)
    assert (breaker.open, probe.asked) == (False, 2)
    await breaker.aclose()


async def test_a_refused_key_opens_it_at_once() -> None:
    breaker = Breaker("tts x", 3, Probe())
    for _ in range(5):
        breaker.failed(failure("a request that it may refuse", status=400))
    assert not breaker.open
    breaker.failed(failure("HTTP 401", status=401))
    assert breaker.open
    await breaker.aclose()
    await breaker.aclose()


async def test_an_answer_to_a_caller_closes_it_too() -> None:
    breaker = Breaker("tts x", 1, Probe())
    breaker.failed(failure())
    breaker.succeeded()
    assert not breaker.open
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_best_is_the_next_that_works_and_somebody_when_none_does() -> None:
    group = breakers(3)
    assert group.best() == 0
    group[0].failed(failure())
    assert (group.best(), group.best(2), group.usable(0)) == (1, 1, False)
    group[1].failed(failure())
    group[2].failed(failure())
    assert (group.best(), group.best(0), group.usable(0)) == (0, 1, True)
    await group.aclose()


async def test_the_only_one_is_always_asked() -> None:
    breaker = Breaker("tts x", ALONE, Probe())
    for _ in range(10):
        breaker.failed(failure(status=401))
    assert not breaker.open
