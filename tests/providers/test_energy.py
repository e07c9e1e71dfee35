from __future__ import annotations

import numpy as np
import pytest
from tests.providers.test_silero import heard, recording

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints
from antiphon.providers.vad.energy import EnergyVad, EnergyVadOptions, EnergyVadStream


def open_stream(**options: object) -> EnergyVadStream:
    return EnergyVad(EnergyVadOptions.model_validate(options), AgentHints()).open()


def edges(samples: np.ndarray, **options: object) -> list[tuple[bool, int]]:
    found = heard(open_stream(**options), samples)  # type: ignore[arg-type]
    return [(edge.speaking, edge.position_ms) for edge, _ in found]


@pytest.mark.parametrize(
    ("name", "first_ms", "last_ms"),
    [
        ("LJ001-0002.flac", 510, 2310),
        ("librivox_sense_0880.flac", 780, 3330),
        ("s2i_ec21e470.flac", 1100, 2320),
    ],
)
def test_people_are_heard_where_they_speak(name: str, first_ms: int, last_ms: int) -> None:
    found = edges(recording(name))
    assert [speaking for speaking, _ in found] == [True, False] * (len(found) // 2)
    assert any(abs(at - first_ms) <= 150 for speaking, at in found if speaking)
    assert found[-1][1] == pytest.approx(last_ms, abs=200)


def noise(level_db: float, seconds: float, seed: int = 0) -> np.ndarray:
    count = int(seconds * 16_000)
    return np.asarray(np.random.default_rng(seed).normal(0, 10 ** (level_db / 20), count))


def test_a_steady_noise_is_the_floor_however_loud() -> None:
    assert edges(noise(-60, 5)) == []
    # A fan that is switched on is heard once, and then no more.
    found = edges(np.concatenate([noise(-60, 5), noise(-35, 12)]))
    assert len(found) == 2
    assert 4900 <= found[0][1] <= 5100
    assert found[1][1] < 5000 + 4500
    # Against it, somebody has to be louder; when it is off, the floor comes down.
    quiet_again = np.concatenate([noise(-35, 8), noise(-60, 2), noise(-42, 0.5), noise(-60, 1)])
    starts = [at for speaking, at in edges(quiet_again) if speaking and at > 500]
    assert starts == [pytest.approx(10_000, abs=60)]


def test_what_is_very_quiet_is_never_speech() -> None:
    whisper = np.concatenate([noise(-95, 2), noise(-60, 0.5), noise(-95, 1)])
    assert edges(whisper) == []
    assert len(edges(whisper, least_db=-80)) == 2


def test_clicks_are_too_short() -> None:
    samples = noise(-80, 5)
    samples[::16_000] = 0.9
    assert edges(samples) == []


async def test_thresholds_the_wrong_way_round_are_explained() -> None:
    options = EnergyVadOptions(above_floor_db=5, stays_above_db=9)
    with pytest.raises(UserFacingError, match="stays_above_db"):
        await EnergyVad(options, AgentHints()).start()
