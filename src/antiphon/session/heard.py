"""How much of the agent's voice has reached the caller, where the far end of the line buffers it.

Frames that were read from the player are on their way until the channel says that they were heard.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

PROGRESS_MS = 100
"""The engine is told so often."""
MOST_FRAMES = 1500
"""Half a minute on the way; what is older counts as heard, whatever the line says."""


@dataclass(frozen=True, slots=True)
class Moved:
    """So much of a response has been heard; `ended`: it is all there is."""

    response_id: int
    played_ms: int
    ended: bool = False


class HeardLedger:
    """Frames on their way, in order. Pure: no clock."""

    def __init__(self) -> None:
        self._read = 0
        self._frames: deque[tuple[int, int, int]] = deque()  # number, response, position after it
        self._ended: dict[int, int] = {}  # responses that were read to their end
        self._heard: tuple[int, int] = (0, 0)  # response and position
        self._told = (0, 0)

    def read(self, response_id: int, played_ms: int) -> list[Moved]:
        """A frame was read, after which the response's position is `played_ms`."""
        self._read += 1
        self._frames.append((self._read, response_id, played_ms))
        if len(self._frames) > MOST_FRAMES:
            return self.heard(self._frames[0][0])
        return []

    def ended(self, response_id: int, played_ms: int) -> list[Moved]:
        """The response was read to its end."""
        self._ended[response_id] = played_ms
        return self._settle()

    def heard(self, frames: int) -> list[Moved]:
        """So many of all frames have been heard."""
        moved: list[Moved] = []
        while self._frames and self._frames[0][0] <= frames:
            _, response_id, played_ms = self._frames[0]
            if self._heard[0] != response_id:
                moved += self._settle()
            self._frames.popleft()
            self._heard = (response_id, played_ms)
        if self._heard == self._told:
            return moved
        same = self._heard[0] == self._told[0]
        if not self._frames or not same or self._heard[1] - self._told[1] >= PROGRESS_MS:
            self._told = self._heard
            moved.append(Moved(*self._heard))
        return moved + self._settle()

    def on_the_way(self, response_id: int) -> bool:
        """Whether any of the response was read and not heard yet."""
        return any(one[1] == response_id for one in self._frames)

    def flush(self, response_id: int, played_ms: int) -> int:
        """The response was stopped when `played_ms` of it had been read: how much of that was
        heard."""
        kept = [one for one in self._frames if one[1] != response_id]
        on_the_way = len(kept) < len(self._frames)
        self._frames = deque(kept)
        self._ended.pop(response_id, None)
        if not on_the_way:
            return played_ms
        return self._heard[1] if self._heard[0] == response_id else 0

    def _settle(self) -> list[Moved]:
        """Responses of which nothing is on its way any more, nor of one before them."""
        first = self._frames[0][1] if self._frames else None
        done = [one for one in self._ended if first is None or one < first]
        return [Moved(one, self._ended.pop(one), ended=True) for one in done]
