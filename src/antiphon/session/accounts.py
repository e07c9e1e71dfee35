"""What a process's calls have spent today, by agent and in all, and who may spend more.

Totals are kept in memory and exchanged with a ledger every few seconds, so that they survive a
restart and count what other processes spend. What is spent in these seconds may come on top.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

from antiphon.agent.config import Limits
from antiphon.agent.load import LoadedAgent
from antiphon.channels.base import Call
from antiphon.cost.book import PriceBook, load_book
from antiphon.cost.ledger import Ledger
from antiphon.cost.meter import Meter
from antiphon.errors import UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.session.providers import Providers
from antiphon.session.spending import LEVELS, Budget, Services, Spending

log = logging.getLogger(__name__)

SERVER = "server"
LEDGER_NAME = "spending.db"
EXCHANGE_S = 5.0


def today() -> str:
    """The day by this machine's clock and time zone."""
    return datetime.now().astimezone().date().isoformat()


@dataclass(slots=True)
class _Day:
    """The totals of one day: what all processes had spent at the last exchange (`told`), what this
    one has spent since (`new`), and what is on its way to the ledger (`flying`)."""

    date: str
    told: dict[str, Decimal] = field(default_factory=dict)
    new: dict[str, Decimal] = field(default_factory=dict)
    flying: dict[str, Decimal] = field(default_factory=dict)

    def spent(self, scope: str) -> Decimal:
        """By one, in all."""
        sums = (self.told, self.new, self.flying)
        return sum((one.get(scope, Decimal(0)) for one in sums), Decimal(0))

    def add(self, spent: Mapping[str, Decimal]) -> None:
        """So much more."""
        for scope, dollars in spent.items():
            self.new[scope] = self.new.get(scope, Decimal(0)) + dollars


class Accounts:
    """The money of a process. See the module.

    Args:
        agents: whose calls are paid for, by name.
        metrics: told what is spent.
        limits: for all calls of a day together.
        ledger: kept there; None forgets it with the process.
        day: the date.
    """

    def __init__(
        self,
        agents: Mapping[str, LoadedAgent],
        metrics: Metrics,
        limits: Limits | None = None,
        ledger: Path | None = None,
        day: Callable[[], str] = today,
    ) -> None:
        self._agents, self._metrics = agents, metrics
        self._limits = limits or Limits()
        self._ledger = None if ledger is None else Ledger(ledger)
        self._date = day
        self._books: dict[str, PriceBook] = {}
        self._day = _Day(day())
        self._late: _Day | None = None  # the day before, with what is not in the ledger yet
        self._warned = False

    async def start(self) -> None:
        """Read the price books, and what was spent today.

        Raises:
            UserFacingError: a file of prices is wrong, or the ledger cannot be used.
        """
        for name, agent in self._agents.items():
            self._books[name] = agent_book(agent)
        if self._ledger is not None:
            self._day.told = await asyncio.to_thread(self._ledger.exchange, self._day.date, {})

    def open(
        self, name: str, providers: Providers, call: Call, record: Path | None = None
    ) -> Spending:
        """The costs of a call that begins."""
        config, scope = self._agents[name].config, agent_scope(name)
        return Spending(
            name,
            Services.of(config, providers, call.channel, has_audio=call.has_audio),
            Meter(self._books[name]),
            self._metrics,
            config.budget.call,
            (
                Budget("day", config.budget.day, partial(self.spent, scope)),
                Budget(SERVER, self._limits, partial(self.spent, SERVER)),
            ),
            partial(self.add, scope),
            record,
        )

    def spent(self, scope: str) -> Decimal:
        """Dollars that were spent today."""
        return self._today().spent(scope)

    def add(self, scope: str, dollars: Decimal) -> None:
        """So much more was spent, by an agent and so by the server."""
        self._today().add({scope: dollars, SERVER: dollars})

    def refusal(self, name: str) -> str:
        """Why no call of the agent can be taken today; empty when it can."""
        config = self._agents[name].config
        for scope, limits, spent in (
            ("day", config.budget.day, self.spent(agent_scope(name))),
            (SERVER, self._limits, self.spent(SERVER)),
        ):
            if limits.end is not None and spent >= Decimal(repr(limits.end)):
                self._metrics.budget_reached(name, scope, "refused")
                return "No more calls can be taken today; try again tomorrow."
        return ""

    def _today(self) -> _Day:
        date = self._date()
        if date != self._day.date:
            self._late, self._day = self._day, _Day(date)
        return self._day

    # ---- the ledger ------------------------------------------------------------------------

    async def exchange(self) -> None:
        """Add what was spent to the ledger, and learn what others have spent. A ledger that cannot
        be used now is tried again."""
        if self._ledger is None:
            return
        day = self._today()
        late, self._late = self._late, None
        for one in filter(None, (late, day)):
            one.flying, one.new = one.new, {}
            try:
                one.told = await asyncio.to_thread(self._ledger.exchange, one.date, one.flying)
            except UserFacingError as error:
                one.add(one.flying)
                one.flying = {}
                self._late = late if one is late else self._late
                if not self._warned:
                    log.warning("%s", error)
                self._warned = True
            else:
                one.flying, self._warned = {}, False

    async def keep(self) -> None:
        """Exchange every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EXCHANGE_S)
            await self.exchange()


def agent_scope(name: str) -> str:
    """The name of an agent in the ledger."""
    return f"agent:{name}"


def agent_book(agent: LoadedAgent) -> PriceBook:
    """The prices that count for an agent; those of its file are beside it.

    Raises:
        ConfigError: a file of prices is wrong.
    """
    own = agent.config.prices
    return load_book(None if own is None else agent.path.parent / own)


def parse_limits(text: str) -> Limits:
    """Limits from a command line: `50`, or `warn=40,cheaper=45,end=50`.

    Raises:
        UserFacingError: it is neither.
    """
    try:
        parts = [part.partition("=") for part in text.split(",")]
        if len(parts) == 1 and not parts[0][1]:
            return Limits(end=float(text))
        given = {name.strip(): float(value) for name, _, value in parts}
        if not given.keys() <= set(LEVELS):
            raise ValueError
        return Limits.model_validate(given)
    except ValueError:
        raise UserFacingError(
            f"{text!r} is not a budget; write dollars, such as 50, or warn=40,cheaper=45,end=50"
        ) from None
