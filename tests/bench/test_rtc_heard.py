"""What a caller over WebRTC notices of packets, and what it says."""

from __future__ import annotations

from itertools import islice

from antiphon.bench.rtc_heard import TICKS, Arrivals, OpusSpeech, is_audible, talking
from antiphon.channels.rtp.opus import OpusDecoder

TONE = b"\x00\x10\x00\xf0" * 160


def arrived(*packets: tuple[int, int, float]) -> Arrivals:
    """Packets by number, frame of sound and moment."""
    arrivals = Arrivals()
    for number, frame, at_s in packets:
        arrivals.add(number % 65536, frame * TICKS % (1 << 32), 100, at_s)
    return arrivals


def test_gaps_are_between_packets_that_follow_each_other() -> None:
    arrivals = arrived((7, 7, 1.0), (8, 8, 1.02), (9, 9, 1.05))
    assert [round(gap) for gap in arrivals.gaps_ms] == [20, 30]
    assert (arrivals.packets, arrivals.bytes, arrivals.missing, arrivals.jumps) == (3, 300, 0, 0)


def test_numbers_begin_anew() -> None:
    arrivals = arrived((65535, 4473924, 1.0), (65536, 4473925, 1.02), (65537, 4473926, 1.04))
    assert len(arrivals.gaps_ms) == 2
    assert arrivals.highest == 65537


def test_missing_and_late_packets_are_no_gaps() -> None:
    arrivals = arrived((1, 1, 1.0), (3, 3, 1.04), (2, 2, 1.05), (4, 4, 1.06), (4, 4, 1.07))
    assert [round(gap) for gap in arrivals.gaps_ms] == [20]
    assert (arrivals.missing, arrivals.late) == (1, 2)


def test_sound_that_is_left_out_is_a_jump() -> None:
    arrivals = arrived((1, 1, 1.0), (2, 6, 1.1), (3, 7, 1.12))
    assert (arrivals.jumps, len(arrivals.gaps_ms)) == (1, 1)
    arrivals.begin_anew()
    assert (arrivals.jumps, len(arrivals.gaps_ms), arrivals.packets) == (0, 0, 0)


def test_what_is_audible() -> None:
    assert is_audible(TONE)
    assert not is_audible(bytes(640))
    assert not is_audible(b"\x02\x00\xfe\xff" * 160)
    assert not is_audible(b"")


def test_callers_begin_in_different_places_and_pause() -> None:
    speech, silence = OpusSpeech.of(TONE * 100), OpusSpeech.of(bytes(32_000))
    assert len(speech.packets) == 100
    streams = [list(islice(talking([speech], silence, str(seed)), 400)) for seed in range(3)]
    assert streams[0] == list(islice(talking([speech], silence, "0"), 400))
    assert streams[0] != streams[1]
    decoder = OpusDecoder()
    heard = [is_audible(decoder.decode(packet)) for packet in streams[2]]
    assert 0.4 < sum(heard) / len(heard) < 0.95
