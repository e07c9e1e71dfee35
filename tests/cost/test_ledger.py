"""What was spent on which day, kept in a file."""

from __future__ import annotations

import datetime
import multiprocessing
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from antiphon.cost.ledger import KEEP_DAYS, Ledger
from antiphon.errors import UserFacingError

CENT = Decimal("0.01")


def spend(path: Path, times: int) -> None:
    for _ in range(times):
        Ledger(path).exchange("2026-03-01", {"server": CENT, "agent:cafe": CENT})


def test_amounts_add_up_and_survive(tmp_path: Path) -> None:
    path = tmp_path / "state" / "spending.db"
    assert Ledger(path).exchange("2026-03-01", {}) == {}
    Ledger(path).exchange("2026-03-01", {"server": Decimal("0.1")})
    told = Ledger(path).exchange("2026-03-01", {"server": Decimal("0.2"), "agent:x": CENT})
    assert told == {"server": Decimal("0.3"), "agent:x": CENT}
    assert Ledger(path).exchange("2026-03-02", {}) == {}
    assert Ledger(path).days()[0] == ("2026-03-01", "agent:x", CENT)
    assert Ledger(tmp_path / "none.db").days() == []


def test_several_processes_share_it(tmp_path: Path) -> None:
    path = tmp_path / "spending.db"
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        for one in [pool.submit(spend, path, 20) for _ in range(3)]:
            one.result()
    assert Ledger(path).exchange("2026-03-01", {})["server"] == 60 * CENT


def test_old_days_are_forgotten(tmp_path: Path) -> None:
    path, day = tmp_path / "spending.db", datetime.date(2026, 1, 1)
    ledger = Ledger(path)
    ledger.exchange("2020-01-01", {"server": CENT})
    with sqlite3.connect(path) as database:
        database.executemany(
            "insert into spent values (?, 'server', 1)",
            [(str(day + datetime.timedelta(days=n)),) for n in range(KEEP_DAYS)],
        )
    database.close()
    ledger.exchange(str(day), {"server": CENT})
    assert ledger.exchange("2020-01-01", {}) == {}
    assert len(ledger.days(10_000)) == KEEP_DAYS


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spending.db"
    path.write_text("nothing of the kind" * 100, encoding="utf-8")
    with pytest.raises(UserFacingError, match=r"spending\.db: what was spent cannot be kept"):
        Ledger(path).exchange("2026-03-01", {})
    with pytest.raises(UserFacingError, match="cannot be read"):
        Ledger(path).days()
