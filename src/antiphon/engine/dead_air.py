"""Silences: how long each may last, and what the agent does then.

While a response is under way these are the deadlines of the LLM, the voice, the player and the
tools; when nobody speaks, what is still owed is said, and after a while the agent asks whether the
caller is there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from antiphon.engine import events as e
from antiphon.engine.agent_turn import SPENT, AgentTurn
from antiphon.engine.floor import Floor
from antiphon.engine.overlap import Overlap
from antiphon.engine.phrase import Expected, expected_after
from antiphon.engine.response import Response, ResponseState
from antiphon.engine.spoken_text import speakable
from antiphon.engine.user_turn import Phase
from antiphon.engine.voice_turn import VoiceTurn

TOOL_TIMED_OUT = '{"error": "the tool took too long"}'

_TOO_LONG = "the call was too long"
_FLUSH_DEADLINE_MS = 1000
_GRACE_MS, _LEAST_GRACE_MS = 300, 150
"""An answer has so long before the agent says that it works, although the end of the turn took most
of the time; and at least so long although the caller has been waiting for too long already."""
_STUCK_MS = 1000
"""Before its deadline, audio is looked at once more."""
_GOODBYE_MS = 60_000
"""Past the longest call, time to say goodbye in a pause; then it ends in any case."""
SPENT_GOODBYE_MS = 30_000
"""The same, once the budget is spent."""

Due = tuple[int, str, Callable[[], None]]
"""When, why, and what happens then."""


class DeadAir:
    """The agent's deadlines. See the module."""

    __slots__ = ("_agent", "_before", "_floor", "_voice", "check_ins", "granted")

    def __init__(self, floor: Floor, agent: AgentTurn, voice: VoiceTurn) -> None:
        self._floor, self._agent, self._voice = floor, agent, voice
        self.check_ins = 0  # since the caller last did something
        self._before = 0  # and before what may have been the caller
        self.granted = False  # the caller asked for a moment

    def caller_acted(self) -> None:
        """The caller is there."""
        self._floor.idle_from_ms = self._floor.now_ms
        self._before = self.check_ins or self._before
        self.check_ins = 0
        self.granted = False

    def caller_answered(self) -> None:
        """The caller is there, beyond doubt."""
        self._before = 0

    def was_not_caller(self) -> None:
        """What was taken for the caller was the agent's own voice, or somebody far away."""
        self.check_ins, self._before = max(self.check_ins, self._before), 0

    def next_due(self, due: Due | None) -> Due:
        """The earliest of what is `due` on the caller's side and what the agent's side wants to
        look at again: when, why, and what happens then."""
        for call_id, at_ms in self._agent.open_tools.items():
            if due is None or at_ms < due[0]:
                due = (at_ms, "tool", partial(self._tool_timed_out, call_id))
        floor, response = self._floor, self._floor.response
        over_ms, last_ms = self._over_ms()
        if response is None:
            if floor.user.phase is Phase.IDLE and not floor.away:
                due = earlier(due, self._idle_due(over_ms))
        elif response.state is ResponseState.FLUSHING:
            at_ms = response.flushed_ms + _FLUSH_DEADLINE_MS
            due = earlier(due, (at_ms, "flush", self._give_up_waiting))
        else:
            due = self._response_due(response, due)
        if due is None or last_ms < due[0]:
            return (last_ms, "longest call", self._call_too_long)
        return due

    def _over_ms(self) -> tuple[int, int]:
        """When the agent says goodbye of its own accord, and when the call ends in any case."""
        floor = self._floor
        over_ms = floor.started_ms + floor.policy.silence.max_call_ms
        last_ms, spent_ms = over_ms + _GOODBYE_MS, floor.spent_ms
        if spent_ms is None:
            return over_ms, last_ms
        return min(over_ms, spent_ms), min(last_ms, spent_ms + SPENT_GOODBYE_MS)

    def _response_due(self, response: Response, due: Due | None) -> Due | None:
        policy, overlap = self._floor.policy.dead_air, self._floor.overlap
        if response.generating:
            due = earlier(due, (self._llm_due_ms(response), "LLM", self._agent.stalled))
        if overlap is Overlap.HELD or overlap is Overlap.PAUSED:
            return due
        quiet_ms = response.quiet_from_ms
        if response.played_ms < response.audio_ms:
            at_ms = max(quiet_ms, response.audio_from_ms) + policy.playback_deadline_ms
            if response.stuck_at_ms != response.played_ms:
                at_ms -= _STUCK_MS
            return earlier(due, (at_ms, "playback", self._line_stuck))
        if response.voice_busy:
            wait_ms = policy.tts_deadline_ms
            if response.first_audio_ms is None and self._voice.has_another:
                wait_ms = min(wait_ms, policy.tts_first_ms)
            at_ms = max(response.voice_progress_ms, quiet_ms) + wait_ms
            return earlier(due, (at_ms, "voice", self._agent.voice_failed))
        if response.synthesis_ended:
            at_ms = quiet_ms + policy.playback_deadline_ms
            return earlier(due, (at_ms, "playback end", self._give_up_waiting))
        return earlier(due, (self._filler_ms(response), "dead air", self._fill))

    def _filler_ms(self, response: Response) -> int:
        """When the agent says that it is working."""
        policy = self._floor.policy.dead_air
        wait_ms = policy.progress_ms if response.signs_of_life else policy.filler_ms
        at_ms, committed_ms = response.quiet_from_ms + wait_ms, response.committed_ms
        grace_ms = max(min(committed_ms, at_ms) + _GRACE_MS, committed_ms + _LEAST_GRACE_MS)
        return max(at_ms, grace_ms)

    def _idle_due(self, over_ms: int) -> Due:
        floor, agent = self._floor, self._agent
        if self._voice.rest_end and not self._voice.rest:
            return (floor.now_ms, "goodbye", self._hang_up)
        due: Due = (over_ms, "longest call", self._say_too_long)
        if self._voice.rest:
            return earlier(due, (floor.now_ms, "rest of an answer", self._agent.say_rest))
        if agent.to_say:
            return earlier(due, (floor.now_ms, "own sentence", self._say_own))
        if agent.unreported and floor.digits is None:
            return earlier(due, (floor.now_ms, "late tool", self._tell_late))
        if not agent.open_tools and floor.then is None:
            at_ms = floor.idle_from_ms + self._patience_ms()
            return earlier(due, (at_ms, "silence", self._check_in))
        return due

    def _llm_due_ms(self, response: Response) -> int:
        """When the LLM is given up: sooner for its first piece, where there is another one."""
        policy, floor = self._floor.policy.dead_air, self._floor
        first = not response.step_has_text and response.tries + 1 < floor.setup.llms
        wait_ms = policy.llm_deadline_ms
        return response.progress_ms + (min(policy.llm_first_ms, wait_ms) if first else wait_ms)

    def _patience_ms(self) -> int:
        """How long the caller may be silent: longer when they asked for it, or have to look
        something up."""
        silence, floor = self._floor.policy.silence, self._floor
        if self.granted:
            return max(silence.hold_ms, silence.check_in_ms)
        expected = expected_after(floor.last_words, floor.language)
        if expected in (Expected.DIGITS, Expected.CODE, Expected.SPELLING):
            return silence.check_in_ms * 3 // 2
        return silence.check_in_ms

    def _give_up_waiting(self) -> None:
        response = self._floor.response
        assert response is not None
        self._voice.close(response)

    def _call_too_long(self) -> None:
        self._voice.end_call(_TOO_LONG if self._floor.spent_ms is None else SPENT)

    def _say_too_long(self) -> None:
        self._voice.rest = ""  # there is no time for it
        if self._floor.spent_ms is None:
            self._say_goodbye(_TOO_LONG)
        else:
            self._agent.say(self._floor.setup.phrases.budget_end, end_call=SPENT)

    def _tell_late(self) -> None:
        self._agent.go_on()

    def _tool_timed_out(self, call_id: str) -> None:
        self._agent.on_tool_completed(e.ToolCompleted(self._floor.now_ms, call_id, TOOL_TIMED_OUT))

    def _line_stuck(self) -> None:
        """Audio does not move. That our own clock has gone ahead (a suspended machine) shows within
        a moment; a line is given up only after that."""
        response = self._floor.response
        assert response is not None
        if response.stuck_at_ms == response.played_ms:
            self._voice.end_call("the line is dead")
            return
        response.stuck_at_ms = response.played_ms
        waited_ms = self._floor.policy.dead_air.playback_deadline_ms - _STUCK_MS
        response.quiet_from_ms = max(response.quiet_from_ms, self._floor.now_ms - waited_ms)

    def _fill(self) -> None:
        floor, response = self._floor, self._floor.response
        assert response is not None
        phrases = floor.setup.phrases
        signs = response.signs_of_life
        text = speakable(self._agent.next_phrase(phrases.progress if signs else phrases.filler))
        if text:
            self._voice.speak(response, text)
        else:
            response.quiet_from_ms = floor.now_ms  # an agent that likes to be silent
        response.signs_of_life = signs + 1

    def _say_own(self) -> None:
        text, self._agent.to_say = self._agent.to_say, ""
        self._agent.say(text)

    def _hang_up(self) -> None:
        self._voice.end_call(self._voice.rest_end)

    def _check_in(self) -> None:
        silence, phrases = self._floor.policy.silence, self._floor.setup.phrases
        if self.check_ins >= silence.check_ins:
            self._say_goodbye("silence")
            return
        self.check_ins += 1
        self.granted = False
        question = self._floor.setup.consent_question if self._floor.consent else ""
        self._agent.say(question or self._agent.next_phrase(phrases.check_in))

    def _say_goodbye(self, reason: str) -> None:
        self._agent.say(self._floor.setup.phrases.goodbye, end_call=reason)


def earlier(due: Due | None, other: Due) -> Due:
    """The one that comes first."""
    return other if due is None or other[0] < due[0] else due
