"""What a caller over WebRTC notices of the packets that it is sent, and the speech that it sends.
Pure, but for the codec."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from antiphon.types import FRAME_MS

RTP_HZ = 48_000
"""Opus always counts time at 48 kHz (RFC 7587 section 4.1)."""
TICKS = RTP_HZ * FRAME_MS // 1000
AUDIBLE_DBFS = -50.0
_SEQUENCES, _TIMES = 1 << 16, 1 << 32


@dataclass(slots=True)
class Arrivals:
    """Packets of one stream, as they come in.

    Gaps are between packets that follow each other and carry sound that follows each other; a
    timestamp that leaves something out is counted as a jump, and no gap.
    """

    packets: int = 0
    bytes: int = 0
    missing: int = 0
    """Of the sequence numbers in between; what comes late is counted as missing and as late."""
    late: int = 0
    jumps: int = 0
    gaps_ms: array[float] = field(default_factory=lambda: array("f"))
    highest: int = -1
    """Sequence number with its turns (RFC 3550 section 6.4.1)."""
    _last_s: float = 0.0
    _last_time: int = 0

    def add(self, sequence: int, timestamp: int, size: int, at_s: float) -> None:
        """A packet with `size` bytes of sound has come; `at_s` is any clock."""
        self.packets += 1
        self.bytes += size
        if self.highest < 0:
            self.highest = sequence
        else:
            half = _SEQUENCES // 2
            step = (sequence - self.highest + half) % _SEQUENCES - half
            if step <= 0:
                self.late += 1
                return
            self.highest += step
            self.missing += step - 1
            if step == 1:
                if (timestamp - self._last_time) % _TIMES == TICKS:
                    self.gaps_ms.append((at_s - self._last_s) * 1000)
                else:
                    self.jumps += 1
        self._last_s, self._last_time = at_s, timestamp

    def begin_anew(self) -> None:
        """Forget what is of another time than what is to be measured."""
        del self.gaps_ms[:]
        self.packets = self.bytes = self.jumps = self.missing = self.late = 0


def is_audible(pcm: bytes) -> bool:
    """Whether so much s16 PCM is louder than -50 dBFS."""
    # It loads numpy; the command line imports this module for its types.
    from antiphon.audio.levels import rms_dbfs

    return bool(pcm) and rms_dbfs(pcm) > AUDIBLE_DBFS


@dataclass(frozen=True, slots=True)
class OpusSpeech:
    """A recording as packets of 20 ms."""

    packets: tuple[bytes, ...]

    @classmethod
    def of(cls, pcm: bytes) -> OpusSpeech:
        """S16 PCM at 16 kHz, as a browser would send it: 32 kbit/s with redundancy."""
        # It loads libopus; the command line imports this module for its types.
        from antiphon.channels.rtp.opus import FRAME_SAMPLES, OpusEncoder

        encoder, size = OpusEncoder(), FRAME_SAMPLES * 2
        return cls(tuple(encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm), size)))

    @classmethod
    def read(cls, path: Path) -> OpusSpeech:
        """From a file of any kind and rate.

        Raises:
            UserFacingError: it cannot be read.
        """
        from antiphon.audio.wav import read_pcm

        return cls.of(read_pcm(path, 16_000))


def talking(speeches: Sequence[OpusSpeech], silence: OpusSpeech, seed: str) -> Iterator[bytes]:
    """A caller who speaks nearly all the time: a recording, half a second to a second and a half
    of silence, the next. No two callers begin in the same place."""
    rng = Random(seed)
    begin = rng.random() * 0.7
    while True:
        packets = rng.choice(speeches).packets
        yield from packets[int(begin * len(packets)) :]
        begin = 0.0
        for at in range(rng.randint(25, 75)):
            yield silence.packets[at % len(silence.packets)]
