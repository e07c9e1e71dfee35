"""What the far end has played of what it was sent: it buffers, paces and tells by marks.

A mark comes back when everything before it has been played, so that between two marks the clock
tells, and a mark corrects it. Pure: `now_s` is any monotonic time in seconds.
"""

from __future__ import annotations

from collections import deque

from antiphon.types import FRAME_MS

FRAME_S = FRAME_MS / 1000
MARK_FRAMES = 5
"""A mark follows every so many frames (100 ms), and the last frame of a run."""
LOST_S = 1.5
"""A mark that is so late is lost, and the clock is believed instead."""
MAX_MARKS = 64
"""Marks on their way; with more than that the oldest is given up."""


class PlaybackClock:
    """Counts frames of 20 ms. What `clear` drops is passed over with the next frame heard."""

    def __init__(self) -> None:
        self._sent = self._heard = self._dropped = 0
        self._marked = 0
        self._names = 0
        self._marks: deque[tuple[str, int, float]] = deque()
        self._anchor_frames, self._anchor_s = 0, 0.0
        self._ends_s = 0.0
        self._without_marks = False
        self._other: deque[tuple[int, int]] = deque()
        self._other_heard = 0

    def ahead_s(self, now_s: float) -> float:
        """How much sound waits at the far end, by the clock alone."""
        return max(0.0, self._ends_s - now_s)

    def sent(self, frames: int, now_s: float, *, counted: bool = True) -> None:
        """So many frames go out now. Those that are not `counted` (the tones of keys) take their
        time but are no part of what `heard` tells."""
        if self._estimate(now_s) >= self._sent:
            self._anchor_frames, self._anchor_s = self._sent, now_s
        if not counted:
            self._other.append((self._sent, self._sent + frames))
        self._sent += frames
        self._ends_s = max(self._ends_s, now_s) + frames * FRAME_S

    def mark(self, now_s: float, *, ends: bool = False) -> str | None:
        """The name of the mark that is to follow what was sent, None when none is due. `ends`: the
        run of sound is over for now."""
        unmarked = self._sent - self._marked
        if unmarked <= 0 or (unmarked < MARK_FRAMES and not ends):
            return None
        self._marked = self._sent
        self._names += 1
        name = f"a{self._names}"
        if len(self._marks) >= MAX_MARKS:
            self._marks.popleft()
        left = self._sent - self._estimate(now_s)
        self._marks.append((name, self._sent, now_s + left * FRAME_S))
        return name

    def marked(self, name: str, now_s: float) -> None:
        """A mark came back. One that `clear` dropped, or that was given up, means nothing."""
        if all(name != one for one, _, _ in self._marks):
            return
        while True:
            found, frames, _ = self._marks.popleft()
            if found == name:
                break
        self._anchor_frames, self._anchor_s = frames, now_s
        self._heard = max(self._heard, frames)
        self._without_marks = False

    def clear(self, now_s: float) -> None:
        """What was not played yet is dropped at the far end."""
        self.heard(now_s)
        self._dropped = self._marked = self._sent
        self._marks.clear()
        self._anchor_frames, self._anchor_s = self._sent, now_s
        self._ends_s = now_s

    def heard(self, now_s: float) -> int:
        """The number of the counted frame that was played last, 0 for none. Never goes back."""
        while self._marks and now_s > self._marks[0][2] + LOST_S:
            self._marks.popleft()
            self._without_marks = True
        reached = self._estimate(now_s)
        if self._marks and not self._without_marks:
            reached = min(reached, self._marks[0][1])
        if reached > self._dropped:
            self._heard = max(self._heard, reached)
        return self._heard - self._others()

    def _estimate(self, now_s: float) -> int:
        # A frame counts when all of it has been played; the clock is not exact to a nanosecond.
        played = int(max(0.0, now_s - self._anchor_s) / FRAME_S + 1e-6)
        return min(self._sent, self._anchor_frames + played)

    def _others(self) -> int:
        while self._other and self._other[0][1] <= self._heard:
            start, end = self._other.popleft()
            self._other_heard += end - start
        open_run = self._other[0] if self._other else None
        partly = max(0, self._heard - open_run[0]) if open_run else 0
        return self._other_heard + partly
