"""What may be at our end of a line."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.channels.rtp.ends import MOST_CROSSING, Crossing, Nobody, Playing, Reading

FRAME = b"\1\0" * 320


def crossing(pressed: list[str]) -> tuple[Crossing, Crossing]:
    here, there = Crossing(pressed.append), Crossing(lambda key: None)
    here.other, there.other = there, here
    return here, there


def test_what_one_hears_the_other_says() -> None:
    pressed: list[str] = []
    here, there = crossing(pressed)
    here.on_audio(FRAME)
    assert there.read_frame() is None
    here.on_audio(FRAME)
    assert [there.read_frame() for _ in range(3)] == [FRAME, FRAME, None]
    here.on_audio(FRAME)
    assert there.read_frame() is None
    assert here.read_frame() is None
    here.on_key("5")
    assert pressed == ["5"]


def test_what_waits_too_long_is_dropped() -> None:
    here, there = crossing([])
    for number in range(50):
        here.on_audio(bytes([number]) * 640)
    read = [there.read_frame() for _ in range(MOST_CROSSING + 1)]
    assert read[-1] is None
    assert read[0] == bytes([50 - MOST_CROSSING]) * 640
    Crossing(lambda key: None).on_audio(FRAME)


def test_nobody() -> None:
    pressed: list[str] = []
    Nobody(pressed.append).on_key("1")
    Nobody().on_key("2")
    Nobody().on_audio(FRAME)
    assert Nobody().read_frame() is None
    assert pressed == ["1"]


async def test_a_recording_is_played_once() -> None:
    pressed: list[str] = []
    playing = Playing(FRAME + b"\2\0" * 10, 16_000, Nobody(pressed.append))
    playing.on_audio(FRAME)
    playing.on_key("1")
    first, second = playing.read_frame(), playing.read_frame()
    assert first == FRAME
    assert second is not None
    assert len(second) == 640
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await playing.played()
    assert playing.read_frame() is None
    await playing.played()
    assert pressed == ["1"]


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 24_000])
def test_frames_at_the_rate_of_the_line(rate_hz: int) -> None:
    end = Playing(FRAME * 10, 16_000, Nobody())
    reading = Reading(end, rate_hz)
    frames = [reading.read() for _ in range(11)]
    assert [None if f is None else len(f) for f in frames] == [rate_hz // 25] * 10 + [None]
