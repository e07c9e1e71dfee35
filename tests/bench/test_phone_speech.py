"""Recordings as a line sends them."""

from __future__ import annotations

import base64
from array import array
from pathlib import Path

from antiphon.bench.phone_speech import SILENCE, Plan, Speech

DATA = Path(__file__).parents[1] / "data" / "speech"


def test_first_and_last_sound_are_found() -> None:
    quiet, loud = array("h", [0] * 160), array("h", [8000, -8000] * 80)
    click = loud * 2 + quiet
    speech = Speech.of((click + quiet * 20 + loud * 9 + quiet * 20 + click).tobytes() + b"\0\0")
    assert (speech.first, speech.last) == (23, 31)
    assert len(speech.frames) == 56
    trimmed = speech.trimmed()
    assert (trimmed.first, trimmed.last, len(trimmed.frames)) == (10, 18, 24)
    assert Speech.of(click.tobytes()).last == 1, "nothing else is there"
    speech = Speech.of((quiet + loud).tobytes())
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
