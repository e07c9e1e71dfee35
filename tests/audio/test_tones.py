"""Telephone keys as tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.audio import g711
from antiphon.audio.resample import LiveResampler
from antiphon.audio.tones import ToneDetector, tones

KEYS = "1234567890*#ABCD"
DATA = Path(__file__).parents[1] / "data"


def found(pcm: bytes, rate_hz: int, step_ms: int = 20) -> str:
    detector, size = ToneDetector(rate_hz), rate_hz * step_ms // 500
    return "".join(detector.feed(pcm[at : at + size]) for at in range(0, len(pcm), size))


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def test_how_long_keys_are() -> None:
    assert len(tones("1", 8000)) == 8 * 160 * 2
    assert len(tones("1w#", 16_000)) == 16 * (160 + 500 + 160) * 2
    assert tones("", 8000) == tones("x-", 8000) == b""
    assert tones("aW", 8000) == tones("Aw", 8000)


@pytest.mark.parametrize(
    ("key", "low_hz", "high_hz"), [("1", 697, 1209), ("5", 770, 1336), ("#", 941, 1477)]
)
def test_a_key_has_its_two_tones(key: str, low_hz: int, high_hz: int) -> None:
    """The frequencies of ITU-T Q.23, section 2."""
    sound = samples(tones(key, 8000))[:800]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(800), 8000))
    strongest = sorted(int(np.argmax(spectrum[a:b])) + a for a, b in ((600, 1000), (1100, 1700)))
    assert strongest == pytest.approx([low_hz, high_hz], abs=2)
    assert np.abs(sound).max() < 14_000


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000, 48_000])
@pytest.mark.parametrize("step_ms", [10, 20, 30])
def test_every_key_is_found_once(rate_hz: int, step_ms: int) -> None:
    assert found(tones(KEYS + "1155", rate_hz), rate_hz, step_ms) == KEYS + "1155"


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_after_g711_and_resampling(law: g711.Law) -> None:
    heard = g711.decode(g711.encode(tones(KEYS, 8000), law), law)
    assert found(LiveResampler(8000, 16_000).push(heard) + bytes(640), 16_000) == KEYS


@pytest.mark.parametrize("level", [2.0, 1.0, 0.1, 0.03])
def test_loud_and_soft(level: float) -> None:
    assert found((samples(tones(KEYS, 8000)) * level).astype("<i2").tobytes(), 8000) == KEYS


@pytest.mark.parametrize("snr_db", [30, 20, 12])
def test_in_noise(snr_db: int) -> None:
    sound = samples(tones(KEYS * 3, 8000))
    noise = np.random.default_rng(5).normal(size=len(sound))
    noise *= np.sqrt(np.mean(sound**2)) / 10 ** (snr_db / 20)
    assert found((sound + noise).astype("<i2").tobytes(), 8000) == KEYS * 3


def pair(low_hz: float, high_hz: float, ms: int, twist_db: float = 0.0) -> bytes:
    at = np.arange(8 * ms) / 8000
    wave = np.sin(2 * np.pi * low_hz * at) + 10 ** (twist_db / 20) * np.sin(
        2 * np.pi * high_hz * at
    )
    return bytes(800) + (wave * 4000).astype("<i2").tobytes() + bytes(1600)


def test_what_a_key_may_be() -> None:
    """ITU-T Q.24: frequencies 1.5 % off are a key, 3.5 % are none; so with the levels."""
    assert found(pair(770, 1336, 80), 8000) == "5"
    assert found(pair(770 * 1.015, 1336 * 0.985, 80), 8000) == "5"
    assert found(pair(770 * 1.05, 1336, 80), 8000) == ""
    assert found(pair(770, 1336, 80, 6), 8000) == "5"
    assert found(pair(770, 1336, 80, -7), 8000) == "5"
    assert found(pair(770, 1336, 80, 20), 8000) == ""
    assert found(pair(770, 1336, 30), 8000) == ""
    assert found(pair(440, 480, 400), 8000) == ""
    assert found(pair(697, 770, 400), 8000) == ""


def test_it_says_while_a_key_sounds() -> None:
    detector = ToneDetector(8000)
    detector.feed(tones("5", 8000)[:1600])
    assert detector.sounding
    detector.feed(bytes(1600))
    assert not detector.sounding


@pytest.mark.parametrize("kind", ["noise", "silence", "square", "sine"])
def test_sound_that_is_no_key(kind: str) -> None:
    at = np.arange(8000 * 10) / 8000
    sound = {
        "noise": np.random.default_rng(3).normal(size=len(at)) * 5000,
        "silence": np.zeros(len(at)),
        "square": np.sign(np.sin(2 * np.pi * 350 * at)) * 8000,
        "sine": np.sin(2 * np.pi * 1336 * at) * 8000,
    }[kind]
    assert found(sound.astype("<i2").tobytes(), 8000) == ""


def test_people_are_no_keys() -> None:
    heard_s = 0.0
    for path in sorted(DATA.rglob("*.flac")):
        sound, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
        for gain in (1, 3):
            loud = np.clip(sound[:, 0].astype(int) * gain, -32768, 32767).astype("<i2")
            assert found(loud.tobytes(), rate_hz) == "", path.name
        heard_s += len(sound) / rate_hz
    assert heard_s > 60
