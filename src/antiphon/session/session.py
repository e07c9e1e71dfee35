"""The session: one agent's run on one call. It carries out what the engine decides.

Events are handled on the spot, on the event loop, in the order in which they arrive; one that
arises while another is handled waits for its turn. So there is no inbox that could fill up, and no
hop between an event and its commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from antiphon.agent.load import LoadedAgent
from antiphon.agent.prompt import system_message
from antiphon.audio.canceller import EchoCanceller
from antiphon.channels.base import Call
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.errors import ProviderError
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import SttStream
from antiphon.session import notices
from antiphon.session.clock import Clock
from antiphon.session.health import HealthWatch
from antiphon.session.kept import Kept
from antiphon.session.line import SessionLine
from antiphon.session.listener import Listener
from antiphon.session.predictor import Predictor
from antiphon.session.providers import Providers
from antiphon.session.realtime import seated
from antiphon.session.screen import Screen
from antiphon.session.speaker import FarEnd, Speaker, TextSpeaker, Voice
from antiphon.session.tally import Tally
from antiphon.session.thinker import Thinker

log = logging.getLogger(__name__)

CLOSE_DEADLINE_S = 1.0
_NOTHING = Kept()
MAX_TEXT_CHARS = 4000
"""Longest typed turn; the rest is cut off, as the caller is told."""


class Session:
    """One call. Made by the supervisor; `run` lives as long as the call.

    It is the channel's `CallIO`.
    """

    def __init__(
        self,
        call_id: str,
        agent: LoadedAgent,
        providers: Providers,
        call: Call,
        clock: Clock,
        metrics: Metrics,
        kept: Kept = _NOTHING,
    ) -> None:
        providers = seated(agent, providers, call)
        self.call_id = call_id
        self.output_rate_hz = call.output_rate_hz
        self.ended_reason = ""
        self._agent, self._providers, self._call = agent, providers, call
        self._clock, self._kept = clock, kept
        spending = kept.spending
        self._screen = Screen(call.notify)
        self._conversation = Conversation(agent.setup)
        self._system = system_message(agent.config)
        self._events: deque[e.Event] = deque()
        self._handling = False
        self._introduced = self._open = False
        self._tasks: set[asyncio.Task[None]] = set()
        used = None if spending is None else spending.generated
        self._line = SessionLine(
            agent, call, clock.now_ms, self._post, self._spawn, metrics, kept.recorder
        )
        self._thinker = Thinker(
            providers.llms, agent.tools, clock.now_ms, self._post, self._spawn, used, self._line
        )
        self._tally = Tally(
            call_id, agent.config, call, metrics, self._thinker.usage, spending, self._post
        )
        self._ending = asyncio.Event()
        self._closed = asyncio.Event()
        self._stt: SttStream | None = None
        self._stt_problem = ""
        self._listener: Listener | None = None
        detector = providers.detector if call.has_audio else None
        self._predictor = Predictor(detector, clock.now_ms, self._post, self._spawn)
        self._health = HealthWatch(providers, clock.now_ms, self._post)
        self._voice = self._make_voice()
        self._perform = self._table()

    def _table(self) -> dict[type[c.Command], Callable[[Any], None]]:
        """Who carries out which command."""
        return {
            c.BeginUtterance: self._begin_utterance,
            c.FinalizeUtterance: self._finalize_utterance,
            c.EndUtterance: self._end_utterance,
            c.PredictTurn: self._predictor.predict,
            c.StartGeneration: self._start_generation,
            c.CancelGeneration: lambda k: self._thinker.cancel(),
            c.CallTool: self._thinker.call_tool,
            c.SynthesizeText: self._speak,
            c.EndSynthesis: lambda k: self._voice.end(k.response_id),
            c.PlayAudio: lambda k: self._voice.play(k.response_id),
            c.DuckAudio: lambda k: self._voice.duck(k.gain_db),
            c.PauseAudio: lambda k: self._voice.pause(),
            c.ResumeAudio: lambda k: self._voice.resume(),
            c.FlushAudio: lambda k: self._voice.flush(k.response_id),
            c.EndCall: lambda k: self.hang_up(k.reason),
            **self._line.performs,
        }

    # ---- what the channel asks (CallIO) ----------------------------------------------------

    def on_audio(self, pcm: bytes) -> None:
        """20 ms from the caller."""
        if self._listener is not None and not self._ending.is_set():
            self._begin()
            if self._kept.recorder is not None:
                self._kept.recorder.caller(pcm)
            self._predictor.feed(pcm)
            self._listener.on_audio(pcm)

    def read_frame(self) -> bytes | None:
        """The next 20 ms for the caller. The first read says that the line is open."""
        if self._ending.is_set():
            return None
        self._begin()
        return self._voice.read_frame()

    def on_text(self, text: str) -> None:
        """The caller typed something."""
        text = text.strip()
        if not text or self._ending.is_set():
            return
        if keys := self._line.typed(text):
            for key in keys:
                self.on_key(key)
            return
        if len(text) > MAX_TEXT_CHARS:
            sentence = f"Only the first {MAX_TEXT_CHARS} characters were read."
            self._screen.tell(notices.error("invalid_request_error", sentence))
        self._begin()
        self._post(e.TextReceived(self._clock.now_ms(), text[:MAX_TEXT_CHARS]))

    def on_key(self, key: str) -> None:
        """The caller pressed a key of the telephone."""
        self._tell(e.KeyPressed, self._line.key(key))

    def on_talk_key(self, held: bool) -> None:
        """The caller holds the key to talk, or lets it go."""
        self._tell(e.TalkKeyMoved, held)

    def on_heard(self, frames: int) -> None:
        """So many of the frames that were read have reached the caller."""
        if not self._ending.is_set():
            self._voice.heard(frames)

    def on_hold(self, held: bool) -> None:
        """The line is on hold or lost, or the caller is back."""
        self._voice.away = held
        self._tell(e.LineHeld, held)

    def on_return(self) -> None:
        """The caller is there by another connection."""
        self._screen.again()

    def on_machine(self, message: str) -> None:
        """An answering machine has taken the call, and listens."""
        self._tell(e.MachineAnswered, message)

    def _tell(self, kind: Callable[[int, Any], e.Event], what: Any) -> None:
        if not self._ending.is_set():
            self._begin()
            self._post(kind(self._clock.now_ms(), what))

    def hang_up(self, reason: str) -> None:
        """End the call. Idempotent."""
        if not self._ending.is_set():
            self.ended_reason = reason
            self._ending.set()

    async def wait_closed(self) -> None:
        """Until everything of the call is closed and its trace complete."""
        await self._closed.wait()

    # ---- its life --------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether anything is being computed for this call; used to run faster than real time."""
        listening = self._listener is not None and self._listener.busy
        return listening or self._predictor.busy or self._thinker.busy or self._voice.busy

    @property
    def conversation(self) -> Conversation:
        """The engine, to look at."""
        return self._conversation

    async def prepare(self) -> None:
        """Open what has to be open before the first frame."""
        if not self._call.has_audio:
            return
        try:
            self._stt = await self._providers.stt.open()
        except ProviderError as error:
            # The engine is told once the line is open; the call goes on by text.
            self._stt_problem = str(error)
        if self._kept.spending is not None:
            self._kept.spending.recogniser = self._stt
        vad = self._providers.vad.open()
        cancels = self._agent.config.echo_cancel
        canceller = EchoCanceller(self.output_rate_hz) if cancels else None
        self._listener = Listener(vad, self._stt, self._clock.now_ms, self._hear, canceller)

    async def run(self) -> None:
        """Until the call is over and everything of it is closed."""
        try:
            if self._listener is not None:
                self._spawn(self._listener.run(), "listen")
            self._introduce()
            if not self._call.has_audio:
                self._begin()
            await self._ending.wait()
        finally:
            self.hang_up("server stopped")
            await self._close()

    def _introduce(self) -> None:
        """The first notice, even if the channel's first frame comes before `run` does."""
        if not self._introduced:
            self._introduced = True
            config = self._agent.config
            mode = config.turn.endpointing.mode
            self._screen.tell(notices.created(self.call_id, config.name, self._call.channel, mode))

    def _begin(self) -> None:
        if not self._open:
            self._open = True
            self._introduce()
            self._post(e.CallStarted(self._clock.now_ms()))
            self._health.begin()
            if self._call.has_audio and self._stt is None:
                self._post(e.TranscriptionFailed(self._clock.now_ms(), self._stt_problem))

    async def _close(self) -> None:
        self._clock.wake_at(None, self._on_deadline)
        self._health.close()
        self._line.close()
        self._post(e.CallEnded(self._clock.now_ms(), self.ended_reason))
        for task in self._tasks:
            task.cancel()
        try:
            # Side by side, so that one which hangs does not keep the others from closing.
            closing = [self._leave(), self._kept.aclose(self.ended_reason)]
            if self._stt is not None:
                closing.append(self._stt.aclose())
            for work in closing:
                self._spawn(work, "close")
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_DEADLINE_S)
            for task in late:
                log.warning("closing is slow", extra={"call_id": self.call_id, "task": task})
                task.cancel()
        finally:
            if self._kept.trace is not None:
                self._kept.trace.close()
            self._closed.set()

    async def _leave(self) -> None:
        try:
            self._tally.close(self.ended_reason)
            self._screen.tell(notices.ended(self.ended_reason))
        finally:
            await self._call.close(self.ended_reason)

    # ---- events ----------------------------------------------------------------------------

    def _post(self, event: e.Event) -> None:
        """Handle an event, now or, when one is being handled, right after it."""
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events:
                self._handle(self._events.popleft())
        except Exception:
            # The outermost frame of a call's events, and a bug of ours, an IllegalEvent or worse.
            # This call ends, with its trace; the others go on.
            log.exception("an event failed", extra={"call_id": self.call_id})
            self._events.clear()
            self.hang_up("internal error")
        finally:
            self._handling = False
        if not self._ending.is_set():
            deadline = self._conversation.deadline
            self._clock.wake_at(None if deadline is None else deadline.at_ms, self._on_deadline)

    def _handle(self, event: e.Event) -> None:
        commands: list[c.Command] = []
        try:
            commands = self._conversation.handle(event)
        finally:
            # Also when it raised: a replay of the trace then raises at the same place.
            self._kept.step(event, commands)
        self._tally.event(event)
        if (notice := notices.of_event(event, self._conversation.turn_id)) is not None:
            self._screen.tell(notice)
        for command in commands:
            if (perform := self._perform.get(type(command))) is not None:
                perform(command)
            for notice in notices.of_command(command):
                self._screen.tell(notice)
            self._tally.command(command)
            self._kept.done(command)

    def _on_deadline(self) -> None:
        self._post(e.DeadlineReached(self._clock.now_ms()))

    # ---- listen ----------------------------------------------------------------------------

    def _begin_utterance(self, command: c.BeginUtterance) -> None:
        if self._listener is not None:
            self._listener.begin(command.utterance_id, command.speech_at_ms)

    def _finalize_utterance(self, command: c.FinalizeUtterance) -> None:
        if self._listener is not None:
            self._listener.finalize(command.utterance_id, command.revision)

    def _end_utterance(self, command: c.EndUtterance) -> None:
        if self._listener is not None:
            self._listener.end(command.utterance_id)

    def _hear(self, event: e.Event) -> None:
        """What the listener tells. Where the recogniser does not know how complete a phrase is, the
        agent's own flow does."""
        endings = self._agent.endings
        if (
            endings is not None
            and isinstance(event, e.TranscriptUpdated | e.TranscriptCompleted)
            and event.complete is None
        ):
            event = replace(event, complete=endings.complete(event.text))
        self._post(event)

    # ---- think and speak -------------------------------------------------------------------

    def _start_generation(self, command: c.StartGeneration) -> None:
        self._thinker.start(command, (self._system, *self._conversation.messages()))

    def _make_voice(self) -> Voice:
        if not self._call.has_audio:
            return TextSpeaker(self._clock.now_ms, self._post)
        return Speaker(
            self._providers.voices,
            self._call.output_rate_hz,
            self._clock.now_ms,
            self._post,
            self._spawn,
            language=self._agent.config.language,
            speech=self._agent.config.speech,
            far_end=FarEnd(self._on_played, self._line.tells_heard, self._line.clear),
        )

    def _on_played(self, frame: bytes | None) -> None:
        if self._kept.recorder is not None:
            self._kept.recorder.agent(frame, self.output_rate_hz)
        if self._listener is not None:
            self._listener.on_played(frame)

    def _speak(self, command: c.SynthesizeText) -> None:
        response_id, segment_id = command.response_id, command.segment_id
        given = self._voice.speak(response_id, segment_id, command.text, command.voice)
        self._tally.voiced(command, given)

    # ---- tasks -----------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.call_id}-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        """The outermost frame of the call's tasks: an error that nobody expected ends the call."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call's task failed", exc_info=error, extra={"call_id": self.call_id})
            self.hang_up("internal error")
            self._screen.tell(notices.error("server_error", "Something went wrong on the server."))
