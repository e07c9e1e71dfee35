from __future__ import annotations

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError
from tests.providers.test_silero import SPEECH, heard, recording

from antiphon.providers.base import AgentHints, VadEdge
from antiphon.providers.vad._edges import FrameEdges
from antiphon.providers.vad.webrtc import WebrtcVad, WebrtcVadOptions, WebrtcVadStream


def open_stream(**options: object) -> WebrtcVadStream:
    return WebrtcVad(WebrtcVadOptions.model_validate(options), AgentHints()).open()


@pytest.mark.parametrize("frame_ms", [10, 20, 30])
@pytest.mark.parametrize(
    ("name", "first_ms", "last_ms"),
    [
        ("LJ001-0002.flac", 510, 2310),
        ("librivox_sense_0880.flac", 780, 3330),
        ("s2i_ec21e470.flac", 1100, 2320),
    ],
)
def test_people_are_heard_where_they_speak(
    name: str, first_ms: int, last_ms: int, frame_ms: int
) -> None:
    edges = heard(open_stream(frame_ms=frame_ms), recording(name))  # type: ignore[arg-type]
    assert [edge.speaking for edge, _ in edges] == [True, False] * (len(edges) // 2)
    spans = [
        (a.position_ms, b.position_ms)
        for (a, _), (b, _) in zip(edges[::2], edges[1::2], strict=True)
    ]
    assert any(abs(start - first_ms) <= 120 for start, _ in spans)
    assert spans[-1][1] == pytest.approx(last_ms, abs=150)
    for edge, told_ms in edges:
        assert 0 <= told_ms - edge.position_ms <= 220


def test_silence_noise_and_clicks_are_not_speech() -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, 80_000)
    assert heard(open_stream(), noise) == []  # type: ignore[arg-type]
    clicks = np.zeros(80_000)
    clicks[::8000] = 0.5
    assert heard(open_stream(), clicks) == []  # type: ignore[arg-type]


def test_aggressiveness_takes_more_for_noise() -> None:
    rng = np.random.default_rng(2)
    speech, _ = soundfile.read(SPEECH / "LJ001-0002.flac", dtype="float32")
    noisy = np.concatenate([rng.normal(0, 0.05, 48_000), speech + rng.normal(0, 0.05, len(speech))])

    def spoken_ms(aggressiveness: int) -> int:
        edges = heard(open_stream(aggressiveness=aggressiveness), noisy)  # type: ignore[arg-type]
        marks = [edge.position_ms for edge, _ in edges] + [len(noisy) // 16] * (len(edges) % 2)
        return sum(b - a for a, b in zip(marks[::2], marks[1::2], strict=True))

    assert spoken_ms(0) > spoken_ms(3)
    with pytest.raises(ValidationError):
        WebrtcVadOptions.model_validate({"aggressiveness": 4})


def test_counts_make_edges_of_verdicts() -> None:
    edges = FrameEdges(20, 3, 5, 2)
    verdicts = "..x.x.....xx.xx.x..xx..xxx"
    found = [edges.advance(verdict == "x") for verdict in verdicts]
    told = [(number, edge) for number, edge in enumerate(found) if edge]
    assert told == [
        (13, VadEdge(True, 10 * 20)),
        (18, VadEdge(False, 17 * 20)),
        (23, VadEdge(True, 19 * 20)),
    ]
    assert edges.speaking
