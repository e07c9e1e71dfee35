"""Audio between aiortc and a call: the paced track that plays, the converter that listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.audio.resampler import AudioResampler

from antiphon.channels.voice.base import OUTPUT_RATE_HZ
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

OUTPUT_SAMPLES = OUTPUT_RATE_HZ * FRAME_MS // 1000
RTP_CLOCK_HZ = 48_000
"""Opus always counts time at 48 kHz (RFC 7587 section 4.1)."""
RTP_TICKS_PER_FRAME = RTP_CLOCK_HZ * FRAME_MS // 1000

_RTP_TIME_BASE = Fraction(1, RTP_CLOCK_HZ)
_OUTPUT_TIME_BASE = Fraction(1, OUTPUT_RATE_HZ)


class OpusWriter:
    """20 ms of PCM to one Opus packet.

    CELT mode (`lowdelay`), mono, 48 kbit/s, complexity 5: for speech like aiortc's own setting
    (96 kbit/s, stereo, complexity 10) at a third of the CPU, and cheap enough to stay on the event
    loop, where a hop to a thread costs more than the encoding itself.
    """

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate = OUTPUT_RATE_HZ
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = 48_000
        codec.time_base = _OUTPUT_TIME_BASE
        codec.options = {"application": "lowdelay", "compression_level": "5"}
        self._codec = codec
        self._position = 0

    def encode(self, pcm: bytes) -> bytes:
        frame = av.AudioFrame(format="s16", layout="mono", samples=OUTPUT_SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate = OUTPUT_RATE_HZ
        frame.time_base = _OUTPUT_TIME_BASE
        frame.pts = self._position
        self._position += OUTPUT_SAMPLES
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))


class PlaybackTrack(MediaStreamTrack):
    """What the caller hears: `push` gives 20 ms at a time, and aiortc takes them."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._writer = OpusWriter()
        self._silence = bytes(OUTPUT_SAMPLES * 2)
        self._frames: deque[bytes] = deque(maxlen=10)
        self._some = asyncio.Event()
        self._index = -1

    def push(self, pcm: bytes | None) -> None:
        """The next 20 ms: mono s16 PCM at `OUTPUT_RATE_HZ`, or silence."""
        self._frames.append(pcm or self._silence)
        self._some.set()

    async def recv(self) -> av.Packet[Any]:
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._some.clear()
            # No deadline: the call's clock brings the next one.
            await self._some.wait()
        self._index += 1
        packet = av.Packet(self._writer.encode(self._frames.popleft()))
        packet.pts = self._index * RTP_TICKS_PER_FRAME
        packet.time_base = _RTP_TIME_BASE
        return packet


class Listener:
    """What the caller says: decoded frames of any shape to 20 ms of 16 kHz mono s16 PCM."""

    def __init__(self) -> None:
        self._resampler = AudioResampler(
            format="s16", layout="mono", rate=INPUT_RATE_HZ,
            frame_size=INPUT_RATE_HZ * FRAME_MS // 1000,
        )  # fmt: skip

    def convert(self, frame: av.AudioFrame) -> Iterator[bytes]:
        # The resampler wants gapless timestamps and would answer a hole after a lost packet with
        # an exception; without any it just counts samples.
        frame.pts = None
        for converted in self._resampler.resample(frame):
            yield bytes(converted.planes[0])[: converted.samples * 2]
