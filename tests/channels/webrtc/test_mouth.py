"""What a caller hears, decoded by PyAV's libopus at 48 kHz as a browser does."""

from __future__ import annotations

import itertools

import av
import numpy as np
import numpy.typing as npt
import pytest

from antiphon.channels.rtp.opus import OpusEncoder, copied_ms
from antiphon.channels.rtp.packet import RtpPacket, parse_rtp
from antiphon.channels.webrtc import mouth as mouth_module
from antiphon.channels.webrtc.config import AudioConfig
from antiphon.channels.webrtc.mouth import CLEAN_REPORTS, TICKS, Mouth

RATE_HZ = 24_000
SAMPLES = RATE_HZ // 50
TYPE, SSRC = 96, 0xDEADBEEF

Sound = npt.NDArray[np.float64]


def tone(frames: int, hz: float = 440.0, level: float = 8000.0) -> list[bytes]:
    at = np.arange(frames * SAMPLES) / RATE_HZ
    pcm = (level * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()
    return [pcm[at : at + SAMPLES * 2] for at in range(0, len(pcm), SAMPLES * 2)]


def voice(frames: int) -> list[bytes]:
    """Something like a vowel whose pitch moves."""
    at = np.arange(frames * SAMPLES) / RATE_HZ
    pitch = 2 * np.pi * (140 * at + 4 * np.sin(2 * np.pi * 2 * at))
    wave = sum(np.sin(n * pitch) / n for n in range(1, 12)) * 5000
    pcm = wave.astype("<i2").tobytes()
    return [pcm[at : at + SAMPLES * 2] for at in range(0, len(pcm), SAMPLES * 2)]


def packets(datagrams: list[bytes]) -> list[RtpPacket]:
    return [packet for one in datagrams if (packet := parse_rtp(one)) is not None]


def decoded(datagrams: list[bytes]) -> Sound:
    reader = av.CodecContext.create("libopus", "r")
    out = [
        np.asarray(made.to_ndarray())[0][:: made.layout.nb_channels]
        for packet in packets(datagrams)
        for made in reader.decode(av.Packet(packet.payload))
    ]
    return np.concatenate(out).astype(np.float64)


def is_celt(datagram: bytes) -> bool:
    return packets([datagram])[0].payload[0] >> 3 >= 16


def clicks(sound: Sound) -> float:
    """The greatest power above 8 kHz in any 5 ms, in dB below the whole: a voice has little there,
    a jump has as much as anywhere."""
    spectrum = np.fft.rfft(sound)
    spectrum[: int(len(spectrum) * 8000 / 24_000)] = 0
    high = np.fft.irfft(spectrum, len(sound))
    # Without the ends, where the sound itself begins and stops.
    pieces = high[: len(high) // 240 * 240].reshape(-1, 240)[8:-8]
    return float(10 * np.log10((pieces**2).mean(axis=1).max() / (sound**2).mean() + 1e-12))


def test_the_clock_never_stops() -> None:
    mouth = Mouth(TYPE, SSRC)
    sound = tone(6)
    sent = [mouth.frame(pcm) for pcm in (*sound[:3], *[None] * 20, *sound[3:])]
    mouth.skip(5)
    sent.append(mouth.frame(None))
    made = packets(sent)
    assert len(made) == 27
    assert {packet.ssrc for packet in made} == {SSRC}
    assert {packet.payload_type for packet in made} == {TYPE}
    steps = [(b.sequence - a.sequence) % 65536 for a, b in itertools.pairwise(made)]
    ticks = [(b.timestamp - a.timestamp) % 2**32 for a, b in itertools.pairwise(made)]
    assert set(steps) == {1}
    assert ticks == [TICKS] * 25 + [TICKS * 6]


def test_the_first_packet_of_speech_is_marked() -> None:
    mouth = Mouth(TYPE, SSRC)
    sound = tone(4)
    order = (None, None, sound[0], sound[1], None, sound[2], sound[3], None)
    marks = [packet.marker for packet in packets([mouth.frame(pcm) for pcm in order])]
    assert marks == [False, False, True, False, False, True, False, False]


def test_a_tone_comes_out_as_it_went_in() -> None:
    mouth = Mouth(TYPE, SSRC)
    sent = [mouth.frame(pcm) for pcm in tone(50)]
    assert all(is_celt(one) for one in sent)
    sound = decoded(sent)[4800:]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert abs(np.argmax(spectrum) * 48_000 / len(sound) - 440) < 3
    assert abs(np.abs(sound).max() - 8000) < 400
    rate = sum(len(one) - 12 for one in sent[10:]) * 8 / 40 / 0.02
    assert 56_000 < rate < 72_000


def test_silence_is_one_packet_again_and_again_and_is_silent() -> None:
    mouth = Mouth(TYPE, SSRC)
    sent = [mouth.frame(pcm) for pcm in tone(25)]
    calls: list[bytes] = []
    encode = mouth._encoder.encode
    mouth._encoder.encode = lambda pcm: calls.append(pcm) or encode(pcm)  # type: ignore
    sent += [mouth.frame(None) for _ in range(500)]
    # The encoder takes out what is slower than 3 Hz, and has to forget it.
    assert len(calls) <= 30
    assert len({packet.payload for packet in packets(sent[60:])}) == 1
    assert all(len(one) == 12 + 3 for one in sent[60:])
    sound = decoded(sent)
    assert np.abs(sound[28 * 960 :]).max() <= 30
    assert np.abs(sound[60 * 960 :]).max() <= 1


def test_speech_after_silence_begins_clean() -> None:
    """As if the encoder had heard all of the silence."""
    fresh, long = Mouth(TYPE, SSRC), Mouth(TYPE, SSRC)
    silence = [fresh.frame(None) for _ in range(2)]
    first = decoded(silence + [fresh.frame(pcm) for pcm in voice(25)])[2 * 960 :]
    pause = [long.frame(pcm) for pcm in tone(25)] + [long.frame(None) for _ in range(300)]
    later = decoded(pause + [long.frame(pcm) for pcm in voice(25)])[325 * 960 :]
    apart = np.sqrt(np.mean((first - later) ** 2)) / np.sqrt(np.mean(first**2))
    assert apart < 0.1


def test_where_packets_are_lost_each_is_in_the_next_too() -> None:
    mouth = Mouth(TYPE, SSRC)
    sound = voice(200)
    clear = [mouth.frame(pcm) for pcm in sound[:50]]
    mouth.lost(0.02)
    assert not mouth.robust
    mouth.lost(0.05)
    assert mouth.robust
    robust = [mouth.frame(pcm) for pcm in sound[50:100]]
    assert sum(copied_ms(packet.payload) > 0 for packet in packets(clear)) == 0
    assert sum(copied_ms(packet.payload) == 20 for packet in packets(robust)) > 30
    for _ in range(CLEAN_REPORTS - 1):
        mouth.lost(0.0)
    mouth.lost(0.02)
    for _ in range(CLEAN_REPORTS - 1):
        mouth.lost(0.0)
        assert mouth.robust
    mouth.lost(0.0)
    assert not mouth.robust
    back = [mouth.frame(pcm) for pcm in sound[100:150]]
    assert all(is_celt(one) for one in back[5:])


@pytest.mark.parametrize(
    ("bitrate", "celt"), [(6_000, False), (16_000, False), (32_000, True), (128_000, True)]
)
def test_the_voice_has_the_bits_that_were_set(bitrate: int, celt: bool) -> None:
    mouth = Mouth(TYPE, SSRC, AudioConfig(bitrate=bitrate))
    sent = [mouth.frame(pcm) for pcm in voice(150)][50:]
    assert {is_celt(one) for one in sent} == {celt}
    rate = sum(len(packet.payload) for packet in packets(sent)) * 8 / len(sent) / 0.02
    assert 0.75 * bitrate < rate < 1.05 * bitrate
    assert not mouth.robust
    mouth.lost(0.1)
    assert mouth._mode.bitrate == min(bitrate, mouth_module.ROBUST_BITRATE)


@pytest.mark.parametrize("bitrate", [20_000, 24_000, 64_000])
def test_redundancy_may_be_always_there(bitrate: int) -> None:
    mouth = Mouth(TYPE, SSRC, AudioConfig(bitrate=bitrate, redundancy="always"))
    assert mouth.robust
    sent = packets([mouth.frame(pcm) for pcm in voice(150)][50:])
    assert sum(copied_ms(packet.payload) == 20 for packet in sent) > len(sent) / 2
    mouth.lost(0.2)
    assert mouth._mode.loss_percent == 20
    for _ in range(CLEAN_REPORTS):
        mouth.lost(0.0)
    assert mouth.robust


def test_redundancy_may_be_left_out() -> None:
    mouth = Mouth(TYPE, SSRC, AudioConfig(redundancy="never"))
    for _ in range(5):
        mouth.lost(0.5)
    assert not mouth.robust
    assert all(is_celt(mouth.frame(pcm)) for pcm in voice(20))


def test_a_change_of_the_mode_does_not_click() -> None:
    mouth = Mouth(TYPE, SSRC)
    sound, sent = voice(400), []
    for number, pcm in enumerate(sound):
        if number % 50 == 25:
            mouth.lost(0.1)
        elif number % 50 == 0:
            for _ in range(CLEAN_REPORTS):
                mouth.lost(0.0)
        sent.append(mouth.frame(pcm))
    assert {is_celt(one) for one in sent} == {True, False}
    steady = Mouth(TYPE, SSRC)
    without = decoded([steady.frame(pcm) for pcm in sound])
    heard = decoded(sent)
    assert clicks(heard) < -55
    # A jump would show: one of 20 ms that starts elsewhere in the wave.
    assert clicks(without) < -55
    assert clicks(np.concatenate([without[:48_000], without[48_170:]])) > -50


def test_silence_in_between_does_not_click_either_with_redundancy() -> None:
    mouth = Mouth(TYPE, SSRC)
    mouth.lost(0.1)
    sent = []
    for _ in range(4):
        sent += [mouth.frame(pcm) for pcm in tone(30, 300.0, 4000.0)[:25]]
        sent += [mouth.frame(None) for _ in range(25)]
    assert all(len(one) == 15 for one in sent[45:50])
    assert any(not is_celt(one) for one in sent[:25])
    sound = decoded(sent)
    for part in range(4):
        assert np.abs(sound[(part * 50 + 32) * 960 : (part * 50 + 50) * 960]).max() <= 4


def test_losses_make_the_redundancy_that_they_need() -> None:
    mouth = Mouth(TYPE, SSRC)
    for fraction, percent in ((0.031, 6), (0.1, 10), (0.9, 25)):
        mouth.lost(fraction)
        assert mouth._mode.loss_percent == percent
        assert mouth._mode.bitrate == mouth_module.ROBUST_BITRATE


def test_the_report_of_what_was_sent() -> None:
    mouth = Mouth(TYPE, SSRC)
    assert not mouth.report(0.0).sends
    mouth.frame(None)
    report = mouth.report(1_000.0)
    assert (report.ssrc, report.packets, report.sends) == (SSRC, 1, True)
    assert report.octets == len(OpusEncoder(RATE_HZ, mouth._mode).encode(bytes(SAMPLES * 2)))
