"""The thread that the campaigns' database belongs to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from antiphon.errors import UserFacingError
from antiphon.phone.campaign_store import Store
from antiphon.phone.dialer_record import Attempt
from antiphon.phone.rules import Counts

_T = TypeVar("_T")


class StoreThread:
    """The store's own thread: sqlite waits for the disk, and the event loop must not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="outbound-store")
        self._store: Store | None = None

    async def do(self, work: Callable[[Store], _T]) -> _T:
        """Do something with the store, after what was asked before.

        Raises:
            UserFacingError: the store cannot be opened or written.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)

    def _do(self, work: Callable[[Store], _T]) -> _T:
        if self._store is None:
            self._store = Store(self._path)
        try:
            return work(self._store)
        except (sqlite3.Error, OSError) as error:
            raise UserFacingError(f"{self._path} cannot be used: {error}.") from error

    async def aclose(self) -> None:
        """After what was asked before."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._close)
        self._pool.shutdown(wait=False)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()

    # ---- the dialer's journal ---------------------------------------------------------------

    async def counts(self, number: str, now_s: float) -> Counts:
        return await self.do(lambda store: store.counts(number, now_s))

    async def reserve(self, attempt: Attempt) -> bool:
        return await self.do(lambda store: store.reserve(attempt))
