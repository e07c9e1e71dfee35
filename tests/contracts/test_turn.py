from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from antiphon.providers.base import TurnDetector


def _frames(seed: int, count: int) -> list[bytes]:
    """Frames like nothing that a microphone sends, and like a muted one."""
    rng = random.Random(seed)
    odd = [bytes(640), b"\xff\x7f" * 320, b"\x00\x80" * 320, struct.pack("<h", 1) * 320]
    return [rng.choice([*odd, rng.randbytes(640)]) for _ in range(count)]


@pytest.mark.parametrize("count", [0, 1, 5, 17, 40, 300])
async def test_any_audio_gives_a_probability(turn: TurnDetector, count: int) -> None:
    for seed in range(5):
        stream = turn.open()
        for frame in _frames(seed, count):
            stream.feed(frame)
        assert 0 <= await stream.predict() <= 1


@pytest.mark.parametrize("size", [0, 1, 639, 641, 1280])
async def test_other_lengths_are_refused_and_change_nothing(turn: TurnDetector, size: int) -> None:
    one, other = turn.open(), turn.open()
    for frame in _frames(1, 100):
        one.feed(frame)
        other.feed(frame)
    with pytest.raises(ValueError, match="640"):
        one.feed(bytes(size))
    assert await one.predict() == await other.predict()


async def test_predicting_changes_nothing(turn: TurnDetector) -> None:
    stream = turn.open()
    for frame in _frames(2, 100):
        stream.feed(frame)
    assert await stream.predict() == await stream.predict()


async def test_calls_do_not_hear_each_other(turn: TurnDetector) -> None:
    alone, one, other = turn.open(), turn.open(), turn.open()
    for mine, theirs in zip(_frames(3, 150), _frames(4, 150), strict=True):
        alone.feed(mine)
        one.feed(mine)
        other.feed(theirs)
    assert await one.predict() == await alone.predict()


async def test_a_long_call_takes_no_more_memory(turn: TurnDetector) -> None:
    stream = turn.open()
    frame = random.Random(5).randbytes(640)
    for _ in range(3000):
        stream.feed(frame)
    tracemalloc.start()
    for _ in range(30_000):
        stream.feed(frame)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 300_000
