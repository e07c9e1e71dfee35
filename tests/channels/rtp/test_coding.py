"""Codecs of a line: there, back, and what is made up."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU, TELEPHONE_EVENT, Codec
from antiphon.channels.rtp.coding import (
    FADE_MS,
    is_audio,
    make_decoder,
    make_encoder,
    pcm_rate_hz,
)


def tone(codec: Codec, frames: int) -> list[bytes]:
    rate_hz = pcm_rate_hz(codec)
    at = np.arange(frames * rate_hz // 50) / rate_hz
    pcm = (6000 * np.sin(2 * np.pi * 300 * at)).astype("<i2").tobytes()
    size = rate_hz // 25
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def level(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, "<i2").astype(float)).mean())


def test_rates() -> None:
    assert [pcm_rate_hz(c) for c in (PCMU, PCMA, OPUS)] == [8000, 8000, 16_000]
    assert pcm_rate_hz(Codec("Opus", 96, 48_000, 2)) == 16_000
    assert pcm_rate_hz(Codec("pcmu", 0)) == 8000


def test_which_are_sound() -> None:
    assert is_audio(PCMU)
    assert is_audio(OPUS)
    assert not is_audio(TELEPHONE_EVENT)
    assert not is_audio(Codec("G729", 18))


@pytest.mark.parametrize("codec", [PCMU, PCMA, OPUS])
def test_a_frame_in_is_a_frame_out(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    pending = 0
    for number, frame in enumerate(tone(codec, 50)):
        pending += len(decoder.decode(encoder.encode(frame)))
        assert pending >= (number + 1) * 640
    assert pending < 51 * 640


@pytest.mark.parametrize("codec", [PCMU, PCMA, OPUS])
def test_silence_is_silent(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    made = [decoder.decode(encoder.silence()) for _ in range(5)]
    assert max(map(level, made)) < 20


@pytest.mark.parametrize("codec", [PCMU, PCMA, OPUS])
def test_lost_sound_fades(codec: Codec) -> None:
    encoder, decoder = make_encoder(codec), make_decoder(codec)
    for frame in tone(codec, 20):
        decoder.decode(encoder.encode(frame))
    made = [decoder.conceal(20)[0] for _ in range(FADE_MS // 20 + 3)]
    assert level(made[0]) > 1000
    assert level(made[-1]) < 50
    assert sum(map(len, made)) == len(made) * 640


def test_opus_of_what_follows() -> None:
    encoder, decoder = make_encoder(OPUS), make_decoder(OPUS)
    coded = [encoder.encode(frame) for frame in tone(OPUS, 20)]
    for one in coded[:15]:
        decoder.decode(one)
    made, recovered_ms = decoder.conceal(60, coded[18])
    assert (len(made), recovered_ms) == (3 * 640, 20)
    made, recovered_ms = decoder.conceal(20, b"\xff\xff")
    assert (len(made), recovered_ms) == (640, 0)
    assert decoder.decode(b"\xff") == b""
