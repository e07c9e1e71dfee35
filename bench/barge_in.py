"""Interruptions: from the caller's first sound to the agent audibly lower, and to silence.

    python -m bench.barge_in CORPUS_DIR [--limit 20] [--agent FILE]

Each recording of `CORPUS_DIR/commands` is played into the agent's greeting, at another moment each
time. The same call without the recording gives the agent's undisturbed voice; the agent is lower
from the first 20 ms frame on that is 6 dB below that, and silent from the first one below -50 dBFS
that stays so for 100 ms, of which the undisturbed voice sounds for 60 or more. The onset is the
first frame of the recording louder than 30 dB below its loudest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from bench.cafe_calls import Stereo, percentile
from numpy.typing import NDArray

from antiphon.agent.default import default_agent
from antiphon.agent.load import load_agent
from antiphon.audio.wav import read_pcm
from antiphon.channels.wav import Plan, WavCall, WavDriver
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

Levels = NDArray[np.float64]
SILENT = 10 ** (-50 / 20) * 32768


def levels(pcm: bytes) -> Levels:
    """RMS of each 20 ms frame."""
    samples = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return np.asarray(np.sqrt((frames**2).mean(axis=1)) + 1e-3)


def first(found: NDArray[np.bool_]) -> int | None:
    """Index of the first true element."""
    at = np.nonzero(found)[0]
    return int(at[0]) if len(at) else None


async def play(supervisor: Supervisor, recording: bytes | None, at_ms: int) -> Stereo:
    """One call; the recording begins `at_ms` after the agent's first sound."""
    call, stereo = WavCall(lambda event: None), Stereo()
    session = await supervisor.start_call(call)
    plan = Plan([recording] if recording else [], barge_in_ms=at_ms, longest_ms=20_000)
    await WavDriver(plan, call, stereo).run(session, None)
    return stereo


def measure(stereo: Stereo, undisturbed: Levels, recording: bytes) -> tuple[int, int] | None:
    """Milliseconds from the onset to lower, and to silent; None when the onset came too late."""
    agent, caller = levels(bytes(stereo.agent)), levels(recording)
    start = bytes(stereo.caller).find(recording[: 20 * FRAME_BYTES]) // FRAME_BYTES
    onset_in = first(caller > caller.max() * 10 ** (-30 / 20))
    begin, reference_begin = first(agent > SILENT), first(undisturbed > SILENT)
    if onset_in is None or begin is None or reference_begin is None:
        return None
    onset = start + onset_in
    reference = undisturbed[reference_begin + onset - begin :]
    rest = agent[onset:][: len(reference)]
    reference = reference[: len(rest)]
    sounding = reference > 4 * SILENT
    lower = first(sounding & (rest < reference / 2))
    quiet = rest < SILENT
    ranges = (slice(at, at + 5) for at in range(len(rest) - 5))
    held = (at.start for at in ranges if quiet[at].all() and sounding[at].sum() >= 3)
    silent = next(held, None)
    if lower is None or silent is None:
        return None
    return lower * FRAME_MS, silent * FRAME_MS


async def run(args: argparse.Namespace) -> None:
    """All recordings, one after the other."""
    lines = (args.corpus / "commands" / "manifest.jsonl").read_text().splitlines()
    supervisor = Supervisor([load_agent(args.agent)])
    await supervisor.start()
    lower: list[int] = []
    silent: list[int] = []
    try:
        undisturbed = levels(bytes((await play(supervisor, None, 0)).agent))
        for number, line in enumerate(lines[: args.limit]):
            recording = read_pcm(args.corpus / json.loads(line)["file"], INPUT_RATE_HZ)
            stereo = await play(supervisor, recording, 100 + number * 137 % 900)
            found = measure(stereo, undisturbed, recording)
            print(json.loads(line)["id"], found)
            if found is not None:
                lower.append(found[0])
                silent.append(found[1])
    finally:
        await supervisor.drain(0)
    if lower:
        for name, values in (("lower", lower), ("silent", silent)):
            p50, p95 = round(median(values)), percentile(values, 0.95)
            print(f"onset -> {name}: p50 {p50} ms, p95 {p95} ms, n {len(values)}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--agent", type=Path, default=default_agent())
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("ANTIPHON_DATA", folder)
        asyncio.run(run(args))


if __name__ == "__main__":
    main()
