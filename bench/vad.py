"""How soon and how surely the voice activity detectors hear people begin and end.

    python bench/vad.py DIR [NOISE_DIR]

DIR has the `eot.jsonl` of `antiphon bench turns`, whose items name where speech starts and where
the turn ends; NOISE_DIR recordings in which nobody speaks. A start more than 100 ms away from any
speech of the item is false.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from antiphon.audio.wav import read_pcm
from antiphon.providers.base import Vad
from antiphon.providers.registry import make
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

CONDITIONS = (("quiet", None), ("noise 15 dB", 15.0), ("noise 5 dB", 5.0))


@dataclass
class Found:
    onsets_ms: list[float] = field(default_factory=list)
    offsets_ms: list[float] = field(default_factory=list)
    starts: int = 0
    false: int = 0
    missed: int = 0
    late: int = 0


def edges(vad: Vad, pcm: bytes) -> list[tuple[bool, int]]:
    """Edges, each with the stream time in ms at which it was told."""
    stream, found = vad.open(), []
    for number in range(len(pcm) // FRAME_BYTES):
        frame = pcm[number * FRAME_BYTES : (number + 1) * FRAME_BYTES]
        found += [(edge.speaking, (number + 1) * FRAME_MS) for edge in stream.feed(frame)]
    return found


def with_noise(pcm: bytes, snr_db: float | None, start_ms: float, end_ms: float) -> bytes:
    """Add pink noise, so much below the speech between the two times."""
    if snr_db is None:
        return pcm
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=len(samples)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), len(samples))
    per_ms = INPUT_RATE_HZ // 1000
    speech = samples[int(start_ms * per_ms) : int(end_ms * per_ms)]
    pink *= np.sqrt(np.mean(speech**2) / np.mean(pink**2)) * 10 ** (-snr_db / 20)
    return np.clip(samples + pink, -32768, 32767).astype("<i2").tobytes()


def judge(found: Found, told: list[tuple[bool, int]], start_ms: float, end_ms: float) -> None:
    starts = [at for speaking, at in told if speaking]
    inside = [at for at in starts if start_ms - 100 <= at <= end_ms + 100]
    found.starts += len(starts)
    found.false += len(starts) - len(inside)
    if not inside:
        found.missed += 1
        return
    found.onsets_ms.append(inside[0] - start_ms)
    ends = [at for speaking, at in told if not speaking and at > inside[-1]]
    if ends and ends[0] - end_ms <= 1000:
        found.offsets_ms.append(ends[0] - end_ms)
    else:
        found.late += 1


def line(values: list[float]) -> str:
    p90 = statistics.quantiles(values, n=10)[-1] if len(values) > 1 else 0
    return f"{statistics.median(values):.0f} / {p90:.0f}" if values else "-"


async def main(folder: Path, noise: Path | None) -> None:
    items = [json.loads(text) for text in (folder / "eot.jsonl").read_text().splitlines()]
    spoken = []
    for item in items:
        ends = [event["time"] for event in item["events"] if event["type"] == "end_of_turn"]
        pcm = read_pcm(folder / item["file"], INPUT_RATE_HZ)
        spoken.append((pcm, item["speech_start"] * 1000, ends[-1] * 1000))
    silent = [read_pcm(path, INPUT_RATE_HZ) for path in sorted((noise or folder).glob("*.flac"))]
    for name in ("silero", "webrtc", "energy"):
        vad = make("vad", name)
        await vad.start()
        for condition, snr_db in CONDITIONS:
            found = Found()
            for pcm, start_ms, end_ms in spoken:
                noisy = with_noise(pcm, snr_db, start_ms, end_ms)
                judge(found, edges(vad, noisy), start_ms, end_ms)
            print(
                f"{name:7} {condition:11} onset {line(found.onsets_ms)} ms, offset"
                f" {line(found.offsets_ms)} ms, {found.starts} starts, {found.false} false,"
                f" {found.missed} missed, {found.late} without end, of {len(spoken)}"
            )
        minutes = sum(map(len, silent)) / 2 / INPUT_RATE_HZ / 60
        if minutes:
            false = sum(speaking for pcm in silent for speaking, _ in edges(vad, pcm))
            print(f"{name:7} nobody      {false} starts in {minutes:.1f} minutes")
        begun = time.perf_counter()
        edges(vad, spoken[0][0])
        each_us = (time.perf_counter() - begun) * 1e6 / (len(spoken[0][0]) // FRAME_BYTES)
        print(f"{name:7} {each_us:.0f} us a frame")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
