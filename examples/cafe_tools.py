"""Tools of the cafe: orders go to an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists orders (
    number integer primary key autoincrement,
    placed_at text not null default current_timestamp,
    drink text not null, size text not null,
    shots text, roast text, milk text, sugar text
)
"""


def place_order(
    drink: str,
    size: str,
    shots: str | None = None,
    roast: str | None = None,
    milk: str | None = None,
    sugar: str | None = None,
) -> dict[str, Any]:
    """Write an order and return its number."""
    folder = Path(os.environ.get("ANTIPHON_DATA", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "cafe.sqlite", timeout=5)) as database, database:
        database.execute(SCHEMA)
        cursor = database.execute(
            "insert into orders (drink, size, shots, roast, milk, sugar) values (?, ?, ?, ?, ?, ?)",
            (drink, size, shots, roast, milk, sugar),
        )
        return {"number": cursor.lastrowid}
