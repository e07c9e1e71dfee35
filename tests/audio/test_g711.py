"""G.711 against libsndfile's tables."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from antiphon.audio import g711

SUBTYPES: dict[g711.Law, str] = {"mulaw": "ULAW", "alaw": "ALAW"}


@pytest.mark.parametrize("law", SUBTYPES)
def test_every_code_means_what_another_library_says(law: g711.Law) -> None:
    codes = bytes(range(256))
    read, _ = soundfile.read(
        io.BytesIO(codes),
        samplerate=8000,
        channels=1,
        format="RAW",
        subtype=SUBTYPES[law],
        dtype="int16",
    )
    assert g711.decode(codes, law) == read.tobytes()


@pytest.mark.parametrize("law", SUBTYPES)
def test_every_code_survives_a_round_trip(law: g711.Law) -> None:
    pcm = g711.decode(bytes(range(256)), law)
    assert g711.decode(g711.encode(pcm, law), law) == pcm


@pytest.mark.parametrize("law", SUBTYPES)
def test_every_sample_gets_the_nearest_code(law: g711.Law) -> None:
    samples = np.arange(-32768, 32768, dtype=np.int16)
    back = np.frombuffer(g711.decode(g711.encode(samples.tobytes(), law), law), np.int16)
    levels = np.unique(np.frombuffer(g711.decode(bytes(range(256)), law), np.int16)).astype(int)
    best = np.abs(levels[None, :] - samples[::97, None].astype(int)).min(axis=1)
    assert (np.abs(back[::97].astype(int) - samples[::97].astype(int)) == best).all()


@pytest.mark.parametrize("law", SUBTYPES)
def test_silence_is_its_own_code(law: g711.Law) -> None:
    assert g711.encode(bytes(320), law) == bytes([g711.SILENCE[law]]) * 160


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer size"):
        g711.encode(b"\0", "alaw")
