"""Campaigns and calls made, in one SQLite file that outlives the process.

Nobody is called twice by mistake: a row is `claimed`, and that is on the disk (`synchronous=FULL`),
before anybody is asked to dial it. Whoever finds a claimed row after a restart cannot know what
became of it; it is then `unknown`, and reported, not called again. One process at a time runs
campaigns: it holds a lock on a file beside the database until it ends, however it ends.

`Store` blocks and belongs to one thread; `campaign_thread.StoreThread` is that thread.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from antiphon.errors import UserFacingError
from antiphon.phone.dialer_record import Attempt
from antiphon.phone.rules import DAY_S, HOUR_S, Counts

NAME = "outbound.db"
SCHEMA = 1
BUSY_TIMEOUT_S = 5.0
MAX_CAMPAIGNS = 1_000
KEEP_S = 90 * DAY_S
"""How long a campaign that is over is kept."""

CampaignState = Literal["running", "paused", "canceled", "done"]
Outcome = Literal[
    "completed", "message", "machine", "busy", "no_answer", "failed", "refused", "canceled",
    "unknown",
]  # fmt: skip

_TABLES = """
CREATE TABLE campaigns (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, agent TEXT NOT NULL, pace REAL NOT NULL,
  at_once INTEGER NOT NULL, retries INTEGER NOT NULL, retry_after_s REAL NOT NULL,
  state TEXT NOT NULL, made_s REAL NOT NULL, ended_s REAL, duplicates TEXT NOT NULL
) STRICT;
CREATE TABLE rows (
  campaign TEXT NOT NULL REFERENCES campaigns(id) ON DELETE CASCADE, line INTEGER NOT NULL,
  number TEXT NOT NULL, variables TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting',
  due_s REAL NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  call_id TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '',
  answered_by TEXT NOT NULL DEFAULT '', duration_s INTEGER, first_s REAL, last_s REAL, ended_s REAL,
  PRIMARY KEY (campaign, line), UNIQUE (campaign, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX rows_due ON rows(campaign, state, due_s, line);
CREATE TABLE dialled (at_s REAL NOT NULL, number TEXT NOT NULL, call_id TEXT NOT NULL) STRICT;
CREATE INDEX dialled_at ON dialled(at_s);
CREATE INDEX dialled_number ON dialled(number, at_s);
CREATE TABLE keys (
  key TEXT PRIMARY KEY, call_id TEXT NOT NULL, at_s REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What was ordered. `pace` is in calls a minute."""

    id: str
    name: str
    agent: str
    pace: float
    at_once: int
    retries: int
    retry_after_s: float
    state: CampaignState = "running"
    made_s: float = 0.0
    ended_s: float | None = None
    duplicates: tuple[int, ...] = ()
    """Lines of the CSV whose number an earlier line has; the first hundred of them."""


NewRow = tuple[int, str, str]
"""A row of a new campaign: line, number, variables as JSON. A tuple, for there are many."""


@dataclass(frozen=True, slots=True)
class Row:
    """Somebody to call."""

    campaign: str
    line: int
    number: str
    variables: Mapping[str, str]
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row, for good."""

    outcome: Outcome
    detail: str = ""
    answered_by: str = ""
    duration_s: int | None = None


class Store:
    """The database.

    Raises:
        UserFacingError: it cannot be opened, or is of a later version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock_file: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._make_tables()
        except (sqlite3.Error, OSError) as error:
            raise UserFacingError(f"{path} cannot be used for outbound calls: {error}.") from None

    def _make_tables(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={SCHEMA}")
        self._db.execute("COMMIT")
        if version > SCHEMA:
            raise UserFacingError(f"{self._path} was made by a later version of Antiphon.")

    def close(self) -> None:
        self._db.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def lock(self) -> bool:
        """Become the one process that runs campaigns; False where another one does."""
        if self._lock_file is not None:
            return True
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    # ---- calls made ------------------------------------------------------------------------

    def counts(self, number: str, now_s: float) -> Counts:
        """Calls to this number in 24 hours, and all in an hour."""
        of_number = self._db.execute(
            "SELECT count(*), min(at_s) FROM dialled WHERE number = ? AND at_s > ?",
            (number, now_s - DAY_S),
        ).fetchone()
        of_hour = self._db.execute(
            "SELECT count(*), min(at_s) FROM dialled WHERE at_s > ?", (now_s - HOUR_S,)
        ).fetchone()
        return Counts(of_number[0], of_number[1] or 0.0, of_hour[0], of_hour[1] or 0.0)

    def reserve(self, attempt: Attempt) -> bool:
        """In one commit: the call is noted, its row claimed, its key used. False, and nothing is
        written, where the row or the key is taken."""
        with _Transaction(self._db) as transaction:
            if attempt.key:
                used = self._db.execute(
                    "INSERT OR IGNORE INTO keys VALUES (?, ?, ?)",
                    (attempt.key, attempt.call_id, attempt.at_s),
                )
                if used.rowcount != 1:
                    return transaction.undo()
            if attempt.row is not None:
                # The campaign may have been paused or cancelled since the row was looked up.
                claimed = self._db.execute(
                    "UPDATE rows SET state = 'claimed', attempts = attempts + 1, call_id = ?,"
                    " first_s = coalesce(first_s, ?), last_s = ?"
                    " WHERE campaign = ? AND line = ? AND state = 'waiting' AND campaign IN"
                    " (SELECT id FROM campaigns WHERE state = 'running')",
                    (attempt.call_id, attempt.at_s, attempt.at_s, *attempt.row),
                )
                if claimed.rowcount != 1:
                    return transaction.undo()
            self._db.execute(
                "INSERT INTO dialled VALUES (?, ?, ?)",
                (attempt.at_s, attempt.number, attempt.call_id),
            )
        return True

    def key_used(self, key: str) -> str | None:
        """The call that was ordered with a key."""
        row = self._db.execute("SELECT call_id FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def forget(self, now_s: float) -> None:
        """Take out what no longer counts: old calls, keys, and campaigns that are over."""
        with _Transaction(self._db):
            self._db.execute("DELETE FROM dialled WHERE at_s < ?", (now_s - DAY_S,))
            self._db.execute("DELETE FROM keys WHERE at_s < ?", (now_s - DAY_S,))
            self._db.execute("DELETE FROM campaigns WHERE ended_s < ?", (now_s - KEEP_S,))

    # ---- campaigns -------------------------------------------------------------------------

    def add(self, campaign: Campaign, rows: Iterable[NewRow]) -> int:
        """Keep a new campaign with its rows, all or nothing; how many there are. Whatever `rows`
        raises is raised.

        Raises:
            UserFacingError: there are `MAX_CAMPAIGNS` already.
        """
        with _Transaction(self._db):
            (known,) = self._db.execute("SELECT count(*) FROM campaigns").fetchone()
            if known >= MAX_CAMPAIGNS:
                raise UserFacingError(
                    f"There are {known} campaigns already; one that is over is kept for "
                    f"{KEEP_S / DAY_S:.0f} days."
                )
            self._db.execute(
                "INSERT INTO campaigns VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                (
                    *(campaign.id, campaign.name, campaign.agent, campaign.pace, campaign.at_once),
                    *(campaign.retries, campaign.retry_after_s, campaign.state, campaign.made_s),
                    json.dumps(campaign.duplicates),
                ),
            )
            added = self._db.executemany(
                "INSERT INTO rows (campaign, line, number, variables) VALUES (?, ?, ?, ?)",
                ((campaign.id, *row) for row in rows),
            )
            return added.rowcount

    def campaign(self, campaign_id: str) -> Campaign | None:
        found = self._campaigns("WHERE id = ?", (campaign_id,))
        return found[0] if found else None

    def campaigns(self, limit: int) -> list[Campaign]:
        """The newest first."""
        return self._campaigns("ORDER BY made_s DESC, id LIMIT ?", (limit,))

    def running(self) -> list[Campaign]:
        return self._campaigns("WHERE state = 'running' ORDER BY made_s, id", ())

    def _campaigns(self, where: str, values: tuple[Any, ...]) -> list[Campaign]:
        # `where` is one of the three texts above.
        found = self._db.execute(f"SELECT * FROM campaigns {where}", values).fetchall()
        return [_campaign(row) for row in found]

    def set_state(self, campaign_id: str, state: CampaignState, now_s: float) -> bool:
        """Pause, resume or cancel one that is not over; False where it is. Rows of a cancelled one
        that wait are `canceled`; calls that go on are not ended."""
        with _Transaction(self._db):
            ended_s = now_s if state in ("canceled", "done") else None
            changed = self._db.execute(
                "UPDATE campaigns SET state = ?, ended_s = ? WHERE id = ?"
                " AND state IN ('running', 'paused')",
                (state, ended_s, campaign_id),
            ).rowcount
            if changed and state == "canceled":
                self._db.execute(
                    "UPDATE rows SET state = 'done', outcome = 'canceled', ended_s = ?"
                    " WHERE campaign = ? AND state = 'waiting'",
                    (now_s, campaign_id),
                )
        return changed == 1

    def tally(self, campaign_id: str) -> dict[str, int]:
        """How many rows are `waiting`, `calling`, and of which outcome."""
        counts = {"waiting": 0, "calling": 0}
        for state, outcome, count in self._db.execute(
            "SELECT state, outcome, count(*) FROM rows WHERE campaign = ? GROUP BY 1, 2",
            (campaign_id,),
        ):
            name = outcome if state == "done" else "calling" if state == "claimed" else "waiting"
            counts[name] = counts.get(name, 0) + count
        return counts

    def due(self, campaign_id: str, now_s: float, limit: int) -> list[Row]:
        """Rows that may be called now, those that have waited longest first."""
        found = self._db.execute(
            "SELECT campaign, line, number, variables, attempts FROM rows"
            " WHERE campaign = ? AND state = 'waiting' AND due_s <= ? ORDER BY due_s, line LIMIT ?",
            (campaign_id, now_s, limit),
        ).fetchall()
        return [Row(a, b, c, json.loads(d), e) for a, b, c, d, e in found]

    def has_open_rows(self, campaign_id: str) -> bool:
        """Whether somebody is still to be called, or is being called."""
        found = self._db.execute(
            "SELECT 1 FROM rows WHERE campaign = ? AND state IN ('waiting', 'claimed') LIMIT 1",
            (campaign_id,),
        )
        return found.fetchone() is not None

    def postpone(self, rows: Iterable[tuple[Row, float]]) -> None:
        """Rows that wait are due later."""
        with _Transaction(self._db):
            self._db.executemany(
                "UPDATE rows SET due_s = ? WHERE campaign = ? AND line = ? AND state = 'waiting'",
                [(due_s, row.campaign, row.line) for row, due_s in rows],
            )

    def put_back(self, row: Row, due_s: float, *, missed: bool) -> bool:
        """A claimed row is to be called again. `missed`: nobody was asked to call, so that it does
        not count as an attempt. False where the campaign is over."""
        changed = self._db.execute(
            "UPDATE rows SET state = 'waiting', due_s = ?, attempts = attempts - ?"
            " WHERE campaign = ? AND line = ? AND state = 'claimed' AND"
            " campaign IN (SELECT id FROM campaigns WHERE state IN ('running', 'paused'))",
            (due_s, int(missed), row.campaign, row.line),
        )
        return changed.rowcount == 1

    def finish(self, row: Row, result: Result, now_s: float) -> None:
        """A row is done."""
        self._db.execute(
            "UPDATE rows SET state = 'done', outcome = ?, detail = ?, answered_by = ?,"
            " duration_s = ?, ended_s = ? WHERE campaign = ? AND line = ? AND state != 'done'",
            (
                *(result.outcome, result.detail[:300], result.answered_by, result.duration_s),
                *(now_s, row.campaign, row.line),
            ),
        )

    def recover(self, now_s: float) -> int:
        """After a start, before anything else: rows that were claimed by a process that is gone
        become `unknown`; how many there were."""
        return self._db.execute(
            "UPDATE rows SET state = 'done', outcome = 'unknown', ended_s = ?,"
            " detail = 'the server stopped while this number was called' WHERE state = 'claimed'",
            (now_s,),
        ).rowcount

    def results(self, campaign_id: str, after_line: int, limit: int) -> list[tuple[Any, ...]]:
        """Rows in the order of the CSV, from the line after: line, number, state, outcome,
        attempts, answered_by, duration_s, first_s, last_s, ended_s, call_id, detail."""
        return self._db.execute(
            "SELECT line, number, state, outcome, attempts, answered_by, duration_s, first_s,"
            " last_s, ended_s, call_id, detail FROM rows WHERE campaign = ? AND line > ?"
            " ORDER BY line LIMIT ?",
            (campaign_id, after_line, limit),
        ).fetchall()


def _campaign(row: tuple[Any, ...]) -> Campaign:
    *plain, duplicates = row
    return replace(Campaign(*plain), duplicates=tuple(json.loads(duplicates)))


class _Transaction:
    """One commit, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> _Transaction:
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def undo(self) -> Literal[False]:
        self._db.execute("ROLLBACK")
        return False

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
