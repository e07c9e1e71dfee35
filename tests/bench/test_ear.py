"""What is heard of the agent."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio.player import Player
from antiphon.bench.ear import Ear
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

VOICE = (np.random.default_rng(7).normal(0, 3000, INPUT_RATE_HZ * 4)).astype("<i2").tobytes()


def play(stop_at: int, again_at: int | None, back: int = 0, gain_db: float = 0.0) -> Ear:
    """A voice that is stopped at one frame and goes on at another, `back` frames before."""
    ear, player = Ear(VOICE, 0.0), Player(INPUT_RATE_HZ)
    player.append(1, 0, VOICE)
    if gain_db:
        player.duck(gain_db, 20)
    for number in range(150):
        if number == stop_at:
            ear.told_to_stop(number * 0.02 - 0.005)
            player.pause()
        if number == again_at:
            if back:
                rest = player.flush(1) * INPUT_RATE_HZ // 1000 * 2
                player.append(2, 0, VOICE[rest - back * 640 :])
            else:
                player.unduck(40)
                player.resume()
        ear.hear(number * 0.02, player.read())
    return ear


def test_a_pause_ends_when_sound_comes_again() -> None:
    (silence,) = play(50, 70).silences()
    assert silence.at_s == 50 * FRAME_MS / 1000 - 0.005
    assert silence.again_s == pytest.approx(1.4)
    # The frame that faded out is played again.
    assert silence.repeated_ms == FRAME_MS


def test_what_is_repeated_is_found_at_any_level() -> None:
    (silence,) = play(50, 70, back=10, gain_db=-18.0).silences()
    assert silence.repeated_ms == 10 * FRAME_MS + FRAME_MS


def test_a_stop_for_good_has_no_end() -> None:
    (silence,) = play(50, None).silences()
    assert (silence.again_s, silence.repeated_ms) == (None, None)


def test_who_is_silent_cannot_fall_silent() -> None:
    ear = Ear(VOICE, 0.0)
    ear.told_to_stop(0.0)
    ear.hear(0.0, None)
    ear.told_to_stop(0.01)
    assert ear.silences() == []


def test_a_stop_in_a_stop_is_one_silence() -> None:
    ear = play(50, None)
    ear.told_to_stop(3.0)
    assert len(ear.silences()) == 1
