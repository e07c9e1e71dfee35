"""The echo canceller: how it is fed; and, where its package is installed, what it takes out."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tests.audio.test_echo import delayed, frames, room, voice

from antiphon.audio.canceller import EchoCanceller
from antiphon.errors import UserFacingError
from antiphon.types import FRAME_BYTES

SILENCE = bytes(FRAME_BYTES)
LOUD = b"\x01\x02" * (FRAME_BYTES // 2)


class Module:
    """Notes what it is given; silences what it cleans."""

    def __init__(self, **options: bool) -> None:
        assert options == {"echo_cancellation": True}
        self.reference: list[bytes] = []
        self.heard: list[bytes] = []
        MODULES.append(self)

    def process_reverse_stream(self, frame: SimpleNamespace) -> None:
        self.reference.append(bytes(frame.data))

    def process_stream(self, frame: SimpleNamespace) -> None:
        self.heard.append(bytes(frame.data))
        frame.data[:] = bytes(len(frame.data))


MODULES: list[Module] = []


def chunk(data: bytearray, rate_hz: int, channels: int, samples: int) -> SimpleNamespace:
    assert (len(data), rate_hz, channels, samples) == (320, 16_000, 1, 160)
    return SimpleNamespace(data=data)


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    livekit = ModuleType("livekit")
    livekit.rtc = SimpleNamespace(AudioProcessingModule=Module, AudioFrame=chunk)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "livekit", livekit)


@pytest.mark.usefixtures("package")
def test_what_was_played_is_handed_over_with_what_was_heard() -> None:
    canceller = EchoCanceller(16_000)
    canceller.played(LOUD)
    assert canceller.clean(LOUD) == SILENCE
    canceller.played(None)
    assert canceller.clean(LOUD) == SILENCE
    assert b"".join(MODULES[-1].reference) == LOUD + SILENCE
    assert b"".join(MODULES[-1].heard) == LOUD * 2


@pytest.mark.usefixtures("package")
def test_nothing_is_computed_while_the_agent_is_silent() -> None:
    canceller = EchoCanceller(16_000)
    assert canceller.clean(LOUD) == LOUD
    canceller.played(LOUD)
    for _ in range(49):
        canceller.played(SILENCE)
        canceller.clean(LOUD)
    before = len(MODULES[-1].heard)
    canceller.played(None)
    assert canceller.clean(LOUD) == LOUD
    assert len(MODULES[-1].heard) == before == 98


@pytest.mark.usefixtures("package")
def test_a_caller_who_sends_nothing_costs_no_memory_and_a_late_frame_is_made_up() -> None:
    canceller = EchoCanceller(16_000)
    for _ in range(1000):
        canceller.played(LOUD)
    for _ in range(11):
        canceller.clean(LOUD)
    assert b"".join(MODULES[-1].reference) == LOUD * 10 + SILENCE


@pytest.mark.usefixtures("package")
def test_played_audio_of_another_rate_is_resampled() -> None:
    canceller = EchoCanceller(48_000)
    for _ in range(10):
        canceller.played(LOUD * 3)
    for _ in range(9):
        canceller.clean(SILENCE)
    assert b"".join(MODULES[-1].reference)[2000:5000] == (LOUD * 10)[2000:5000]


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(UserFacingError, match=r"pip install 'antiphon\[aec\]'"):
        EchoCanceller(16_000)


@pytest.mark.parametrize("lag_ms", [20, 120])
def test_the_agent_is_taken_out_and_the_caller_is_not(lag_ms: int) -> None:
    pytest.importorskip("livekit")
    played, canceller = voice(8, 1), EchoCanceller(16_000)
    caller = np.concatenate((np.zeros(6 * 16_000), voice(2, 2)))
    heard = delayed(played, lag_ms, -10) + caller + room(8)
    out = []
    for mine, pcm in zip(frames(played), frames(heard), strict=True):
        canceller.played(mine)
        out.append(np.frombuffer(canceller.clean(pcm), "<i2") / 32768)
    cleaned = np.concatenate(out)

    def level(sound: np.ndarray, start_s: int, end_s: int) -> float:
        return float(10 * np.log10(np.mean(sound[start_s * 16_000 : end_s * 16_000] ** 2)))

    assert level(cleaned, 3, 6) < level(heard, 3, 6) - 15
    assert level(cleaned, 6, 8) > level(caller, 6, 8) - 8
