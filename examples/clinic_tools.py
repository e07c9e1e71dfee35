"""Tools of the clinic: a small calendar in an SQLite file.

Open Monday to Friday from nine to five, one patient per half hour.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from antiphon.agent.flow_spoken import say_date, say_time, to_date

OPENS, LAST_START, SLOT = time(9), time(16, 30), timedelta(minutes=30)
DAYS_AHEAD = 60
SCHEMA = """
create table if not exists appointments (
    starts_at text primary key,
    name text not null
)
"""


def find_time(day: str, time: str, name: str = "", today: str = "") -> dict[str, Any]:
    """Whether a day and time are free; if not, the nearest free time after it.

    `day` is as spoken ("next tuesday") or an ISO date, `time` is HH:MM. `today` is for tests.
    """
    now = date.fromisoformat(today) if today else date.today()
    try:
        wanted = datetime.combine(to_date(day, now), _clock(time))
    except ValueError:
        return {"error": f"not a day and time: {day} {time}"}
    with closing(_database()) as database:
        taken = {row[0] for row in database.execute("select starts_at from appointments")}
    found = _free_from(wanted, taken, now)
    if found is None:
        return {"error": f"nothing is free within {DAYS_AHEAD} days"}
    return {
        "ok": found == wanted,
        "day": {"say": say_date(found.date()), "value": found.date().isoformat()},
        "time": {"say": say_time(found.hour, found.minute), "value": f"{found:%H:%M}"},
    }


def book(name: str, day: str, time: str, today: str = "") -> dict[str, Any]:
    """Book a time that `find_time` found free."""
    now = date.fromisoformat(today) if today else date.today()
    starts = datetime.combine(to_date(day, now), _clock(time))
    with closing(_database()) as database, database:
        try:
            database.execute("insert into appointments values (?, ?)", (starts.isoformat(), name))
        except sqlite3.IntegrityError:
            return {"error": "somebody else has just taken that time"}
    return {"booked": starts.isoformat()}


def _clock(text: str) -> time:
    return time.fromisoformat(text)


def _free_from(wanted: datetime, taken: set[str], today: date) -> datetime | None:
    """The first free start at or after the wanted one, within opening hours."""
    minutes = -(-wanted.minute // 30) * 30
    at = wanted.replace(minute=0) + timedelta(minutes=minutes)
    if at.date() < today:
        at = datetime.combine(today, OPENS)
    while at.date() <= today + timedelta(days=DAYS_AHEAD):
        if at.time() < OPENS:
            at = datetime.combine(at.date(), OPENS)
        if at.weekday() > 4 or at.time() > LAST_START:
            at = datetime.combine(at.date() + timedelta(days=1), OPENS)
        elif at.isoformat() in taken:
            at += SLOT
        else:
            return at
    return None


def _database() -> sqlite3.Connection:
    folder = Path(os.environ.get("ANTIPHON_DATA", "var"))
    folder.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(folder / "clinic.sqlite", timeout=5)
    database.execute(SCHEMA)
    return database
