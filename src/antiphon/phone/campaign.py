"""Calls everybody on a list, at a pace, and not twice.

One loop looks every `STEP_S` which rows are due, and places as many as pace and `at_once` allow.
The store is written before anybody is called and after each end, so that what a restart finds is
true.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from antiphon.errors import CapacityError, ProviderError, UserFacingError
from antiphon.phone.campaign_store import (
    Campaign,
    CampaignState,
    NewRow,
    Result,
    Row,
    Store,
)
from antiphon.phone.campaign_thread import StoreThread
from antiphon.phone.dialer import Dialer
from antiphon.phone.dialer_record import Order, Record, Refused, Taken, certainly_not_dialled, iso
from antiphon.phone.rules import Refusal

STEP_S = 0.25
BATCH = 200
"""Rows looked at in one round, where those before may not be called now."""
ROUNDS = 5
FIRST_HOLD_S, LONGEST_HOLD_S = 15.0, 600.0
CLOSE_S = 5.0
FORGET_EVERY_S = 3600.0
_RETRIED = ("busy", "no_answer", "machine")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Course:
    """How one campaign runs in this process."""

    next_s: float = 0.0
    """When the pace allows another call."""
    held_until_s: float = 0.0
    held_because: str = ""
    failures: int = 0
    """Calls in a row that the line would not take."""


class Campaigns:
    """All campaigns of a data folder. Where another process has them, `ready` is False."""

    def __init__(self, store: StoreThread, dialer: Dialer, now: Callable[[], float]) -> None:
        self._store, self._dialer, self._now = store, dialer, now
        self._courses: dict[str, _Course] = {}
        # Bounded by `at_once` of the campaigns.
        self._busy: set[tuple[str, int]] = set()
        self._unsettled: dict[tuple[str, int], tuple[Row, Record]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._forget_s = 0.0
        self.ready = False

    async def start(self) -> None:
        """Take the lock, and find out what a process before left open.

        Raises:
            UserFacingError: the store cannot be used.
        """
        self.ready = await self._store.do(lambda store: store.lock())
        if not self.ready:
            log.warning("another process runs the campaigns of this data folder")
            return
        now_s = self._now()
        if await self._store.do(lambda store: store.recover(now_s)):
            log.warning("calls of campaigns were under way when the server stopped")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.step()
            except Exception:
                # Such as a full disk: nobody is called while nothing can be written.
                log.exception("a campaign could not go on")
                await asyncio.sleep(FIRST_HOLD_S)
            await asyncio.sleep(STEP_S)

    async def aclose(self) -> None:
        """Call nobody any more; what was begun is written down."""
        self.ready = False
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()

    # ---- orders ------------------------------------------------------------------------------

    async def add(self, campaign: Campaign, rows: list[NewRow], duplicates: list[int]) -> None:
        """A new one, which begins at once. Takes the rows out of the list: to let go of many at a
        time would hold up the event loop. Raises UserFacingError."""
        campaign = replace(campaign, made_s=self._now(), duplicates=tuple(duplicates))
        rows.reverse()
        await self._store.do(lambda store: store.add(campaign, _taken(rows)))

    async def set_state(self, campaign_id: str, state: CampaignState) -> bool:
        """See `Store.set_state`."""
        now_s = self._now()
        self._courses.pop(campaign_id, None)
        return await self._store.do(lambda store: store.set_state(campaign_id, state, now_s))

    async def shown(self, campaign_id: str) -> dict[str, Any] | None:
        """Progress, for the API; None where there is no such campaign."""

        def read(store: Store) -> tuple[Campaign, dict[str, int]] | None:
            campaign = store.campaign(campaign_id)
            return None if campaign is None else (campaign, store.tally(campaign_id))

        found = await self._store.do(read)
        return None if found is None else self._shown(*found)

    async def listed(self, limit: int) -> list[dict[str, Any]]:
        """The newest campaigns, as `shown`."""
        found = await self._store.do(
            lambda store: [(one, store.tally(one.id)) for one in store.campaigns(limit)]
        )
        return [self._shown(*one) for one in found]

    def _shown(self, campaign: Campaign, tally: dict[str, int]) -> dict[str, Any]:
        waiting, calling = tally.pop("waiting"), tally.pop("calling")
        course = self._courses.get(campaign.id, _Course())
        held = campaign.state == "running" and course.held_until_s > self._now()
        return {
            "id": campaign.id,
            "name": campaign.name,
            "agent": campaign.agent,
            "state": campaign.state,
            "pace_per_minute": campaign.pace,
            "at_once": campaign.at_once,
            "retries": campaign.retries,
            "retry_after_minutes": campaign.retry_after_s / 60,
            "made_at": iso(campaign.made_s),
            "ended_at": iso(campaign.ended_s),
            "rows": waiting + calling + sum(tally.values()),
            "waiting": waiting,
            "calling": calling,
            "outcomes": tally,
            "duplicate_lines": list(campaign.duplicates),
            "held_until": iso(course.held_until_s) if held else None,
            "held_because": course.held_because if held else None,
        }

    # ---- the loop ----------------------------------------------------------------------------

    async def step(self) -> None:
        """Place what is due."""
        if not self.ready:
            return
        for row, record in list(self._unsettled.values()):
            await self._settle(row, record)
        now_s = self._now()
        if now_s > self._forget_s:
            self._forget_s = now_s + FORGET_EVERY_S
            await self._store.do(lambda store: store.forget(now_s))
        running = await self._store.do(lambda store: store.running())
        for campaign in running:
            course = self._courses.setdefault(campaign.id, _Course())
            if course.held_until_s <= now_s:
                await self._advance(campaign, course)
        for gone in set(self._courses) - {campaign.id for campaign in running}:
            del self._courses[gone]

    async def _advance(self, campaign: Campaign, course: _Course) -> None:
        now_s, between_s = self._now(), 60 / campaign.pace
        busy = sum(name == campaign.id for name, _ in self._busy)
        if not busy and not await self._is_open(campaign):
            return
        # What was not used of the pace is not made up for, beyond one step.
        course.next_s = max(course.next_s, now_s - STEP_S)
        slots = min(campaign.at_once - busy, int((now_s - course.next_s) / between_s) + 1)
        if course.next_s > now_s or slots < 1:
            return
        for number in range(ROUNDS):
            limit = busy + slots if number == 0 else busy + BATCH
            due = await self._store.do(partial(_due, campaign.id, now_s, limit))
            rows = [row for row in due if (row.campaign, row.line) not in self._busy]
            if not rows:
                return
            allowed = await self._sift(course, rows)
            for row in allowed[:slots]:
                course.next_s += between_s
                self._busy.add((row.campaign, row.line))
                self._start(self._call(campaign, course, row))
            if allowed or course.held_until_s > now_s:
                return

    async def _sift(self, course: _Course, rows: list[Row]) -> list[Row]:
        """Those that may be called now; the others are written off or put off."""
        refusals = await asyncio.to_thread(self._dialer.forbidden, [row.number for row in rows])
        allowed: list[Row] = []
        later: list[tuple[Row, float]] = []
        for row, refusal in zip(rows, refusals, strict=True):
            if refusal is None:
                allowed.append(row)
            elif refusal.everybody:
                self._hold(course, str(refusal), refusal.again_at)
                break
            elif refusal.again_at is not None:
                later.append((row, refusal.again_at.timestamp()))
            else:
                await self._refuse(row, refusal)
        if later:
            await self._store.do(lambda store: store.postpone(later))
        return allowed

    async def _is_open(self, campaign: Campaign) -> bool:
        """Whether somebody is still to be called; if not, it is done."""
        now_s = self._now()

        def look(store: Store) -> bool:
            is_open = store.has_open_rows(campaign.id)
            if not is_open:
                store.set_state(campaign.id, "done", now_s)
            return is_open

        return await self._store.do(look)

    async def _call(self, campaign: Campaign, course: _Course, row: Row) -> None:
        """Place one call. The row stays busy until it is settled."""
        key = (row.campaign, row.line)
        try:
            await self._dialer.place(
                Order(row.number, campaign.agent, row.variables),
                row=key,
                ended=lambda record: self._start(self._settle(row, record)),
            )
            course.failures = 0
        except Refused as refused:
            await self._put_off(course, row, refused.refusal)
            self._busy.discard(key)
        except Taken:
            self._busy.discard(key)
        except UserFacingError as error:
            # No line is free, the agent is gone, or the store cannot be written: nobody was called.
            soon = STEP_S * 8 if isinstance(error, CapacityError) else None
            self._hold(course, str(error), None, soon)
            self._busy.discard(key)
        except ProviderError as error:
            await self._not_taken(course, row, error)
            self._busy.discard(key)

    async def _put_off(self, course: _Course, row: Row, refusal: Refusal) -> None:
        if refusal.everybody:
            self._hold(course, str(refusal), refusal.again_at)
        elif refusal.again_at is None:
            await self._refuse(row, refusal)
        else:
            due_s = refusal.again_at.timestamp()
            await self._store.do(lambda store: store.postpone([(row, due_s)]))

    async def _refuse(self, row: Row, refusal: Refusal) -> None:
        now_s = self._now()
        result = Result("refused", str(refusal))
        await self._store.do(lambda store: store.finish(row, result, now_s))

    async def _not_taken(self, course: _Course, row: Row, error: ProviderError) -> None:
        """The line did not take a row that is claimed already."""
        now_s = self._now()
        if not certainly_not_dialled(error):
            self._hold(course, str(error), None)
            result = Result("unknown", f"perhaps called: {error}")
            await self._store.do(lambda store: store.finish(row, result, now_s))
        elif error.blame == "request" or error.status == 404:
            result = Result("failed", str(error))
            await self._store.do(lambda store: store.finish(row, result, now_s))
        else:
            # It is not about this number: a bill, a limit, a network. Nobody was called.
            self._hold(course, str(error), None)
            back = await self._store.do(lambda store: store.put_back(row, now_s, missed=True))
            if not back:
                gone = Result("canceled")
                await self._store.do(lambda store: store.finish(row, gone, now_s))

    async def _settle(self, row: Row, record: Record) -> None:
        """A call is over: write down what came of it, or that it is to be tried again."""
        key = (row.campaign, row.line)
        result = outcome_of(record, self._dialer.config.machine == "ignore")
        now_s = self._now()

        def write(store: Store) -> None:
            campaign = store.campaign(row.campaign)
            again = result.outcome in _RETRIED and campaign is not None
            # `row` is as it was before this attempt.
            if again and campaign is not None and row.attempts < campaign.retries:
                due_s = now_s + campaign.retry_after_s
                if store.put_back(row, due_s, missed=False):
                    return
            store.finish(row, result, now_s)

        try:
            await self._store.do(write)
        except UserFacingError:
            # Tried again with the next step; after a restart the row would be `unknown`.
            log.warning("the end of a call could not be written", extra={"call_id": record.id})
            self._unsettled[key] = (row, record)
            return
        self._unsettled.pop(key, None)
        self._busy.discard(key)

    def _hold(
        self, course: _Course, because: str, until: datetime | None, for_s: float | None = None
    ) -> None:
        """Call nobody for a while, longer each time that the line will not take a call."""
        now_s = self._now()
        if until is not None:
            course.held_until_s = until.timestamp()
        elif for_s is not None:
            course.held_until_s = now_s + for_s
        else:
            wait_s = min(LONGEST_HOLD_S, FIRST_HOLD_S * 2.0**course.failures)
            course.failures = min(course.failures + 1, 10)
            course.held_until_s = now_s + wait_s
        course.held_because = because[:300]

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="campaign-call")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call of a campaign failed", exc_info=error)


def outcome_of(record: Record, machines_count: bool) -> Result:
    """What a call that is over means for its row.

    Args:
        machines_count: a call that an answering machine took is as good as another.
    """
    by, reason, duration_s = record.answered_by, record.reason, record.duration_s
    if record.message_left:
        return Result("message", reason, by, duration_s)
    if by == "machine" and not machines_count:
        return Result("machine", reason, by, duration_s)
    match record.state:
        case "completed" | "busy" | "no_answer" | "canceled":
            return Result(record.state, reason, by, duration_s)
        case "failed" if record.certain:
            return Result("failed", reason, by, duration_s)
    return Result("unknown", reason, by, duration_s)


def _taken(rows: list[NewRow]) -> Iterator[NewRow]:
    while rows:
        yield rows.pop()


def _due(campaign_id: str, now_s: float, limit: int, store: Store) -> list[Row]:
    return store.due(campaign_id, now_s, limit)
