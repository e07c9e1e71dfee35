"""One item, played to a real session on stream time, and what the agent did."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antiphon.agent.config import Fallback
from antiphon.agent.load import LoadedAgent
from antiphon.audio.trim import SegmentTrimmer
from antiphon.audio.wav import read_pcm
from antiphon.bench.ear import Ear, Silence
from antiphon.bench.items import Item
from antiphon.bench.loop import StreamLoop
from antiphon.bench.roles import Edge, ItemTts, ScriptStt, SlowLlm, Stage, WaitedStt, WatchedVad
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.policy import Setup, TurnPolicy
from antiphon.observe.metrics import METRICS
from antiphon.providers.base import Stt, TurnDetector, Vad
from antiphon.session.clock import RealClock
from antiphon.session.kept import Kept
from antiphon.session.providers import Providers
from antiphon.session.session import Session
from antiphon.session.trace import TraceWriter
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

LEAD_S = 0.2
"""Silence before an item's stream, in which the call begins."""
TAIL_S = 4.0
"""Silence after an item whose turn is not over yet."""
TAKEN_IN_S = 0.2
"""So soon before a decision nobody can have noticed that the caller speaks again."""
GREETING = "Here is all that I can tell you today"

_LOWER_DB = -6.0
"""A gain of this or less is heard as lower."""
_FRAME_S = FRAME_MS / 1000
_SILENCE = bytes(FRAME_BYTES)
_NOT_TAKEN = ("noise", "backchannel", "merged")
"""Outcomes of turns after which the caller keeps the floor."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as the agent took it, at a moment of the stream. `missing` are words that the caller
    had said well before that and that are in no turn, where they are understood as they are."""

    at_s: float
    outcome: str
    text: str
    missing: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent did in an item. Moments are seconds of the stream, computing included.

    `lowered`: when its voice was made softer, or silent; `computing_s`: processor time in all.
    """

    item_id: str
    turns: tuple[Turn, ...]
    lowered: tuple[float, ...]
    silences: tuple[Silence, ...]
    edges: tuple[Edge, ...]
    computing_s: float

    @property
    def end_of_turn(self) -> list[float]:
        """When it took a turn to be over."""
        return [turn.at_s for turn in self.turns if turn.outcome not in _NOT_TAKEN]

    @property
    def stop(self) -> list[float]:
        """When it fell silent for the caller."""
        return [silence.at_s for silence in self.silences]


@dataclass(frozen=True, slots=True)
class Cast:
    """The started providers that items share, and the agent that they serve. `stt` is None when the
    words are the item's own."""

    agent: LoadedAgent
    vad: Vad
    stt: Stt | None
    detector: TurnDetector | None


def rehearsed(agent: LoadedAgent) -> LoadedAgent:
    """The agent as it runs here: its timing of turns and interruptions, no greeting, no tools, and
    nothing said into a silence."""
    config = agent.config
    turn = config.turn
    dead_air = replace(
        turn.dead_air,
        filler_ms=10_000,
        progress_ms=60_000,
        llm_deadline_ms=120_000,
        tts_deadline_ms=30_000,
        playback_deadline_ms=60_000,
    )
    silence = replace(turn.silence, check_in_ms=600_000, max_call_ms=86_400_000)
    policy: TurnPolicy = replace(turn, dead_air=dead_air, silence=silence)
    update = {
        "turn": policy,
        "greeting": "",
        "greeting_protected": False,
        "fallback": Fallback(),
    }
    return replace(agent, config=config.model_copy(update=update), tools=())


async def play(item: Item, cast: Cast, loop: StreamLoop, trace: Path | None = None) -> Outcome:
    """Play an item. `trace` is where the call's record is kept.

    Raises:
        UserFacingError: a recording cannot be read.
        RuntimeError: the session failed.
    """
    user = read_pcm(item.user_file, INPUT_RATE_HZ)
    voice, from_s = _voice(item)
    agent = cast.agent
    if voice:
        agent = replace(agent, config=agent.config.model_copy(update={"greeting": GREETING}))
    if "echo" in item.row.get("category", ""):
        agent = _never_lower(agent)
    stage = Stage(item, LEAD_S)
    ear = Ear(voice, from_s)
    watch = _Watch(trace or Path(os.devnull), agent.setup, stage, ear)
    watch.knows_words = cast.stt is None
    stt: Stt = ScriptStt(stage) if cast.stt is None else WaitedStt(cast.stt, loop.outside)
    providers = Providers(
        vad=WatchedVad(cast.vad, stage),
        stt=stt,
        llms=(SlowLlm(stage),),
        voices=(ItemTts(stage, voice, from_s),),
        detector=cast.detector,
    )
    call = _Call()
    session = Session(item.id, agent, providers, call, RealClock(loop), METRICS, Kept(watch))
    await session.prepare()
    line = _Line(stage, session, ear, watch, user)
    line.begin()
    begun_s = time.process_time()
    loop.set_exception_handler(line.failed)
    await session.run()
    loop.set_exception_handler(None)
    if session.ended_reason != _Line.OVER:
        raise RuntimeError(f"{item.id}: {session.ended_reason}") from line.error
    return Outcome(
        item.id,
        tuple(watch.turns),
        tuple(watch.lowered),
        tuple(ear.silences()),
        tuple(stage.edges),
        time.process_time() - begun_s,
    )


def _never_lower(agent: LoadedAgent) -> LoadedAgent:
    """Lower the voice by nothing: the echo in a recording is that of a voice which was not lowered,
    and stays as loud as it is."""
    turn = agent.config.turn
    turn = replace(turn, interruption=replace(turn.interruption, duck_db=0.0))
    return replace(agent, config=agent.config.model_copy(update={"turn": turn}))


def _voice(item: Item) -> tuple[bytes, float]:
    """What the agent says, and when it begins: silence at its beginning, which a session cuts off,
    is left out, so that everything else lies where it does in the recording."""
    if item.agent_file is None:
        return b"", 0.0
    pcm = read_pcm(item.agent_file, INPUT_RATE_HZ)
    wanted = int(float(item.row["duration"]) * INPUT_RATE_HZ) * 2
    if item.kind == "echo_real":
        pcm = (pcm * (wanted // len(pcm) + 1))[:wanted]
    trimmer = SegmentTrimmer(INPUT_RATE_HZ)
    trimmer.push(pcm)
    # Rather early than late: an echo comes after what it is the echo of.
    return pcm, trimmer.removed_lead_ms // FRAME_MS * _FRAME_S


class _Call:
    """The channel's side. The session's notices are for a screen that is not there."""

    channel = "bench"
    output_rate_hz = INPUT_RATE_HZ
    has_audio = True

    def notify(self, event: dict[str, Any]) -> None:
        """Nobody looks."""

    async def close(self, reason: str) -> None:
        """Nothing to close."""


class _Watch(TraceWriter):
    """The call's record, and what of it counts here."""

    def __init__(self, path: Path, setup: Setup, stage: Stage, ear: Ear) -> None:
        super().__init__(path, setup)
        self.turns: list[Turn] = []
        self.lowered: list[float] = []
        self.knows_words = True
        self._stage, self._ear = stage, ear
        self._words: dict[int, int] = {}  # of each turn that stands

    def step(self, event: e.Event, commands: Sequence[c.Command]) -> None:
        now_s = self._stage.now_s()
        for command in commands:
            if isinstance(command, c.ReportTurn):
                self._turn(now_s, command)
            elif isinstance(command, c.DuckAudio):
                if command.gain_db <= _LOWER_DB:
                    self.lowered.append(now_s)
            elif isinstance(command, c.PauseAudio | c.FlushAudio):
                self.lowered.append(now_s)
                self._ear.told_to_stop(now_s)
        super().step(event, commands)

    def _turn(self, now_s: float, command: c.ReportTurn) -> None:
        item, taken = self._stage.item, command.outcome not in _NOT_TAKEN
        if taken:
            # A turn that was taken back and went on has its words again.
            self._words[command.turn_id] = len(command.text.split())
        counted = taken and self.knows_words and item.words
        said = item.spoken(now_s - TAKEN_IN_S) if counted else 0
        missing = max(0, said - sum(self._words.values()))
        self.turns.append(Turn(now_s, command.outcome, command.text, missing))


class _Line:
    """Hands the caller's frames to the session and takes the agent's, every 20 ms of the stream."""

    OVER = "the item is over"

    def __init__(
        self, stage: Stage, session: Session, ear: Ear, watch: _Watch, user: bytes
    ) -> None:
        self._stage, self._session, self._ear, self._watch = stage, session, ear, watch
        self._user = user
        self._frame = -round(LEAD_S / _FRAME_S)
        self.error: BaseException | None = None

    def begin(self) -> None:
        """Open the line: the first frame of the caller is there 20 ms from now."""
        self._take(self._frame)
        self._stage.call_at(self._frame * _FRAME_S + _FRAME_S, self._tick)

    def failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something went wrong outside a task: the item is of no use."""
        self.error = context.get("exception")
        self._session.hang_up(f"failed: {context.get('message', '')} {self.error!r}")

    def _tick(self) -> None:
        at = self._frame * FRAME_BYTES
        frame = self._user[at : at + FRAME_BYTES] if at >= 0 else _SILENCE
        self._frame += 1
        self._session.on_audio(frame.ljust(FRAME_BYTES, b"\0"))
        if self._over():
            self._session.hang_up(self.OVER)
            return
        self._take(self._frame)
        self._stage.call_at(self._frame * _FRAME_S + _FRAME_S, self._tick)

    def _take(self, number: int) -> None:
        self._ear.hear(number * _FRAME_S, self._session.read_frame())

    def _over(self) -> bool:
        after_s = self._frame * _FRAME_S - len(self._user) / 2 / INPUT_RATE_HZ
        item = self._stage.item
        if after_s < 0 or item.kind != "eot":
            return after_s >= 0
        end_s = float(item.row["events"][-1]["time"])
        decided = any(t.at_s >= end_s and t.outcome not in _NOT_TAKEN for t in self._watch.turns)
        return decided or after_s >= TAIL_S
