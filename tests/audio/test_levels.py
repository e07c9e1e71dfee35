from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio import levels


def pcm(*samples: int) -> bytes:
    return np.array(samples, dtype="<i2").tobytes()


def test_levels_of_known_sounds() -> None:
    square = pcm(*[16384, -16384] * 100)
    assert levels.rms_dbfs(square) == pytest.approx(-6.02, abs=0.01)
    assert levels.rms_dbfs(bytes(640)) == levels.SILENCE_DBFS
    assert levels.rms_dbfs(b"") == levels.SILENCE_DBFS
    assert levels.peak(pcm(3, -32768, 7)) == 32768
    assert levels.peak(b"") == 0


def test_ramp_reaches_its_end_and_stays() -> None:
    out = np.frombuffer(levels.ramp(pcm(*[1000] * 8), 0.0, 1.0, 4), "<i2")
    assert out.tolist() == [250, 500, 750, 1000, 1000, 1000, 1000, 1000]
    assert levels.fade_out(pcm(100, 100, 100), 2) == pcm(50, 0, 0)
    assert levels.fade_in(pcm(100, 100, 100), 2) == pcm(50, 100, 100)


def test_a_ramp_longer_than_the_audio_goes_part_of_the_way() -> None:
    assert levels.ramp(pcm(100, 100), 1.0, 0.0, 4) == pcm(75, 50)


def test_loud_audio_clips_instead_of_wrapping() -> None:
    assert levels.ramp(pcm(30000, -30000), 2.0, 2.0, 0) == pcm(32767, -32768)


def test_energies_of_many_pieces_are_those_of_each() -> None:
    rng = np.random.default_rng(3)
    pieces = [(rng.normal(0, loud, 320)).astype("<i2").tobytes() for loud in (5, 500, 5000)]
    found = levels.energies([*pieces, bytes(640)])
    expected = [10 ** (levels.rms_dbfs(one) / 10) for one in pieces]
    assert found == pytest.approx([*expected, 1e-12])
    assert levels.energies([]) == []
