"""Many calls in one process: their agents, providers, limits, admission and drain."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from antiphon.agent.config import Limits
from antiphon.agent.load import LoadedAgent
from antiphon.channels.base import Call, Telephone
from antiphon.errors import CapacityError, OverloadError, ProviderError, UserFacingError
from antiphon.observe.metrics import METRICS, Metrics
from antiphon.session.accounts import Accounts
from antiphon.session.admission import Admission
from antiphon.session.clock import Clock, RealClock
from antiphon.session.kept import Archive, Kept
from antiphon.session.providers import STOP_DEADLINE_S, Providers, start_providers
from antiphon.session.render import RATE_HZ, render
from antiphon.session.session import Session
from antiphon.session.trace import TraceFolder

log = logging.getLogger(__name__)

START_DEADLINE_S = 60.0
OPEN_DEADLINE_S = 5.0
SPEAK_DEADLINE_S = 10.0
OPENING_POLL_S = 0.02


class Supervisor:
    """Runs the calls of a process.

    Args:
        agents: the agents that callers may ask for; the first is the default.
        max_calls: calls at once; one more is refused.
        traces: where the trace of each call goes, and into its `recordings` what is recorded of
            calls, with their records. None keeps nothing.
        metrics: counted here, shown by the server.
        ledger: where what was spent on which day is kept; None: only in this process.
        day_limits: what all calls of a day may cost together.
        admission: takes no call beside others that would be at their cost; None: takes any.
        call_prefix: what the ids of calls begin with, so that they say whose they are.
    """

    def __init__(
        self,
        agents: Sequence[LoadedAgent],
        *,
        max_calls: int = 50,
        traces: Path | None = None,
        metrics: Metrics = METRICS,
        ledger: Path | None = None,
        day_limits: Limits | None = None,
        admission: Admission | None = None,
        call_prefix: str = "",
    ) -> None:
        if not agents:
            raise UserFacingError("there is no agent to run; name an agent's file")
        self.agents: Mapping[str, LoadedAgent] = {agent.config.name: agent for agent in agents}
        self.metrics = metrics
        self.ready = False
        self._max_calls = max_calls
        self._traces = None if traces is None else TraceFolder(traces)
        self._records = None if traces is None else traces / "recordings"
        self._archives: dict[str, Archive] = {}
        self.accounts = Accounts(self.agents, metrics, day_limits, ledger)
        self._keeping: asyncio.Task[None] | None = None
        self._providers: dict[str, Providers] = {}
        self._calls: dict[asyncio.Task[None], Session] = {}
        self._opening = 0
        self._draining = False
        self._call_prefix = call_prefix
        self._admission = admission or Admission()
        self._unwatch: Callable[[], None] | None = None

    @property
    def active_calls(self) -> int:
        """Calls that are under way or being opened."""
        return len(self._calls) + self._opening

    @property
    def has_room(self) -> bool:
        """Whether one more call would be taken; what callers have spent is not looked at."""
        return self.ready and self.active_calls < self._max_calls and self._overload is None

    @property
    def _overload(self) -> Literal["lag", "busy"] | None:
        """Why those under way would suffer; where there is nobody, nobody does."""
        return self._admission.refusal if self.active_calls else None

    def _measured(self, lag_ms: float, now_s: float) -> None:
        self._admission.feed(lag_ms, time.thread_time(), self.active_calls, now_s)
        self.metrics.loop_busy(round(self._admission.busy_share, 3))

    # ---- start and stop --------------------------------------------------------------------

    async def start(self) -> None:
        """Load and warm the providers of every agent.

        Raises:
            UserFacingError: one of them cannot run here.
        """
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                await self.accounts.start()
                for name, agent in self.agents.items():
                    self._providers[name] = await start_providers(agent, self.metrics)
        except TimeoutError:
            await self._stop_providers()
            raise UserFacingError(
                f"the providers did not start within {START_DEADLINE_S:.0f} s"
            ) from None
        except BaseException:
            await self._stop_providers()
            raise
        self._keeping = asyncio.create_task(self.accounts.keep(), name="accounts")
        # Only now: loading models holds the loop up, and is over.
        self._unwatch = self.metrics.on_lag(self._measured)
        self.ready = True

    async def drain(self, timeout_s: float) -> None:
        """Take no more calls, let those under way end, hang up the rest, stop the providers."""
        self.ready = False
        self._draining = True
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        await self._until_over(timeout_s)
        for session in list(self._calls.values()):
            session.hang_up("the server is stopping")
        if self._calls:
            await asyncio.wait(self._calls, timeout=STOP_DEADLINE_S)
        for task in self._calls:
            task.cancel()
        if self._keeping is not None:
            self._keeping.cancel()
        await self.accounts.exchange()
        await self._stop_providers()
        for archive in self._archives.values():
            await asyncio.to_thread(archive.close)

    async def _until_over(self, timeout_s: float) -> None:
        """Until no call is under way, those included that were being opened; or so long."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while self.active_calls and (left_s := end_s - loop.time()) > 0:
            if self._opening:
                await asyncio.sleep(min(left_s, OPENING_POLL_S))
            else:
                await asyncio.wait(self._calls, timeout=left_s)

    async def _stop_providers(self) -> None:
        for providers in self._providers.values():
            await providers.stop()
        self._providers.clear()

    # ---- calls -----------------------------------------------------------------------------

    def check(self, agent: str | None) -> str:
        """The name of the agent that a call would get.

        Raises:
            UserFacingError: there is no such agent.
            CapacityError: no call can be taken now.
        """
        name = next(iter(self.agents)) if agent is None else agent
        if name not in self.agents:
            known = ", ".join(self.agents)
            raise UserFacingError(f"There is no agent called {name[:80]!r} here, but {known}.")
        if self._draining:
            raise CapacityError("The server is being restarted; try again in a minute.")
        if not self.ready:
            raise CapacityError("The server is still starting; try again in a few seconds.")
        if self.active_calls >= self._max_calls:
            raise CapacityError("All lines are in use; try again in a few minutes.")
        if (why := self._overload) is not None:
            sentence = "The server is busy with the calls that it has; try again shortly."
            raise OverloadError(sentence, why)
        if spent := self.accounts.refusal(name):
            raise CapacityError(spent)
        return name

    async def start_call(
        self, call: Call, agent: str | None = None, clock: Clock | None = None
    ) -> Session:
        """Begin a call; raises like `check`. The session says nothing before the channel reads or
        delivers its first frame."""
        name = self.check(agent)
        call_id = f"{self._call_prefix}call_{secrets.token_hex(8)}"
        loaded = self.agents[name].for_call(_values(call))
        clock = clock or RealClock(asyncio.get_running_loop())
        kept = self._keep(call_id, loaded, call, clock)
        session = Session(
            call_id,
            loaded,
            self._providers[name],
            call,
            clock,
            self.metrics,
            kept,
        )
        self._opening += 1
        self._admission.began()
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await session.prepare()
        except BaseException as error:
            if kept.trace is not None:
                kept.trace.close()
            if isinstance(error, TimeoutError):
                raise CapacityError("The speech recogniser is too busy; try again.") from None
            raise
        finally:
            self._opening -= 1
        task = asyncio.get_running_loop().create_task(session.run(), name=call_id)
        self._calls[task] = session
        task.add_done_callback(self._forget)
        self.metrics.call_started(call.channel, name)
        self.metrics.calls_active(self.active_calls)
        return session

    async def speak(self, text: str) -> tuple[bytes, int]:
        """A sentence in the first agent's voice, mono s16 PCM and its rate: for a person who is
        told of a caller. Empty when the voice fails."""
        voice = self._providers[next(iter(self.agents))].voices[0]
        try:
            async with asyncio.timeout(SPEAK_DEADLINE_S):
                return await render(voice, text), RATE_HZ
        except (TimeoutError, ProviderError) as error:
            log.warning("a sentence was not spoken: %s", error or "too late")
            return b"", RATE_HZ

    def _keep(self, call_id: str, agent: LoadedAgent, call: Call, clock: Clock) -> Kept:
        """What is to be kept of a call that begins."""
        name = agent.config.name
        trace = self._traces.open(call_id, agent.setup) if self._traces else None
        cost = None if trace is None else trace.path.with_suffix(".cost.json")
        spending = self.accounts.open(name, self._providers[name], call, cost)
        if self._records is None:
            return Kept(trace, spending)
        archive = self._archives.get(name)
        if archive is None:
            archive = self._archives[name] = Archive(self._records, self.agents[name].config)
        return Kept(trace, spending, *archive.open(call_id, call, clock.now_ms))

    def _forget(self, task: asyncio.Task[None]) -> None:
        session = self._calls.pop(task)
        self.metrics.calls_active(self.active_calls)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call ended badly", exc_info=error, extra={"call_id": session.call_id})


def _values(call: Call) -> dict[str, str]:
    """What the agent's sentences may name of a call."""
    values = {"channel": call.channel}
    if isinstance(call, Telephone):
        facts = call.facts
        numbers = {"caller_number": facts.caller, "called_number": facts.called}
        values = {**facts.variables, **numbers, **values}
    return values
