"""Running worlds: one, or very many."""

from __future__ import annotations

import hashlib
import marshal
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, fields
from enum import Enum
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

from antiphon.engine import commands as c
from antiphon.engine.conversation import Conversation
from antiphon.sim.promise import Broken
from antiphon.sim.world import Engine, Trace, World

_SEEDS_AT_ONCE = 100
_CHUNKS_AHEAD = 4
"""Given to each process in advance, so that none waits and a million seeds take no memory."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken: its name, when, and what was seen instead."""

    promise: str
    at_ms: int
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what} (at {self.at_ms / 1000:.3f} s)"


@dataclass(frozen=True, slots=True)
class Stats:
    """What there was in a world; they add up."""

    worlds: int = 0
    events: int = 0
    call_ms: int = 0
    turns: int = 0
    responses: int = 0
    tools: int = 0
    stops: int = 0
    resumes: int = 0

    def __add__(self, other: Stats) -> Stats:
        return Stats(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Stats)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed. `trace_hash` is over every event and command, in order."""

    seed: int
    trace_hash: str
    violation: Violation | None
    stats: Stats


def run_seed(seed: int, faults: tuple[str, ...] = (), engine: Engine = Conversation) -> Outcome:
    """Run one world. See World for the arguments."""
    return outcome_of(run_world(seed, faults, engine))


def run_world(seed: int, faults: tuple[str, ...] = (), engine: Engine = Conversation) -> World:
    """Run one world and keep it: its trace, its setup, what broke."""
    world = World(seed, faults, engine)
    world.run()
    return world


def outcome_of(world: World) -> Outcome:
    """Sum up a world that has been run."""
    broken: Broken | None = world.broken
    violation = None if broken is None else Violation(broken.promise, broken.at_ms, broken.what)
    return Outcome(world.seed, hash_of(world.trace), violation, _stats(world))


def _stats(world: World) -> Stats:
    counts: dict[type, int] = {}
    stops = resumes = 0
    for _, given in world.trace:
        for command in given:
            cls = type(command)
            counts[cls] = counts.get(cls, 0) + 1
            if cls is c.ReportOverlap and isinstance(command, c.ReportOverlap):
                stops += command.decision == "stop"
                resumes += command.decision == "resume"
    return Stats(
        worlds=1,
        events=len(world.trace),
        call_ms=world.ended_ms if world.ended_ms is not None else world.now_ms,
        turns=counts.get(c.ReportTurn, 0),
        responses=counts.get(c.ReportResponse, 0) // 2,
        tools=counts.get(c.CallTool, 0),
        stops=stops,
        resumes=resumes,
    )


# ---- the hash ------------------------------------------------------------------------------

_PLAIN = ("int", "str", "float", "bool", "float | None")
_readers: dict[type, Callable[[Any], Any]] = {}


def hash_of(trace: Trace) -> str:
    """A hash of a trace, the same in every process.

    The values go through marshal, which is ten times faster than JSON; in its version 2 the bytes
    depend on the values only and not on which of them are the same object.
    """
    flat = []
    for event, given in trace:
        flat.append(_values(event))
        flat.extend(_values(command) for command in given)
    return hashlib.blake2b(marshal.dumps(flat, 2), digest_size=16).hexdigest()


def _values(item: Any) -> tuple[Any, ...]:
    cls = type(item)
    reader = _readers.get(cls)
    if reader is None:
        reader = _readers[cls] = _make_reader(cls)
    return (cls.__name__, reader(item))


def _make_reader(cls: type) -> Callable[[Any], Any]:
    names = [item.name for item in fields(cls)]
    if not names:
        return lambda item: ()
    read = attrgetter(*names)
    plain = all(item.type in _PLAIN for item in fields(cls))
    return read if plain else lambda item: _flatten(read(item))


def _flatten(item: Any) -> Any:
    if isinstance(item, tuple):
        return tuple(_flatten(part) for part in item)
    if isinstance(item, Enum):
        return item.value
    if type(item) in (int, str, float, bool, type(None)):
        return item
    return _values(item)


# ---- many ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of some seeds: the sum, and those that broke a promise."""

    stats: Stats
    broken: tuple[Outcome, ...]


def run_many(
    seeds: Iterable[int], faults: tuple[str, ...] = (), processes: int = 1
) -> Generator[Batch, None, None]:
    """Run seeds in batches, in order; with more than one process, in that many. Close it to stop
    early."""
    run = partial(_run_batch, faults)
    chunks = _chunks(seeds)
    if processes <= 1:
        yield from map(run, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _leave_interrupts_to_parent) as pool:
        under_way: deque[Future[Batch]] = deque()
        try:
            for chunk in chunks:
                under_way.append(pool.submit(run, chunk))
                if len(under_way) >= processes * _CHUNKS_AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _chunks(seeds: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(seeds)
    while chunk := list(islice(rest, _SEEDS_AT_ONCE)):
        yield chunk


def _run_batch(faults: tuple[str, ...], seeds: list[int]) -> Batch:
    stats, broken = Stats(), []
    for seed in seeds:
        world = run_world(seed, faults)
        stats += _stats(world)
        if world.broken is not None:
            broken.append(outcome_of(world))
    return Batch(stats, tuple(broken))
