"""Recorded orders through the recogniser and the flow, as a call would have them.

    python bench/stt_commands.py CORPUS [--agent examples/cafe.yaml] [--show] [--jobs 1]

CORPUS is a folder with `manifest.jsonl`; a line has `file` (relative to CORPUS or its parent),
`transcript`, `slots` and `speaker`. Each recording is pushed in frames of 20 ms, faster than real
time, to a stream of its speaker's call, and finalized at its end. Reported: orders with every slot
right, refused (not understood) and wrong; word error rate; time from `finalize` to the final.

An order is right when the values that the flow has understood are exactly the labels. A wrong one
is still read back before anything happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import yaml

from antiphon.agent.flow import Flow, FlowConfig
from antiphon.providers.base import AgentHints, FinalText, SttStream
from antiphon.providers.stt.pocketsphinx import PocketsphinxOptions, PocketsphinxStt
from antiphon.types import FRAME_BYTES, Message

SLOTS = {
    "coffeeDrink": "drink",
    "size": "size",
    "roast": "roast",
    "numberOfShots": "shots",
    "milkAmount": "milk",
    "sugarAmount": "sugar",
}
PREROLL_FRAMES = 20
SPEED = 20
"""Audio is pushed this many times faster than real time, so that decoding keeps up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recording."""

    name: str
    said: str
    text: str
    confidence: float
    expected: dict[str, str]
    got: dict[str, str]
    final_ms: float
    seconds: float

    @property
    def verdict(self) -> str:
        if not self.got:
            return "refused"
        return "right" if self.got == self.expected else "wrong"


def slots_understood(flow: Flow, text: str) -> dict[str, str]:
    """The order that the flow would read back after this sentence.

    An order without a size is completed by none: what counts is what the sentence itself gave.
    """
    values = flow.understood([Message("user", text)]) if text else {}
    return {name: str(value) for name, value in values.items()}


def word_errors(said: str, heard: str) -> int:
    """Edit distance in words."""
    a, b = said.split(), heard.split()
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[:], i
        for j, y in enumerate(b, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y))
    return row[-1]


def read(corpus: Path, name: str) -> tuple[Any, int]:
    """Samples and rate of a recording, named relative to the corpus or its parent."""
    path = corpus / name
    audio, rate = sf.read(path if path.exists() else corpus.parent / name, dtype="int16")
    return audio, rate


async def recognise(stream: SttStream, pcm: bytes, number: int) -> tuple[FinalText, float]:
    """The final of one recording, and its latency in ms."""
    frames = [pcm[n : n + FRAME_BYTES] for n in range(0, len(pcm) - FRAME_BYTES, FRAME_BYTES)]
    for frame in frames[:PREROLL_FRAMES]:
        stream.push(frame)
    stream.begin(number, PREROLL_FRAMES * 20)
    for n, frame in enumerate(frames[PREROLL_FRAMES:]):
        stream.push(frame)
        if n % SPEED == 0:
            await asyncio.sleep(0.02)
    # The pause in which a final is asked for: the recogniser has caught up by then.
    await asyncio.sleep(0.15)
    asked = time.perf_counter()
    stream.finalize(number, 1)
    async for event in stream.events():
        if isinstance(event, FinalText) and event.utterance_id == number:
            stream.end(number)
            return event, (time.perf_counter() - asked) * 1000
    raise RuntimeError("the stream ended")


async def run(corpus: Path, flow: Flow, lines: list[str], jobs: int) -> list[Outcome]:
    """All recordings, each speaker being one call."""
    stt = PocketsphinxStt(PocketsphinxOptions(workers=jobs), AgentHints(sentences=flow.sentences()))
    await stt.start()
    calls: dict[str, list[dict[str, Any]]] = {}
    for item in map(json.loads, lines):
        calls.setdefault(item["speaker"], []).append(item)
    gate = asyncio.Semaphore(jobs)

    async def call(items: list[dict[str, Any]]) -> list[Outcome]:
        async with gate:
            stream = await stt.open()
            done = []
            for number, item in enumerate(items, 1):
                audio, rate = read(corpus, item["file"])
                final, final_ms = await recognise(stream, np.asarray(audio).tobytes(), number)
                expected = {SLOTS[k]: " ".join(v.split()) for k, v in item["slots"].items()}
                got = slots_understood(flow, final.text)
                done.append(
                    Outcome(
                        *(item["id"], item["transcript"], final.text, final.confidence),
                        *(expected, got, final_ms, len(audio) / rate),
                    )
                )
            await stream.aclose()
            return done

    results = await asyncio.gather(*(call(items) for items in calls.values()))
    await stt.aclose()
    return [outcome for outcomes in results for outcome in outcomes]


def report(outcomes: list[Outcome], show: bool) -> None:
    """Print the figures, and what went wrong."""
    for o in outcomes if show else ():
        if o.verdict != "right" or o.said != o.text:
            print(f"{o.verdict:8}{o.name} {o.confidence:.2f}\n  said {o.said}\n  text {o.text}")
            if o.verdict != "right":
                print(f"  got  {o.got}\n  for  {o.expected}")
    count = {v: sum(o.verdict == v for o in outcomes) for v in ("right", "refused", "wrong")}
    errors = sum(word_errors(o.said, o.text) for o in outcomes)
    words = sum(len(o.said.split()) for o in outcomes)
    times = sorted(o.final_ms for o in outcomes)
    print(f"recordings {len(outcomes)}, {sum(o.seconds for o in outcomes):.0f} s")
    print(", ".join(f"{v} {n} ({100 * n / len(outcomes):.0f} %)" for v, n in count.items()))
    print(f"word error rate {100 * errors / words:.1f} %")
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    print(f"final after finalize: p50 {statistics.median(times):.0f} ms, p95 {p95:.0f} ms")


def main() -> None:
    """Parse arguments and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--agent", type=Path, default=Path("examples/cafe.yaml"))
    parser.add_argument("--show", action="store_true", help="print what is not word-perfect")
    parser.add_argument("--jobs", type=int, default=1, help="recogniser processes")
    arguments = parser.parse_args()
    section = yaml.safe_load(arguments.agent.read_text())["flow"]
    flow = Flow(FlowConfig.model_validate(section))
    lines = (arguments.corpus / "manifest.jsonl").read_text().splitlines()
    report(asyncio.run(run(arguments.corpus, flow, lines, arguments.jobs)), arguments.show)


if __name__ == "__main__":
    main()
