"""What may be at our end of a line: a session, another line, a recording, nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from antiphon.audio.frames import FrameCutter
from antiphon.audio.resample import LiveResampler
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

MOST_CROSSING = 6
"""Frames on their way from one line to another; the oldest goes when there are more."""
_FIRST_CROSSING = 2
_PRIME_SAMPLES = 64


class LineEnd(Protocol):
    """As much of a session as a line needs: `TelephoneIO` is one."""

    @property
    def output_rate_hz(self) -> int: ...

    def on_audio(self, pcm: bytes) -> None: ...

    def read_frame(self) -> bytes | None: ...

    def on_key(self, key: str) -> None: ...


class Nobody:
    """Hears nothing and says nothing.

    Args:
        on_key: told the keys that the other side presses.
    """

    output_rate_hz = INPUT_RATE_HZ

    def __init__(self, on_key: Callable[[str], None] | None = None) -> None:
        self._on_key = on_key

    def on_audio(self, pcm: bytes) -> None: ...

    def read_frame(self) -> bytes | None:
        return None

    def on_key(self, key: str) -> None:
        if self._on_key is not None:
            self._on_key(key)


class Playing:
    """A recording that is played once.

    Args:
        pcm: mono s16.
        rate_hz: of it.
        behind: hears what the line hears meanwhile.
    """

    def __init__(self, pcm: bytes, rate_hz: int, behind: LineEnd) -> None:
        self.output_rate_hz = rate_hz
        self._behind = behind
        step = rate_hz * FRAME_MS // 500
        self._frames = deque(
            pcm[at : at + step].ljust(step, b"\0") for at in range(0, len(pcm), step)
        )
        self._played = asyncio.Event()

    def on_audio(self, pcm: bytes) -> None:
        self._behind.on_audio(pcm)

    def read_frame(self) -> bytes | None:
        if self._frames:
            return self._frames.popleft()
        self._played.set()
        return None

    def on_key(self, key: str) -> None:
        self._behind.on_key(key)

    async def played(self) -> None:
        """Until its last frame was sent. The caller has the deadline."""
        await self._played.wait()


class Crossing:
    """One of the two ends between two lines. What one hears the other says, 40 ms later; keys are
    passed on as keys.

    Args:
        press: sends keys on the other line.
    """

    output_rate_hz = INPUT_RATE_HZ

    def __init__(self, press: Callable[[str], None]) -> None:
        self._press = press
        self._queue: deque[bytes] = deque(maxlen=MOST_CROSSING)
        self._flows = False
        self.other: Crossing | None = None

    def on_audio(self, pcm: bytes) -> None:
        if self.other is not None:
            self.other.take(pcm)

    def take(self, pcm: bytes) -> None:
        self._queue.append(pcm)

    def read_frame(self) -> bytes | None:
        self._flows = len(self._queue) >= (1 if self._flows else _FIRST_CROSSING)
        return self._queue.popleft() if self._flows else None

    def on_key(self, key: str) -> None:
        self._press(key)


class Reading:
    """20 ms frames of an end at the rate that a line sends."""

    def __init__(self, end: LineEnd, rate_hz: int) -> None:
        self._end, self._rate_hz = end, rate_hz
        self._resampler: LiveResampler | None = None
        self._cutter = FrameCutter(rate_hz * FRAME_MS // 500)

    def read(self) -> bytes | None:
        frame = self._end.read_frame()
        if self._end.output_rate_hz == self._rate_hz or frame is None:
            self._resampler = None
            return frame
        if self._resampler is None:
            # With a few samples before the first, a frame in is a frame out.
            self._resampler = LiveResampler(self._end.output_rate_hz, self._rate_hz)
            self._cutter.flush()
            frame = bytes(_PRIME_SAMPLES * 2) + frame
        frames = self._cutter.push(self._resampler.push(frame))
        return frames[0] if frames else None
