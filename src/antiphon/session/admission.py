"""Whether the event loop has room for one more call.

A call needs the loop every 20 ms. The loop has one thread: by how much of a core that uses, and
what a call has cost so far, it is foretold whether one more would fit. Where the thread does not
get its core, because others use the machine, the loop is late: then no further call is taken until
it is in time again. Pure: the time comes in.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

WINDOW_S = 5.0
"""What is judged: one long moment says little, many late ones in a row say that it is too much."""
QUANTILE = 0.95
FEWEST = 20
"""Measurements that a judgement needs. A loop that is very late makes few of them, so that these
are kept for longer than the window."""
MOST = 1000
"""Measurements that are kept; of more the oldest are forgotten."""
REOPEN = 0.5
"""Calls are taken again when the delay is below this part of the limit: at the limit itself each
new call would close the gate again."""


BUSY_WINDOW_S = 2.0
"""Over which use is measured. What a call costs shows as it fills the window."""
FIRST_SHARE = 0.025
"""What a call is taken to need of a core before that is known: one in which both sides speak."""
LEAST_SHARE, MOST_SHARE = 0.002, 0.1
"""What is learned stays between: something else that keeps the thread busy is no call's cost."""
LEARNING = 0.05


class LagGate:
    """Closed while the loop is too late.

    Args:
        limit_ms: the 95th percentile of the loop's delay in the last five seconds may be so long.
            0: never closed.
    """

    def __init__(self, limit_ms: float) -> None:
        self.limit_ms = limit_ms
        self.closed = False
        """Whether a call now would be too many."""
        self.lag_ms = 0.0
        """That percentile; 0 before there is one."""
        self._measured: deque[tuple[float, float]] = deque(maxlen=MOST)

    def feed(self, lag_ms: float, now_s: float) -> None:
        """The loop woke up so late, at this time of its clock."""
        measured = self._measured
        measured.append((now_s, lag_ms))
        while len(measured) > FEWEST and measured[0][0] < now_s - WINDOW_S:
            measured.popleft()
        if len(measured) < FEWEST:
            return
        lags = sorted(lag for _, lag in measured)
        self.lag_ms = lags[math.ceil(QUANTILE * len(lags)) - 1]
        if self.limit_ms > 0:
            limit_ms = self.limit_ms * (REOPEN if self.closed else 1.0)
            self.closed = self.lag_ms > limit_ms


class BusyGate:
    """Closed while one more call would not fit into the loop's thread.

    Calls that have just begun do not show yet in what was measured; each is counted with what calls
    have cost, for that part of the window in which it was not there.

    Args:
        most: the share of a core that may be used. 0: never closed.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self.share = 0.0
        """Of a core, used over the last two seconds."""
        self.per_call = FIRST_SHARE
        """Of a core, what a call needs, as far as known."""
        self._measured: deque[tuple[float, float, int]] = deque(maxlen=MOST)
        self._began_s: deque[float] = deque(maxlen=MOST)

    def began(self, now_s: float) -> None:
        """A call was taken."""
        self._began_s.append(now_s)

    def feed(self, cpu_s: float, calls: int, now_s: float) -> None:
        """The thread has used so much processor time since any moment, and has so many calls."""
        measured = self._measured
        measured.append((now_s, cpu_s, calls))
        while len(measured) > 2 and measured[1][0] <= now_s - BUSY_WINDOW_S:
            measured.popleft()
        while self._began_s and self._began_s[0] <= now_s - BUSY_WINDOW_S:
            self._began_s.popleft()
        first_s, first_cpu_s, first_calls = measured[0]
        if now_s <= first_s:
            return
        self.share = (cpu_s - first_cpu_s) / (now_s - first_s)
        if now_s - first_s >= BUSY_WINDOW_S and calls and not self._began_s:
            found = min(MOST_SHARE, max(LEAST_SHARE, self.share * 2 / (calls + first_calls)))
            self.per_call += (found - self.per_call) * LEARNING

    def is_closed(self, now_s: float) -> bool:
        """Whether a call now would be too many."""
        if not self.most:
            return False
        unseen = sum(max(0.0, 1 - (now_s - one) / BUSY_WINDOW_S) for one in self._began_s)
        return self.share + (unseen + 1) * self.per_call > self.most


class Admission:
    """Both gates, for one process.

    Args:
        max_lag_ms: as of `LagGate`.
        max_busy: as of `BusyGate`.
    """

    def __init__(self, max_lag_ms: float = 0.0, max_busy: float = 0.0) -> None:
        self._lag, self._busy = LagGate(max_lag_ms), BusyGate(max_busy)
        self._now_s = 0.0

    @property
    def busy_share(self) -> float:
        """Of a core, what the loop's thread has used lately."""
        return self._busy.share

    def began(self) -> None:
        """A call was taken."""
        self._busy.began(self._now_s)

    def feed(self, lag_ms: float, cpu_s: float, calls: int, now_s: float) -> None:
        """The loop woke up so late, and its thread has used so much processor time since any
        moment, with so many calls now."""
        self._now_s = now_s
        self._lag.feed(lag_ms, now_s)
        self._busy.feed(cpu_s, calls, now_s)

    @property
    def refusal(self) -> Literal["lag", "busy"] | None:
        """Why a call now would be too many; None: it would not."""
        if self._lag.closed:
            return "lag"
        return "busy" if self._busy.is_closed(self._now_s) else None
