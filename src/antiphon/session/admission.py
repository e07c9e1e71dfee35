"""Whether the event loop has room for one more call.

A call needs the loop every 20 ms. When the loop is often late, every call of the process suffers,
so that no further one is taken until it is in time again. Pure: the time comes in.
"""

from __future__ import annotations

import math
from collections import deque

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
