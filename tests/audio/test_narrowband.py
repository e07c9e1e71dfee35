"""The upper half of the spectrum: missing or not, and what is put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.audio import g711
from antiphon.audio.double import Doubler
from antiphon.audio.narrowband import UpperBand
from antiphon.audio.resample import LiveResampler
from antiphon.types import FRAME_BYTES

SPEECH = Path(__file__).parents[1] / "data" / "speech"
NAMES = sorted(path.name for path in SPEECH.glob("*.flac"))


def frames(pcm: bytes) -> list[bytes]:
    whole = len(pcm) // FRAME_BYTES * FRAME_BYTES
    return [pcm[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def recording(name: str) -> bytes:
    samples, rate_hz = soundfile.read(SPEECH / name, dtype="int16")
    assert rate_hz == 16_000
    return bytes(samples.tobytes())


def by_telephone(pcm: bytes, law: g711.Law = "mulaw") -> bytes:
    down, up = LiveResampler(16_000, 8000), Doubler()
    return up.push(g711.decode(g711.encode(down.push(pcm), law), law))


def upper_db(pcm: bytes) -> float:
    """Power from 4.6 to 6.8 kHz, of that from 1.2 to 3.4 kHz."""
    power = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2").astype(float))) ** 2
    hz = np.fft.rfftfreq(len(pcm) // 2, 1 / 16_000)
    upper = power[(hz > 4600) & (hz < 6800)].sum()
    return float(10 * np.log10(upper / power[(hz > 1200) & (hz < 3400)].sum()))


@pytest.mark.parametrize("name", NAMES)
def test_wideband_speech_is_left_as_it_is(name: str) -> None:
    band = UpperBand()
    for frame in frames(recording(name)):
        assert band.fill(frame) == frame
    assert not band.missing


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
@pytest.mark.parametrize("name", NAMES)
def test_a_telephone_gets_an_upper_half(name: str, law: g711.Law) -> None:
    heard, band = by_telephone(recording(name), law), UpperBand()
    filled = b"".join(band.fill(frame) for frame in frames(heard))
    assert band.missing
    assert upper_db(heard) < -40
    assert -8 < upper_db(filled[len(filled) // 4 :]) < -4


def test_it_changes_its_mind() -> None:
    wide = frames(recording("s2i_8e671d9c.flac"))
    narrow = frames(by_telephone(b"".join(wide)))
    band = UpperBand()
    for frame in wide:
        band.fill(frame)
    for frame in narrow:
        band.fill(frame)
    assert band.missing
    for frame in wide:
        band.fill(frame)
    assert not band.missing


def test_silence_and_other_lengths_say_nothing() -> None:
    band = UpperBand()
    assert band.fill(bytes(FRAME_BYTES)) == bytes(FRAME_BYTES)
    assert band.fill(b"\1\2\3\4") == b"\1\2\3\4"
    assert not band.missing


def test_the_loudest_sound_stays_in_range() -> None:
    band = UpperBand()
    at = np.arange(320) / 16_000
    loud = (32_767 * np.sign(np.sin(2 * np.pi * 100 * at))).astype("<i2")
    soft = (20_000 * np.sin(2 * np.pi * 500 * at)).astype("<i2").tobytes()
    for _ in range(5):
        band.fill(soft)
    assert band.missing
    out = np.frombuffer(band.fill(loud.tobytes()), "<i2")
    assert np.all(np.sign(out.astype(int)) == np.sign(loud.astype(int)))
