"""Tools of the support line: accounts in an SQLite file, which begins with two of them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = "create table if not exists accounts (number text primary key, cents integer not null)"
FIRST = (("12345678", 4250), ("87654321", -1999))


def balance(account: str) -> dict[str, Any]:
    """The balance of an account, which is given by its number."""
    folder = Path(os.environ.get("ANTIPHON_DATA", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "support.sqlite", timeout=5)) as database, database:
        database.execute(SCHEMA)
        database.executemany("insert or ignore into accounts values (?, ?)", FIRST)
        row = database.execute("select cents from accounts where number = ?", (account,)).fetchone()
    # The number is not in the answer: whoever reads the answer is not to learn it.
    return (
        {"error": "there is no such account"} if row is None else {"euros": f"{row[0] / 100:.2f}"}
    )
