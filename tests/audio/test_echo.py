"""The agent's own voice, coming back: foretold where it is there, nothing lost where it is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.echo import MAX_LAG_MS, EchoGuard
from antiphon.audio.levels import rms_dbfs
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

Sound = NDArray[np.float64]
FRAME = INPUT_RATE_HZ * FRAME_MS // 1000
SILENCE = bytes(2 * FRAME)


def voice(seconds: float, seed: int, rate_hz: int = INPUT_RATE_HZ) -> Sound:
    """Noise that rises and falls in syllables, each with a colour of its own, about -20 dBFS."""
    random = np.random.default_rng(seed)
    count = int(seconds * rate_hz)
    sound, at = np.zeros(count), 0
    while at < count:
        length = int(rate_hz * random.uniform(0.08, 0.3))
        syllable = random.normal(size=length)
        for _ in range(random.integers(0, 6)):
            syllable = np.convolve(syllable, (0.5, 0.5), "same")
        loud = 10 ** random.uniform(-1.3, 0) * np.hanning(length)
        sound[at : at + length] = (syllable / syllable.std() * loud)[: count - at]
        at += int(length * random.uniform(0.9, 1.6))
    return sound * 0.2


def delayed(sound: Sound, lag_ms: int, gain_db: float) -> Sound:
    """The sound as it comes back."""
    lag = INPUT_RATE_HZ * lag_ms // 1000
    return np.concatenate((np.zeros(lag), sound))[: len(sound)] * 10 ** (gain_db / 20)


def room(seconds: float, seed: int = 99) -> Sound:
    """A quiet room, -66 dBFS."""
    return np.random.default_rng(seed).normal(size=int(seconds * INPUT_RATE_HZ)) * 0.0005


def frames(sound: Sound, size: int = FRAME) -> Iterator[bytes]:
    pcm = np.clip(sound * 32767, -32768, 32767).astype("<i2")
    for at in range(0, len(pcm) - size + 1, size):
        yield pcm[at : at + size].tobytes()


def run(guard: EchoGuard, played: Sound | None, heard: Sound, size: int = FRAME) -> list[bool]:
    """Play and hear; whether each frame was nothing but echo."""
    found = []
    voices = iter(()) if played is None else frames(played, size)
    for pcm in frames(heard):
        guard.played(next(voices, None))
        found.append(guard.hear(pcm))
    return found


@pytest.mark.parametrize("lag_ms", [0, 20, 130, 250, 480])
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 48_000])
def test_an_echo_is_foretold_after_a_second_and_a_half(lag_ms: int, rate_hz: int) -> None:
    played, guard = voice(4, 1), EchoGuard()
    at_rate = np.interp(np.arange(4 * rate_hz) / rate_hz, np.arange(len(played)) / 16_000, played)
    heard = delayed(played, lag_ms, -15) + room(4)
    found = run(guard, at_rate, heard, rate_hz * FRAME_MS // 1000)
    assert guard.lag_ms is not None
    assert abs(guard.lag_ms - lag_ms) <= 20
    assert not any(found[:50])
    assert np.mean(found[75:]) > 0.95


def test_the_caller_is_heard_over_an_echo() -> None:
    played, guard = voice(6, 2), EchoGuard()
    caller = np.concatenate((np.zeros(4 * INPUT_RATE_HZ), voice(2, 3)))
    heard = delayed(played, 100, -20) + caller + room(6)
    found = run(guard, played, heard)
    loud = [
        k for k, pcm in enumerate(frames(caller)) if np.abs(np.frombuffer(pcm, "<i2")).max() > 3000
    ]
    assert len(loud) > 30
    assert sum(found[k] for k in loud) <= len(loud) // 20
    assert np.mean(found[100:200]) > 0.95


def test_the_share_of_the_echo_is_told() -> None:
    played, guard = voice(7, 4), EchoGuard()
    caller = np.concatenate((np.zeros(4 * INPUT_RATE_HZ), voice(3, 5)))
    heard = delayed(played, 60, -25) + caller + room(7)
    shares = []
    for mine, pcm in zip(frames(played), frames(heard), strict=True):
        guard.played(mine)
        guard.hear(pcm)
        shares.append((rms_dbfs(pcm), guard.echo))
    assert all(0 <= share <= 1 for _, share in shares)
    assert np.mean([share for level_db, share in shares[100:200] if level_db > -50]) > 0.7
    assert np.mean([share for level_db, share in shares[200:] if level_db > -25]) < 0.1


def test_in_the_first_moments_nothing_is_known() -> None:
    guard, played = EchoGuard(), list(frames(voice(2, 20)))
    shares = []
    for mine, pcm in zip(played, frames(voice(2, 21)), strict=True):
        guard.played(mine)
        guard.hear(pcm)
        shares.append(guard.echo)
    assert shares[5:60] == [0.5] * 55
    assert shares[-1] == 0.0


@pytest.mark.parametrize("seed", range(8))
def test_a_caller_who_speaks_meanwhile_is_never_taken_for_an_echo(seed: int) -> None:
    guard = EchoGuard()
    heard = np.concatenate((np.zeros(INPUT_RATE_HZ), voice(7, 100 + seed))) + room(8)
    assert not any(run(guard, voice(8, 200 + seed), heard))
    assert guard.lag_ms is None
    assert guard.echo == 0.0


def test_an_echo_that_is_gone_is_forgotten() -> None:
    """Headphones are plugged in."""
    played, guard = voice(10, 7), EchoGuard()
    heard = delayed(played, 80, -10)
    heard[4 * INPUT_RATE_HZ :] = 0
    run(guard, played, heard + room(10))
    assert guard.lag_ms is None


def test_an_echo_that_moved_is_found_again() -> None:
    played, guard = voice(12, 8), EchoGuard()
    heard = delayed(played, 80, -12)
    heard[5 * INPUT_RATE_HZ :] = delayed(played, 300, -12)[5 * INPUT_RATE_HZ :]
    run(guard, played, heard + room(12))
    assert guard.lag_ms == 300


def test_a_caller_who_speaks_on_does_not_pass_for_a_louder_echo() -> None:
    played, guard = voice(9, 9), EchoGuard()
    caller = np.concatenate((np.zeros(4 * INPUT_RATE_HZ), 2 * voice(5, 10)))
    heard = delayed(played, 80, -25) + caller + room(9)
    found = run(guard, played, heard)
    loud = [
        k for k, pcm in enumerate(frames(caller)) if np.abs(np.frombuffer(pcm, "<i2")).max() > 5000
    ]
    assert sum(found[k] for k in loud) <= len(loud) // 20


def test_frames_that_come_in_bursts_are_paired_all_the_same() -> None:
    played, guard = voice(6, 11), EchoGuard()
    heard = list(frames(delayed(played, 120, -12) + room(6)))
    found, mine = [], list(frames(played))
    for at in range(0, len(mine) - 4, 4):
        for frame in mine[at : at + 4]:
            guard.played(frame)
        found += [guard.hear(pcm) for pcm in heard[at : at + 4]]
    assert np.mean(found[100:]) > 0.9


def test_nothing_is_computed_once_the_agent_has_been_silent_for_a_second() -> None:
    guard = EchoGuard()
    assert not guard.active
    run(guard, voice(1, 12), room(1))
    assert guard.active
    run(guard, None, room(1.1))
    assert not guard.active
    assert not any(run(guard, None, voice(1, 13)))
    assert guard.echo == 0.0


def test_what_is_known_of_the_line_is_kept_between_answers() -> None:
    played, guard = voice(4, 14), EchoGuard()
    run(guard, played, delayed(played, 100, -12) + room(4))
    run(guard, None, room(3))
    more = voice(1, 15)
    found = run(guard, more, delayed(more, 100, -12) + room(1))
    assert np.mean(found[10:]) > 0.9


def test_digital_silence_and_very_short_answers_teach_nothing() -> None:
    guard = EchoGuard()
    for _ in range(3):
        assert not any(run(guard, voice(0.5, 16), np.zeros(8000)))
        run(guard, None, np.zeros(2 * INPUT_RATE_HZ))
    assert not any(run(guard, voice(4, 17), np.zeros(4 * INPUT_RATE_HZ)))
    assert guard.lag_ms is None


def test_an_echo_later_than_half_a_second_is_none() -> None:
    played, guard = voice(5, 18), EchoGuard()
    run(guard, played, delayed(played, MAX_LAG_MS + 200, -12) + room(5))
    assert guard.lag_ms is None


def test_sound_that_nobody_hears_is_silence() -> None:
    """A voice's pause that is not quite digital silence."""
    guard = EchoGuard()
    run(guard, voice(2, 22), room(2))
    hush = np.full(3 * INPUT_RATE_HZ, 0.0003)
    assert not any(run(guard, hush, room(3)))
    assert not guard.active


def test_what_waits_is_bounded_while_nothing_is_heard() -> None:
    guard = EchoGuard()
    played, heard = list(frames(voice(8, 23))), list(frames(delayed(voice(8, 23), 100, -12)))
    for frame in played[:300]:
        guard.played(frame)
    for frame in heard[:300]:
        guard.hear(frame)
    assert guard.active
    assert len(guard._reference._waiting) <= 32
    assert len(guard._microphone._waiting) <= 32
