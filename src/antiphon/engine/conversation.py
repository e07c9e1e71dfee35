"""The conversation: every decision whether and when to listen, think, speak, wait, stop, resume.

    commands = conversation.handle(event)
    conversation.deadline       # when it wants a DeadlineReached, and why

No await, no clock, no I/O, no randomness, no logging: the same events give the same commands.

The caller's side is here, the agent's side in `agent_turn`; they share one `Floor`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from antiphon.engine import events as e
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import (
    AgentState,
    Command,
    DuckAudio,
    PauseAudio,
    ReportOverlap,
    ReportState,
    ReportTranscript,
    ReportTurn,
    ResumeAudio,
    UserState,
)
from antiphon.engine.dead_air import DeadAir, Due
from antiphon.engine.floor import Deadline, Floor, check_legal
from antiphon.engine.language import language_of
from antiphon.engine.overlap import Decision, Evidence, Judgement, Overlap, judge
from antiphon.engine.policy import Setup
from antiphon.engine.response import ResponseState
from antiphon.engine.user_turn import Phase
from antiphon.errors import IllegalEvent
from antiphon.types import Message

_MISHEARD_LIMIT = 3
_AT = itemgetter(0)
_SETTLE_LIMIT = 50
"""Deadlines that may fall due within one event; more means that one does not move on."""


class Conversation:
    """One call's conversation. See the module."""

    __slots__ = (
        "_agent",
        "_deaf",
        "_due",
        "_floor",
        "_handlers",
        "_language",
        "_last_state",
        "_misheard",
        "_silence",
    )

    def __init__(self, setup: Setup) -> None:
        self._floor = Floor(setup)
        self._agent = AgentTurn(self._floor)
        self._silence = DeadAir(self._floor, self._agent)
        self._language = language_of(setup.language)
        self._misheard = 0
        self._due: Due | None = None
        self._deaf = False  # speech recognition is gone
        self._last_state: tuple[UserState, AgentState] | None = None
        agent = self._agent
        self._handlers: dict[type[e.Event], Callable[[Any], None]] = {
            e.CallStarted: self._on_call_started,
            e.CallEnded: self._on_call_ended,
            e.DeadlineReached: lambda event: None,
            e.UserSpeechStarted: self._on_speech_started,
            e.UserSpeechStopped: self._on_speech_stopped,
            e.TranscriptUpdated: self._on_partial,
            e.TranscriptCompleted: self._on_final,
            e.TranscriptionFailed: self._on_transcription_failed,
            e.TextReceived: self._on_text,
            e.TextGenerated: agent.on_text,
            e.ToolRequested: agent.on_tool_requested,
            e.GenerationEnded: agent.on_generation_ended,
            e.GenerationFailed: agent.on_generation_failed,
            e.ToolCompleted: agent.on_tool_completed,
            e.AudioSynthesized: agent.on_audio,
            e.SegmentSynthesized: agent.on_segment,
            e.SynthesisFailed: agent.on_synthesis_failed,
            e.PlaybackStarted: agent.on_playback_started,
            e.PlaybackProgressed: agent.on_playback_progressed,
            e.PlaybackEnded: agent.on_playback_ended,
            e.PlaybackFlushed: agent.on_playback_flushed,
        }

    # ---- the interface ---------------------------------------------------------------------

    def handle(self, event: e.Event) -> list[Command]:
        """Take an event, return what to do, in order.

        Raises:
            IllegalEvent: the event cannot happen now, a bug of whoever sent it.
        """
        floor = self._floor
        if floor.ended or (floor.ending and not isinstance(event, e.CallEnded)):
            return []
        if not floor.started and not isinstance(event, e.CallStarted | e.CallEnded):
            raise IllegalEvent(f"{type(event).__name__} before CallStarted")
        floor.now_ms = max(floor.now_ms, event.at_ms)
        self._handlers[type(event)](event)
        self._settle()
        out, floor.out[:] = floor.out[:], []
        return out

    @property
    def deadline(self) -> Deadline | None:
        """The next moment at which a DeadlineReached is wanted, and why; None: never."""
        return None if self._due is None else Deadline(self._due[0], self._due[1])

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._floor.ended

    @property
    def user_state(self) -> UserState:
        """What the caller is doing."""
        if self._floor.user.phase is Phase.SPEAKING:
            return UserState.SPEAKING
        return UserState.AWAY if self._silence.check_ins else UserState.LISTENING

    @property
    def agent_state(self) -> AgentState:
        """What the agent is doing."""
        response = self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return AgentState.LISTENING
        if self._floor.overlap is Overlap.PAUSED:
            return AgentState.PAUSED
        if response.state is ResponseState.SPEAKING:
            return AgentState.SPEAKING
        return AgentState.THINKING

    @property
    def turn_id(self) -> int:
        """The caller's turn under way, or the last one."""
        return self._floor.user.turn_id

    def messages(self) -> tuple[Message, ...]:
        """The conversation for the LLM; see History."""
        return self._floor.history.messages()

    # ---- the call --------------------------------------------------------------------------

    def _on_call_started(self, event: e.CallStarted) -> None:
        if self._floor.started:
            raise IllegalEvent("CallStarted twice")
        self._floor.started = True
        self._floor.started_ms = self._floor.idle_from_ms = event.at_ms
        if self._floor.setup.greeting:
            self._agent.say(
                self._floor.setup.greeting,
                interruptible=not self._floor.setup.greeting_protected,
            )

    def _on_call_ended(self, event: e.CallEnded) -> None:
        self._agent.abandon(event.reason)
        self._floor.user.close()
        self._floor.ended = True

    # ---- the caller ------------------------------------------------------------------------

    def _on_speech_started(self, event: e.UserSpeechStarted) -> None:
        floor = self._floor
        if floor.user.phase is Phase.SPEAKING:
            raise IllegalEvent("UserSpeechStarted while the caller speaks")
        floor.user.speech_started(min(event.speech_at_ms, floor.now_ms))
        floor.idle_from_ms = floor.now_ms
        self._silence.check_ins = 0
        if floor.overlap is Overlap.NONE:
            self._begin_overlap()

    def _begin_overlap(self) -> None:
        floor, response = self._floor, self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if not response.interruptible:
            floor.overlap = Overlap.PATIENT
        elif response.play_requested:
            floor.overlap = Overlap.DUCKED
            floor.out.append(DuckAudio(floor.policy.interruption.duck_db))
            floor.out.append(ReportOverlap("duck", "onset"))
        else:
            floor.overlap = Overlap.HELD

    def _on_speech_stopped(self, event: e.UserSpeechStopped) -> None:
        user = self._floor.user
        if user.phase is not Phase.SPEAKING:
            raise IllegalEvent("UserSpeechStopped while the caller is silent")
        user.speech_stopped(min(event.speech_at_ms, self._floor.now_ms))
        self._floor.idle_from_ms = self._floor.now_ms

    def _on_partial(self, event: e.TranscriptUpdated) -> None:
        if self._floor.user.partial(event.utterance_id, event.text, event.complete):
            self._report_transcript()

    def _on_final(self, event: e.TranscriptCompleted) -> None:
        if self._floor.user.completed(
            event.utterance_id, event.revision, event.text, event.confidence, event.complete
        ):
            self._report_transcript()

    def _report_transcript(self) -> None:
        user = self._floor.user
        self._floor.out.append(ReportTranscript(user.turn_id, user.text))

    def _on_transcription_failed(self, event: e.TranscriptionFailed) -> None:
        self._deaf = True
        self._agent.own_sentence(self._floor.setup.phrases.stt_failed)

    def _on_text(self, event: e.TextReceived) -> None:
        floor = self._floor
        floor.user.typed(event.text, floor.now_ms)
        floor.idle_from_ms = floor.now_ms
        self._silence.check_ins = 0
        response = floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if response.interruptible:
            self._stop("typed")
        else:
            floor.overlap = Overlap.PATIENT

    # ---- both ------------------------------------------------------------------------------

    def _judge(self) -> Judgement | None:
        """What the evidence says about an overlap, when there is one to decide."""
        floor, response = self._floor, self._floor.response
        if floor.overlap is Overlap.NONE or response is None or not response.interruptible:
            return None
        user = floor.user
        speaking = user.phase is Phase.SPEAKING
        return judge(
            Evidence(
                overlap=floor.overlap,
                now_ms=floor.now_ms,
                started_ms=user.speech_start_ms,
                ended_ms=None if speaking else user.speech_end_ms,
                text=user.text,
                final=user.final,
                asked=response.asked(),
                language=self._language,
            ),
            floor.policy.interruption,
        )

    def _decide_overlap(self) -> None:
        judgement = self._judge()
        if judgement is None or judgement.decision is Decision.WAIT:
            return
        floor = self._floor
        if judgement.decision is Decision.PAUSE:
            floor.overlap = Overlap.PAUSED
            floor.out.append(PauseAudio())
            floor.out.append(ReportOverlap("pause", judgement.why))
        elif judgement.decision is Decision.RESUME:
            self._resume(judgement.why)
        else:
            self._stop(judgement.why)

    def _stop(self, why: str) -> None:
        """The caller has the floor. An answer that was not heard is taken back, and the turn it
        answered goes on with what the caller says now."""
        floor, response = self._floor, self._floor.response
        assert response is not None
        floor.out.append(ReportOverlap("stop", why))
        floor.overlap = Overlap.NONE
        turn_id = response.turn_id
        if turn_id is None or response.play_requested or response.tools_called:
            self._agent.stop("turn_detected")
            return
        own_id, text = floor.user.turn_id, floor.answered_text
        self._agent.stop("reopened")
        floor.history.reopen(turn_id, response.response_id)
        floor.user.reopen(turn_id, text)
        floor.out.append(ReportTurn(own_id, "", "merged"))
        self._report_transcript()

    def _resume(self, why: str) -> None:
        """It was nothing: the agent goes on."""
        floor, response = self._floor, self._floor.response
        assert response is not None
        user = floor.user
        floor.out.append(ReportOverlap("resume", why))
        floor.out.append(
            ReportTurn(user.turn_id, user.text, "backchannel" if user.text else "noise")
        )
        user.close()
        if floor.overlap in (Overlap.DUCKED, Overlap.PAUSED):
            floor.out.append(ResumeAudio())
        floor.overlap = Overlap.NONE
        response.voice_progress_ms = response.quiet_from_ms = floor.now_ms
        self._agent.play_if_ready()

    # ---- the end of a turn -----------------------------------------------------------------

    def _turn_due_ms(self) -> int | None:
        """When the turn ends; None while it cannot: the caller or the agent speaks."""
        floor = self._floor
        if floor.response is not None:
            return None
        if floor.user.source == "text" and floor.user.phase is Phase.SPEAKING:
            return floor.now_ms
        return floor.user.due_ms()

    def _commit(self) -> None:
        floor, user = self._floor, self._floor.user
        ends = floor.policy.endpointing
        # What was understood before stays, when what came after it was not.
        heard, text, source = user.text, user.believed(ends.min_confidence), user.source
        turn_id, end_ms = user.turn_id, user.speech_end_ms
        if source == "text":
            end_ms = floor.now_ms
        voiced_ms, final = user.voiced_ms(floor.now_ms), user.final
        user.restart(floor.now_ms)
        floor.idle_from_ms = floor.now_ms
        if not heard and voiced_ms < ends.min_speech_ms and final:
            floor.out.append(ReportTurn(turn_id, "", "noise"))
        elif not text:
            floor.out.append(ReportTurn(turn_id, heard, "unclear"))
            self._ask_again(end_ms)
        else:
            self._misheard = 0
            floor.answered_text = text
            floor.history.add_user(turn_id, text)
            floor.out.append(ReportTurn(turn_id, text, "answered", source))
            self._agent.answer(turn_id, end_ms)

    def _ask_again(self, end_ms: int) -> None:
        phrases = self._floor.setup.phrases
        self._misheard += 1
        if self._deaf:
            self._agent.say(phrases.stt_failed, speech_end_ms=end_ms)
        elif self._misheard >= _MISHEARD_LIMIT:
            self._misheard = 0
            self._agent.say(phrases.offer_text, speech_end_ms=end_ms)
        else:
            self._agent.say(self._agent.next_phrase(phrases.repeat), speech_end_ms=end_ms)

    def _roll(self) -> None:
        """A long utterance. Half a minute of sound without a word is not speech that we
        understand: say so, rather than listen for ever to a noise."""
        floor, user = self._floor, self._floor.user
        if user.text or floor.response is not None:
            user.roll(floor.now_ms)
            return
        floor.out.append(ReportTurn(user.turn_id, "", "unclear"))
        user.restart(floor.now_ms)
        self._ask_again(floor.now_ms)

    # ---- deadlines -------------------------------------------------------------------------

    def _next_due(self) -> Due | None:
        """The earliest deadline."""
        floor = self._floor
        if floor.ended or floor.ending or not floor.started:
            return None
        due: list[Due] = []
        if (at_ms := self._turn_due_ms()) is not None:
            due.append((at_ms, "end of turn", self._commit))
        if (at_ms := floor.user.roll_ms()) is not None:
            due.append((at_ms, "long utterance", self._roll))
        judgement = self._judge()
        if judgement is not None and judgement.again_ms is not None:
            due.append((judgement.again_ms, "overlap", self._decide_overlap))
        self._silence.deadlines(due)
        return min(due, key=_AT)

    def _settle(self) -> None:
        """Do what is due by now, and tell when somebody's state changed."""
        for _ in range(_SETTLE_LIMIT):
            if self._floor.overlap is not Overlap.NONE:
                self._decide_overlap()
            self._due = self._next_due()
            if self._due is None or self._due[0] > self._floor.now_ms:
                break
            self._due[2]()
        else:
            raise IllegalEvent(f"no way forward from {self.deadline}")
        check_legal(self._floor)
        state = (self.user_state, self.agent_state)
        if state != self._last_state and not self._floor.ended:
            self._last_state = state
            self._floor.out.append(ReportState(*state))
