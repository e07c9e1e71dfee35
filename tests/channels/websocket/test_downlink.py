"""The agent's voice as messages."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.socket_caller import cut, pitch_hz, tone

from antiphon.audio import g711
from antiphon.channels.rtp.opus import OpusDecoder
from antiphon.channels.websocket.downlink import Downlink
from antiphon.channels.websocket.format import AudioFormat

FRAMES = cut(tone(440, 1000, 24_000), 960)


def said(downlink: Downlink, frames: list[bytes | None]) -> list[bytes]:
    return [made for one in frames if (made := downlink.message(one)) is not None]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_pcm_is_20_ms_a_message_without_clicks(rate_hz: int) -> None:
    messages = said(Downlink(AudioFormat("pcm16", rate_hz)), [*FRAMES, None])
    assert {len(one) for one in messages} == {rate_hz // 25}
    heard = b"".join(messages)
    assert abs(pitch_hz(heard[: rate_hz * 2 * 9 // 10], rate_hz) - 440) < 3
    samples = np.frombuffer(heard, "<i2").astype(int)[rate_hz // 100 : rate_hz * 95 // 100]
    assert np.abs(np.diff(samples)).max() < 8000 * 2 * np.pi * 440 / rate_hz * 1.1


@pytest.mark.parametrize(("name", "law"), [("ulaw", "mulaw"), ("alaw", "alaw")])
def test_g711(name: str, law: str) -> None:
    messages = said(Downlink(AudioFormat(name, 8_000)), [*FRAMES, None])  # type: ignore[arg-type]
    assert {len(one) for one in messages} == {160}
    heard = g711.decode(b"".join(messages), law)  # type: ignore[arg-type]
    assert abs(pitch_hz(heard[:14_000], 8_000) - 440) < 3


def test_opus() -> None:
    messages = said(Downlink(AudioFormat("opus", 48_000)), [*FRAMES, None])
    assert len(messages) == len(FRAMES) + 1
    decoder = OpusDecoder()
    heard = [decoder.decode(one) for one in messages]
    assert {len(one) for one in heard} == {640}
    assert abs(pitch_hz(b"".join(heard[5:45]), 16_000) - 440) < 3


def test_opus_has_the_bits_that_were_set() -> None:
    messages = said(Downlink(AudioFormat("opus", 48_000), 24_000), [*FRAMES])
    assert sum(map(len, messages[10:])) * 8 / len(messages[10:]) / 0.02 < 26_000


def test_silence_is_not_sent_but_ends_a_run() -> None:
    downlink = Downlink(AudioFormat("pcm16", 16_000))
    frames: list[bytes | None] = [None, None, *FRAMES[:3], None, None, None, FRAMES[3], None]
    assert [downlink.message(one) is not None for one in frames] == [
        *(False, False, True, True, True, True, False, False, True, True)
    ]


@pytest.mark.parametrize(
    ("name", "rate_hz"), [("pcm16", 16_000), ("pcm16", 48_000), ("opus", 48_000)]
)
def test_of_what_is_cut_nothing_more_is_said(name: str, rate_hz: int) -> None:
    sound = AudioFormat(name, rate_hz)  # type: ignore[arg-type]
    downlink = Downlink(sound)
    said(downlink, [*FRAMES[:5]])
    downlink.cut()
    assert said(downlink, [None, None]) == []
    quiet: list[bytes | None] = [bytes(960), bytes(960), None]
    assert said(downlink, quiet) == said(Downlink(sound), quiet)
