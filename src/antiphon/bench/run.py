"""Many items: who plays them, in how many processes, and how patiently the agent waits."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

from antiphon.agent.config import AgentConfig
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.bench.items import Item
from antiphon.bench.loop import StreamLoop
from antiphon.bench.play import Cast, Outcome, play, rehearsed
from antiphon.engine.policy import Endpointing
from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints

FASTEST = 4.0
"""Times real time with a real recogniser, which must be able to follow."""
_PATIENCE = ("min_ms", "unknown_ms", "max_ms")


@dataclass(frozen=True, slots=True)
class Plan:
    """How items are played.

    `agent` is its file, None an agent with nothing but defaults; `embedded` asks for its recogniser
    instead of the items' own words; `patience` multiplies the waits for the end of a turn, within
    their ranges; `traces` is a folder for the records of the calls.
    """

    agent: Path | None = None
    embedded: bool = False
    patience: float = 1.0
    traces: Path | None = None


def run_items(items: Sequence[Item], plan: Plan, processes: int = 1) -> Iterator[Outcome]:
    """Play the items, in any order when there are several processes. Close it to stop early.

    Raises:
        UserFacingError: the agent, its providers or a recording cannot be used.
        RuntimeError: a session failed.
    """
    if processes <= 1 or len(items) < 2:
        with asyncio.Runner(loop_factory=lambda: _loop(plan)) as runner:
            company = runner.run(_Company.assemble(plan))
            try:
                company.rehearse(runner, items)
                for item in items:
                    yield runner.run(company.play(item))
            finally:
                runner.run(company.aclose())
        return
    context = multiprocessing.get_context("spawn")
    # The long ones first, so that no process is left with one at the end.
    ordered = sorted(items, key=lambda item: -float(item.row["duration"]))
    with ProcessPoolExecutor(processes, context) as pool:
        parts = [
            pool.submit(_run_part, ordered[at :: processes * 4], plan)
            for at in range(processes * 4)
        ]
        try:
            for part in as_completed(parts):
                yield from part.result()
        finally:
            for part in parts:
                part.cancel()


def _run_part(items: Sequence[Item], plan: Plan) -> list[Outcome]:
    try:
        return list(run_items(items, plan))
    except UserFacingError as error:
        # Not every error can be carried from process to process; its text can.
        raise UserFacingError(str(error)) from None


def patient(config: AgentConfig, factor: float) -> AgentConfig:
    """The agent with waits that are `factor` times as long, as far as they may be."""
    ends = config.turn.endpointing
    ranges = {one.name: one.metadata for one in fields(Endpointing)}
    waits = {
        key: round(min(max(getattr(ends, key) * factor, ranges[key]["min"]), ranges[key]["max"]))
        for key in _PATIENCE
    }
    turn = replace(config.turn, endpointing=replace(ends, **waits))
    return config.model_copy(update={"turn": turn})


def _loop(plan: Plan) -> StreamLoop:
    # What other processes compute is not in this one's processor time.
    return StreamLoop(time.perf_counter, FASTEST) if plan.embedded else StreamLoop()


def _agent(plan: Plan) -> LoadedAgent:
    if plan.agent is not None:
        return load_agent(plan.agent)
    return LoadedAgent(Path("bench.yaml"), AgentConfig(name="bench"), AgentHints(), ())


class _Company:
    """The providers, started once, and the items that they play."""

    def __init__(self, plan: Plan, cast: Cast, started: AsyncExitStack) -> None:
        self._plan, self._cast, self._started = plan, cast, started

    @classmethod
    async def assemble(cls, plan: Plan) -> _Company:
        """Start what the agent needs here."""
        agent = _agent(plan)
        agent = replace(agent, config=patient(agent.config, plan.patience))
        config, hints = agent.config, agent.hints
        async with AsyncExitStack() as started:
            vad = registry.make("vad", config.vad.provider, config.vad.options, hints)
            started.push_async_callback(vad.aclose)
            await vad.start()
            detector = None
            if (choice := config.turn_detector) is not None:
                detector = registry.make("turn", choice.provider, choice.options, hints)
                started.push_async_callback(detector.aclose)
                await detector.start()
            stt = None
            if plan.embedded:
                stt = registry.make("stt", config.stt.provider, config.stt.options, hints)
                started.push_async_callback(stt.aclose)
                await stt.start()
            return cls(plan, Cast(rehearsed(agent), vad, stt, detector), started.pop_all())

    async def aclose(self) -> None:
        """Stop the providers."""
        await self._started.aclose()

    def rehearse(self, runner: asyncio.Runner, items: Sequence[Item]) -> None:
        """What is imported and allocated at its first use is no item's time."""
        for kind in sorted({item.kind for item in items} - {"eot_natural"}):
            some = [item for item in items if item.kind == kind]
            runner.run(self.play(min(some, key=lambda item: float(item.row["duration"]))))

    async def play(self, item: Item) -> Outcome:
        """Play one item."""
        loop, folder = asyncio.get_running_loop(), self._plan.traces
        assert isinstance(loop, StreamLoop)
        name = re.sub(r"[^\w.-]", "_", item.id)
        trace = None if folder is None else folder / f"{name}.jsonl"
        return await play(item, self._cast, loop, trace)
