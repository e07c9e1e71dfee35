from __future__ import annotations

import random
import struct

import pytest

from antiphon.providers.base import Vad


async def test_any_bytes_of_the_right_length_are_taken(vad: Vad) -> None:
    stream, rng = vad.open(), random.Random(0)
    frames = [bytes(640), b"\xff\x7f" * 320, b"\x00\x80" * 320, struct.pack("<h", 1) * 320]
    frames += [rng.randbytes(640) for _ in range(60)]
    clock, last, speaking = 0, 0, False
    for frame in frames * 2:
        clock += 20
        for edge in stream.feed(frame):
            assert edge.speaking is not speaking
            assert last <= edge.position_ms <= clock
            speaking, last = edge.speaking, edge.position_ms


@pytest.mark.parametrize("size", [0, 1, 639, 641, 1280])
async def test_other_lengths_are_refused_and_change_nothing(vad: Vad, size: int) -> None:
    stream = vad.open()
    with pytest.raises(ValueError, match="640"):
        stream.feed(bytes(size))
    assert list(stream.feed(bytes(640))) == []


async def test_silence_has_no_edges(vad: Vad) -> None:
    stream = vad.open()
    assert [edge for _ in range(300) for edge in stream.feed(bytes(640))] == []


async def test_the_same_audio_has_the_same_edges(vad: Vad) -> None:
    frames = [random.Random(number // 20).randbytes(640) for number in range(100)]
    first, second = vad.open(), vad.open()
    assert [list(first.feed(f)) for f in frames] == [list(second.feed(f)) for f in frames]
