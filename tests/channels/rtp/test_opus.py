"""Opus: with PyAV's own coder at the other end."""

from __future__ import annotations

import av
import numpy as np
import pytest

from antiphon.channels.rtp import opus
from antiphon.channels.rtp.opus import FRAME_SAMPLES, OpusDecoder, OpusEncoder, opus_available
from antiphon.errors import UserFacingError


def voice(frames: int) -> list[bytes]:
    """Something like a vowel whose pitch moves."""
    at = np.arange(frames * FRAME_SAMPLES) / opus.RATE_HZ
    pitch = 2 * np.pi * (140 * at + 4 * np.sin(2 * np.pi * 2 * at))
    wave = sum(np.sin(n * pitch) / n for n in range(1, 12)) * 5000
    pcm = wave.astype("<i2").tobytes()
    return [pcm[at : at + FRAME_SAMPLES * 2] for at in range(0, len(pcm), FRAME_SAMPLES * 2)]


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    """The best correlation within 20 ms of each other."""
    best = 0.0
    for shift in range(FRAME_SAMPLES):
        a, b = one[shift:], other[: len(other) - shift]
        length = min(len(a), len(b))
        best = max(best, float(np.corrcoef(a[:length], b[:length])[0, 1]))
    return best


def test_it_is_here() -> None:
    assert opus_available()


def test_there_and_back() -> None:
    frames = voice(30)
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = [encoder.encode(frame) for frame in frames]
    made = [decoder.decode(packet) for packet in packets]
    assert {len(pcm) for pcm in made} == {FRAME_SAMPLES * 2}
    assert 40 < sum(map(len, packets)) / len(packets) < 130
    assert alike(samples(b"".join(made)), samples(b"".join(frames))) > 0.8


def test_pyav_reads_what_is_written() -> None:
    frames = voice(20)
    encoder, reader = OpusEncoder(), av.CodecContext.create("libopus", "r")
    out = []
    for frame in frames:
        decoded = reader.decode(av.Packet(encoder.encode(frame)))
        out += [made.to_ndarray()[0][:: made.layout.nb_channels] for made in decoded]
    heard = np.concatenate(out).astype(np.float64)
    assert alike(heard[::3], samples(b"".join(frames))) > 0.8


def test_stereo_comes_out_as_mono() -> None:
    writer = av.CodecContext.create("libopus", "w")
    writer.sample_rate, writer.layout, writer.format = 48_000, "stereo", "s16"
    decoder, total = OpusDecoder(), 0
    for number in range(5):
        frame = av.AudioFrame("s16", "stereo", 960)
        frame.planes[0].update(bytes(960 * 4))
        frame.sample_rate, frame.pts = 48_000, number * 960
        total += sum(len(decoder.decode(bytes(packet))) for packet in writer.encode(frame))
    assert total == 5 * FRAME_SAMPLES * 2


def test_a_lost_packet_is_in_the_next() -> None:
    frames = voice(40)
    encoder = OpusEncoder()
    packets = [encoder.encode(frame) for frame in frames]

    def with_loss(*, fec: bool) -> np.ndarray:
        decoder, out = OpusDecoder(), []
        for number, packet in enumerate(packets):
            if number % 8 == 5:
                continue
            if number % 8 == 6:
                out.append(
                    decoder.recover(packet, FRAME_SAMPLES) if fec else bytes(FRAME_SAMPLES * 2)
                )
            out.append(decoder.decode(packet))
        return samples(b"".join(out))

    true = samples(b"".join(frames))
    assert alike(with_loss(fec=True), true) > alike(with_loss(fec=False), true) + 0.03


def test_lost_sound_is_made_up() -> None:
    decoder, encoder = OpusDecoder(), OpusEncoder()
    for frame in voice(10):
        decoder.decode(encoder.encode(frame))
    assert len(decoder.conceal(160)) == 320
    assert len(decoder.conceal(1)) == 80
    assert len(decoder.conceal(999_999)) == opus.LONGEST_SAMPLES * 2


def test_garbage_is_nothing() -> None:
    decoder = OpusDecoder()
    assert decoder.decode(b"") == b""
    assert decoder.decode(b"\xff") == b""
    assert OpusEncoder().encode(b"") != b""


def test_without_the_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "_names", lambda: iter(["libnothing.so.0"]))
    opus._library.cache_clear()
    try:
        assert not opus_available()
        with pytest.raises(UserFacingError, match="libopus0"):
            OpusEncoder()
    finally:
        opus._library.cache_clear()
