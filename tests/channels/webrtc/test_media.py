from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from antiphon.channels.webrtc.media import (
    OUTPUT_RATE_HZ,
    OUTPUT_SAMPLES,
    Listener,
    OpusWriter,
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
