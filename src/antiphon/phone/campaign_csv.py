"""The list of a campaign, and its results, as CSV (RFC 4180).

A list has a line of names at its top; the column `to` has the numbers, each other column is a
variable for the agent's sentences. Separated by commas or, where that line has none, semicolons.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterable
from typing import Any

from antiphon.errors import UserFacingError
from antiphon.phone.campaign_store import NewRow
from antiphon.phone.dialer_record import iso
from antiphon.phone.numbers import BadNumber, normal

MAX_ROWS = 100_000
BREATH_ROWS, BREATH_S = 50, 0.0002
MAX_COLUMNS = 50
MAX_VALUE_CHARS = 1_000
MAX_ERRORS = 20
MAX_DUPLICATES = 100
RESULT_COLUMNS = (
    *("line", "to", "outcome", "attempts", "answered_by", "duration_s"),
    *("first_called_at", "last_called_at", "ended_at", "call_id", "detail"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")


class BadList(UserFacingError):
    """What is wrong with a list, with the numbers of its lines; nobody is called."""


def read_list(data: bytes) -> tuple[list[NewRow], list[int]]:
    """The rows, and the lines (at most a hundred) whose number an earlier line has. For a thread:
    it lets others have the interpreter every few rows.

    Raises:
        BadList: it is not such a list. Up to twenty lines are named.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadList(f"line {line}: this is not UTF-8; save the list as CSV UTF-8.") from None
    head = text.partition("\n")[0]
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=";" if ";" in head and "," not in head else ",",
        strict=True,
    )
    rows: dict[str, NewRow] = {}
    duplicates: list[int] = []
    errors: list[str] = []
    try:
        names = _names(next(reader, []))
        line = reader.line_num + 1
        for fields in reader:
            if any(fields):
                try:
                    row = _row(line, names, fields)
                except ValueError as error:
                    errors.append(f"line {line}: {error}")
                else:
                    if row[1] not in rows:
                        rows[row[1]] = row
                    elif len(duplicates) < MAX_DUPLICATES:
                        duplicates.append(line)
            line = reader.line_num + 1
            if line % BREATH_ROWS == 0:
                time.sleep(BREATH_S)
            if len(errors) >= MAX_ERRORS:
                break
            if len(rows) > MAX_ROWS:
                raise BadList(f"line {line}: a list has at most {MAX_ROWS:,} numbers.")
    except csv.Error as error:
        raise BadList(f"line {reader.line_num}: this is not CSV: {error}.") from None
    if errors:
        raise BadList("\n".join(errors))
    if not rows:
        raise BadList("the list has no numbers; it needs a column `to` and a line for each.")
    return list(rows.values()), duplicates


def _names(fields: list[str]) -> list[str]:
    names = [field.strip() for field in fields]
    if "to" not in names:
        raise BadList("line 1: there is no column `to`; the first line has the columns' names.")
    if len(names) > MAX_COLUMNS:
        raise BadList(f"line 1: a list has at most {MAX_COLUMNS} columns.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadList(f"line 1: `{name[:40]}` cannot be a variable; use letters, digits and _.")
        if names.count(name) > 1:
            raise BadList(f"line 1: there are two columns `{name}`.")
    return names


def _row(line: int, names: list[str], fields: list[str]) -> NewRow:
    if len(fields) > len(names):
        raise ValueError(f"{len(fields)} fields, but {len(names)} columns")
    values = dict(zip(names, (field.strip() for field in fields), strict=False))
    for name, value in values.items():
        if len(value) > MAX_VALUE_CHARS:
            raise ValueError(f"`{name}` has more than {MAX_VALUE_CHARS} characters")
    try:
        number = normal(values.pop("to", ""))
    except BadNumber as error:
        raise ValueError(str(error)) from None
    variables = {name: values.get(name, "") for name in names if name != "to"}
    return line, number, json.dumps(variables)


def results_text(rows: Iterable[tuple[Any, ...]], *, head: bool) -> str:
    """Lines of results, from what `Store.results` gives. A row that is not done has the outcome
    `waiting` or `calling`."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if head:
        writer.writerow(RESULT_COLUMNS)
    for line, to, state, outcome, attempts, by, length, first, last, ended, call, detail in rows:
        known = outcome if state == "done" else "calling" if state == "claimed" else "waiting"
        times = [iso(moment) or "" for moment in (first, last, ended)]
        seconds = "" if length is None else length
        writer.writerow((line, to, known, attempts, by, seconds, *times, call, detail))
    return out.getvalue()
