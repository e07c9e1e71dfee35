"""The caller's sound, message by message."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tests.support.socket_caller import cut, pitch_hz, tone

from antiphon.audio import g711
from antiphon.channels.rtp.opus import OpusEncoder
from antiphon.channels.websocket.format import ENCODINGS, RATES, AudioFormat
from antiphon.channels.websocket.uplink import MOST_BROKEN, BadSound, Uplink
from antiphon.types import FRAME_BYTES

PCM = AudioFormat("pcm16", 16_000)


def hear(uplink: Uplink, messages: list[bytes], every_s: float) -> bytes:
    """What goes on of messages that come in real time."""
    frames: list[bytes] = []
    for number, message in enumerate(messages):
        frames += uplink.push(message, number * every_s)
    assert {len(frame) for frame in frames} <= {FRAME_BYTES}
    return b"".join(frames)


@pytest.mark.parametrize("chunk_ms", [5, 10, 20, 32, 40, 100])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_any_length_of_a_message_makes_the_same_sound(rate_hz: int, chunk_ms: int) -> None:
    spoken = tone(440, 960, rate_hz)
    messages = cut(spoken, rate_hz * chunk_ms // 500)
    heard = hear(Uplink(AudioFormat("pcm16", rate_hz), 0.0), messages, chunk_ms / 1000)
    assert len(heard) >= 45 * FRAME_BYTES
    assert abs(pitch_hz(heard[3200:], 16_000) - 440) < 3
    # A click between two messages would be louder than what the tone can change by in a sample.
    samples = np.frombuffer(heard, "<i2").astype(int)[800:]
    assert np.abs(np.diff(samples)).max() < 8000 * 2 * np.pi * 440 / 16_000 * 1.1


def test_g711_and_opus() -> None:
    spoken = tone(440, 960, 8_000)
    for name, law in (("ulaw", "mulaw"), ("alaw", "alaw")):
        messages = cut(g711.encode(spoken, law), 160)  # type: ignore[arg-type]
        heard = hear(Uplink(AudioFormat(name, 8_000), 0.0), messages, 0.02)  # type: ignore[arg-type]
        assert abs(pitch_hz(heard, 16_000) - 440) < 3
    encoder = OpusEncoder(48_000)
    messages = [encoder.encode(one) for one in cut(tone(440, 960, 48_000), 1920)]
    heard = hear(Uplink(AudioFormat("opus", 48_000), 0.0), messages, 0.02)
    assert abs(pitch_hz(heard, 16_000) - 440) < 3


def test_silence_is_made_in_real_time_when_nothing_comes() -> None:
    uplink = Uplink(PCM, 0.0)
    made, at_s = 0, 0.0
    while at_s < 2.0:
        made += len(uplink.poll(at_s))
        at_s += 0.02
    assert 95 <= made <= 100
    # Sound goes on at once, and what was made for it is not made again.
    assert len(uplink.push(tone(440, 20, 16_000), at_s)) == 1
    assert not uplink.poll(at_s + 0.1)
    assert len(uplink.poll(at_s + 0.13)) == 5


def test_long_messages_are_not_late_before_their_length() -> None:
    uplink = Uplink(PCM, 0.0)
    uplink.push(tone(440, 200, 16_000), 0.0)
    assert not uplink.poll(0.45)
    assert uplink.poll(0.55)


def test_after_a_halt_of_the_process_silence_is_left_out() -> None:
    assert len(Uplink(PCM, 0.0).poll(30.0)) == 25


def test_what_waited_in_the_network_is_all_heard() -> None:
    uplink = Uplink(PCM, 0.0)
    frames = [one for _ in range(200) for one in uplink.push(tone(440, 20, 16_000), 10.0)]
    assert len(frames) == 200


def test_more_sound_than_time_is_dropped_and_ends_the_call() -> None:
    uplink = Uplink(PCM, 0.0)
    message, taken, dropped, at_s = tone(440, 100, 16_000), 0, 0, 0.0
    hopeless = False
    while not hopeless:
        # Three times as fast as it should be.
        at_s += 0.1 / 3
        try:
            taken += len(uplink.push(message, at_s))
        except BadSound as error:
            dropped, hopeless = dropped + 1, error.hopeless
    assert 190 < dropped < 210
    assert taken * 20 == pytest.approx(5000 + at_s * 1250, rel=0.05)


def test_the_shortest_messages_are_charged_too() -> None:
    uplink, refused = Uplink(PCM, 0.0), 0
    for _ in range(3000):
        try:
            uplink.push(b"\1\0", 0.0)
        except BadSound:
            refused += 1
    assert refused == 1000


def test_garbage_is_dropped_and_at_last_hopeless() -> None:
    uplink = Uplink(PCM, 0.0)
    for count in range(MOST_BROKEN + 1):
        with pytest.raises(BadSound) as caught:
            uplink.push(b"\1\0\1", count * 1.0)
        assert caught.value.hopeless == (count == MOST_BROKEN)
    assert uplink.push(bytes(640), 1e6)


def test_random_bytes_do_no_harm() -> None:
    chance = random.Random(7)
    for sound in (PCM, *(AudioFormat(one, RATES[one][-1]) for one in ENCODINGS)):
        uplink = Uplink(sound, 0.0)
        for number in range(400):
            message = chance.randbytes(chance.choice((1, 2, 3, 40, 160, 1500, 60_000)))
            try:
                frames = uplink.push(message, number * 5.0)
            except BadSound:
                continue
            assert all(len(frame) == FRAME_BYTES for frame in frames)
