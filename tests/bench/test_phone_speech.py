"""Recordings as a line sends them."""

from __future__ import annotations

import base64
from array import array
from pathlib import Path

from antiphon.bench.phone_speech import SILENCE, Plan, Speech

DATA = Path(__file__).parents[1] / "data" / "speech"


def test_first_and_last_sound_are_found() -> None:
    quiet, loud = array("h", [0] * 160), array("h", [8000, -8000] * 80)
    speech = Speech.of((quiet * 3 + loud * 2 + quiet).tobytes() + b"\0\0")
    assert (speech.first, speech.last) == (3, 4)
    assert len(speech.frames) == 7
    assert speech.frames[0] == SILENCE
    assert all(len(base64.b64decode(frame)) == 160 for frame in speech.frames)


def test_silence_is_a_recording_too() -> None:
    assert Speech.of(bytes(640)) == Speech((SILENCE, SILENCE), 0, 0)


def test_recorded_speech_is_read_at_8_khz() -> None:
    speech = Speech.read(DATA / "s2i_0ec187f5.flac")
    assert len(speech.frames) > 25
    assert 0 <= speech.first < speech.last < len(speech.frames)


def test_the_earlier_end_counts() -> None:
    assert Plan(longest_ms=500, hang_up_after_ms=900).limit_ms == 500
    assert Plan(hang_up_after_ms=900).limit_ms == 900
