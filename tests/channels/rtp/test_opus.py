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


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("mode", [opus.CLEAR, opus.ROBUST, opus.OpusMode(24_000, 20)])
def test_libopus_finds_the_same_copies(rate_hz: int, mode: opus.OpusMode) -> None:
    library = opus._need_library()
    if not hasattr(library, "opus_packet_has_lbrr"):
        pytest.skip("this libopus is too old to tell")
    encoder = OpusEncoder(rate_hz, mode)
    at = np.arange(60 * rate_hz // 50) / rate_hz
    pcm = (np.sin(2 * np.pi * 150 * at) * 9000 * (np.sin(2 * np.pi * 2 * at) > 0)).astype("<i2")
    found = set()
    for frame in np.split(pcm, 60):
        packet = encoder.encode(frame.tobytes())
        has = bool(library.opus_packet_has_lbrr(packet, len(packet)))
        assert opus.copied_ms(packet) == (20 if has else 0)
        found.add(has)
    assert found == ({False} if mode is opus.CLEAR else {False, True})


def test_of_what_is_no_frame_there_is_no_copy() -> None:
    for packet in (b"", b"\x08", b"\xff\xff", b"\x0b\xff\xff"):
        assert opus.copied_ms(packet) == 0
    # One bit for speech and one for the copy; of 60 ms three for speech; of stereo twice.
    assert opus.copied_ms(b"\x48\x40") == 20
    assert opus.copied_ms(b"\x48\xbf") == 0
    assert opus.copied_ms(b"\x58\x10") == 60
    assert opus.copied_ms(b"\x4c\x10") == 20


def test_an_encoder_may_be_tuned_at_any_frame() -> None:
    encoder, decoder = OpusEncoder(24_000, opus.CLEAR), OpusDecoder()
    frames = [bytes(960)] * 4
    for mode in (opus.ROBUST, opus.CLEAR, opus.OpusMode(16_000, 25)):
        encoder.tune(mode)
        assert all(len(decoder.decode(encoder.encode(frame))) == 640 for frame in frames)
