"""A real session with scripted providers, stepped frame by frame on a clock that only the test
moves. Nothing sleeps: between two frames everything that can be computed is computed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.agent.config import AgentConfig
from antiphon.agent.load import LoadedAgent
from antiphon.agent.tool import Tool
from antiphon.audio.levels import rms_dbfs
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import AgentHints, Llm, LlmEvent, LlmRequest, Stt, Tts, VadEdge
from antiphon.providers.scripted import (
    ScriptedLlm,
    ScriptedLlmOptions,
    ScriptedStt,
    ScriptedSttOptions,
    ScriptedTts,
    ScriptedTtsOptions,
)
from antiphon.session.clock import StreamClock
from antiphon.session.kept import Kept
from antiphon.session.providers import Providers
from antiphon.session.session import Session
from antiphon.session.trace import TraceWriter
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ, ToolSpec

SILENCE = bytes(FRAME_BYTES)
SETTLE_ROUNDS = 30
_SPEECH_DBFS = -45.0
_LOUD_FRAMES, _QUIET_FRAMES = 2, 5


def speech(ms: int) -> bytes:
    """Something that the level detector takes for speech."""
    phase = np.arange(INPUT_RATE_HZ * ms // 1000) * (2 * np.pi * 200 / INPUT_RATE_HZ)
    return bytes((np.sin(phase) * 6000).astype("<i2").tobytes())


class LevelVad:
    """Loud is speech: an onset after 40 ms, an end after 100 ms of silence."""

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    def open(self) -> LevelVadStream:
        return LevelVadStream()


class LevelVadStream:
    def __init__(self) -> None:
        self._fed_ms = 0
        self._speaking = False
        self._run = 0

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        self._fed_ms += FRAME_MS
        loud = rms_dbfs(pcm) > _SPEECH_DBFS
        self._run = 0 if loud == self._speaking else self._run + 1
        if self._run < (_QUIET_FRAMES if self._speaking else _LOUD_FRAMES):
            return ()
        position_ms = self._fed_ms - self._run * FRAME_MS
        self._speaking, self._run = loud, 0
        return (VadEdge(loud, position_ms),)


class TestCall:
    """The channel's side: keeps what it is told."""

    __test__ = False
    channel = "test"
    output_rate_hz = INPUT_RATE_HZ

    def __init__(self, *, has_audio: bool = True) -> None:
        self.has_audio = has_audio
        self.notices: list[dict[str, Any]] = []
        self.closed: list[str] = []

    def notify(self, event: dict[str, Any]) -> None:
        self.notices.append(event)

    async def close(self, reason: str) -> None:
        self.closed.append(reason)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.notices if one["type"] == kind]


class GatedLlm:
    """Answers only when the test lets it; `asked` and `released` count its streams."""

    def __init__(self, *pieces: LlmEvent) -> None:
        self.gate = asyncio.Event()
        self.asked: list[LlmRequest] = []
        self.released = 0
        self._pieces = pieces

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self.asked.append(request)
        try:
            await self.gate.wait()
            for piece in self._pieces:
                yield piece
        finally:
            self.released += 1


def agent(*tools: Callable[..., Any], **config: Any) -> LoadedAgent:
    """An agent with these functions as tools; nothing is read from a file. It prepares no answer
    before a turn is over, unless its configuration says so."""
    config.setdefault("turn", {"speculation": {"prepare": "nothing"}})
    made = tuple(
        Tool(ToolSpec(one.__name__, one.__doc__ or "", {"type": "object"}), one, 5000)
        for one in tools
    )
    return LoadedAgent(
        Path("test.yaml"),
        AgentConfig.model_validate({"name": "Test", **config}),
        AgentHints(),
        made,
    )


def providers(
    *,
    llm: Llm | dict[str, Any] | None = None,
    stt: Stt | dict[str, Any] | None = None,
    tts: Tts | dict[str, Any] | None = None,
) -> Providers:
    """Scripted providers with these options, or others in their place."""
    hints = AgentHints()
    if llm is None or isinstance(llm, dict):
        llm = ScriptedLlm(ScriptedLlmOptions(**(llm or {})), hints)
    if stt is None or isinstance(stt, dict):
        script = {"transcripts": ("hello there",), **(stt or {})}
        stt = ScriptedStt(ScriptedSttOptions.model_validate(script), hints)
    if tts is None or isinstance(tts, dict):
        tts = ScriptedTts(ScriptedTtsOptions.model_validate(tts or {}), hints)
    return Providers(LevelVad(), stt, (llm,), (tts,))


async def settle() -> None:
    """Let everything that can go on without time go on."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class Stage:
    """One call. `frames` has what the caller was played, None for silence, a frame each."""

    def __init__(
        self,
        loaded: LoadedAgent | None = None,
        provided: Providers | None = None,
        *,
        has_audio: bool = True,
        trace: TraceWriter | None = None,
    ) -> None:
        self.clock = StreamClock()
        self.call = TestCall(has_audio=has_audio)
        self.metrics = Metrics()
        self.agent = loaded or agent()
        self.session = Session(
            "call_test",
            self.agent,
            provided or providers(),
            self.call,
            self.clock,
            self.metrics,
            Kept(trace),
        )
        self.frames: list[bytes | None] = []
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stage:
        await self.session.prepare()
        self.task = asyncio.create_task(self.session.run(), name="call_test")
        await settle()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.session.hang_up("the test is over")
        assert self.task is not None
        async with asyncio.timeout(20):
            await self.session.wait_closed()
            await asyncio.wait([self.task])
        assert leftovers() == set()

    async def frame(self, pcm: bytes = SILENCE) -> bytes | None:
        """20 ms pass."""
        self.session.on_audio(pcm)
        heard = self.session.read_frame()
        self.frames.append(heard)
        await settle()
        self.clock.advance(FRAME_MS)
        await settle()
        return heard

    async def speak(self, ms: int) -> None:
        """The caller makes sound for so long."""
        pcm = speech(ms)
        for at in range(0, len(pcm), FRAME_BYTES):
            await self.frame(pcm[at : at + FRAME_BYTES])

    async def wait(self, ms: int) -> None:
        """The caller is silent for so long."""
        for _ in range(ms // FRAME_MS):
            await self.frame()

    async def until(self, done: Callable[[], object], limit_ms: int = 10_000) -> int:
        """Silence until something is so; returns how long it took."""
        for frames in range(limit_ms // FRAME_MS):
            if done():
                return frames * FRAME_MS
            await self.frame()
        raise AssertionError(f"not within {limit_ms} ms: {self.story()}")

    async def turn(self, speech_ms: int = 600) -> None:
        """The caller says something; the agent's answer has begun to sound."""
        await self.speak(speech_ms)
        await self.until(lambda: self.frames[-1] is not None)

    async def until_idle(self, limit_ms: int = 20_000) -> None:
        """Until nobody speaks or thinks."""
        await self.until(lambda: self.state == ("listening", "listening"), limit_ms)

    @property
    def state(self) -> tuple[str, str]:
        conversation = self.session.conversation
        return conversation.user_state.value, conversation.agent_state.value

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [(one.role, one.content) for one in self.session.conversation.messages()]

    def story(self) -> list[str]:
        """What was told to the caller's screen, in short."""
        return [one["type"] for one in self.call.notices]

    @property
    def said(self) -> list[str]:
        """What the caller heard of each response that is over."""
        done = self.call.of("response.output_audio_transcript.done")
        return [one["transcript"] for one in done]


def leftovers() -> set[str]:
    """Names of the tasks that still run beside the test's own."""
    me = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not me}
