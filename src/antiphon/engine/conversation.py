"""The conversation: every decision whether and when to listen, think, speak, wait, stop, resume.

    commands = conversation.handle(event)
    conversation.deadline       # when it wants a DeadlineReached, and why

No await, no clock, no I/O, no randomness, no logging: the same events give the same commands.

What the caller does is decided in `caller_side`, what the agent says in `agent_turn` and
`voice_turn`, how long a silence may last in `dead_air`, how a call opens in `consent`, and what a
telephone does besides in `line`; they share one `Floor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.engine import events as e
from antiphon.engine import notice
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.budget import Budget
from antiphon.engine.caller_side import CallerSide
from antiphon.engine.commands import AgentState, Command, ReportState, UserState
from antiphon.engine.consent import Opening
from antiphon.engine.dead_air import DeadAir, Due
from antiphon.engine.floor import Deadline, Floor, check_legal
from antiphon.engine.line import Line
from antiphon.engine.overlap import Overlap
from antiphon.engine.policy import Setup
from antiphon.engine.response import ResponseState
from antiphon.engine.restore import restore
from antiphon.engine.user_turn import Phase
from antiphon.engine.voice_turn import VoiceTurn
from antiphon.errors import IllegalEvent
from antiphon.types import Message

_SETTLE_LIMIT = 50
"""Deadlines that may fall due within one event; more means that one does not move on."""


class Conversation:
    """One call's conversation. See the module."""

    __slots__ = (
        "_agent",
        "_asked",
        "_caller",
        "_due",
        "_floor",
        "_handlers",
        "_last_state",
        "_line",
        "_opening",
        "_silence",
        "_voice",
    )

    def __init__(self, setup: Setup) -> None:
        self._floor = floor = Floor(setup)
        self._voice = voice = VoiceTurn(floor)
        self._agent = agent = AgentTurn(floor, voice)
        self._silence = DeadAir(floor, agent, voice)
        self._line = line = Line(floor, agent, voice)
        self._opening = opening = Opening(floor, agent)
        agent.line = line
        self._caller = caller = CallerSide(floor, agent, voice, self._silence, line, opening)
        self._due: Due | None = None
        self._asked = False  # whether the caller is there, at the last event
        self._last_state: tuple[UserState, AgentState] | None = None
        self._handlers: dict[type[e.Event], Callable[[Any], None]] = {
            e.CallStarted: self._on_call_started,
            e.CallRestored: lambda event: restore(floor, agent, voice, caller, line),
            e.CallEnded: self._on_call_ended,
            e.DeadlineReached: lambda event: None,
            e.BudgetReached: Budget(floor, agent).on_reached,
            e.ProviderChanged: floor.health.on_changed,
            e.UserSpeechStarted: caller.on_speech_started,
            e.UserSpeechStopped: caller.on_speech_stopped,
            e.SpeechMeasured: caller.on_measured,
            e.TalkKeyMoved: caller.on_talk_key,
            e.KeyPressed: caller.on_key,
            e.LineHeld: line.on_held,
            e.MachineAnswered: line.on_machine,
            e.TransferEnded: line.on_transfer_ended,
            e.TranscriptUpdated: caller.on_partial,
            e.TranscriptCompleted: caller.on_final,
            e.TurnPredicted: caller.on_predicted,
            e.TurnSignalled: caller.on_signalled,
            e.TranscriptionFailed: caller.on_transcription_failed,
            e.TextReceived: caller.on_typed,
            e.TextGenerated: agent.on_text,
            e.ToolRequested: agent.on_tool_requested,
            e.GenerationEnded: agent.on_generation_ended,
            e.GenerationFailed: agent.on_generation_failed,
            e.ToolCompleted: agent.on_tool_completed,
            e.AudioSynthesized: voice.on_audio,
            e.SegmentSynthesized: voice.on_segment,
            e.SynthesisFailed: self._on_synthesis_failed,
            e.PlaybackStarted: voice.on_playback_started,
            e.PlaybackProgressed: voice.on_playback_progressed,
            e.PlaybackEnded: voice.on_playback_ended,
            e.PlaybackFlushed: voice.on_playback_flushed,
        }

    # ---- the interface ---------------------------------------------------------------------

    def handle(self, event: e.Event) -> list[Command]:
        """Take an event, return what to do, in order.

        Raises:
            IllegalEvent: the event cannot happen now, a bug of whoever sent it.
        """
        floor = self._floor
        if floor.ended or (floor.ending and not isinstance(event, e.CallEnded | e.CallRestored)):
            return []
        if not floor.started and not isinstance(event, e.CallStarted | e.CallEnded):
            raise IllegalEvent(f"{type(event).__name__} before CallStarted")
        if event.at_ms > floor.now_ms:
            floor.now_ms = event.at_ms
        self._handlers[type(event)](event)
        self._settle()
        out = floor.out[:]
        floor.out.clear()
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
        """The conversation for the LLM; see History. While an answer is being prepared it ends with
        the words that it is prepared for."""
        prepared = self._floor.prepared
        pending = prepared.draft.text if prepared is not None and prepared.draft else ""
        return self._floor.history.messages(pending)

    # ---- the call --------------------------------------------------------------------------

    def _on_call_started(self, event: e.CallStarted) -> None:
        floor = self._floor
        if floor.started:
            raise IllegalEvent("CallStarted twice")
        floor.started = True
        floor.started_ms = floor.idle_from_ms = event.at_ms
        self._opening.begin()

    def _on_synthesis_failed(self, event: e.SynthesisFailed) -> None:
        response = self._voice.live(event.response_id)
        if response is not None and response.draft is not None:
            self._agent.generation_failed(response)
        elif response is not None:
            self._agent.voice_failed()

    def _on_call_ended(self, event: e.CallEnded) -> None:
        self._agent.drop_prepared()
        self._voice.abandon(event.reason)
        self._floor.user.close()
        notice.missed(self._floor)
        self._floor.ended = True

    # ---- deadlines -------------------------------------------------------------------------

    def _next_due(self) -> Due | None:
        """The earliest deadline."""
        floor = self._floor
        if floor.ended or floor.ending or not floor.started:
            return None
        return self._silence.next_due(self._line.next_due(self._caller.next_due()))

    def _settle(self) -> None:
        """Do what is due by now, and tell when somebody's state changed."""
        floor = self._floor
        for _ in range(_SETTLE_LIMIT):
            if floor.overlap is not Overlap.NONE:
                self._caller.decide_overlap()
            if floor.prepared is not None:
                self._caller.preparation.check()
            self._due = due = self._next_due()
            if due is None or due[0] > floor.now_ms:
                break
            due[2]()
        else:
            raise IllegalEvent(f"no way forward from {self.deadline}")
        asked = self._silence.check_ins > 0
        if not check_legal(floor) and asked is self._asked:
            return  # as after the event before
        self._asked = asked
        state = (self.user_state, self.agent_state)
        if state != self._last_state and not floor.ended:
            self._last_state = state
            floor.out.append(ReportState(*state))
