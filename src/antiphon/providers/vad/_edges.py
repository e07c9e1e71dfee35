"""From a verdict on each frame to edges: counts that keep a click from being speech, and a stop
consonant from being an end."""

from __future__ import annotations

from antiphon.providers.base import VadEdge


class FrameEdges:
    """Speech begins when `onset` of the newest `of` frames are speech, and ends when `hangover`
    frames in a row are not.

    Args:
        frame_ms: how long a frame is.
    """

    def __init__(self, frame_ms: int, onset: int, of: int, hangover: int) -> None:
        self._frame_ms, self._onset, self._hangover = frame_ms, onset, hangover
        self._recent = [False] * of
        self._speaking = False
        self._frames = 0
        self._silent = 0
        self._last_ms = 0

    @property
    def speaking(self) -> bool:
        return self._speaking

    def advance(self, speech: bool) -> VadEdge | None:
        """Take the verdict on the next frame."""
        self._frames += 1
        self._recent = [*self._recent[1:], speech]
        if self._speaking:
            self._silent = 0 if speech else self._silent + 1
            if self._silent < self._hangover:
                return None
            at = self._frames - self._silent
        else:
            if sum(self._recent) < self._onset:
                return None
            at = self._frames - len(self._recent) + self._recent.index(True)
        self._speaking = not self._speaking
        self._silent = 0
        self._recent = [False] * len(self._recent)
        self._last_ms = max(self._last_ms, at * self._frame_ms)
        return VadEdge(self._speaking, self._last_ms)
