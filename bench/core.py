"""`antiphon bench core`: what the server itself costs, with providers that take no time.

Calls come from a loopback: one loop hands each of them a frame and takes one, every 20 ms, as a
channel does. Each number of calls runs in a process of its own, so that memory is not what an
earlier run left behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from antiphon.agent.load import load_agent
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import VadEdge
from antiphon.session.listener import Listener
from antiphon.session.session import Session
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

CALLS = (1, 10, 50)
LISTEN_S = 6.0
WARM_S = 1.5
TURNS = 300
FRAMES = 20_000
RUN_DEADLINE_S = 60.0

AGENT = """\
name: Bench
vad: silero
stt: {{provider: scripted, transcripts: ["one flat white please"]}}
llm: {{provider: scripted, replies: ["{reply}"]}}
tts: {{provider: scripted, ms_per_word: {ms_per_word}}}
turn: {{silence: {{check_in_ms: 600000}}}}
"""


class LoopbackCall:
    """A caller in the same process."""

    channel = "loopback"
    output_rate_hz = INPUT_RATE_HZ
    has_audio = True

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notify(self, event: dict[str, Any]) -> None:
        self.notices.append(event["type"])

    async def close(self, reason: str) -> None:
        """Nothing to release."""


class NoVad:
    """Hears nothing; takes the detector's own cost out of a measurement."""

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        return ()


def room_noise() -> list[bytes]:
    """Two seconds of quiet hum and hiss, as frames. A detector computes as much for it as for
    speech; nothing of a loud recording has to be shipped for it."""
    seed, samples = 1, array("h")
    for n in range(INPUT_RATE_HZ * 2):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        samples.append(int(60 * math.sin(2 * math.pi * 100 * n / INPUT_RATE_HZ) + seed % 81 - 40))
    pcm = samples.tobytes()
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


async def supervisor(folder: Path, *, reply: str, ms_per_word: int) -> Supervisor:
    """A supervisor whose one agent has scripted providers and the real voice detector."""
    path = folder / "bench.yaml"
    path.write_text(AGENT.format(reply=reply, ms_per_word=ms_per_word), encoding="utf-8")
    made = Supervisor([load_agent(path)], max_calls=max(CALLS) + 1, metrics=Metrics())
    await made.start()
    return made


# ---- decided turn to first audio -----------------------------------------------------------------


async def answer_latency(folder: Path) -> dict[str, float]:
    """From a turn that needs no deciding (typed) to the first frame that a channel could read.

    The channel reads as fast as it can here; a real one reads every 20 ms, which adds its own 0 to
    20 ms whatever the server does.
    """
    host = await supervisor(folder, reply="Certainly.", ms_per_word=40)
    session = await host.start_call(LoopbackCall())
    session.on_audio(bytes(FRAME_BYTES))
    taken: list[float] = []
    cpu_s = time.process_time()
    for _ in range(TURNS):
        start_s = time.perf_counter()
        session.on_text("one flat white please")
        async with asyncio.timeout(5):
            while session.read_frame() is None:  # noqa: ASYNC110 - as a channel, but faster
                await asyncio.sleep(0)
        taken.append((time.perf_counter() - start_s) * 1000)
        while session.read_frame() is not None or session.busy:  # noqa: ASYNC110
            await asyncio.sleep(0)
    cpu_ms = (time.process_time() - cpu_s) * 1000 / TURNS
    await close(host, [session])
    ranked = sorted(taken[TURNS // 10 :])
    return {
        "answer_p50_ms": round(statistics.median(ranked), 2),
        "answer_p95_ms": round(ranked[len(ranked) * 95 // 100], 2),
        "answer_cpu_ms": round(cpu_ms, 2),
    }


# ---- calls that listen ---------------------------------------------------------------------------


async def listening_calls(folder: Path, count: int) -> dict[str, float]:
    """CPU, memory and tasks of so many calls at once, all listening, then all answering."""
    host = await supervisor(folder, reply="word " * 120, ms_per_word=250)
    frames = room_noise()
    before_tasks = len(asyncio.all_tasks())
    sessions: list[Session] = []
    # What the loopback's own loop takes, to be taken off.
    idle_s, idle_cpu_s = time.perf_counter(), time.process_time()
    await run_for(sessions, frames, WARM_S)
    idle = (time.process_time() - idle_cpu_s) / (time.perf_counter() - idle_s)
    gc.collect()
    before_mb = resident_mb()
    sessions += [await host.start_call(LoopbackCall()) for _ in range(count)]
    await run_for(sessions, frames, WARM_S)
    start_s, cpu_s = time.perf_counter(), time.process_time()
    lag_ms = await run_for(sessions, frames, LISTEN_S)
    cores = (time.process_time() - cpu_s) / (time.perf_counter() - start_s) - idle
    gc.collect()
    result = {
        "cores": cores / count,
        "mb": (resident_mb() - before_mb) / count,
        "tasks": (len(asyncio.all_tasks()) - before_tasks) / count,
        "loopback_cores": idle,
        "late_p99_ms": lag_ms,
        "process_mb": resident_mb(),
    }
    for session in sessions:
        session.on_text("one flat white please")
    await run_for(sessions, frames, 0.5)
    start_s, cpu_s = time.perf_counter(), time.process_time()
    await run_for(sessions, frames, LISTEN_S / 3)
    speaking = (time.process_time() - cpu_s) / (time.perf_counter() - start_s) - idle
    result["speaking_cores"] = speaking / count
    result["speaking_mb"] = (resident_mb() - before_mb) / count
    result["speaking_tasks"] = (len(asyncio.all_tasks()) - before_tasks) / count
    await close(host, sessions)
    return {name: round(value, 4) for name, value in result.items()}


async def run_for(sessions: Sequence[Session], frames: list[bytes], length_s: float) -> float:
    """Frames in and out of all calls in real time; the 99th percentile of how late a tick was.

    Calls are spread over the 20 ms in four groups, as callers do not speak in step.
    """
    loop = asyncio.get_running_loop()
    start_s, late_ms, groups = loop.time(), [], 4
    for tick in range(int(length_s * 1000 / FRAME_MS * groups)):
        due_s = start_s + tick * FRAME_MS / 1000 / groups
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        late_ms.append((loop.time() - due_s) * 1000)
        frame = frames[tick // groups % len(frames)]
        for session in sessions[tick % groups :: groups]:
            session.on_audio(frame)
            session.read_frame()
    return sorted(late_ms)[len(late_ms) * 99 // 100]


# ---- one frame -----------------------------------------------------------------------------------


async def frame_cost(folder: Path) -> dict[str, float]:
    """A microphone frame's way without the detector: microseconds, and queue puts."""
    host = await supervisor(folder, reply="Certainly.", ms_per_word=40)
    stt = await host._providers["Bench"].stt.open()
    events: list[Any] = []
    listener = Listener(NoVad(), stt, lambda: 0, events.append)
    puts = 0
    queues: Any = asyncio.Queue
    original: Callable[..., None] = queues.put_nowait

    def counted(queue: asyncio.Queue[Any], item: Any) -> None:
        nonlocal puts
        puts += 1
        original(queue, item)

    frame = bytes(FRAME_BYTES)
    stt.begin(0, 0)
    queues.put_nowait = counted
    try:
        start_s = time.perf_counter()
        for _ in range(FRAMES):
            listener.on_audio(frame)
        each_us = (time.perf_counter() - start_s) / FRAMES * 1e6
    finally:
        queues.put_nowait = original
    await stt.aclose()
    await close(host, [])
    return {"frame_us": round(each_us, 2), "frame_puts": round(puts / FRAMES, 2)}


async def close(host: Supervisor, sessions: Sequence[Session]) -> None:
    """End everything."""
    for session in sessions:
        session.hang_up("measured")
    await host.drain(1.0)


# ---- processes -----------------------------------------------------------------------------------

IMPORT = """\
import sys, time
start = time.perf_counter()
{what}
took = time.perf_counter() - start
pages = int(open("/proc/self/statm").read().split()[1])
print(took, pages * {page} / 2**20)
"""
SERVE = (
    "import antiphon.cli.serve, antiphon.server.run, antiphon.session.supervisor\n"
    "from antiphon.providers import registry\n"
    "for kind in registry.KINDS: registry.describe(kind)"
)


def import_cost(what: str) -> tuple[float, float]:
    """Seconds and megabytes of a process that imports it; the median of three."""
    code = IMPORT.format(what=what, page=os.sysconf("SC_PAGE_SIZE"))
    runs = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        seconds, megabytes = map(float, done.stdout.split())
        runs.append((seconds, megabytes))
    return sorted(runs)[1]


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_process(what: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent.parent)!r}); "
    code += f"from bench import core; core.child({what!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, timeout=RUN_DEADLINE_S
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def child(what: str) -> None:
    """Measure one thing and print it as JSON."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if what == "answer":
            result = asyncio.run(answer_latency(folder))
        elif what == "frame":
            result = asyncio.run(frame_cost(folder))
        else:
            result = asyncio.run(listening_calls(folder, int(what)))
    print(json.dumps(result))


def measure(say: Callable[[str], None]) -> dict[str, float]:
    """Everything, in about 50 seconds. `say` is told what is being measured."""
    say("a turn's answer and a frame's way")
    figures = {**in_process("answer"), **in_process("frame")}
    for count in CALLS:
        say(f"{count} call{'s' * (count > 1)} for {LISTEN_S:.0f} s")
        figures.update({f"{k}_{count}": v for k, v in in_process(str(count)).items()})
    say("imports")
    for name, code in (("import", "import antiphon"), ("serve_import", SERVE)):
        seconds, megabytes = import_cost(code)
        figures[f"{name}_s"], figures[f"{name}_mb"] = round(seconds, 3), round(megabytes, 1)
    return figures
