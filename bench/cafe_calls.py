"""Recorded coffee orders through whole calls with the embedded stack, in real time.

    python bench/cafe_calls.py CORPUS_DIR [--at-once 2] [--limit N] [--agent FILE] [--save DIR]

Every recording of `CORPUS_DIR/commands` is played to the agent after its greeting. Whatever the
agent still asks is answered (a size by a synthesized voice, "is that right?" by a recorded or
synthesized "yes"), and the order that reaches the tool is compared with the recording's labels.

Latencies are measured in the stereo recording: from the last frame of the caller's speech (louder
than 30 dB below the recording's loudest, by 20 ms frames) to the agent's first audible sample
(over -50 dBFS).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from antiphon.agent.default import default_agent
from antiphon.agent.load import load_agent
from antiphon.audio.wav import StereoWavWriter, read_pcm
from antiphon.channels.wav import Plan, WavCall, WavDriver
from antiphon.providers import registry
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

LABELS = {
    "coffeeDrink": "drink",
    "size": "size",
    "roast": "roast",
    "numberOfShots": "shots",
    "milkAmount": "milk",
    "sugarAmount": "sugar",
}
AUDIBLE = 10 ** (-50 / 20) * 32768


@dataclass
class Result:
    """What became of one recording."""

    name: str
    wanted: dict[str, str]
    heard: str = ""
    order: dict[str, str] | None = None
    read_back: bool = False
    latency_ms: int | None = None
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`right`, `wrong` or `refused` (nothing was ordered)."""
        if self.order is None:
            return "refused"
        got = {key: value for key, value in self.order.items() if key in LABELS.values()}
        if "size" not in self.wanted and got.get("size") == "medium":
            del got["size"]  # asked for, and answered by us
        return "right" if got == self.wanted else "wrong"


class Caller:
    """Listens to the notices of one call and knows what to answer."""

    def __init__(self, result: Result, voices: dict[str, bytes]) -> None:
        self.result, self._voices = result, voices
        self._said = ""
        self._answers = 0

    def notice(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "response.output_audio_transcript.done" and event["transcript"]:
            self._said = event["transcript"]
            self.result.read_back = self.result.read_back or "right?" in self._said
        elif kind == "conversation.item.input_audio_transcription.completed":
            self.result.heard = self.result.heard or event["transcript"]
        elif kind == "response.function_call_arguments.done" and event["name"] == "place_order":
            self.result.order = json.loads(event["arguments"])
        elif kind == "antiphon.latency" and not self.result.parts:
            self.result.parts = event["contributions"]

    def reply(self) -> bytes | None:
        self._answers += 1
        if self.result.order is not None or self._answers > 4:
            return None
        said = self._said.lower()
        if "right?" in said:
            return self._voices["yes"]
        if "size" in said:
            return self._voices["medium"]
        return None


class Stereo:
    """Keeps both sides in memory."""

    def __init__(self) -> None:
        self.caller, self.agent = bytearray(), bytearray()

    def write(self, caller: bytes, agent: bytes) -> None:
        self.caller += caller
        self.agent += agent


def speech_end(pcm: bytes) -> int:
    """Samples up to the end of the last frame of speech."""
    frames = np.frombuffer(pcm, dtype=np.int16).astype(np.float64)
    frames = frames[: len(frames) // 320 * 320].reshape(-1, 320)
    levels = np.sqrt((frames**2).mean(axis=1)) + 1e-9
    loud = np.nonzero(levels > levels.max() * 10 ** (-30 / 20))[0]
    return int(loud[-1] + 1) * 320


def first_answer_ms(stereo: Stereo, recording: bytes) -> int | None:
    """From the end of the recording's speech to the agent's first audible sample, in the stereo."""
    caller = np.frombuffer(bytes(stereo.caller), dtype=np.int16)
    agent: NDArray[np.int16] = np.frombuffer(bytes(stereo.agent), dtype=np.int16)
    begin = np.frombuffer(recording[: 50 * FRAME_BYTES], dtype=np.int16)
    start = bytes(stereo.caller).find(begin.tobytes()) // 2
    if start < 0:
        return None
    end = start + speech_end(recording)
    after = np.nonzero(np.abs(agent[end:].astype(np.int32)) > AUDIBLE)[0]
    return int(after[0] * 1000 // INPUT_RATE_HZ) if len(after) and len(caller) else None


async def synthesize(text: str) -> bytes:
    """The caller's own short answers."""
    tts = registry.make("tts", "flite", {"voice": "rms"}, AgentHints())
    await tts.start()

    async def segments() -> Any:
        yield TtsSegment(0, text)

    pcm = b"".join([e.pcm async for e in tts.stream(segments()) if isinstance(e, TtsAudio)])
    await tts.aclose()
    return pcm


async def one_call(
    supervisor: Supervisor,
    item: dict[str, Any],
    corpus: Path,
    voices: dict[str, bytes],
    save: Path | None,
) -> Result:
    """Play one recording."""
    recording = read_pcm(corpus / item["file"], INPUT_RATE_HZ)
    wanted = {LABELS[key]: value.strip() for key, value in item["slots"].items()}
    result = Result(item["id"], wanted)
    caller = Caller(result, voices)
    call, stereo = WavCall(caller.notice), Stereo()
    session = await supervisor.start_call(call)
    driver = WavDriver(Plan([recording], longest_ms=60_000), call, stereo, caller.reply)
    await driver.run(session, None)
    result.latency_ms = first_answer_ms(stereo, recording)
    if save is not None:
        with StereoWavWriter(save / f"{item['id']}.wav", INPUT_RATE_HZ) as writer:
            writer.write(bytes(stereo.caller), bytes(stereo.agent))
    return result


async def run(args: argparse.Namespace) -> list[Result]:
    """All recordings, a few at once."""
    lines = (args.corpus / "commands" / "manifest.jsonl").read_text().splitlines()
    items = [json.loads(line) for line in lines][: args.limit]
    supervisor = Supervisor([load_agent(args.agent)], traces=args.save)
    await supervisor.start()
    voices = {"medium": await synthesize("medium please."), "yes": await synthesize("yes please.")}
    yes = args.corpus / "backchannels" / "gsc_felix_yes.flac"
    if yes.exists():
        voices["yes"] = read_pcm(yes, INPUT_RATE_HZ)
    gate = asyncio.Semaphore(args.at_once)

    async def gated(item: dict[str, Any]) -> Result:
        async with gate:
            result = await one_call(supervisor, item, args.corpus, voices, args.save)
            print(f"{result.verdict:8} {result.latency_ms!s:>5} ms  {result.name}  {result.heard}")
            if result.verdict != "right":
                print(f"         wanted {result.wanted}\n         got    {result.order}")
            return result

    try:
        return list(await asyncio.gather(*(gated(item) for item in items)))
    finally:
        await supervisor.drain(0)


def percentile(values: list[int], share: float) -> int:
    """The value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--agent", type=Path, default=default_agent())
    parser.add_argument("--save", type=Path, default=None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("ANTIPHON_DATA", folder)
        results = asyncio.run(run(args))
    verdicts = Counter(result.verdict for result in results)
    blind = sum(1 for r in results if r.verdict == "wrong" and not r.read_back)
    latencies = [r.latency_ms for r in results if r.latency_ms is not None]
    print(f"\norders {len(results)}: {dict(verdicts)}, wrong and not read back {blind}")
    if latencies:
        print(
            f"end of speech -> first audible sample: p50 {round(median(latencies))} ms, "
            f"p95 {percentile(latencies, 0.95)} ms, max {max(latencies)} ms, n {len(latencies)}"
        )
    for name in results[0].parts:
        values = [r.parts[name] for r in results if r.parts]
        print(f"  {name}: p50 {round(median(values))} ms, p95 {percentile(values, 0.95)} ms")


if __name__ == "__main__":
    main()
