"""Many calls at once, in real time, with scripted providers that fail as often as asked for.

Each caller is a tone: it speaks for a moment, waits for the agent to answer and to finish, and
speaks again. Everything from the frames of the line to the engine is what runs in a server. What is
measured is what a caller notices: the time from their last sound to the agent's first.
"""

from __future__ import annotations

import asyncio
import math
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.agent.config import AgentConfig
from antiphon.agent.load import LoadedAgent
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import AgentHints
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

WITHIN_MS = 3000
SPEECH_MS = 700
PAUSE_MS = 600
"""The agent has finished when it was silent for so long."""
GIVE_UP_MS = 15_000
ANSWER = "Certainly, I can do that for you. Is there anything else?"
_SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for: `calls` in all, `at_once` at a time, `turns` each; every provider fails a
    share `faults` of its requests, and stalls at as many. `traces` is a folder for the records of
    the calls."""

    calls: int = 200
    at_once: int = 20
    turns: int = 5
    faults: float = 0.0
    seed: int = 0
    traces: Path | None = None


@dataclass(slots=True)
class Figures:
    """What came of it. `answers_ms` has a time for each turn that something was heard after."""

    turns: int = 0
    answers_ms: list[int] = field(default_factory=list)
    heard: Counter[str] = field(default_factory=Counter)
    ended_early: Counter[str] = field(default_factory=Counter)
    provider_errors: Counter[str] = field(default_factory=Counter)
    late_ms: list[float] = field(default_factory=list)
    slow: list[tuple[str, int]] = field(default_factory=list)
    """Call and time of each turn after which nothing was heard in time."""
    call_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def in_time(self) -> float:
        """Share of turns after which something was heard within three seconds."""
        return sum(ms <= WITHIN_MS for ms in self.answers_ms) / max(1, self.turns)


def load_agent(load: Load) -> LoadedAgent:
    """An agent whose providers are scripted, each with one that steps in."""

    def provider(number: int, **options: Any) -> dict[str, Any]:
        trouble = {"fail_chance": load.faults, "stall_chance": load.faults}
        return {"provider": "scripted", "seed": load.seed * 10 + number, **trouble, **options}

    stt = {"transcripts": ["I would like a coffee."], "first_delay_ms": 150}
    llm = {
        "replies": [ANSWER],
        "first_delay_ms": {"ms": 250, "jitter_ms": 200},
        "chunk_delay_ms": 15,
    }
    tts = {"first_delay_ms": {"ms": 150, "jitter_ms": 80}, "ms_per_word": 120}
    config = {
        "name": "Load",
        "vad": "energy",
        "turn_detector": None,
        "stt": provider(1, **stt),
        "llm": provider(2, **llm),
        "tts": provider(3, **tts),
        "fallback": {
            "stt": provider(4, **stt),
            "llm": provider(5, **llm),
            "tts": provider(6, **tts),
        },
    }
    return LoadedAgent(Path("load"), AgentConfig.model_validate(config), AgentHints(), ())


async def run_load(load: Load, tell: Callable[[int, int], None] = lambda done, of: None) -> Figures:
    """Make the calls. `tell` is called with how many are over.

    Raises:
        UserFacingError: the providers do not start.
    """
    figures = Figures()
    metrics = _Failures(figures.provider_errors)
    supervisor = Supervisor(
        [load_agent(load)], max_calls=load.at_once + 1, traces=load.traces, metrics=metrics
    )
    await supervisor.start()
    lines, done = asyncio.Semaphore(load.at_once), 0
    watch = asyncio.create_task(_watch_loop(figures.late_ms))
    cpu_s = time.process_time()

    async def one(number: int) -> None:
        nonlocal done
        async with lines:
            await asyncio.sleep(number % load.at_once * 0.037)  # not all in the same moment
            await _Caller(load, figures).call(supervisor)
            done += 1
            tell(done, load.calls)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(load.calls):
                group.create_task(one(number))
    finally:
        watch.cancel()
        await supervisor.drain(0)
    figures.cpu_s = time.process_time() - cpu_s
    return figures


class _Failures(Metrics):
    """Metrics that also count which kind of provider failed."""

    def __init__(self, counted: Counter[str]) -> None:
        super().__init__()
        self._counted = counted

    def provider_failed(self, kind: str, provider: str) -> None:
        super().provider_failed(kind, provider)
        self._counted[kind] += 1


async def _watch_loop(late_ms: list[float]) -> None:
    """How late the event loop is, ten times a second."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.1
        await asyncio.sleep(0.1)
        late_ms.append((loop.time() - due) * 1000)


class _Caller:
    """One call; it is the session's `Call`."""

    channel, output_rate_hz, has_audio = "loopback", INPUT_RATE_HZ, True

    def __init__(self, load: Load, figures: Figures) -> None:
        self._figures, self._speech = figures, _tone()
        self._turns_left = load.turns
        self._at = len(self._speech)  # the frame of the turn that is spoken
        self._waited_ms: int | None = None  # since the turn's last sound, until something is heard
        self._silent_ms = PAUSE_MS - 1000  # nobody speaks at once
        self._said = ""  # by the agent since the turn began
        self._turn_open = False
        self._ended = ""
        self._call_id = ""

    def notify(self, event: dict[str, Any]) -> None:
        """What the agent says, and whether the call is over."""
        if event["type"] == "response.output_audio_transcript.delta":
            self._said += event["delta"]
        elif event["type"] == "antiphon.session.ended":
            self._ended = event["reason"]

    async def close(self, reason: str) -> None:
        self._ended = self._ended or reason

    async def call(self, supervisor: Supervisor) -> None:
        """All turns of it, in real time."""
        session = await supervisor.start_call(self)
        self._call_id = session.call_id
        loop = asyncio.get_running_loop()
        begun = due = loop.time()
        while not self._ended and self._goes_on():
            session.on_audio(self._next_frame())
            self._listen(session.read_frame())
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
        self._end_turn()
        self._figures.call_s += loop.time() - begun
        if self._turns_left:
            self._figures.ended_early[self._ended] += 1
        session.hang_up("the caller is done")
        await session.wait_closed()

    def _goes_on(self) -> bool:
        """Begin the next turn when the agent has finished; False when there is none."""
        speaking = self._at < len(self._speech)
        owed = self._waited_ms is not None and self._waited_ms < GIVE_UP_MS
        if speaking or owed or self._silent_ms < PAUSE_MS:
            return True
        self._end_turn()
        if not self._turns_left:
            return False
        self._turns_left -= 1
        self._figures.turns += 1
        self._at, self._waited_ms, self._said, self._turn_open = 0, 0, "", True
        return True

    def _end_turn(self) -> None:
        """What was heard after a turn, all in all."""
        if self._turn_open:
            self._turn_open = False
            heard = "the answer" if ANSWER in self._said else "something else"
            self._figures.heard[heard if self._waited_ms is None else "nothing"] += 1

    def _next_frame(self) -> bytes:
        if self._at < len(self._speech):
            self._at += 1
            return self._speech[self._at - 1]
        if self._waited_ms is not None:
            self._waited_ms += FRAME_MS
        return _SILENCE

    def _listen(self, frame: bytes | None) -> None:
        sounding = frame is not None and any(frame)
        self._silent_ms = 0 if sounding else self._silent_ms + FRAME_MS
        if sounding and self._waited_ms is not None and self._at == len(self._speech):
            self._figures.answers_ms.append(self._waited_ms)
            if self._waited_ms > WITHIN_MS:
                self._figures.slow.append((self._call_id, self._waited_ms))
            self._waited_ms = None


def _tone() -> list[bytes]:
    """Something that a level detector takes for speech, in frames."""
    count = INPUT_RATE_HZ * SPEECH_MS // 1000
    step = 2 * math.pi * 200 / INPUT_RATE_HZ
    pcm = array("h", (round(6000 * math.sin(step * at)) for at in range(count))).tobytes()
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
