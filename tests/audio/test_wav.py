from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.audio import wav
from antiphon.audio.wav import StereoWavWriter, read_pcm
from antiphon.errors import UserFacingError


def test_any_recording_becomes_mono_at_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    stereo = np.stack([np.full(4800, 0.5), np.zeros(4800)], axis=1)
    soundfile.write(path, stereo, 48_000)
    samples = np.frombuffer(read_pcm(path, 16_000), "<i2")
    assert len(samples) == 1600
    assert samples[800] == pytest.approx(8192, abs=10)


def test_samples_out_of_range_are_clipped(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([9.0, -9.0, np.nan]), 16_000, subtype="FLOAT")
    assert np.frombuffer(read_pcm(path, 16_000), "<i2").tolist() == [32767, -32768, 0]


def test_what_cannot_be_read_is_explained(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("not audio")
    empty = tmp_path / "b.wav"
    soundfile.write(empty, np.zeros(0), 16_000)
    with pytest.raises(UserFacingError, match="no such file"):
        read_pcm(tmp_path / "c.wav", 16_000)
    with pytest.raises(UserFacingError, match="no such file"):
        read_pcm(tmp_path, 16_000)
    with pytest.raises(UserFacingError, match="not audio"):
        read_pcm(text, 16_000)
    with pytest.raises(UserFacingError, match="empty"):
        read_pcm(empty, 16_000)


def test_caller_left_agent_right(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    one, two = np.full(320, 1, "<i2").tobytes(), np.full(320, 2, "<i2").tobytes()
    with StereoWavWriter(path, 16_000) as writer:
        writer.write(one, None)
        writer.write(None, two)
        writer.write(one, two[:320])
        writer.write(None, None)
        assert writer.written_ms == 60
    writer.close()
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.shape) == (16_000, (960, 2))
    assert samples[0].tolist() == [1, 0]
    assert samples[320].tolist() == [0, 2]
    assert samples[640].tolist() == [1, 2]
    assert samples[-1].tolist() == [1, 0]


def test_the_file_is_valid_while_it_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = StereoWavWriter(path, 8_000)
    for _ in range(55):
        writer.write(bytes(320), bytes(320))
    on_disk = soundfile.info(path)
    assert on_disk.frames == 8_000
    writer.close()


def test_it_stops_where_wav_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wav, "_MAX_DATA_BYTES", 1000)
    with StereoWavWriter(tmp_path / "call.wav", 8_000) as writer:
        writer.write(bytes(600), None)
        assert writer.full
    assert soundfile.info(tmp_path / "call.wav").frames == 0


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="cannot be written"):
        StereoWavWriter(tmp_path / "no" / "call.wav", 8_000)
