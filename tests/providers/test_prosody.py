"""The end of a turn by its sound."""

from __future__ import annotations

import timeit
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.providers.base import AgentHints
from antiphon.providers.turn.prosody import (
    Floats,
    Measures,
    ProsodyOptions,
    ProsodyTurn,
    likelihood,
    measure,
)

SPEECH = Path(__file__).parent.parent / "data" / "speech_vad"
RATE = 16_000
ROOM = np.random.default_rng(0).normal(0, 1e-4, 4 * RATE).astype(np.float32)


def voice(seconds: float, hz: float, *, glide: float = 0.0, level: float = 0.1) -> Floats:
    """A voiced sound with harmonics; `glide` in semitones a second."""
    time = np.arange(int(seconds * RATE)) / RATE
    pitch = hz * 2 ** (glide * time / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = sum(np.sin(number * phase) / number for number in range(1, 12))
    return np.asarray(level * np.asarray(sound), np.float32)


def syllables(count: int, **how: float) -> Floats:
    """Sounds of 0.16 s with vowels that differ, and short gaps, like speech."""
    parts = []
    for number in range(count):
        sound = voice(0.16, 130, glide=-20, **how)
        colour = np.hanning(4 + 9 * (number % 4))
        vowel = np.convolve(sound, colour / colour.sum(), "same")
        parts += [vowel.astype(np.float32), ROOM[:640]]
    return np.concatenate(parts)


def ended(*sounds: Floats) -> Floats:
    """The sounds with half a second of quiet before and 0.1 s after them."""
    return np.concatenate([ROOM[:8000], *sounds, ROOM[:1600]])


def measured(*sounds: Floats) -> Measures:
    found = measure(ended(*sounds))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "samples",
    [
        ROOM[:0],
        ROOM[:1000],
        ROOM,
        np.zeros(RATE, np.float32),
        ended(voice(0.03, 120)),
        ended(np.random.default_rng(1).normal(0, 0.1, 8000).astype(np.float32)),  # no pitch
    ],
    ids=["nothing", "too short", "a room", "muted", "a click", "a hiss"],
)
def test_what_is_no_speech_is_not_measured(samples: Floats) -> None:
    assert measure(samples) is None


def test_the_movement_of_the_pitch_is_measured() -> None:
    for glide in (0.0, 5.0, -10.0):
        found = measured(voice(1.0, 180, glide=glide))
        assert found.movement == pytest.approx(abs(glide), abs=1.5)


def test_the_length_is_that_since_the_last_pause() -> None:
    for gap_ms, length in ((100, 1.5), (400, 0.8)):
        found = measured(voice(0.6, 120), ROOM[: gap_ms * 16], voice(0.8, 120))
        assert found.length_s == pytest.approx(length, abs=0.08)


def test_the_loudness_of_the_end_is_measured() -> None:
    assert measured(voice(1.0, 120)).ending_db == pytest.approx(0, abs=1)
    faded = measured(voice(1.0, 120), voice(0.4, 120, level=0.02))
    assert faded.ending_db == pytest.approx(-14, abs=3)


def test_a_held_sound_changes_less_than_speech() -> None:
    talk = syllables(6)
    assert measured(talk, voice(0.5, 120)).change < measured(talk).change - 0.5


def test_silence_and_loudness_are_not_listened_to() -> None:
    talk = syllables(6)
    once, quieter = measured(talk), measured(0.3 * talk)
    assert quieter.movement == pytest.approx(once.movement, abs=2)
    assert quieter.length_s == pytest.approx(once.length_s, abs=0.05)
    assert likelihood(quieter) == pytest.approx(likelihood(once), abs=0.1)


def test_hesitation_is_less_likely_the_end() -> None:
    talk = syllables(6)
    assert likelihood(measured(talk, voice(0.5, 120))) < likelihood(measured(talk)) - 0.1
    middle = Measures(change=-0.9, movement=12, length_s=1.4, ending_db=-3)
    assert likelihood(middle) == pytest.approx(0.5, abs=0.05)
    assert likelihood(Measures(9, 999, 60, -60)) > 0.95
    assert likelihood(Measures(-9, 0, 0.01, 20)) < 0.05


@pytest.mark.parametrize(
    ("name", "end_s"),
    [("LJ001-0002.flac", 1.81), ("librivox_sense_0880.flac", 2.83), ("s2i_ec21e470.flac", 1.82)],
)
async def test_people_sound_done_where_they_are(name: str, end_s: float) -> None:
    samples, rate = soundfile.read(SPEECH / name, dtype="float32")
    assert rate == RATE

    async def at(seconds: float) -> float:
        stream = ProsodyTurn(ProsodyOptions(), AgentHints()).open()
        cut = np.concatenate([samples[: int(seconds * RATE)], ROOM[:1920]])
        pcm = (cut * 32767).astype("<i2").tobytes()
        for start in range(0, len(pcm) - 639, 640):
            stream.feed(pcm[start : start + 640])
        return await stream.predict()

    within = [await at(end_s * part / 10) for part in range(3, 9)]
    assert await at(end_s) > sum(within) / len(within)


async def test_only_the_last_seconds_count() -> None:
    turn = ProsodyTurn(ProsodyOptions(), AgentHints())
    short, long = turn.open(), turn.open()
    tail = (ended(ROOM, syllables(8)) * 32767).astype("<i2").tobytes()[-640 * 200 :]
    for _ in range(700):
        long.feed(b"\x10\x27" * 320)
    for stream in (short, long):
        for start in range(0, len(tail), 640):
            stream.feed(tail[start : start + 640])
    assert await short.predict() == await long.predict() != 0.5


def test_it_is_cheap() -> None:
    samples = ended(ROOM[:20_000], syllables(12))[-4 * RATE :]
    best = min(timeit.repeat(lambda: measure(samples), number=5, repeat=10)) / 5
    assert best < 4e-3  # about 0.7 ms on an idle machine
