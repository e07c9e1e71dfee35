from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.resample import LiveResampler, resample_file


def tone(rate: int, seconds: float) -> bytes:
    time = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * 400 * time)).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("in_hz", "out_hz"), [(48_000, 16_000), (16_000, 48_000), (8_000, 16_000), (22_050, 24_000)]
)
def test_a_tone_stays_the_tone_and_keeps_its_length(in_hz: int, out_hz: int) -> None:
    resampler = LiveResampler(in_hz, out_hz)
    source = tone(in_hz, 1.0)
    step = in_hz // 50 * 2
    out = b"".join(resampler.push(source[at : at + step]) for at in range(0, len(source), step))
    delay_ms = 1000 - len(out) / 2 / out_hz * 1000
    assert delay_ms < 3.0
    out += resampler.flush()
    assert len(out) // 2 == pytest.approx(out_hz, abs=out_hz // 500)
    middle = np.frombuffer(out, "<i2").astype(float)[out_hz // 4 : out_hz // 4 + out_hz // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert int(spectrum.argmax()) == 200
    assert np.abs(middle).max() == pytest.approx(8000, rel=0.02)


@pytest.mark.parametrize("size", [1, 7, 159, 1001])
def test_pieces_of_any_length_give_the_same_stream(size: int) -> None:
    source = tone(24_000, 0.1)
    whole, pieces = LiveResampler(24_000, 16_000), LiveResampler(24_000, 16_000)
    step = size * 2
    out = b"".join(pieces.push(source[at : at + step]) for at in range(0, len(source), step))
    assert out + pieces.flush() == whole.push(source) + whole.flush()


def test_equal_rates_pass_through() -> None:
    resampler = LiveResampler(16_000, 16_000)
    assert resampler.push(b"abcd") == b"abcd"
    assert resampler.flush() == b""


def test_it_can_be_used_again_after_a_flush() -> None:
    resampler = LiveResampler(48_000, 16_000)
    first = resampler.push(tone(48_000, 0.1)) + resampler.flush()
    assert resampler.push(tone(48_000, 0.1)) + resampler.flush() == first


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        LiveResampler(0, 16_000)
    with pytest.raises(ValueError, match="16-bit"):
        LiveResampler(8_000, 16_000).push(b"a")


def test_files_are_resampled_whole() -> None:
    samples = np.zeros(48_000, dtype=np.float32)
    assert len(resample_file(samples, 48_000, 16_000)) == 16_000
    assert resample_file(samples, 8_000, 8_000) is samples
