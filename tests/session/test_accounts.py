"""What a process's calls have spent today, and calls that are refused for it."""

from __future__ import annotations

import asyncio
import datetime
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from tests.support.stage import agent

from antiphon.agent.config import Limits
from antiphon.cost.ledger import Ledger
from antiphon.errors import ConfigError, UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.session import accounts as module
from antiphon.session.accounts import Accounts, agent_scope, parse_limits, today

CAFE = agent_scope("cafe")


class Calendar:
    date = "2026-03-01"

    def __call__(self) -> str:
        return self.date


def accounts(ledger: Path | None = None, **more: object) -> Accounts:
    agents = {"cafe": agent(name="cafe", budget={"day": {"end": 5}}), "bank": agent(name="bank")}
    return Accounts(agents, Metrics(), ledger=ledger, **more)  # type: ignore[arg-type]


async def test_an_agent_over_its_day_takes_no_more_calls_and_others_do() -> None:
    one = accounts(day=Calendar())
    await one.start()
    one.add(CAFE, Decimal("4.99"))
    assert one.refusal("cafe") == ""
    one.add(CAFE, Decimal("0.01"))
    assert "try again tomorrow" in one.refusal("cafe")
    assert one.refusal("bank") == ""


async def test_the_server_has_a_day_of_its_own() -> None:
    metrics = Metrics()
    one = Accounts({"bank": agent(name="bank")}, metrics, Limits(end=1), day=Calendar())
    one.add("agent:bank", Decimal(1))
    assert one.refusal("bank")
    told = 'antiphon_budgets_reached_total{agent="bank",level="refused",scope="server"} 1.0'
    assert told in metrics.render().decode()


async def test_tomorrow_is_another_day(tmp_path: Path) -> None:
    calendar, path = Calendar(), tmp_path / "spending.db"
    one = accounts(path, day=calendar)
    await one.start()
    one.add(CAFE, Decimal(5))
    calendar.date = "2026-03-02"
    assert one.refusal("cafe") == ""
    one.add(CAFE, Decimal(1))
    await one.exchange()
    assert one.spent(CAFE) == 1
    told = [(day, dollars) for day, scope, dollars in Ledger(path).days() if scope == CAFE]
    assert told == [("2026-03-02", Decimal(1)), ("2026-03-01", Decimal(5))]


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    path, calendar = tmp_path / "spending.db", Calendar()
    one = accounts(path, day=calendar)
    await one.start()
    one.add(CAFE, Decimal("4.5"))
    await one.exchange()
    again = accounts(path, day=calendar)
    await again.start()
    assert again.spent(CAFE) == Decimal("4.5")
    # Both spend, in two processes; each learns what the other one has.
    for each in (one, again):
        each.add(CAFE, Decimal("0.25"))
        await each.exchange()
    await one.exchange()
    assert one.spent(CAFE) == again.spent(CAFE) == 5
    assert one.refusal("cafe")


def spend_alone(path: Path, times: int) -> None:
    """What a worker of a server does with its money."""

    async def spend() -> None:
        one = accounts(path, day=Calendar())
        await one.start()
        for _ in range(times):
            one.add(CAFE, Decimal("0.05"))
            await one.exchange()

    asyncio.run(spend())


async def test_processes_that_spend_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "spending.db"
    here = accounts(path, day=Calendar())
    await here.start()
    context, loop = multiprocessing.get_context("spawn"), asyncio.get_running_loop()
    with ProcessPoolExecutor(2, context) as pool:
        spending = [loop.run_in_executor(pool, spend_alone, path, 40) for _ in range(2)]
        for _ in range(20):
            here.add(CAFE, Decimal("0.05"))
            await here.exchange()
        await asyncio.gather(*spending)
    await here.exchange()
    assert here.spent(CAFE) == here.spent("server") == 5
    assert here.refusal("cafe")


async def test_a_ledger_that_fails_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calendar = tmp_path / "spending.db", Calendar()
    one = accounts(path, day=calendar)
    await one.start()
    one.add(CAFE, Decimal(1))
    exchange = Ledger.exchange

    def fails(*_: object) -> dict[str, Decimal]:
        raise UserFacingError("the disk is full")

    monkeypatch.setattr(Ledger, "exchange", fails)
    calendar.date = "2026-03-02"
    one.add(CAFE, Decimal(2))
    for _ in range(2):
        await one.exchange()
    assert one.spent(CAFE) == 2
    assert caplog.text.count("the disk is full") == 1
    monkeypatch.setattr(Ledger, "exchange", exchange)
    await one.exchange()
    assert {x[0]: x[2] for x in Ledger(path).days() if x[1] == CAFE} == {
        "2026-03-01": 1,
        "2026-03-02": 2,
    }


async def test_it_is_kept_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXCHANGE_S", 0.001)
    one, done = accounts(), asyncio.Event()

    async def exchanged() -> None:
        done.set()

    monkeypatch.setattr(one, "exchange", exchanged)
    keeping = asyncio.create_task(one.keep())
    async with asyncio.timeout(20):
        await done.wait()
    keeping.cancel()


def test_a_day_is_a_date() -> None:
    assert datetime.date.fromisoformat(today())


async def test_without_a_ledger_nothing_is_kept() -> None:
    one = accounts()
    await one.start()
    one.add(CAFE, Decimal(1))
    await one.exchange()
    assert one.spent(CAFE) == 1


async def test_wrong_prices_are_an_error_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("prices:\n  - {kind: llm}\n", encoding="utf-8")
    loaded = agent(name="cafe", prices=str(tmp_path / "p.yaml"))
    with pytest.raises(ConfigError, match=r"p\.yaml:2: .*provider"):
        await Accounts({"cafe": loaded}, Metrics()).start()


def test_limits_of_a_command_line() -> None:
    assert parse_limits("50") == Limits(end=50)
    assert parse_limits("warn=4, cheaper=4.5,end=5") == Limits(warn=4, cheaper=4.5, end=5)
    for wrong in ("much", "end=x", "stop=5", "warn=5,end=4", ""):
        with pytest.raises(UserFacingError, match="is not a budget"):
            parse_limits(wrong)
