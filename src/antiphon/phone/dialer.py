"""Makes calls: asks the rules, writes down that a number is called, has a line dial it, and keeps
what becomes of it.

What grows is bounded: calls that go on by `outbound.at_once`, those that are over by `MAX_KEPT`, of
which the oldest is forgotten. Nothing waits for ever: `tick` ends a call of which nothing is heard.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from antiphon.channels.phone.vendor import Status
from antiphon.errors import ProviderError
from antiphon.phone.config import OutboundConfig
from antiphon.phone.dialer_record import (
    RANK,
    Attempt,
    Journal,
    LineCall,
    Order,
    OutboundLine,
    Record,
    Refused,
    State,
    Taken,
    certainly_not_dialled,
)
from antiphon.phone.numbers import DoNotCall, NeverCall, Number
from antiphon.phone.rules import Counts, Refusal, Rules

MAX_KEPT = 10_000
DIAL_TIMEOUT_S = 20.0
HANG_UP_TIMEOUT_S = 10.0
SILENT_S = 60.0
"""How long after the last moment at which something should have been heard a call is given up."""
STREAM_S = 15.0
"""How long after an answering machine was told of its session may come."""
GREETING_S = 45.0
"""How long a machine may greet before it is taken for one that will not listen."""
TICK_S = 1.0

log = logging.getLogger(__name__)


class Dialer:
    """All outbound calls of a process.

    Args:
        agent_named: gives the name of the agent that would talk, or raises UserFacingError.
        now: the wall clock, in Unix seconds.
    """

    def __init__(
        self,
        config: OutboundConfig,
        line: OutboundLine,
        journal: Journal,
        agent_named: Callable[[str | None], str],
        now: Callable[[], float],
    ) -> None:
        self.config, self.rules = config, Rules(config)
        self._line, self._journal = line, journal
        self._agent_named, self._now = agent_named, now
        self._live: dict[str, Record] = {}
        self._over: OrderedDict[str, Record] = OrderedDict()
        self._ended: dict[str, Callable[[Record], None]] = {}
        self._reserving = asyncio.Lock()
        self._never = NeverCall(config.do_not_call)
        self._tasks: set[asyncio.Task[None]] = set()
        self.count: Callable[[str], None] = lambda outcome: None
        """Told what became of each order: a state, or `refused_` and the rule."""

    # ---- orders ----------------------------------------------------------------------------

    async def place(
        self,
        order: Order,
        *,
        row: tuple[str, int] | None = None,
        key: str = "",
        ended: Callable[[Record], None] | None = None,
    ) -> Record:
        """Make a call. Returns as soon as the line has taken it; `ended` hears of the end of one
        that it took.

        Raises:
            Refused: a rule forbids it.
            Taken: the row or the key was called already.
            UserFacingError: there is no such agent, or no line is free.
            ProviderError: the line did not take it; the record, which is over, says whether
                somebody may have been called all the same.
        """
        agent = self._agent_named(order.agent)
        # In a thread, because the first number of a country loads what is known of its numbers.
        number = await asyncio.to_thread(self._check, order.to)
        if isinstance(number, Refusal):
            raise self._refused(number, order, agent, keep=row is None)
        async with self._reserving:
            now_s = self._now()
            counts = await self._journal.counts(number.e164, now_s)
            counts = replace(counts, active=len(self._live))
            refusal = self.rules.check_moment(number, datetime.fromtimestamp(now_s, UTC), counts)
            if refusal is not None:
                order = replace(order, to=number.e164)
                raise self._refused(refusal, order, agent, keep=row is None)
            record = self._new(number.e164, agent, order.variables, "queued")
            attempt = Attempt(record.id, number.e164, now_s, row, key)
            if not await self._journal.reserve(attempt):
                raise Taken("it was called already")
            self._live[record.id] = record
            if ended is not None:
                self._ended[record.id] = ended
        await self._dial(record)
        return record

    def forbidden(self, numbers: Sequence[str]) -> list[Refusal | None]:
        """What the rules that need not know of other calls say of each, now. Blocks: for a
        thread."""
        never, now = self._never.read(), datetime.fromtimestamp(self._now(), UTC)
        found = [self._alone(text, never, now) for text in numbers]
        return [one if isinstance(one, Refusal) else None for one in found]

    async def hang_up(self, call_id: str) -> Record | None:
        """End a call that goes on. None where there is no such call."""
        record = self.get(call_id)
        if record is not None and not record.over:
            await self._hang_up(record)
        return record

    def get(self, call_id: str) -> Record | None:
        return self._live.get(call_id) or self._over.get(call_id)

    def list(self, limit: int) -> list[Record]:
        """The newest calls, newest first."""
        both = [*self._over.values(), *self._live.values()]
        return sorted(both, key=lambda record: record.queued_s, reverse=True)[:limit]

    @property
    def active(self) -> int:
        return len(self._live)

    # ---- as time goes on -------------------------------------------------------------------

    async def run(self) -> None:
        """Keep deadlines until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """End what should be over by now."""
        now_s = self._now()
        for record in list(self._live.values()):
            if record.ending_s is not None and now_s > record.ending_s + SILENT_S:
                self._end(record, "completed" if record.answered_s else "failed", record.reason)
            elif record.state != "answered":
                if now_s > record.queued_s + self.config.ring_s + SILENT_S:
                    self._start_hang_up(record, "the line did not say what became of it")
                    self._end(record, "failed", record.reason)
            elif now_s > (record.answered_s or 0) + self.config.longest_minutes * 60:
                self._start_hang_up(record, "it was as long as calls may be")
            elif record.machine_s is not None:
                self._machine(record)

    async def aclose(self) -> None:
        """End what still goes on, as well as can be."""
        for record in list(self._live.values()):
            self._start_hang_up(record, "the server was stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=HANG_UP_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()

    # ---- inside ----------------------------------------------------------------------------

    def _check(self, text: str) -> Number | Refusal:
        return self._alone(text, self._never.read(), datetime.fromtimestamp(self._now(), UTC))

    def _alone(self, text: str, never: DoNotCall, now: datetime) -> Number | Refusal:
        """The rules that need not know of other calls."""
        number = self.rules.check_number(text, never)
        if isinstance(number, Refusal):
            return number
        return self.rules.check_moment(number, now, Counts()) or number

    def _new(self, to: str, agent: str, variables: Mapping[str, str], state: State) -> Record:
        return Record(f"call_{secrets.token_hex(12)}", to, agent, variables, state, self._now())

    def _refused(self, refusal: Refusal, order: Order, agent: str, *, keep: bool) -> Refused:
        record = self._new(order.to[:40], agent, order.variables, "refused")
        record.rule, record.reason, record.ended_s = refusal.rule, refusal.message, record.queued_s
        record.certain = True
        self.count(f"refused_{refusal.rule}")
        if keep:
            self._keep(record)
        return Refused(refusal, record)

    async def _dial(self, record: Record) -> None:
        config = self.config
        call = LineCall(
            to=record.to,
            sender=self.rules.sender,
            agent=record.agent,
            variables=record.variables,
            ring_s=config.ring_s,
            longest_s=config.longest_minutes * 60,
            detect_machine=config.machine != "ignore",
        )
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                name = await self._line.dial(call, partial(self._told, record))
        except ProviderError as error:
            self._ended.pop(record.id, None)
            record.certain = certainly_not_dialled(error)
            self._end(record, "failed", str(error))
            raise
        except TimeoutError:
            self._ended.pop(record.id, None)
            self._end(record, "failed", "the line did not answer in time")
            raise ProviderError(
                "it did not answer in time", provider=config.vendor, retryable=True
            ) from None
        except asyncio.CancelledError:
            self._end(record, "failed", "it was given up while it was being dialled")
            raise
        record.line_call_id = record.line_call_id or name
        if record.ending_s is not None:
            self._start_hang_up(record, record.reason)

    def _told(self, record: Record, status: Status) -> None:
        """What the line says, in whatever order."""
        if record.over:
            return
        now_s = self._now()
        record.line_call_id = record.line_call_id or status.line_call_id
        if status.answered_by and status.answered_by != "unknown":
            record.answered_by = status.answered_by
        elif status.answered_by and not record.answered_by:
            record.answered_by = "unknown"
        if status.status not in RANK:
            record.certain = True
            record.duration_s = status.duration_s
            self._end(record, status.status, record.reason or status.detail)
            return
        if RANK[status.status] > RANK[record.state]:
            record.state = status.status
            if status.status == "ringing":
                record.ringing_s = now_s
            elif status.status == "answered":
                record.answered_s = now_s
        if status.answered_by == "machine":
            record.answered_s = record.answered_s or now_s
            record.state = "answered"
            record.machine_s = record.machine_s or now_s
            record.listening = record.listening or status.machine_is_listening
            self._machine(record)

    def _machine(self, record: Record) -> None:
        """An answering machine has the call: hang up, or leave the message once it listens."""
        policy, since = self.config.machine, self._now() - (record.machine_s or 0)
        if policy == "ignore" or record.machine_done:
            return
        leaves = policy == "message" and bool(self.config.message)
        if leaves and not record.listening:
            if since > GREETING_S:
                record.machine_done = True
                self._start_hang_up(record, "the answering machine did not begin to listen")
            return
        io = self._line.session(record.line_call_id) if record.line_call_id else None
        if io is None and leaves and since <= STREAM_S:
            return
        record.machine_done = True
        if io is None:
            self._start_hang_up(record, "an answering machine took the call")
            return
        record.reason = "an answering machine took the call"
        record.message_left = leaves
        io.on_machine(self.config.message if leaves else "")

    def _start_hang_up(self, record: Record, reason: str) -> None:
        record.reason = record.reason or reason
        if record.ending_s is None:
            record.ending_s = self._now()
        self._start(self._hang_up(record))

    async def _hang_up(self, record: Record) -> None:
        record.ending_s = record.ending_s or self._now()
        if not record.line_call_id:
            return
        try:
            async with asyncio.timeout(HANG_UP_TIMEOUT_S):
                await self._line.hang_up(record.line_call_id)
        except (ProviderError, TimeoutError):
            log.warning("a call could not be ended", extra={"call_id": record.id})

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="hang-up")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, record: Record, state: State, reason: str) -> None:
        if record.over:
            return
        record.state, record.reason, record.ended_s = state, reason, self._now()
        if record.duration_s is None and record.answered_s is not None:
            record.duration_s = max(0, round(record.ended_s - record.answered_s))
        self._live.pop(record.id, None)
        self._keep(record)
        self.count(state)
        ended = self._ended.pop(record.id, None)
        if ended is not None:
            ended(record)

    def _keep(self, record: Record) -> None:
        self._over[record.id] = record
        while len(self._over) > MAX_KEPT:
            self._over.popitem(last=False)
