"""Whether the way to a WebSocket's client works, by what comes from there and by pings.

A TCP connection over a dead network looks like one on which nothing is said. Pings tell them apart:
who answers is there, and if no sound came before the answer, none was sent. A ping also waits
behind all sound that the client has not taken yet; so its age is that of the sound. Pure: `now_s`
comes in.
"""

from __future__ import annotations

from collections import deque

PING_EVERY_S = 0.5
SURE_S = 0.75
"""Who need not send anything is there for so long after the last sign of it."""
STREAMING_S = 1.0
"""Sound that comes for so long without a gap is expected to go on."""
JITTER_S = 0.08
"""How much later than its time sound is no gap yet."""
STUCK_S = 1.2
"""A ping is so old, or thrice the usual round trip: the client takes nothing."""
MOST_PINGS = 64
"""Without an answer; uvicorn closes the connection long before."""


class Liveness:
    """One connection's.

    Args:
        now_s: when it was made, by any monotonic clock.
        pings: whether it can be asked; if not it is taken to work as long as it is open.
    """

    def __init__(self, now_s: float, *, pings: bool) -> None:
        self._pings = pings
        self._came_s = now_s
        self._sound_s = self._run_s = float("-inf")
        self._gap_s = JITTER_S
        self._asked_s = float("-inf")
        self._waiting: deque[tuple[int, float]] = deque(maxlen=MOST_PINGS)
        self._number = 0
        self.streaming = False
        """Whether the client is known to send all the time."""
        self.round_trip_s: float | None = None
        """The shortest of late."""

    def came(self, now_s: float) -> None:
        """Something came from the client."""
        self._came_s = now_s

    def sound(self, now_s: float, chunk_ms: int) -> None:
        """Sound came."""
        if now_s - self._sound_s > self._gap_s + JITTER_S:
            self._run_s = now_s
        self._gap_s = JITTER_S + chunk_ms / 1000
        self._sound_s = self._came_s = now_s
        self.streaming = self.streaming or now_s - self._run_s >= STREAMING_S

    def ping(self, now_s: float) -> bytes | None:
        """A ping that is due: its payload. A stream that stops is asked at once."""
        gap_s = now_s - self._sound_s
        asked_since = self._asked_s - self._sound_s >= self._gap_s
        stopped = self.streaming and gap_s >= self._gap_s and not asked_since
        if not self._pings or not (stopped or now_s - self._asked_s >= PING_EVERY_S):
            return None
        self._asked_s = now_s
        self._number += 1
        self._waiting.append((self._number, now_s))
        return self._number.to_bytes(4, "big")

    def pong(self, payload: bytes, now_s: float) -> None:
        """An answer came; to another's ping perhaps."""
        number = int.from_bytes(payload[:4], "big") if len(payload) == 4 else 0
        if all(number != one for one, _ in self._waiting):
            return
        asked_s = now_s
        while self._waiting and self._waiting[0][0] <= number:
            _, asked_s = self._waiting.popleft()
        self._came_s = now_s
        if asked_s - self._sound_s >= self._gap_s:
            self.streaming = False
        trip_s, known_s = now_s - asked_s, self.round_trip_s
        slowly_s = trip_s if known_s is None else known_s + (trip_s - known_s) / 16
        self.round_trip_s = min(trip_s, slowly_s)

    def stuck(self, now_s: float) -> bool:
        """Whether the client takes nothing of what it is sent."""
        if not self._waiting:
            return False
        trip_s = STUCK_S if self.round_trip_s is None else self.round_trip_s
        return now_s - self._waiting[0][1] > max(STUCK_S, 3 * trip_s)

    def silent(self, now_s: float) -> bool:
        """Whether sound that does not come was not sent: the way works, and no stream is due."""
        return not self.streaming and self.alive_s(now_s) == now_s

    def alive_s(self, now_s: float) -> float:
        """The last moment at which the way is known to have worked both ways."""
        if not self._pings:
            return now_s
        if self.stuck(now_s):
            return min(self._came_s, self._waiting[0][1])
        if self.streaming or now_s - self._came_s > SURE_S:
            return self._came_s
        return now_s
