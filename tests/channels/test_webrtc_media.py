from __future__ import annotations

import asyncio
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from antiphon.channels.webrtc_media import (
    OUTPUT_RATE_HZ,
    OUTPUT_SAMPLES,
    RTP_TICKS_PER_FRAME,
    Listener,
    OpusWriter,
    PlaybackTrack,
)


def tone(rate_hz: int, samples: int, start: int = 0) -> np.ndarray:
    at = np.arange(start, start + samples)
    return (np.sin(2 * np.pi * 440 * at / rate_hz) * 8000).astype("<i2")


def test_every_frame_becomes_one_packet_that_opus_can_read() -> None:
    writer = OpusWriter()
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    decoder.layout = "mono"
    heard: list[np.ndarray] = []
    for i in range(50):
        pcm = tone(OUTPUT_RATE_HZ, OUTPUT_SAMPLES, i * OUTPUT_SAMPLES).tobytes()
        packet = writer.encode(pcm)
        assert 0 < len(packet) < 400
        heard += [f.to_ndarray().reshape(-1) for f in decoder.decode(av.Packet(packet))]
    samples = np.concatenate(heard)
    assert len(samples) == 48_000
    peak_hz = np.argmax(np.abs(np.fft.rfft(samples)))
    assert abs(int(peak_hz) - 440) <= 1


@pytest.mark.parametrize(("rate_hz", "layout"), [(48_000, "stereo"), (8_000, "mono")])
def test_what_the_caller_says_becomes_frames_of_16_khz(rate_hz: int, layout: str) -> None:
    listener = Listener()
    channels = 2 if layout == "stereo" else 1
    size = rate_hz // 50
    frames: list[bytes] = []
    for i in range(50):
        samples = np.repeat(tone(rate_hz, size, i * size), channels).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate = rate_hz
        # A hole in the timestamps, as after a lost packet.
        frame.pts = i * size + (5 * size if i > 20 else 0)
        frame.time_base = Fraction(1, rate_hz)
        frames += listener.convert(frame)
    assert {len(frame) for frame in frames} == {640}
    assert len(frames) >= 49
    heard = np.frombuffer(b"".join(frames), "<i2")
    assert 7500 < int(np.abs(heard).max()) < 8500


class FakeTime:
    """The loop's clock, advanced by what would have been slept."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept_s: list[float] = []

    def time(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        self.slept_s.append(delay_s)
        self.now_s += delay_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTime]:
    clock = FakeTime()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    yield clock
    monkeypatch.undo()


async def test_playback_does_not_drift(clock: FakeTime) -> None:
    track = PlaybackTrack(lambda: None)
    for _ in range(500):
        packet = await track.recv()
        clock.now_s += 0.003  # encoding and sending take their time
    assert packet.pts == 499 * RTP_TICKS_PER_FRAME
    assert clock.now_s == pytest.approx(100 + 499 * 0.02 + 0.003)


async def test_a_short_stall_is_caught_up_and_a_long_one_is_left_out(clock: FakeTime) -> None:
    reads: list[float] = []

    def read() -> None:
        reads.append(clock.now_s)

    track = PlaybackTrack(read)
    await track.recv()
    clock.now_s += 0.09
    for _ in range(4):
        packet = await track.recv()
    assert not clock.slept_s
    assert packet.pts == 4 * RTP_TICKS_PER_FRAME
    clock.now_s += 1.0
    packet = await track.recv()
    assert packet.pts is not None
    # In its place in real time, and nothing was read for the second that is lost.
    assert 50 <= packet.pts // RTP_TICKS_PER_FRAME <= 55
    assert len(reads) == 6
    await track.recv()
    assert clock.slept_s[0] > 0


async def test_a_stopped_track_says_so() -> None:
    track = PlaybackTrack(lambda: None)
    track.stop()
    with pytest.raises(MediaStreamError):
        async with asyncio.timeout(1):
            await track.recv()
