"""What a browser says, over lines that lose packets: real speech, packets made by libopus with its
redundancy. The test's clock moves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from antiphon.channels.rtp.opus import OpusEncoder, OpusMode
from antiphon.channels.rtp.send import Stream
from antiphon.channels.webrtc.ear import Ear
from antiphon.types import FRAME_BYTES

SPEECH = Path(__file__).parents[2] / "data" / "speech"
PAYLOAD_TYPE = 111
TICKS = 960
SPEECH_DBFS = -45.0
MOST_QUIETER_DB = 12.0
LOOKAHEAD = 2
"""Frames by which sound may come later than it was said: the encoder's own delay is 6.5 ms."""


def speech() -> list[bytes]:
    """About a minute of people, in frames."""
    whole = np.concatenate(
        [soundfile.read(file, dtype="int16")[0] for file in sorted(SPEECH.glob("*.flac"))]
    )
    pcm = whole[: len(whole) // 320 * 320].astype("<i2").tobytes()
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


def datagrams(frames: list[bytes], loss_percent: int) -> list[bytes]:
    encoder, stream = OpusEncoder(16_000, OpusMode(32_000, loss_percent)), Stream(7)
    made = []
    for frame in frames:
        made.append(stream.packet(PAYLOAD_TYPE, encoder.encode(frame), marker=False))
        stream.skip(TICKS)
    return made


def dbfs(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float) / 32768
    return float(10 * np.log10(np.mean(samples**2) + 1e-12))


class Line:
    """An ear, a clock, and what was heard."""

    def __init__(self) -> None:
        self.ear = Ear(PAYLOAD_TYPE)
        self.now_s = 100.0
        self.heard: list[bytes] = []
        self.heard_at_s: list[float] = []

    def hear(self, frames: list[bytes]) -> int:
        self.heard += frames
        self.heard_at_s += [self.now_s] * len(frames)
        return len(frames)

    def push(self, datagram: bytes) -> int:
        return self.hear(self.ear.push(datagram, self.now_s))

    def tick(self) -> int:
        self.now_s += 0.02
        return self.hear(self.ear.poll(self.now_s))

    def play(self, sent: Iterator[bytes | None] | list[bytes]) -> None:
        for one in sent:
            if one is not None:
                self.push(one)
            self.tick()


def whole(said: list[bytes], heard: list[bytes]) -> float:
    """The share of the frames with speech that are about as loud in what was heard."""
    loud = [dbfs(frame) for frame in said]
    came = [dbfs(frame) for frame in heard]
    spoken = [number for number, level in enumerate(loud) if level > SPEECH_DBFS]
    there = sum(
        max(came[number : number + LOOKAHEAD], default=-120.0) > loud[number] - MOST_QUIETER_DB
        for number in spoken
    )
    return there / len(spoken)


@pytest.fixture(scope="module")
def said() -> list[bytes]:
    return speech()


@pytest.mark.parametrize(
    ("loss", "burst", "least"), [(0.0, 1, 0.999), (0.05, 1, 0.99), (0.2, 1, 0.97), (0.1, 3, 0.95)]
)
def test_speech_is_whole(said: list[bytes], loss: float, burst: int, least: float) -> None:
    line, draw = Line(), random.Random(11)
    sent = datagrams(said, round(loss * 100) or 1)
    gone: set[int] = set()
    for number in range(len(sent)):
        if draw.random() < loss / burst:
            gone.update(range(number, number + burst))
    line.play(None if number in gone else one for number, one in enumerate(sent))
    for _ in range(5):
        line.tick()
    stats = line.ear.stats
    lost = len([number for number in gone if number < len(sent) - 1])
    assert abs(stats.lost - lost) <= 1
    assert abs(stats.recovered_ms + stats.concealed_ms - stats.lost * 20) <= 120
    if loss:
        # Frames without speech are not sent twice.
        assert stats.recovered_ms > (0.4 if burst == 1 else 0.15) * stats.lost * 20
    assert abs(len(line.heard) - len(said)) <= 8
    assert whole(said, line.heard) >= least


def test_in_order_nothing_waits(said: list[bytes]) -> None:
    line = Line()
    for one in datagrams(said[:200], 0):
        assert line.push(one) == 1
        assert line.tick() == 0


def test_at_a_hole_it_waits_60_ms_and_not_longer(said: list[bytes]) -> None:
    line, sent = Line(), datagrams(said[:40], 20)
    for number, one in enumerate(sent):
        if number != 20:
            line.push(one)
        line.tick()
    # 20 would have been heard at its own time, 21 waits for it, and all is there 60 ms later.
    begun_s = 100.0
    late_ms = [(at_s - begun_s) * 1000 - number * 20 for number, at_s in enumerate(line.heard_at_s)]
    assert max(late_ms) <= 20 + 60 + 20 + 1e-6
    assert len(line.heard) == 40
    assert line.ear.stats.recovered_ms == 20


def test_of_several_in_a_row_the_last_is_in_the_next(said: list[bytes]) -> None:
    line, sent = Line(), datagrams(said[:80], 20)
    line.play(None if 60 <= number < 63 else one for number, one in enumerate(sent))
    assert (line.ear.stats.lost, line.ear.stats.recovered_ms) == (3, 20)
    assert line.ear.stats.concealed_ms == 40
    assert len(line.heard) == 80


def test_a_copy_is_nearer_to_what_was_said_than_what_is_made_up(said: list[bytes]) -> None:
    """Frames in the middle of vowels, by their spectrum."""

    def distance(loss_percent: int) -> float:
        sent = datagrams(said[:1500], loss_percent)
        gone = range(100, 1500, 7)
        through, line = Line(), Line()
        through.play(list(sent))
        line.play(None if number in gone else one for number, one in enumerate(sent))
        apart = [
            float(np.mean(np.abs(spectrum(through.heard[n]) - spectrum(line.heard[n]))))
            for n in gone
            if n < 1490 and dbfs(through.heard[n]) > SPEECH_DBFS
        ]
        return float(np.mean(apart))

    assert distance(15) < 0.75 * distance(0)


def spectrum(pcm: bytes) -> npt.NDArray[np.float64]:
    """In dB, in bands."""
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float))) ** 2
    bands = np.add.reduceat(power[1:], [1, 4, 8, 14, 22, 34, 50, 70])
    return np.asarray(10 * np.log10(bands + 1.0))


def test_a_pause_of_the_sender_is_silence_at_its_time(said: list[bytes]) -> None:
    """Discontinuous transmission: a packet of one byte, then nothing; the end of a turn is heard
    when it is there."""
    line, sent = Line(), datagrams(said[:30], 0)
    line.play(list(sent))
    stream = Stream(7)
    stream.timestamp, stream._sequence = 0, 0
    before = len(line.heard)
    pause = sent[-1][:2] + (int.from_bytes(sent[-1][2:4], "big") + 1).to_bytes(2, "big")
    pause += (int.from_bytes(sent[-1][4:8], "big") + TICKS).to_bytes(4, "big") + sent[-1][8:12]
    line.push(pause + sent[-1][12:13])
    for _ in range(20):
        line.tick()
    assert 20 <= len(line.heard) - before <= 21
    assert all(dbfs(frame) < -60 for frame in line.heard[before + 3 :])
    assert line.ear.stats.concealed_ms == 0


def test_a_burst_that_comes_late_is_heard_at_once(said: list[bytes]) -> None:
    line, sent = Line(), datagrams(said[:120], 0)
    line.play(list(sent[:40]))
    for _ in range(50):
        line.tick()
    at_s = line.now_s
    assert sum(line.push(one) for one in sent[40:90]) == 50
    assert line.now_s == at_s
    line.play(list(sent[90:]))
    assert line.ear.stats.lost == 0


def test_a_network_that_halts_for_a_moment_puts_no_gap_into_a_word(said: list[bytes]) -> None:
    line, sent = Line(), datagrams(said[:120], 0)
    for halted in range(0, 120, 15):
        for one in sent[halted : halted + 5]:
            line.push(one)
            line.tick()
        for _ in range(10):
            assert line.tick() == 0
        assert sum(line.push(one) for one in sent[halted + 5 : halted + 15]) == 10
    assert len(line.heard) == 120
    assert line.ear.stats.concealed_ms == 0


def test_silence_that_was_made_too_much_is_taken_out_of_a_long_silence(said: list[bytes]) -> None:
    line, sent = Line(), datagrams(said[:100] + [bytes(FRAME_BYTES)] * 200, 0)
    line.play(list(sent[:40]))
    for _ in range(20):
        line.tick()
    made = len(line.heard) - 40
    assert made >= 18
    for one in sent[40:60]:
        line.push(one)
    line.play(list(sent[60:170]))
    # The silence that ends a turn is as long as it was.
    assert len(line.heard) == 170 + made
    line.play(list(sent[170:]))
    assert abs(len(line.heard) - len(sent)) <= 1


def test_who_never_sends_anything_is_silent(said: list[bytes]) -> None:
    line = Line()
    assert [line.tick() for _ in range(20)] == [0] * 15 + [1] * 5
    assert all(dbfs(frame) < -100 for frame in line.heard)
    assert [line.push(one) for one in datagrams(said[:3], 0)] == [1, 1, 1]
    assert line.tick() == 0


def test_what_is_no_rtp_is_counted() -> None:
    line = Line()
    for rubbish in (b"", b"\x80", bytes(12), b"\x80\x6f" + bytes(9), b"\xbf" * 40):
        assert line.push(rubbish) == 0
    assert line.ear.stats.unknown == 5
    assert line.ear.report() is None
