from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, VadEdge
from antiphon.providers.vad.silero import SileroOptions, SileroStream, SileroVad

SPEECH = Path(__file__).parent.parent / "data" / "speech_vad"


async def open_stream(**options: object) -> SileroStream:
    vad = SileroVad(SileroOptions.model_validate(options), AgentHints())
    await vad.start()
    return vad.open()


def heard(stream: SileroStream, samples: np.ndarray) -> list[tuple[VadEdge, int]]:
    """Edges, each with the time in ms at which it was told."""
    pcm = np.clip(samples * 32767, -32768, 32767).astype("<i2").tobytes()
    found = []
    for number in range(len(pcm) // 640):
        edges = stream.feed(pcm[number * 640 : number * 640 + 640])
        found += [(edge, (number + 1) * 20) for edge in edges]
    return found


def recording(name: str) -> np.ndarray:
    """A recording with half a second of a quiet room before it and a whole one after it."""
    samples, rate = soundfile.read(SPEECH / name, dtype="float32")
    assert rate == 16_000
    room = np.random.default_rng(0).normal(0, 1e-4, 24_000)
    return np.concatenate([room[:8_000], samples, room[8_000:]])


@pytest.mark.parametrize(
    ("name", "first_ms", "last_ms"),
    [
        ("LJ001-0002.flac", 510, 2310),
        ("librivox_sense_0880.flac", 780, 3330),
        ("s2i_ec21e470.flac", 1100, 2320),
    ],
)
async def test_people_are_heard_where_they_speak(name: str, first_ms: int, last_ms: int) -> None:
    edges = heard(await open_stream(), recording(name))
    assert [edge.speaking for edge, _ in edges] == [True, False] * (len(edges) // 2)
    (first, told_first), (last, told_last) = edges[0], edges[-1]
    assert first.position_ms == pytest.approx(first_ms, abs=80)
    assert last.position_ms == pytest.approx(last_ms, abs=80)
    assert told_first - first.position_ms <= 140
    assert told_last - last.position_ms <= 140


async def test_noise_and_silence_are_not_speech() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, 80_000)
    assert heard(await open_stream(), noise) == []
    assert heard(await open_stream(), np.zeros(80_000)) == []


async def test_a_microphone_muted_in_mid_speech_ends_it() -> None:
    samples = recording("LJ001-0002.flac")
    samples[16_000:] = 0.0
    edges = heard(await open_stream(), samples)
    assert [edge.speaking for edge, _ in edges] == [True, False]
    assert edges[1][0].position_ms == pytest.approx(1000, abs=80)


async def test_longer_silence_joins_what_belongs_together() -> None:
    joined = heard(await open_stream(min_silence_ms=500), recording("librivox_sense_0880.flac"))
    assert [edge.speaking for edge, _ in joined] == [True, False]


async def test_streams_do_not_hear_each_other() -> None:
    vad = SileroVad(SileroOptions(), AgentHints())
    await vad.start()
    samples = recording("LJ001-0002.flac")
    alone = heard(vad.open(), samples)
    one, other = vad.open(), vad.open()
    pcm = (samples * 32767).astype("<i2").tobytes()
    found: list[VadEdge] = []
    for number in range(len(pcm) // 640):
        other.feed(os.urandom(640))
        found += one.feed(pcm[number * 640 : number * 640 + 640])
    assert found == [edge for edge, _ in alone]


async def test_positions_never_go_back_and_edges_alternate() -> None:
    rng = np.random.default_rng(2)
    speech = recording("s2i_ec21e470.flac")
    pieces = []
    for _ in range(20):
        at = int(rng.integers(0, len(speech) - 4000))
        pieces.append(speech[at : at + int(rng.integers(200, 4000))] * rng.uniform(0, 2))
    edges = [edge for edge, _ in heard(await open_stream(), np.concatenate(pieces))]
    positions = [edge.position_ms for edge in edges]
    assert positions == sorted(positions)
    assert all(a.speaking != b.speaking for a, b in pairwise(edges))


async def test_thresholds_the_wrong_way_round_are_explained() -> None:
    with pytest.raises(UserFacingError, match="neg_threshold"):
        await open_stream(threshold=0.3, neg_threshold=0.5)
    with pytest.raises(RuntimeError, match="start"):
        SileroVad(SileroOptions(), AgentHints()).open()


async def test_many_calls_are_heard_as_one_is() -> None:
    """Each hears the same as alone, to within a window, and is told a frame later at most."""
    names = ("LJ001-0002.flac", "librivox_sense_0880.flac", "s2i_ec21e470.flac")
    recordings = [recording(name) for name in names]
    alone = [heard(await open_stream(), samples) for samples in recordings]
    streams = [await open_stream() for _ in range(12)]
    together: list[list[tuple[VadEdge, int]]] = [[] for _ in streams]
    frames = [np.clip(one * 32767, -32768, 32767).astype("<i2").tobytes() for one in recordings]
    for number in range(max(map(len, frames)) // 640):
        for index, stream in enumerate(streams):
            frame = frames[index % 3][number * 640 :][:640]
            if len(frame) == 640:
                edges = stream.feed(frame)
                together[index] += [(edge, (number + 1) * 20) for edge in edges]
    for index, found in enumerate(together):
        expected = alone[index % 3]
        assert [edge for edge, _ in found] == [edge for edge, _ in expected]
        late = [told - sooner for (_, told), (_, sooner) in zip(found, expected, strict=True)]
        assert set(late) <= {0, 20}


async def test_a_call_alone_does_not_wait_for_those_that_are_over() -> None:
    loud = (np.random.default_rng(1).normal(0, 0.1, 320) * 32767).astype("<i2").tobytes()
    for _ in range(5):
        for stream in [await open_stream() for _ in range(12)]:
            for _ in range(2):
                stream.feed(loud)
    last = await open_stream()
    for _ in range(60):
        last.feed(loud)
    assert not last._asked
    assert not last._network._waiting
