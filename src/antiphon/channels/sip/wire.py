"""What signalling needs of the world: where a message goes, and when something is due. Pure: the
clock is given, and whoever owns the event loop calls `Timers.run` at the deadline."""

from __future__ import annotations

import heapq
import ipaddress
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Transport = Literal["udp", "tcp"]


@dataclass(frozen=True, slots=True)
class Flow:
    """The other end: an address, or the TCP connection that leads there."""

    transport: Transport
    host: str
    port: int

    @property
    def reliable(self) -> bool:
        return self.transport == "tcp"


class Timer:
    """Something that will be done, unless it is cancelled."""

    __slots__ = ("due_s", "run")

    def __init__(self, due_s: float, run: Callable[[], None]) -> None:
        self.due_s = due_s
        self.run: Callable[[], None] | None = run

    def cancel(self) -> None:
        """Idempotent; also after it has run."""
        self.run = None


class Timers:
    """A heap of them.

    Args:
        clock: seconds, never going back.
        wake: told the next deadline whenever it has come nearer.
    """

    def __init__(
        self, clock: Callable[[], float], wake: Callable[[float], None] | None = None
    ) -> None:
        self.clock, self._wake = clock, wake
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._sweep_at = 1024

    def after(self, delay_s: float, run: Callable[[], None]) -> Timer:
        """Have something done."""
        timer = Timer(self.clock() + delay_s, run)
        first = not self._heap or timer.due_s < self._heap[0][0]
        heapq.heappush(self._heap, (timer.due_s, next(self._order), timer))
        if len(self._heap) > self._sweep_at:
            # Cancelled ones would stay until they are due, up to half an hour.
            self._heap = [one for one in self._heap if one[2].run is not None]
            heapq.heapify(self._heap)
            self._sweep_at = max(1024, 2 * len(self._heap))
        if first and self._wake is not None:
            self._wake(timer.due_s)
        return timer

    @property
    def deadline(self) -> float | None:
        """When `run` is to be called next."""
        while self._heap and self._heap[0][2].run is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return sum(1 for _, _, timer in self._heap if timer.run is not None)

    def run(self) -> None:
        """Do what is due."""
        now_s = self.clock()
        while (deadline := self.deadline) is not None and deadline <= now_s:
            timer = heapq.heappop(self._heap)[2]
            run, timer.run = timer.run, None
            if run is not None:
                run()


def is_literal(host: str) -> bool:
    """Whether it is an address and no name."""
    return _address(host) is not None


def reachable_from(host: str, other: str) -> bool:
    """Whether an address that somebody behind `other` names can be one to send to: it is public, or
    as private as the other. A telephone behind a NAT names one that is neither."""
    named, seen = _address(host), _address(other)
    if named is None or seen is None or named.is_unspecified:
        return False
    return named.is_global or (not seen.is_global and named.is_loopback == seen.is_loopback)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
