"""Trimming the silence around a synthesized segment, as it streams.

Voices put 150 to 250 ms of silence before what they say, which the caller would wait through after
every turn, and often more after it.
"""

from __future__ import annotations

import numpy as np

from antiphon.audio.levels import FULL_SCALE

_BLOCK_MS = 5


class SegmentTrimmer:
    """Trims one segment of mono s16 PCM.

    Leading silence is cut down to `keep_lead_ms`. Silence after that is handed through up to
    `max_gap_ms`; a longer one is withheld until sound follows, and dropped when none does.

    Args:
        sample_rate_hz: rate of the audio.
        threshold_dbfs: blocks of 5 ms whose RMS level is above this are sound.
        keep_lead_ms: silence left before the first sound, so that soft beginnings are whole.
        max_gap_ms: silence left after the last sound.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        threshold_dbfs: float = -50.0,
        keep_lead_ms: int = 30,
        max_gap_ms: int = 250,
    ) -> None:
        self._bytes_per_s = sample_rate_hz * 2
        self._block_bytes = sample_rate_hz * _BLOCK_MS // 1000 * 2
        self._limit = (FULL_SCALE * 10.0 ** (threshold_dbfs / 20.0)) ** 2
        self._keep_bytes = sample_rate_hz * keep_lead_ms // 1000 * 2
        self._gap_bytes = sample_rate_hz * max_gap_ms // 1000 * 2
        self._leading = True
        self._pending = bytearray()
        self._lead = bytearray()
        self._withheld = bytearray()
        self._quiet_bytes = 0
        self._cut_before = self._cut_after = 0
        self._kept_before = self._kept_after = 0

    @property
    def lead_known(self) -> bool:
        """Whether sound has begun: from then on `removed_lead_ms` stays as it is."""
        return not self._leading

    @property
    def removed_lead_ms(self) -> int:
        """Silence cut off before the first sound: subtract it from the times of words."""
        return self._cut_before * 1000 // self._bytes_per_s

    @property
    def removed_tail_ms(self) -> int:
        """Silence cut off after the last sound; known after `finish`."""
        return self._cut_after * 1000 // self._bytes_per_s

    @property
    def kept_lead_ms(self) -> int:
        """Silence left before the first sound; known once there is sound."""
        return self._kept_before * 1000 // self._bytes_per_s

    @property
    def kept_tail_ms(self) -> int:
        """Silence left after the last sound; known after `finish`."""
        return self._kept_after * 1000 // self._bytes_per_s

    def push(self, pcm: bytes) -> bytes:
        """Take audio of the segment, return what can be played now."""
        self._pending += pcm
        whole = len(self._pending) // self._block_bytes * self._block_bytes
        if not whole:
            return b""
        blocks = bytes(self._pending[:whole])
        del self._pending[:whole]
        samples = np.frombuffer(blocks, dtype="<i2").astype(np.float32)
        squares = np.square(samples).reshape(-1, self._block_bytes // 2).mean(axis=1)
        loud = np.flatnonzero(squares > self._limit)
        if self._leading:
            blocks, shift = self._cut_lead(blocks, int(loud[0]) if len(loud) else None)
            if self._leading:
                return b""
            end = (int(loud[-1]) + 1) * self._block_bytes - shift
        else:
            end = (int(loud[-1]) + 1) * self._block_bytes if len(loud) else 0
        return self._cut_gap(blocks, end)

    def finish(self) -> bytes:
        """The segment is complete: what is left of it."""
        rest = bytes(self._pending)
        self._pending.clear()
        if self._leading:
            # Nothing but silence: a pause, of which a short one remains.
            lead = bytes(self._lead) + rest
            self._cut_before = self._cut_before + max(0, len(lead) - self._keep_bytes)
            self._lead.clear()
            return lead[max(0, len(lead) - self._keep_bytes) :]
        if rest and self._quiet_bytes:
            # Less than a block: judged by what there is of it.
            samples = np.frombuffer(rest, dtype="<i2").astype(np.float32)
            loud = float(np.square(samples).mean()) > self._limit
            rest = self._cut_gap(rest, len(rest) if loud else 0)
        self._cut_after = len(self._withheld)
        self._kept_after = self._quiet_bytes - self._cut_after
        self._withheld.clear()
        return rest

    def _cut_lead(self, blocks: bytes, first_loud: int | None) -> tuple[bytes, int]:
        """Returns what is left of the blocks, and by how much its positions moved."""
        quiet = len(blocks) if first_loud is None else first_loud * self._block_bytes
        self._lead += blocks[:quiet]
        surplus = max(0, len(self._lead) - self._keep_bytes)
        del self._lead[:surplus]
        self._cut_before += surplus
        if first_loud is None:
            return b"", 0
        self._leading = False
        kept = bytes(self._lead)
        self._kept_before = len(kept)
        self._lead.clear()
        return kept + blocks[quiet:], quiet - len(kept)

    def _cut_gap(self, blocks: bytes, end: int) -> bytes:
        """Hand through all up to `end`, where the last sound ends, and of the silence after it as
        much as may be left."""
        out = b""
        if end:
            out = bytes(self._withheld) + blocks[:end]
            self._withheld.clear()
            self._quiet_bytes = 0
        quiet = blocks[end:]
        room = max(0, self._gap_bytes - self._quiet_bytes)
        self._quiet_bytes += len(quiet)
        self._withheld += quiet[room:]
        return out + quiet[:room]
