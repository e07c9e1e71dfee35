"""The agent's own voice, coming back through the caller's microphone.

A browser or a telephone cancels it; a speaker on a desk may not. Frame by frame the loudness of
what was played is compared with that of what is heard, in bands, at every delay up to half a
second. Where the two keep rising and falling together at one delay, the echo can be foretold: what
is no louder than it is nothing that the caller said. Nothing is taken out of the audio.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from antiphon.audio.levels import rms_dbfs
from antiphon.types import FRAME_MS

MAX_LAG_MS = 500
"""Longest delay of an echo that is looked for, with the channel's own buffers."""
_LAGS = MAX_LAG_MS // FRAME_MS + 1
_RING = 256
_MOST_WAITING = 32
"""More at a time take longer each: their arrays are too large for the allocator to keep."""
_WINDOW = 2500 // FRAME_MS
_SHORTEST = 1000 // FRAME_MS
_CONCLUSIVE = 1400 // FRAME_MS
"""An echo is found within so much of the agent's voice; what is not found is not there."""
_EVERY_DOUBTFUL, _EVERY_KNOWN, _EVERY_NONE = 200 // FRAME_MS, 600 // FRAME_MS, 2000 // FRAME_MS
"""How often it is looked for: while it may be there, while it is, and while it is not; a line
without an echo seldom gets one."""
_IDLE = 1000 // FRAME_MS
"""After so much silence of the agent nothing can come back, and nothing is computed."""
_SILENT_DB = -90.0
_SOUNDING_DB = -60.0

_EDGES_HZ = (0, 500, 1000, 2000, 4000)
_BANDS = len(_EDGES_HZ) - 1
_REFERENCE_RANGE_DB = 35.0
"""Below the played voice's peaks by more than this, its echo is lost in any room's noise."""
_FLOOR_DB = 3.0
"""What is above the quietest tenth of the microphone by less than this is the room's noise."""

# Two voices that have nothing to do with each other reach 0.51 at some delay in 1 window of 100 of
# 2.5 s, and 0.66 in one of 1.2 s; an echo alone is above 0.8 (measured on 11,000 windows).
_LIKENESS, _LIKENESS_SHORT = 0.65, 0.78
_STEADY_DB = 8.0
"""No frame (but 1 in 20) is quieter than its echo by more than this; other voices have pauses."""
_GONE_DB = 12.0
_AGREEING = 2
"""So many estimates in a row at one delay make an echo."""
_DECAY_DB = 2.0
"""How fast a frame's echo dies away in a room, per frame (0.6 s for 60 dB)."""
_ACTIVE_DB = 20.0
_MARGIN_DB = 6.0
"""How much an echo may be louder than foretold."""
_SHARE_DB = 3.0
_HALF = 0.5
_OPENING, _OPENED = 3, 10
"""Frames louder than the echo until the quiet ones between them pass too, and how many may."""

_Levels = NDArray[np.float64]
_S16 = np.dtype("<i2")


class EchoGuard:
    """Foretells the echo of one call.

    Give it every frame that was played and every frame that was heard, 20 ms each, as they come.
    """

    def __init__(self) -> None:
        self.echo = 0.0
        """Which share of the newest frame's energy is echo, 0 to 1; a half in the first second and
        a half of the agent's voice, when it cannot be known yet."""
        self._estimate: _Estimate | None = None
        self._likely = _Candidate(-1, 0)
        self._unknown = _HALF
        self._played = self._heard = 0  # frames
        self._since = 0  # frame heard first since the agent began to sound
        self._skew = 0.0  # how many more frames were played than heard
        self._silence = self._judged_silence = _IDLE  # frames of silence played last
        self._open = 0
        self._shaped = np.full(_RING, _SILENT_DB)
        self._reference = _Ring()
        self._microphone = _Ring()

    @property
    def lag_ms(self) -> int | None:
        """The echo's delay, None while there is none."""
        return None if self._estimate is None else self._estimate.lag * FRAME_MS

    @property
    def active(self) -> bool:
        """Whether anything of the agent's voice can be in what is heard now."""
        return self._silence < _IDLE

    def played(self, frame: bytes | None) -> None:
        """20 ms for the caller, s16 mono of any rate; None for silence."""
        if not self.active and frame is not None and rms_dbfs(frame) > _SOUNDING_DB:
            self._begin()
        number = self._played
        self._played += 1
        if not self.active:
            return
        # Whether it sounds is found out with those that follow, when they are looked at.
        self._silence = self._silence + 1 if frame is None else 0
        self._reference.add(number, frame)
        if self._estimate is not None:
            level_db = _SILENT_DB if frame is None else rms_dbfs(frame)
            before_db = self._shaped[(number - 1) % _RING] - _DECAY_DB
            self._shaped[number % _RING] = max(level_db, before_db, _SILENT_DB)
        if self._reference.is_full:
            self._judge()

    def hear(self, pcm: bytes) -> bool:
        """Take 20 ms from the caller (s16 mono, 16 kHz); whether nothing but echo is in it."""
        self._heard += 1
        ahead = self._played - self._heard
        self._skew += (ahead - self._skew) / 32
        if not self.active:
            self.echo = 0.0
            return False
        self._microphone.add(self._heard - 1, pcm)
        if self._microphone.is_full:
            self._microphone.compute()
        if (self._heard - self._since) % self._every == 0:
            self._look()
        if self._estimate is None:
            self.echo = self._unknown
            return False
        excess_db = rms_dbfs(pcm) - self._foretold_db(self._estimate)
        self.echo = min(1.0, 10 ** ((_SHARE_DB - excess_db) / 10))
        if excess_db > _MARGIN_DB:
            self._open = min(self._open + 1, _OPENED)
            return False
        self._open = max(self._open - 1, 0)
        return self._open < _OPENING

    @property
    def _every(self) -> int:
        if self._estimate is not None:
            return _EVERY_KNOWN
        return _EVERY_DOUBTFUL if self._unknown or self._likely.count else _EVERY_NONE

    def _begin(self) -> None:
        """The agent sounds again."""
        self._since = self._heard
        self._skew = float(self._played - self._heard)
        self._open = 0
        self._silence = self._judged_silence = 0
        self._shaped[:] = _SILENT_DB
        self._reference.clear()
        self._microphone.clear()

    def _judge(self) -> None:
        """How loud the frames are that were played since the last time."""
        levels = self._reference.compute()
        if not len(levels):
            return
        count = len(levels)
        sounding = np.flatnonzero(levels > _SOUNDING_DB)
        self._judged_silence = (
            count - 1 - int(sounding[-1]) if len(sounding) else self._judged_silence + count
        )
        self._silence = max(self._silence, self._judged_silence)
        # What sounded dies away by so much with every frame.
        first, fall = self._played - count, _DECAY_DB * np.arange(1, count + 1)
        before_db = self._shaped[(first - 1) % _RING]
        shaped = np.maximum.accumulate(np.maximum(levels + fall, before_db)) - fall
        self._shaped[np.arange(first, first + count) % _RING] = np.maximum(shaped, _SILENT_DB)

    def _foretold_db(self, estimate: _Estimate) -> float:
        at = min(self._heard - 1 + round(self._skew) - estimate.lag, self._played - 1)
        after = min(at + 1, self._played - 1)
        shaped_db = max(self._shaped[at % _RING], self._shaped[after % _RING])
        return estimate.gain_db + float(shaped_db)

    # ---- every 200 ms ----------------------------------------------------------------------

    def _look(self) -> None:
        """Compare the last seconds at every delay."""
        self._judge()
        self._microphone.compute()
        count = min(self._heard - self._since, _WINDOW)
        if count < _SHORTEST:
            return
        if count >= _CONCLUSIVE:
            self._unknown = 0.0
        heard = np.arange(self._heard - count, self._heard)
        first = self._heard - count + round(self._skew) - _LAGS + 1
        played = np.minimum(np.arange(first, first + count + _LAGS - 1), self._played - 1)
        likeness = _likeness(
            self._microphone.bands[heard % _RING], self._reference.bands[played % _RING]
        )
        lag = int(likeness.argmax())
        short = (_WINDOW - count) / (_WINDOW - _SHORTEST)
        needed = _LIKENESS + (_LIKENESS_SHORT - _LIKENESS) * short
        usual_db, least_db = self._gains_db(heard, lag)
        known = self._estimate is not None and abs(self._estimate.lag - lag) <= 1
        steady = known or usual_db - least_db <= _STEADY_DB
        if likeness[lag] >= needed and steady:
            again = abs(lag - self._likely.lag) <= 1
            self._likely = _Candidate(lag, self._likely.count + 1 if again else 1)
            if self._likely.count >= _AGREEING:
                self._estimate = _Estimate(lag, usual_db)
            return
        self._likely = _Candidate(-1, 0)
        if self._estimate is not None:
            # Somebody speaks as well, which must not pass for a louder echo; or it is gone.
            usual_db, least_db = self._gains_db(heard, self._estimate.lag)
            gain_db = min(self._estimate.gain_db, usual_db)
            gone = least_db < gain_db - _GONE_DB
            self._estimate = None if gone else _Estimate(self._estimate.lag, gain_db)

    def _gains_db(self, heard: NDArray[np.int64], lag: int) -> tuple[float, float]:
        """How much of the voice comes back in the frames in which it was loud, and how little in
        the least of them."""
        at = np.minimum(heard + round(self._skew) - lag, self._played - 1)
        direct = self._reference.levels
        around = direct[(at[:, None] + (-1, 0, 1)) % _RING].min(axis=1)
        gains = self._microphone.levels[heard % _RING] - direct[at % _RING]
        gains = np.sort(gains[around >= around.max() - _ACTIVE_DB])
        return float(gains[len(gains) // 2]), float(gains[len(gains) // 20])


class _Estimate:
    __slots__ = ("gain_db", "lag")

    def __init__(self, lag: int, gain_db: float) -> None:
        self.lag, self.gain_db = lag, gain_db


class _Candidate:
    __slots__ = ("count", "lag")

    def __init__(self, lag: int, count: int) -> None:
        self.lag, self.count = lag, count


class _Ring:
    """Levels of the last frames, in all and in bands; computed together when they are needed."""

    def __init__(self) -> None:
        self.levels = np.full(_RING, _SILENT_DB)
        self.bands = np.full((_RING, _BANDS), _SILENT_DB)
        self._first = 0
        self._waiting: list[bytes | None] = []

    @property
    def is_full(self) -> bool:
        """Whether no more can wait."""
        return len(self._waiting) >= _MOST_WAITING

    def add(self, number: int, frame: bytes | None) -> None:
        """The frame that follows the one before; the first one may have any number."""
        if not self._waiting:
            self._first = number
        self._waiting.append(frame)

    def clear(self) -> None:
        self.levels[:] = _SILENT_DB
        self.bands[:] = _SILENT_DB
        self._waiting.clear()

    def compute(self) -> _Levels:
        """Look at what waits. Returns its levels."""
        count = len(self._waiting)
        levels, bands = np.full(count, _SILENT_DB), np.full((count, _BANDS), _SILENT_DB)
        which = [number for number, frame in enumerate(self._waiting) if frame is not None]
        if which:
            joined = b"".join(frame for frame in self._waiting if frame is not None)
            frames = np.frombuffer(joined, _S16).reshape(len(which), -1) * np.float32(1 / 32768)
            energy = np.einsum("ij,ij->i", frames, frames) / frames.shape[1]
            levels[which] = np.maximum(_SILENT_DB, 10 * np.log10(energy + 1e-12))
            bands[which] = _band_levels(frames)
        numbers = np.arange(self._first, self._first + count) % _RING
        self.levels[numbers], self.bands[numbers] = levels, bands
        self._waiting.clear()
        return levels


def _band_levels(frames: NDArray[np.float32]) -> _Levels:
    """Levels (dB) of frames of 20 ms in bands; a bin is 50 Hz wide at every rate."""
    size = frames.shape[1]
    edges = [hz * FRAME_MS // 1000 for hz in _EDGES_HZ]
    spectrum = np.fft.rfft(frames * _hann(size), axis=1)[:, : edges[-1]]
    power = spectrum.real**2 + spectrum.imag**2
    sums = np.add.reduceat(power, edges[:-1], axis=1) / size**2
    return np.asarray(10 * np.log10(sums + 10 ** (_SILENT_DB / 10)), dtype=np.float64)


@functools.cache
def _hann(size: int) -> NDArray[np.float32]:
    return np.hanning(size).astype(np.float32)


def _likeness(heard: _Levels, played: _Levels) -> NDArray[np.float64]:
    """Correlation of the levels heard (frames, bands) with those played before, for each delay in
    frames; `played` begins with what belongs to the longest delay."""
    count = len(heard)
    heard = np.maximum(heard, np.sort(heard, axis=0)[count // 10] + _FLOOR_DB)
    heard -= heard.mean(axis=0)
    played = np.maximum(played, played.max(axis=0) - _REFERENCE_RANGE_DB)
    common = sum(np.correlate(played[:, band], heard[:, band]) for band in range(_BANDS))
    # Sums over every window at once; small differences of large sums are exact enough in 64 bits.
    sums = np.cumsum(np.vstack((np.zeros(_BANDS), played)), axis=0)
    squares = np.cumsum(np.concatenate(((0.0,), (played**2).sum(axis=1))))
    means = (sums[count:] - sums[:-count]) / count
    spread = squares[count:] - squares[:-count] - count * (means**2).sum(axis=1)
    energy = np.maximum(spread, 0.0) * float((heard**2).sum())
    return np.asarray(common / np.sqrt(energy + 1e-9))[::-1]
