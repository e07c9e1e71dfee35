"""What was spent on which day, in a file that several processes share and that outlives them.

Amounts are whole billionths of a dollar, so that sums are exact. Every call opens the database
anew: it is used every few seconds at most, from whichever thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from antiphon.errors import UserFacingError

KEEP_DAYS = 400
"""Days that are remembered: a year, to compare with."""
_BUSY_S = 3.0
_PER_DOLLAR = 10**9
_TABLE = """
create table if not exists spent (
    day text not null, scope text not null, nano integer not null, primary key (day, scope)
) without rowid
"""
_ADD = """
insert into spent values (?, ?, ?)
on conflict (day, scope) do update set nano = nano + excluded.nano
"""
_OLD = """
delete from spent where day not in (select distinct day from spent order by day desc limit ?)
"""


class Ledger:
    """A file of what was spent. Safe between threads and processes.

    Args:
        path: made with its folder when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def exchange(self, day: str, spent: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Add what was spent on a day (ISO date), by scope, and return what all have spent on it.
        All or nothing.

        Raises:
            UserFacingError: the file cannot be used.
        """
        rows = [(day, scope, int(dollars * _PER_DOLLAR)) for scope, dollars in spent.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as database, database:
                # One writer at a time from the start: two that read first would fail together.
                database.execute("begin immediate")
                database.execute(_TABLE)
                database.executemany(_ADD, rows)
                if rows:
                    database.execute(_OLD, (KEEP_DAYS,))
                query = "select scope, nano from spent where day = ?"
                found = database.execute(query, (day,)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise UserFacingError(f"{self.path}: what was spent cannot be kept: {error}") from error
        return {scope: Decimal(nano) / _PER_DOLLAR for scope, nano in found}

    def days(self, limit: int = 31) -> list[tuple[str, str, Decimal]]:
        """What was spent on the newest days: day, scope, dollars."""
        if not self.path.is_file():
            return []
        query = "select day, scope, nano from spent order by day desc, scope limit ?"
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as database:
                found = database.execute(query, (limit,)).fetchall()
        except sqlite3.Error as error:
            raise UserFacingError(f"{self.path}: cannot be read: {error}") from error
        return [(day, scope, Decimal(nano) / _PER_DOLLAR) for day, scope, nano in found]
