"""What a real browser's microphone hears: a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

RATE_HZ = 16_000
SPEECH = Path(__file__).parents[1] / "data" / "speech"
SENTENCES = ("s2i_ec21e470", "ls_61-70968-0000", "s2i_fd3fc53b", "s2i_8e671d9c")
"""Four speakers, 19 s."""


def speech(names: tuple[str, ...] = SENTENCES, pause_s: float = 0.3) -> npt.NDArray[np.int16]:
    """Recorded sentences after each other, 16 kHz."""
    parts: list[npt.NDArray[np.int16]] = []
    for name in names:
        samples, _ = soundfile.read(SPEECH / f"{name}.flac", dtype="int16")
        parts += [samples, np.zeros(int(RATE_HZ * pause_s), np.int16)]
    return np.concatenate(parts)


def microphone(path: Path, said: npt.NDArray[np.int16], lead_s: float) -> Path:
    """A WAV in which it is said after so much silence, and nothing more for a minute."""
    silence = np.zeros(int(RATE_HZ * lead_s), np.int16)
    samples = np.concatenate([silence, said, np.zeros(RATE_HZ * 60, np.int16)])
    soundfile.write(path, samples, RATE_HZ)
    return path
