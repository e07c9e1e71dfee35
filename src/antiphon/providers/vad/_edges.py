"""From a verdict on each frame to edges: counts that keep a click from being speech, and a stop
consonant from being an end."""

from __future__ import annotations

from antiphon.providers.base import VadEdge


class FrameEdges:
    """Speech begins when `onset` of the newest `of` frames are speech, and ends when `hangover`
    frames in a row are not.

    Args:
        frame_ms: how long a frame is.
        end_lag_ms: how much later than a voice ends its last frame of speech does; negative where
            it is sooner, because a voice fades out.
    """

    def __init__(
        self, frame_ms: int, onset: int, of: int, hangover: int, end_lag_ms: int = 0
    ) -> None:
        self._frame_ms, self._onset, self._hangover = frame_ms, onset, hangover
        self._end_lag_ms = end_lag_ms
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
            at_ms = (self._frames - self._silent) * self._frame_ms - self._end_lag_ms
            at_ms = min(at_ms, self._frames * self._frame_ms)
        else:
            if sum(self._recent) < self._onset:
                return None
            at_ms = (self._frames - len(self._recent) + self._recent.index(True)) * self._frame_ms
        self._speaking = not self._speaking
        self._silent = 0
        self._recent = [False] * len(self._recent)
        self._last_ms = max(self._last_ms, at_ms)
        return VadEdge(self._speaking, self._last_ms)
