"""The recording of a call: a stereo WAV, the caller on the left and the agent on the right, 16 kHz.

Both sides are placed by the call's clock, in places of 20 ms. What was not heard, not recorded or
lost is silence, so that a moment of the call is the same moment of the recording. The event loop
only collects frames; one thread of the process writes them, a second at a time, and the header
with them: what is on disk is a recording even if the process dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from antiphon.audio.resample import LiveResampler
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

log = logging.getLogger(__name__)

LONGEST_MS = 4 * 3_600_000
"""What follows is not recorded; four hours are 0.9 GB."""
MAX_PENDING = 60
"""Blocks of about a second that wait for a disk; then the recording ends as it is."""
PRUNE_EVERY_S = 3600.0
_BLOCK_FRAMES = 50
_LATE_FRAMES = 25
"""Frames are written once they are so old: until then those that came late find their place."""
_AHEAD_FRAMES = 2
"""A side whose clock is fast loses a frame when it is so far ahead."""
_HEADER_BYTES = 44
_DAY_S = 86_400


class _Side:
    """One side's frames by their place, as long as they may move."""

    __slots__ = ("frame_bytes", "frames", "last")

    def __init__(self) -> None:
        self.frames: dict[int, bytes] = {}
        self.last = -1
        self.frame_bytes = FRAME_BYTES

    def place(self, at: int, pcm: bytes) -> None:
        """Put a frame where it belongs. Frames that were delayed come in a bunch: the later ones
        push those before them back into the places that stayed empty."""
        if at <= self.last:
            hole = next((n for n in range(self.last, at - _LATE_FRAMES, -1) if self._free(n)), None)
            if hole is not None and hole < at:
                for n in range(hole, self.last):
                    self.frames[n] = self.frames[n + 1]
                at = self.last
            elif self.last + 1 - at <= _AHEAD_FRAMES:
                at = self.last + 1
            else:
                return
        self.frames[at] = pcm
        self.last = at

    def _free(self, at: int) -> bool:
        return at >= 0 and at not in self.frames and at > self.last - _LATE_FRAMES

    def take(self, first: int, last: int) -> bytes:
        """The sound from one place to another (excluded), and forget it."""
        silence = bytes(self.frame_bytes)
        return b"".join(self.frames.pop(n, silence) for n in range(first, last))


class _Disk:
    """The file. All of it runs in the writer's thread; a failure is told as False."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._resampler: LiveResampler | None = None
        self._next, self._rest = 0, b""

    def create(self) -> bool:
        return self._tried(self._create)

    def write(self, first: int, caller: bytes, agent: bytes) -> bool:
        """A block of both sides, the agent's at any rate."""
        return self._tried(self._write, first, caller, agent)

    def end(self, frames: int) -> bool:
        """The recording is so long."""
        return self._tried(self._header, frames)

    def _tried(self, work: Callable[..., None], *values: object) -> bool:
        try:
            work(*values)
        except OSError:
            return False
        return True

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        self._header(0)

    def _write(self, first: int, caller: bytes, agent: bytes) -> None:
        frames = len(caller) // FRAME_BYTES
        both = np.empty((len(caller) // 2, 2), dtype="<i2")
        both[:, 0] = np.frombuffer(caller, dtype="<i2")
        both[:, 1] = np.frombuffer(self._resampled(first, frames, agent), dtype="<i2")
        with self._path.open("r+b") as file:
            # What lies between is a hole, which reads as silence and takes no room on the disk.
            file.seek(_HEADER_BYTES + first * FRAME_BYTES * 2)
            file.write(both.tobytes())
        self._header(first + frames)

    def _resampled(self, first: int, frames: int, pcm: bytes) -> bytes:
        rate_hz = len(pcm) // 2 // frames * 1000 // FRAME_MS
        if rate_hz == INPUT_RATE_HZ:
            return pcm
        if self._resampler is None or self._resampler.in_hz != rate_hz or first != self._next:
            self._resampler, self._rest = LiveResampler(rate_hz, INPUT_RATE_HZ), b""
        self._next = first + frames
        size = frames * FRAME_BYTES
        # The resampler withholds a millisecond or two, once.
        got = (self._rest + self._resampler.push(pcm)).rjust(size, b"\0")
        self._rest = got[size:]
        return got[:size]

    def _header(self, frames: int) -> None:
        """The canonical 44 bytes, as in Microsoft's "Multimedia Programming Interface and Data
        Specifications 1.0": RIFF, fmt (PCM, 2 channels, 16 bits), data."""
        size = frames * FRAME_BYTES * 2
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + size, b"WAVE"),
            *(b"fmt ", 16, 1, 2, INPUT_RATE_HZ, INPUT_RATE_HZ * 4, 4, 16),
            *(b"data", size),
        )
        with self._path.open("r+b") as file:
            file.truncate(_HEADER_BYTES + size)
            file.write(header)


class Recorder:
    """Records one call. Everything is called on the event loop and returns at once.

    Args:
        path: written from the first `start` on, readable by its owner only.
        now_ms: the call's time.
        writer: runs what waits for the disk, one after the other.
        longest_ms: the longest recording.
    """

    def __init__(
        self,
        path: Path,
        now_ms: Callable[[], int],
        writer: ThreadPoolExecutor,
        longest_ms: int = LONGEST_MS,
    ) -> None:
        self.path = path
        self.started_ms: int | None = None
        """When it began, by the call's time; None: nothing was recorded."""
        self.failed = False
        """Whether it is not whole, because the disk was full, gone or too slow."""
        self._now_ms, self._writer = now_ms, writer
        self._longest = longest_ms // FRAME_MS
        self._caller, self._agent, self._disk = _Side(), _Side(), _Disk(path)
        self._written = 0  # frames that are on their way to the disk
        self._paused_at_ms: int | None = None
        self._paused_ms = 0
        self._pending: list[Future[bool]] = []
        self._closed = False

    # ---- what the engine says --------------------------------------------------------------

    def start(self) -> None:
        """Record from now on. Idempotent."""
        if self.started_ms is None and not self._closed:
            self.started_ms = self._now_ms()
            if self._paused_at_ms is not None:
                self._paused_at_ms = self.started_ms
            self._submit(self._disk.create)

    def pause(self) -> None:
        """Nothing of what follows is recorded. Idempotent."""
        if self._paused_at_ms is None:
            self._paused_at_ms = self._now_ms()

    def resume(self) -> None:
        """Go on; the time between is silence on both sides. Idempotent."""
        self._paused_ms, self._paused_at_ms = self.paused_ms, None

    @property
    def paused_ms(self) -> int:
        """How much of the recording was left out."""
        if self._paused_at_ms is None or self.started_ms is None or self._closed:
            return self._paused_ms
        return self._paused_ms + self._now_ms() - self._paused_at_ms

    # ---- what is heard ---------------------------------------------------------------------

    def caller(self, pcm: bytes) -> None:
        """20 ms of the caller, which end now: 16 kHz mono s16."""
        at = self._at()
        if at is not None and at > 0:
            self._put(self._caller, at - 1, pcm)

    def agent(self, pcm: bytes | None, rate_hz: int) -> None:
        """20 ms of the agent, which begin now: mono s16 at `rate_hz`. None, or no call: silence."""
        at = self._at()
        if at is None or pcm is None:
            return
        size = rate_hz * FRAME_MS // 1000 * 2
        if size != self._agent.frame_bytes:
            self._write(max(at, self._agent.last + 1))
            self._agent.frame_bytes = size
        self._put(self._agent, at, pcm)

    def _at(self) -> int | None:
        """The place of this moment; None when it is not recorded."""
        if self.started_ms is None or self._paused_at_ms is not None or self._closed:
            return None
        at = (self._now_ms() - self.started_ms) // FRAME_MS
        return None if at >= self._longest or self.failed else at

    def _put(self, side: _Side, at: int, pcm: bytes) -> None:
        if at < self._written:
            return
        side.place(at, pcm[: side.frame_bytes].ljust(side.frame_bytes, b"\0"))
        if at - self._written >= _BLOCK_FRAMES + _LATE_FRAMES:
            self._write(at - _LATE_FRAMES)

    # ---- to the disk -----------------------------------------------------------------------

    def _write(self, end: int) -> None:
        """Hand on everything before place `end`."""
        held = [n for side in (self._caller, self._agent) for n in side.frames if n < end]
        if held:
            first, last = min(held), max(held) + 1
            sides = (side.take(first, last) for side in (self._caller, self._agent))
            self._submit(self._disk.write, first, *sides)
        self._written = end

    def _submit(self, work: Callable[..., bool], *values: object) -> None:
        self._pending = [one for one in self._pending if not self._settled(one)]
        if len(self._pending) >= MAX_PENDING:
            self._fail("the disk is too slow for a recording")
        if not self.failed:
            self._pending.append(self._writer.submit(work, *values))

    def _settled(self, one: Future[bool]) -> bool:
        if one.done() and not one.cancelled() and not one.result():
            self._fail("a recording cannot be written")
        return one.done()

    def _fail(self, why: str) -> None:
        if not self.failed:
            self.failed = True
            log.error(why, extra={"call_id": self.path.stem})

    def close(self) -> None:
        """The call is over. Idempotent."""
        if self._closed:
            return
        self._paused_ms = self.paused_ms
        self._closed = True
        if self.started_ms is None:
            return
        end = min((self._now_ms() - self.started_ms) // FRAME_MS, self._longest)
        end = max(end, self._caller.last + 1, self._agent.last + 1)
        self._write(end)
        self._submit(self._disk.end, end)

    async def aclose(self) -> None:
        """Close, and wait until the file is whole, or cannot be. A disk that hangs hangs this; a
        caller with a deadline may cancel it."""
        self.close()
        if self._pending:
            await asyncio.wait([asyncio.wrap_future(one) for one in self._pending])
            self._pending = [one for one in self._pending if not self._settled(one)]


class RecordingFolder:
    """Where an agent's recordings are kept, for so many days; older ones are removed.

    The records of calls (`*.call.json`), which lie beside them, are kept for `keep_records_days`,
    or as long as the recordings if that is longer. One thread writes for all calls of the folder.
    """

    def __init__(self, folder: Path, keep_days: int, keep_records_days: int = 365) -> None:
        self.folder = folder
        self._keep_s = {
            "*.wav": keep_days * _DAY_S,
            "*.call.json": max(keep_days, keep_records_days) * _DAY_S,
        }
        self.writer = ThreadPoolExecutor(1, thread_name_prefix="antiphon-recordings")
        self._pruned_s = float("-inf")

    def recorder(
        self, call_id: str, now_ms: Callable[[], int], longest_ms: int = LONGEST_MS
    ) -> Recorder:
        """For one call; there is no file before it starts."""
        now_s = time.monotonic()
        if now_s - self._pruned_s >= PRUNE_EVERY_S:
            self._pruned_s = now_s
            self.writer.submit(self.prune, time.time())
        return Recorder(self.folder / f"{call_id}.wav", now_ms, self.writer, longest_ms)

    def prune(self, now_s: float) -> int:
        """Remove what is too old at this time of the day's clock; how many files those were."""
        removed = 0
        for pattern, keep_s in self._keep_s.items():
            for path in self.folder.glob(pattern):
                try:
                    if path.stat().st_mtime < now_s - keep_s:
                        path.unlink()
                        removed += 1
                except FileNotFoundError:
                    # Another process of the server was faster.
                    continue
                except OSError:
                    log.warning("a recording cannot be removed")
        return removed

    def close(self) -> None:
        """Once all calls are over: waits for the disk."""
        self.writer.shutdown()
