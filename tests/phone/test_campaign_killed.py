"""A process that runs a campaign is killed again and again, and nobody is called twice.

`ANTIPHON_KILLS=200` kills it as often as that instead.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.phone import campaign_process

from antiphon.phone.campaign_store import Store

KILLS = int(os.environ.get("ANTIPHON_KILLS", "5"))
ROWS_A_KILL = 12


def start(folder: Path, rows: int, seed: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, campaign_process.__file__, str(folder), str(rows), seed]
    return subprocess.Popen(command)


def calls(folder: Path) -> list[str]:
    path = folder / "dialled"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def run_until_killed(folder: Path, rows: int, draws: random.Random, seed: str) -> bool:
    """Kill it some calls and some moments after it has begun to call; whether it was killed."""
    wanted = len(calls(folder)) + draws.randrange(1, ROWS_A_KILL)
    process = start(folder, rows, seed)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and len(calls(folder)) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(draws.random() * 0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(30)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", [7])
def test_nobody_is_called_twice_and_nobody_is_lost(seed: int, tmp_path: Path) -> None:
    draws, rows = random.Random(seed), KILLS * ROWS_A_KILL * 2
    killed = sum(
        run_until_killed(tmp_path, rows, draws, f"{seed}-{number}") for number in range(KILLS)
    )
    assert killed >= KILLS - 1
    assert start(tmp_path, rows, f"{seed}-end").wait(60 + rows) == 0

    dialled = calls(tmp_path)
    twice = [number for number, count in Counter(dialled).items() if count > 1]
    assert not twice
    store = Store(tmp_path / "outbound.db")
    results = store.results("camp", 0, rows + 1)
    store.close()
    outcomes = {row[1]: row[3] for row in results}
    assert len(outcomes) == rows, "each number has an outcome"
    assert all(row[2] == "done" for row in results)
    known = {number for number, outcome in outcomes.items() if outcome != "unknown"}
    unknown = set(outcomes) - known
    assert known <= set(dialled), "no outcome of a call that was not made"
    assert set(dialled) <= set(outcomes)
    # At most as many as went on at once are unknown for each time that it was killed.
    assert len(unknown) <= killed * 10
    print(f"{killed} kills, {len(dialled)} of {rows} called once, {len(unknown)} unknown")
