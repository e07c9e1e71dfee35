"""A process that runs one campaign until it is done, over a line that writes down whom it called.

    python campaign_process.py FOLDER ROWS SEED

The line appends each number to FOLDER/dialled, on the disk, the moment it is asked; somebody
answers, is busy or gone a little later. Killed at any time, and started again, it goes on.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from antiphon.channels.phone.vendor import LineStatus, Status
from antiphon.phone import campaign as campaign_module
from antiphon.phone.campaign import Campaigns
from antiphon.phone.campaign_store import Campaign, NewRow
from antiphon.phone.campaign_thread import StoreThread
from antiphon.phone.config import OutboundConfig
from antiphon.phone.dialer import Dialer
from antiphon.phone.dialer_record import LineCall

ENDS: tuple[LineStatus, ...] = ("completed", "busy", "no_answer", "failed")


class WritingLine:
    """The scripted company of this test."""

    def __init__(self, folder: Path, seed: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / "dialled", flags, 0o600)
        self._draws = random.Random(seed)

    async def dial(self, call: LineCall, told: Callable[[Status], None]) -> str:
        await asyncio.sleep(self._draws.random() * 0.004)
        os.write(self._file, f"{call.to}\n".encode())
        os.fsync(self._file)
        await asyncio.sleep(self._draws.random() * 0.004)
        end = self._draws.choice(ENDS)
        name = call.to
        loop, after_s = asyncio.get_running_loop(), self._draws.random() * 0.02
        loop.call_later(after_s, told, Status(name, end))
        return name

    async def hang_up(self, line_call_id: str) -> None:
        pass

    def session(self, line_call_id: str) -> None:
        return None


async def main(folder: Path, rows: int, seed: str) -> None:
    campaign_module.STEP_S = 0.005
    config = OutboundConfig(
        vendor="scripted",
        sender="+4930999999",
        countries=("DE",),
        hours="always",
        per_hour=100_000,
        at_once=100,
    )
    store = StoreThread(folder / "outbound.db")
    dialer = Dialer(config, WritingLine(folder, seed), store, lambda name: name or "", time.time)
    campaigns = Campaigns(store, dialer, time.time)
    await campaigns.start()
    assert campaigns.ready
    if await campaigns.shown("camp") is None:
        made = Campaign("camp", "all", "Cafe", 60_000.0, 10, 0, 60.0)
        numbers = [f"+4930{1_000_000 + n}" for n in range(rows)]
        listed: list[NewRow] = [(n + 2, number, "{}") for n, number in enumerate(numbers)]
        await campaigns.add(made, listed, [])
    running = asyncio.create_task(campaigns.run())
    state = ""
    while state != "done":
        await asyncio.sleep(0.005)
        state = (await campaigns.shown("camp") or {})["state"]
    running.cancel()
    await campaigns.aclose()
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
