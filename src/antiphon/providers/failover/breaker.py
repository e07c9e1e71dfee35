"""Who is worth asking: a breaker per provider, shared by all calls.

After some failures in a row, or one that trying again cannot mend (a refused key), a provider is
not asked any more, so that no caller waits for it. Meanwhile it is probed in the background, at
growing intervals, and taken back when it answers: no caller's turn is spent on finding out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from antiphon.errors import ProviderError

log = logging.getLogger(__name__)

ALONE = 0
"""Failures that open the breaker of a provider that has nobody to step in: it never opens."""
Watcher = Callable[[int, bool], None]

PROBE_AFTER_S = 5.0
LONGEST_S = 60.0
PROBE_DEADLINE_S = 5.0


class Breaker:
    """One provider's.

    Args:
        name: kind and name, such as `tts elevenlabs`, for the log.
        failures: in a row, that open it; ALONE: never.
        probe: a small request; raises ProviderError when it fails.
        first_s: time to the first probe; it doubles up to a minute.
    """

    def __init__(
        self,
        name: str,
        failures: int,
        probe: Callable[[], Awaitable[None]],
        first_s: float = PROBE_AFTER_S,
    ) -> None:
        self.name, self.open = name, False
        self.on_change: Callable[[], None] = lambda: None
        self.on_stall: Callable[[], None] = lambda: None
        self._limit, self._probe, self._first_s = failures, probe, first_s
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    def succeeded(self) -> None:
        """It gave an answer."""
        self._failures = 0
        if self.open:
            self.open = False
            log.warning("%s works again", self.name)
            self.on_change()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None

    def failed(self, error: ProviderError) -> None:
        """It did not. A request that it may refuse says nothing about it."""
        if error.blame == "request":
            return
        self._failures += 1
        if self.open or self._limit == ALONE:
            return
        if error.blame != "account" and self._failures < self._limit:
            return
        self.open = True
        self.on_change()
        log.warning("%s is not asked until it answers a probe: %s", self.name, error)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._recover(), name=f"probe {self.name}")

    def stalled(self) -> None:
        """It was given up without an answer, which nobody else tells."""
        self.on_stall()
        self.failed(ProviderError("no answer in time", provider=self.name, retryable=True))

    async def aclose(self) -> None:
        """Stop probing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _recover(self) -> None:
        wait_s = self._first_s
        while self.open:
            await asyncio.sleep(wait_s)
            wait_s = min(LONGEST_S, 2 * wait_s)
            try:
                async with asyncio.timeout(PROBE_DEADLINE_S):
                    await self._probe()
            except (TimeoutError, ProviderError) as error:
                log.info("%s does not work yet: %s", self.name, error)
            else:
                self.succeeded()
        self._task = None


class Breakers:
    """Those of an agent's providers of one kind, in the order in which they are asked.

    `watchers` are told the number of a provider that is lost or back, and whether it works.
    """

    def __init__(self, breakers: Sequence[Breaker]) -> None:
        self._all = tuple(breakers)
        self.watchers: set[Watcher] = set()
        for number, one in enumerate(self._all):
            one.on_change = partial(self._changed, number)

    def _changed(self, number: int) -> None:
        for tell in tuple(self.watchers):
            tell(number, not self._all[number].open)

    def lost(self) -> tuple[int, ...]:
        """Those that are not asked now."""
        return tuple(number for number, one in enumerate(self._all) if one.open)

    def __getitem__(self, number: int) -> Breaker:
        return self._all[number]

    def usable(self, number: int) -> bool:
        """Whether it is worth asking. When none is, all are: somebody has to be asked."""
        return not self._all[number].open or all(one.open for one in self._all)

    def best(self, after: int = -1) -> int:
        """The first that is worth asking, beginning after one of them, in turn."""
        count = len(self._all)
        order = [(after + 1 + step) % count for step in range(count)]
        return next((number for number in order if self.usable(number)), order[0])

    async def aclose(self) -> None:
        for one in self._all:
            await one.aclose()
