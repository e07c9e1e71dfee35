"""What the audio path costs: `python bench/audio.py`.

Processor time per 20 ms frame of player, voice activity detection and resampler; flite's first
sound and real-time factor. Processor times are the best of some rounds, since a busy neighbour
can only lengthen them; flite's are medians.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from antiphon.audio.player import Player
from antiphon.audio.resample import LiveResampler
from antiphon.audio.trim import SegmentTrimmer
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment
from antiphon.providers.tts.flite import FliteOptions, FliteTts
from antiphon.providers.vad.silero import SileroOptions, SileroVad

ROUNDS, FRAMES = 15, 500
TEXT = "I have a large latte with oat milk and one sugar, is that right?"


def cpu_us(frame: Callable[[], object]) -> float:
    """Processor time of one call in the best round, in microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(FRAMES):
            frame()
        rounds.append((time.thread_time() - began) / FRAMES * 1e6)
    return min(rounds)


def player_frame(rate: int, *, ducked: bool) -> Callable[[], object]:
    player = Player(rate)
    chunk = os.urandom(rate // 5 * 2)
    if ducked:
        player.duck(-12.0, 0)

    def frame() -> None:
        if player.buffered_ms < 40:
            player.append(1, 0, chunk)
        player.read()
        player.progress()

    return frame


def resampler_frame(in_hz: int, out_hz: int) -> Callable[[], object]:
    resampler = LiveResampler(in_hz, out_hz)
    chunk = os.urandom(in_hz // 50 * 2)
    return lambda: resampler.push(chunk)


def trimmer_frame() -> Callable[[], object]:
    trimmer = SegmentTrimmer(16_000)
    chunk = os.urandom(640)
    return lambda: trimmer.push(chunk)


async def vad_frames() -> dict[str, Callable[[], object]]:
    vad = SileroVad(SileroOptions(), AgentHints())
    await vad.start()
    room = np.random.default_rng(0).normal(0, 30, 320).astype("<i2").tobytes()
    heard, muted = vad.open(), vad.open()
    return {
        "vad, room noise": lambda: heard.feed(room),
        "vad, muted microphone": lambda: muted.feed(bytes(640)),
    }


async def flite_times() -> tuple[float, float]:
    """Median milliseconds to the first sound, and processor seconds per second of speech."""
    tts = FliteTts(FliteOptions(), AgentHints())
    await tts.start()
    firsts, factors = [], []
    for _ in range(20):

        async def segments() -> AsyncIterator[TtsSegment]:
            yield TtsSegment(0, TEXT)

        began, began_cpu, size, first = time.perf_counter(), time.process_time(), 0, 0.0
        async for event in tts.stream(segments()):
            if isinstance(event, TtsAudio):
                first = first or time.perf_counter() - began
                size += len(event.pcm)
        firsts.append(first * 1e3)
        factors.append((time.process_time() - began_cpu) / (size / 32_000))
    await tts.aclose()
    return statistics.median(firsts), statistics.median(factors)


async def main() -> None:
    parts = {
        "player, 48 kHz": player_frame(48_000, ducked=False),
        "player, 48 kHz, ducked": player_frame(48_000, ducked=True),
        "resampler, 48 to 16 kHz": resampler_frame(48_000, 16_000),
        "resampler, 16 to 48 kHz": resampler_frame(16_000, 48_000),
        "trimmer, 16 kHz": trimmer_frame(),
        **await vad_frames(),
    }
    table = Table("per 20 ms frame", "processor time")
    for name, frame in parts.items():
        table.add_row(name, f"{cpu_us(frame):.1f} us")
    first_ms, factor = await flite_times()
    table.add_row("flite, first sound", f"{first_ms:.1f} ms")
    table.add_row("flite, real-time factor", f"{factor:.4f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
