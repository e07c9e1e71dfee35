"""The receiving end: order, holes, pauses, other streams. The test's clock moves."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterable

import numpy as np
import pytest

from antiphon.audio import g711
from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU, TELEPHONE_EVENT, Codec
from antiphon.channels.rtp.keys import KeyReceiver
from antiphon.channels.rtp.opus import OpusEncoder
from antiphon.channels.rtp.packet import (
    Report,
    ReportBlock,
    RtpPacket,
    make_report,
    make_rtp,
    parse_rtcp,
    parse_rtp,
)
from antiphon.channels.rtp.receive import MOST_HELD, MOST_MADE_MS, Receiver
from antiphon.types import FRAME_BYTES

CODECS = {0: PCMU, 8: PCMA, 101: TELEPHONE_EVENT, 111: OPUS}
TONE = (8000 * np.sin(2 * np.pi * 400 * np.arange(8000 * 4) / 8000)).astype("<i2")


def packet(number: int, ms: int = 20, law: g711.Law = "mulaw", **other: int) -> RtpPacket:
    """One of a stream that carries a tone."""
    size = 8 * ms
    pcm = TONE[(number * size + np.arange(size)) % len(TONE)].tobytes()
    return RtpPacket(
        0 if law == "mulaw" else 8,
        (other.get("first", 1000) + number) % 65536,
        (other.get("began", 0) + number * size) % (1 << 32),
        other.get("ssrc", 7),
        g711.encode(pcm, law),
    )


class Line:
    """A receiver, a clock, and everything that was heard."""

    def __init__(self, codecs: dict[int, Codec] = CODECS) -> None:
        self.receiver = Receiver(codecs)
        self.now_s = 100.0
        self.heard: list[bytes] = []

    def push(self, *packets: RtpPacket, apart_ms: int = 0) -> int:
        """How many frames they make."""
        before = len(self.heard)
        for one in packets:
            self.heard += self.receiver.push(one, self.now_s)
            self.now_s += apart_ms / 1000
        return len(self.heard) - before

    def wait(self, ms: int) -> int:
        before = len(self.heard)
        for _ in range(ms // 20):
            self.now_s += 0.02
            self.heard += self.receiver.poll(self.now_s)
        return len(self.heard) - before

    def play(self, packets: Iterable[RtpPacket]) -> None:
        """In real time: one packet, one poll, 20 ms."""
        for one in packets:
            self.push(one)
            self.wait(20)

    @property
    def loudness(self) -> list[float]:
        return [float(np.abs(np.frombuffer(f, "<i2").astype(float)).mean()) for f in self.heard]


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_what_comes_in_order_goes_on_at_once(law: g711.Law) -> None:
    line = Line()
    assert [line.push(packet(n, law=law)) for n in range(5)] == [1] * 5
    assert {len(frame) for frame in line.heard} == {FRAME_BYTES}
    sound = np.frombuffer(b"".join(line.heard[1:]), "<i2").astype(float)
    true = np.sin(2 * np.pi * 400 * np.arange(len(sound)) / 16000)
    other = np.cos(2 * np.pi * 400 * np.arange(len(sound)) / 16000)
    level = 2 / len(sound) * np.hypot(sound @ true, sound @ other)
    assert level == pytest.approx(8000, rel=0.03)


@pytest.mark.parametrize("ms", [10, 20, 30, 40, 60])
def test_packets_of_any_length(ms: int) -> None:
    line = Line()
    count = sum(line.push(packet(n, ms)) for n in range(12))
    assert count == 12 * ms // 20
    assert line.receiver.stats.concealed_ms == 0


def test_packets_that_overtook_each_other() -> None:
    line = Line()
    line.push(packet(0))
    assert line.push(packet(2), packet(3)) == 0
    assert line.push(packet(1)) == 3
    assert line.receiver.stats.lost == 0
    assert line.receiver.stats.late == 0


def test_at_a_hole_it_waits_60_ms() -> None:
    line = Line()
    line.push(packet(0), packet(2))
    assert line.wait(40) == 0
    assert line.wait(20) == 2
    assert (line.receiver.stats.lost, line.receiver.stats.concealed_ms) == (1, 20)
    assert line.push(packet(1)) == 0
    assert line.receiver.stats.late == 1


def test_a_hole_sounds_like_what_was_before() -> None:
    line = Line()
    line.push(*(packet(n) for n in range(5)), *(packet(n) for n in range(10, 15)))
    line.wait(60)
    assert len(line.heard) == 15
    hole = line.loudness[5:10]
    assert hole[0] > 1500
    assert hole[0] > hole[1] > hole[2]
    assert hole[4] < 50
    assert line.loudness[12] > 4000


def test_one_lost_opus_packet_is_had_from_the_next() -> None:
    encoder = OpusEncoder()
    pcm = np.resize(np.repeat(TONE, 2), 16000).reshape(-1, 320)
    coded = [RtpPacket(111, n, n * 960, 7, encoder.encode(f.tobytes())) for n, f in enumerate(pcm)]
    line = Line()
    line.push(*coded[:20], *coded[21:])
    assert len(line.heard) < 50
    line.wait(60)
    assert len(line.heard) == 50
    assert line.loudness[20] > 2000
    assert (line.receiver.stats.recovered_ms, line.receiver.stats.concealed_ms) == (20, 0)


def test_doubled_packets() -> None:
    line = Line()
    assert line.push(packet(0), packet(0), packet(1), packet(0), packet(3), packet(3)) == 2
    assert line.receiver.stats.duplicates == 3


def test_too_many_that_wait_end_the_wait() -> None:
    line = Line()
    line.push(packet(0))
    assert line.push(*(packet(n) for n in range(2, 2 + MOST_HELD))) == 0
    assert line.push(packet(2 + MOST_HELD)) == MOST_HELD + 2


def test_a_pause_of_the_sender_is_silence_in_time() -> None:
    """As with silence suppression: the numbers go on, the timestamps jump, nothing waits."""
    line = Line()
    line.play(packet(n) for n in range(10))
    assert line.wait(1000) == 50
    line.play(
        RtpPacket(0, 1010 + n, packet(60 + n).timestamp, 7, packet(60 + n).payload)
        for n in range(10)
    )
    assert 69 <= len(line.heard) <= 71
    assert line.loudness[40] == 0
    assert line.loudness[-1] > 4000
    assert line.receiver.stats.lost == 0


def test_after_comfort_noise_silence_goes_on_without_a_wait() -> None:
    line = Line()
    line.push(packet(0))
    line.now_s += 0.02
    assert line.push(RtpPacket(13, 1001, 160, 7, b"\x40")) == 0
    assert [line.wait(20) for _ in range(4)] == [0, 1, 1, 1]
    assert line.receiver.stats.concealed_ms == 0


def test_a_pause_that_nobody_polled_for_is_bounded() -> None:
    line = Line()
    line.push(packet(0))
    line.now_s += 3600
    assert len(line.receiver.poll(line.now_s)) == MOST_MADE_MS // 20
    assert line.receiver.poll(line.now_s) == []


def test_jitter_makes_no_silence() -> None:
    line = Line()
    line.push(packet(0))
    assert line.wait(100) == 0
    assert line.push(*(packet(n) for n in range(1, 6))) == 5
    assert line.receiver.stats.concealed_ms == 0


def test_after_a_break_of_the_line_nothing_waits_and_time_is_right() -> None:
    line = Line()
    line.play(packet(n) for n in range(10))
    line.wait(2000)
    assert line.push(packet(110)) == 1
    assert 108 <= len(line.heard) <= 112
    assert line.receiver.stats.lost == 100


def test_keys_are_no_hole() -> None:
    line = Line()
    line.push(packet(0), RtpPacket(101, 1001, 160, 7, b"\1\2\0\xa0"))
    assert line.push(RtpPacket(0, 1002, 320, 7, packet(2).payload)) == 2
    assert line.receiver.stats.lost == 0


def test_what_nobody_agreed_on_is_no_hole() -> None:
    line = Line({0: PCMU})
    line.push(packet(0), RtpPacket(96, 1001, 160, 7, b"what"))
    assert line.push(packet(2)) >= 1
    assert line.receiver.stats.unknown == 1


def test_another_stream_takes_over_with_its_second_packet() -> None:
    line = Line()
    line.push(packet(0), packet(1))
    other = [packet(n, ssrc=8, first=30_000, began=5_000_000) for n in range(3)]
    assert line.push(other[0]) == 0
    assert line.push(other[1]) == 2
    assert line.push(other[2]) == 1
    assert line.receiver.stats.lost == 0


def test_a_stray_packet_does_not() -> None:
    line = Line()
    assert line.push(packet(0), packet(5, ssrc=9), packet(1), packet(6, ssrc=9), packet(2)) == 3


def test_numbers_that_start_over() -> None:
    line = Line()
    line.push(packet(0), packet(1))
    assert line.push(packet(0, first=40_000), packet(1, first=40_000)) == 2


def test_numbers_that_begin_anew() -> None:
    line = Line()
    packets = [packet(n, first=65_534, began=(1 << 32) - 300) for n in range(6)]
    assert line.push(*packets) == 6


def test_the_codec_changes_in_mid_stream() -> None:
    line = Line()
    assert line.push(packet(0), packet(1), packet(2, law="alaw"), packet(3, law="alaw")) == 4
    assert line.loudness[3] > 4000
    line.receiver.change({8: PCMA})
    line.push(packet(4))
    assert line.receiver.stats.unknown == 1


def test_held_it_makes_no_silence() -> None:
    line = Line()
    line.push(packet(0), packet(2))
    line.receiver.pause()
    assert line.wait(1000) == 0
    assert line.push(packet(3)) == 0
    assert line.wait(60) >= 1


def test_jitter_as_the_rfc_counts_it() -> None:
    even, uneven = Line(), Line()
    even.push(*(packet(n) for n in range(200)), apart_ms=20)
    assert even.receiver.stats.jitter_ms < 0.01
    for number in range(400):
        uneven.now_s = 100 + 0.02 * number + 0.01 * (number % 2)
        uneven.push(packet(number))
    assert uneven.receiver.stats.jitter_ms == pytest.approx(10, rel=0.05)


def test_the_report_to_the_sender() -> None:
    line = Line()
    assert line.receiver.report() is None
    line.push(*(packet(n) for n in range(10)))
    line.push(*(packet(n) for n in range(20, 30)))
    block = line.receiver.report()
    assert block is not None
    assert (block.ssrc, block.lost, block.highest_sequence) == (7, 10, 1029)
    assert block.fraction_lost == 256 // 3
    again = line.receiver.report()
    assert again is not None
    assert again.fraction_lost == 0


@pytest.mark.parametrize("seed", range(10))
def test_all_that_comes_over_a_bad_line_is_heard_in_order(seed: int) -> None:
    draw = random.Random(seed)
    arrivals = sorted(
        (n * 0.02 + draw.expovariate(1 / 0.015), n)
        for n in range(300)
        if draw.random() > 0.05
        for _ in range(2 if draw.random() < 0.03 else 1)
    )
    line, tick = Line(), 0.0
    for at_s, number in arrivals:
        while tick <= at_s:
            line.now_s = 100 + tick
            line.heard += line.receiver.poll(line.now_s)
            tick += 0.02
        line.now_s = 100 + at_s
        line.push(packet(number))
    stats = line.receiver.stats
    assert abs(len(line.heard) - 300) <= 4 + stats.concealed_ms // 20
    assert stats.lost <= 60
    assert stats.late <= 25


# ---- what nobody would send ----------------------------------------------------------------


def mutated(draw: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randrange(4)):
        if not changed:
            break
        at = draw.randrange(len(changed))
        kind = draw.randrange(4)
        if kind == 0:
            changed[at] = draw.randrange(256)
        elif kind == 1:
            del changed[at:]
        elif kind == 2:
            changed[at:at] = draw.randbytes(draw.randrange(20))
        else:
            changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def any_datagram(draw: random.Random, number: int) -> bytes:
    kind = draw.randrange(8)
    if kind == 0:
        return draw.randbytes(draw.randrange(60))
    if kind == 1:
        block = ReportBlock(*(draw.getrandbits(b) for b in (32, 8, 20, 32, 32, 32, 32)))
        report = Report(draw.getrandbits(32), blocks=(block,) * draw.randrange(33))
        return mutated(draw, make_report(report, "name"))
    if kind == 2:
        payload = draw.randbytes(4)
        return mutated(draw, make_rtp(RtpPacket(101, number % 65536, number * 160, 7, payload)))
    if kind == 3:
        return mutated(draw, make_rtp(RtpPacket(111, number % 65536, 0, 7, draw.randbytes(70))))
    if kind == 4:
        at = draw.getrandbits(32)
        sound = RtpPacket(draw.choice((0, 8, 13, 111)), draw.getrandbits(16), at, 7, b"x" * 160)
        return make_rtp(sound)
    return mutated(draw, make_rtp(packet(number % 65536)))


def test_nothing_that_comes_breaks_it_or_makes_it_grow() -> None:
    draw = random.Random(4711)
    line, keys, pressed, frames = Line(), KeyReceiver(), 0, 0

    def feed(first: int, count: int) -> None:
        nonlocal pressed, frames
        for number in range(first, first + count):
            data = any_datagram(draw, number)
            parse_rtcp(data)
            one = parse_rtp(data)
            if one is not None:
                pressed += keys.push(one) is not None
                got = line.receiver.push(one, line.now_s)
                got += line.receiver.poll(line.now_s)
                assert all(len(frame) == FRAME_BYTES for frame in got)
                assert len(got) < 400
                frames += len(got)
            line.now_s += 0.004

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    feed(0, 5_000)
    before = objects()
    feed(5_000, 20_000)
    assert frames > 1000
    assert pressed > 100
    assert objects() - before < 500
