"""How busy each worker is, and which of them a new connection goes to. Pure: the time comes in.

The front has one, and tells the workers what is on it, so that each of them can pass on what
reached it over a connection that was kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

SENT_S = 1.0
"""A connection counts as a call for so long: by then it has become one, or something shorter."""
MOST_SENT = 1000
CLEARLY = 2
"""Calls more than another worker has: then a new one is better there."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself."""

    calls: int = 0
    room: bool = False
    """Whether it takes calls."""
    ready: bool = False
    """Whether it has started, and is not being stopped."""
    lag_ms: float = 0.0


@dataclass(slots=True)
class _Seat:
    report: Report | None = None
    """None: there is nobody."""
    starts: int = 0
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_SENT))
    chosen: int = 0

    def load(self, now_s: float) -> int:
        while self.sent and self.sent[0] <= now_s - SENT_S:
            self.sent.popleft()
        return (0 if self.report is None else self.report.calls) + len(self.sent)


class Board:
    """What is known of so many workers."""

    def __init__(self, count: int) -> None:
        self._seats = [_Seat() for _ in range(count)]
        self._choices = 0

    def started(self, worker: int) -> None:
        """Its process was started."""
        self._seats[worker].starts += 1

    def told(self, worker: int, report: Report | None) -> None:
        """What it says; None: it answers no more."""
        self._seats[worker].report = report

    def sent(self, worker: int, now_s: float) -> None:
        """It was given a connection."""
        self._seats[worker].sent.append(now_s)

    def is_there(self, worker: int) -> bool:
        """Whether there is such a worker, and it answers."""
        return 0 <= worker < len(self._seats) and self._seats[worker].report is not None

    def choose(self, now_s: float, *, but: Iterable[int] = ()) -> int | None:
        """Who takes a new connection: the one with the fewest calls of those that take calls, of
        those that are ready, of those that answer. None: nobody answers."""
        left = set(range(len(self._seats))) - set(but)
        there = [(worker, self._seats[worker]) for worker in left if self.is_there(worker)]
        if not there:
            return None

        def rank(one: tuple[int, _Seat]) -> tuple[bool, bool, int, int, int]:
            worker, seat = one
            report = seat.report or Report()
            return not report.room, not report.ready, seat.load(now_s), seat.chosen, worker

        worker, seat = min(there, key=rank)
        self._choices += 1
        seat.chosen = self._choices
        return worker

    def better(self, worker: int, now_s: float, *, calls: int, room: bool) -> int | None:
        """Who had better take a new call than this worker, which has so many calls; None: nobody
        does clearly."""
        other = self.choose(now_s, but=(worker,))
        if other is None:
            return None
        seat = self._seats[other]
        if seat.report is None or not seat.report.room:
            return None
        return other if not room or calls >= seat.load(now_s) + CLEARLY else None

    @property
    def ready(self) -> int:
        """Workers that are ready."""
        return sum(seat.report is not None and seat.report.ready for seat in self._seats)

    @property
    def count(self) -> int:
        """Workers that there should be."""
        return len(self._seats)

    @property
    def starts(self) -> list[int]:
        """How often each worker was started."""
        return [seat.starts for seat in self._seats]

    # ---- from process to process -------------------------------------------------------------

    def written(self) -> list[list[object]]:
        """What is on it, as JSON."""
        return [
            [
                seat.starts,
                None
                if seat.report is None
                else [seat.report.calls, seat.report.room, seat.report.ready],
            ]
            for seat in self._seats
        ]

    def read(self, rows: Iterable[Iterable[object]]) -> None:
        """What another one wrote.

        Raises:
            ValueError: it is something else.
        """
        for seat, row in zip(self._seats, rows, strict=True):
            starts, report = row
            if not isinstance(starts, int):
                raise ValueError("a row of a board begins with a number")
            seat.starts = starts
            if report is None:
                seat.report = None
            elif isinstance(report, list) and len(report) == 3:
                calls, room, ready = report
                seat.report = Report(int(calls), bool(room), bool(ready))
            else:
                raise ValueError("a row of a board ends with what a worker says")
