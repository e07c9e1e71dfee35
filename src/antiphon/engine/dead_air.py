"""Silences: how long each may last, and what the agent does then.

While a response is under way these are the deadlines of the LLM, the voice, the player and the
tools; when nobody speaks, what is still owed is said, and after a while the agent asks whether the
caller is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from antiphon.engine import events as e
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import CancelGeneration
from antiphon.engine.floor import Floor
from antiphon.engine.overlap import Overlap
from antiphon.engine.response import Response, ResponseState
from antiphon.engine.spoken_text import speakable
from antiphon.engine.user_turn import Phase

TOOL_TIMED_OUT = '{"error": "the tool took too long"}'

_TOO_LONG = "the call was too long"
_FLUSH_DEADLINE_MS = 1000
_GOODBYE_MS = 60_000
"""Past the longest call, time to say goodbye in a pause; then it ends in any case."""

Due = tuple[int, str, Callable[[], None]]
"""When, why, and what happens then."""


class DeadAir:
    """The agent's deadlines. See the module."""

    __slots__ = ("_agent", "_floor", "check_ins")

    def __init__(self, floor: Floor, agent: AgentTurn) -> None:
        self._floor, self._agent = floor, agent
        self.check_ins = 0  # since the caller last did something

    def deadlines(self, due: list[Due]) -> None:
        """Add when the agent's side wants to look again, why, and what happens then."""
        for call_id, at_ms in self._agent.open_tools.items():
            due.append((at_ms, "tool", partial(self._tool_timed_out, call_id)))
        floor, response = self._floor, self._floor.response
        over_ms = floor.started_ms + floor.policy.silence.max_call_ms
        due.append((over_ms + _GOODBYE_MS, "longest call", self._call_too_long))
        if response is None:
            if floor.user.phase is Phase.IDLE:
                self._idle_deadlines(due, over_ms)
        elif response.state is ResponseState.FLUSHING:
            due.append((response.flushed_ms + _FLUSH_DEADLINE_MS, "flush", self._give_up_waiting))
        else:
            self._response_deadlines(response, due)

    def _response_deadlines(self, response: Response, due: list[Due]) -> None:
        policy, overlap = self._floor.policy.dead_air, self._floor.overlap
        if response.generating:
            due.append((response.progress_ms + policy.llm_deadline_ms, "LLM", self._llm_stalled))
        if overlap in (Overlap.HELD, Overlap.PAUSED):
            return
        if response.played_ms < response.audio_ms:
            since_ms = max(response.quiet_from_ms, response.audio_from_ms)
            due.append((since_ms + policy.playback_deadline_ms, "playback", self._line_dead))
        elif response.voice_busy:
            since_ms = max(response.voice_progress_ms, response.quiet_from_ms)
            due.append((since_ms + policy.tts_deadline_ms, "voice", self._agent.voice_failed))
        elif response.synthesis_ended:
            at_ms = response.quiet_from_ms + policy.playback_deadline_ms
            due.append((at_ms, "playback end", self._give_up_waiting))
        else:
            first = response.signs_of_life == 0
            wait_ms = policy.filler_ms if first else policy.progress_ms
            due.append((response.quiet_from_ms + wait_ms, "dead air", self._fill))

    def _idle_deadlines(self, due: list[Due], over_ms: int) -> None:
        floor = self._floor
        due.append((over_ms, "longest call", self._say_too_long))
        if self._agent.rest:
            due.append((floor.now_ms, "rest of an answer", self._say_rest))
        elif self._agent.to_say:
            due.append((floor.now_ms, "own sentence", self._say_own))
        elif self._agent.unreported:
            due.append((floor.now_ms, "late tool", self._tell_late))
        elif not self._agent.open_tools:
            wait_ms = floor.policy.silence.check_in_ms
            due.append((floor.idle_from_ms + wait_ms, "silence", self._check_in))

    def _give_up_waiting(self) -> None:
        response = self._floor.response
        assert response is not None
        self._agent.close(response)

    def _call_too_long(self) -> None:
        self._agent.end_call(_TOO_LONG)

    def _say_too_long(self) -> None:
        self._say_goodbye(_TOO_LONG)

    def _tell_late(self) -> None:
        self._agent.answer(None, self._floor.now_ms)

    def _tool_timed_out(self, call_id: str) -> None:
        self._agent.on_tool_completed(e.ToolCompleted(self._floor.now_ms, call_id, TOOL_TIMED_OUT))

    def _llm_stalled(self) -> None:
        response = self._floor.response
        assert response is not None
        self._floor.out.append(CancelGeneration(response.response_id))
        self._agent.fail(response)

    def _line_dead(self) -> None:
        self._agent.end_call("the line is dead")

    def _fill(self) -> None:
        floor, response = self._floor, self._floor.response
        assert response is not None
        phrases = floor.setup.phrases
        signs = response.signs_of_life
        text = speakable(self._agent.next_phrase(phrases.progress if signs else phrases.filler))
        if text:
            self._agent.speak(response, text)
        else:
            response.quiet_from_ms = floor.now_ms  # an agent that likes to be silent
        response.signs_of_life = signs + 1

    def _say_own(self) -> None:
        text, self._agent.to_say = self._agent.to_say, ""
        self._agent.say(text)

    def _say_rest(self) -> None:
        text, ending = self._agent.rest, self._agent.rest_end
        self._agent.rest = self._agent.rest_end = ""
        self._agent.say(text, end_call=ending)

    def _check_in(self) -> None:
        silence, phrases = self._floor.policy.silence, self._floor.setup.phrases
        if self.check_ins >= silence.check_ins:
            self._say_goodbye("silence")
            return
        self.check_ins += 1
        self._agent.say(self._agent.next_phrase(phrases.check_in))

    def _say_goodbye(self, reason: str) -> None:
        self._agent.say(self._floor.setup.phrases.goodbye, end_call=reason)
