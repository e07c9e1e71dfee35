"""The agent's side of the conversation: one response at a time, from its text to its last word.

A response is generated in steps (tools in between), spoken in segments, played, and closed in one
place. Events that belong to a response which is over are dropped in one place, `_live`.
"""

from __future__ import annotations

from antiphon.engine import events as e
from antiphon.engine.commands import (
    CallTool,
    CancelGeneration,
    EndCall,
    EndSynthesis,
    FlushAudio,
    PlayAudio,
    ReportHeard,
    ReportLatency,
    ReportResponse,
    ResumeAudio,
    StartGeneration,
    SynthesizeText,
)
from antiphon.engine.floor import Floor
from antiphon.engine.overlap import Overlap
from antiphon.engine.response import Pace, Response, ResponseState
from antiphon.engine.user_turn import Phase
from antiphon.errors import IllegalEvent
from antiphon.types import END_CALL_TOOL, ToolCall

_VOICE_FAILURES = 2


class AgentTurn:
    """Responses and tools. See the module."""

    __slots__ = (
        "_floor",
        "_next_response",
        "_pace",
        "_phrase_uses",
        "_voice_failures",
        "open_tools",
        "rest",
        "rest_end",
        "to_say",
        "unreported",
    )

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._next_response = 1
        self._phrase_uses: dict[tuple[str, ...], int] = {}
        self.open_tools: dict[str, int] = {}  # of all responses: when each is given up
        self.unreported = False  # a tool came back that no generation has seen
        self.to_say = ""  # as soon as nobody speaks
        # What is left of an answer whose voice failed, and why to hang up after it.
        self.rest = self.rest_end = ""
        self._voice_failures = 0
        self._pace = Pace()

    # ---- what the conversation asks for ----------------------------------------------------

    def answer(self, turn_id: int | None, speech_end_ms: int) -> None:
        """Answer a turn, or (None) go on after a tool came back late."""
        if turn_id is None:
            self._floor.history.add_late_note()
        # What a failing voice still owed belongs to a turn that is over.
        self.rest = self.rest_end = ""
        self._generate(self._open(turn_id, speech_end_ms))

    def say(
        self,
        text: str,
        *,
        interruptible: bool = True,
        speech_end_ms: int | None = None,
        end_call: str = "",
    ) -> None:
        """Say a sentence of the agent's own."""
        floor = self._floor
        response = self._open(None, floor.now_ms if speech_end_ms is None else speech_end_ms)
        response.interruptible = interruptible
        response.end_call_reason = end_call
        response.step = 0
        floor.history.add_step(response.response_id)
        self._write(response, text)
        self._finish(response)

    def own_sentence(self, text: str) -> None:
        """Say this once nobody speaks."""
        self.to_say = text

    def next_phrase(self, phrases: tuple[str, ...]) -> str:
        """The phrases of a list in turn."""
        use = self._phrase_uses.get(phrases, 0)
        self._phrase_uses[phrases] = use + 1
        return phrases[use % len(phrases)] if phrases else ""

    def stop(self, reason: str, status: str = "cancelled") -> None:
        """Stop the response: nothing more of it leaves. Its tools go on."""
        floor, response = self._floor, self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if response.generating:
            floor.out.append(CancelGeneration(response.response_id))
            response.generating = False
        response.close_status, response.close_reason = status, reason
        if response.segments:
            floor.out.append(FlushAudio(response.response_id))
        floor.overlap = Overlap.NONE
        if response.play_requested:
            response.state, response.flushed_ms = ResponseState.FLUSHING, floor.now_ms
        else:
            self.close(response)

    def abandon(self, reason: str) -> None:
        """The line is gone: close what is under way with what is known to have been heard."""
        self.stop(reason)
        if self._floor.response is not None:
            self.close(self._floor.response)

    def play_if_ready(self) -> None:
        """Let the response be heard, once there is audio and nobody withholds it."""
        floor, response = self._floor, self._floor.response
        if response is None or response.play_requested or floor.overlap is Overlap.HELD:
            return
        if response.first_audio_ms is not None:
            response.play_requested = True
            floor.out.append(PlayAudio(response.response_id))

    # ---- text ------------------------------------------------------------------------------

    def on_text(self, event: e.TextGenerated) -> None:
        """More text."""
        response = self._generating(event.response_id)
        if response is None:
            return
        response.progress_ms = self._floor.now_ms
        if response.first_text_ms is None:
            response.first_text_ms = self._floor.now_ms
        self._write(response, event.text)

    def on_tool_requested(self, event: e.ToolRequested) -> None:
        """The LLM asks for a tool: run it, once."""
        floor, response = self._floor, self._generating(event.response_id)
        if response is None or event.tool_call_id in response.step_tools:
            return
        response.progress_ms = floor.now_ms
        response.step_tools.add(event.tool_call_id)
        call_id = event.tool_call_id
        while floor.history.knows_tool_call(call_id):
            call_id += "+"  # the LLM used this id before, for something else
        call = ToolCall(call_id, event.name, event.arguments)
        floor.history.add_tool_call(response.response_id, call)
        if event.name == END_CALL_TOOL:
            floor.history.set_output(call_id, '{"status": "ok"}')
            response.end_call_reason = "agent"
            return
        response.tools_called = response.step_has_tools = True
        response.open_tools.add(call_id)
        limit = dict(floor.setup.tool_deadlines).get(
            event.name, floor.policy.dead_air.tool_deadline_ms
        )
        self.open_tools[call_id] = floor.now_ms + limit
        floor.out.append(CallTool(call_id, event.name, event.arguments, limit))

    def on_generation_ended(self, event: e.GenerationEnded) -> None:
        """The step is written; tools may still be open."""
        response = self._generating(event.response_id)
        if response is None:
            return
        response.generating = False
        self._flush_text(response)
        if not response.open_tools:
            self._after_step(response)

    def on_generation_failed(self, event: e.GenerationFailed) -> None:
        """Say so, after what was written before."""
        response = self._generating(event.response_id)
        if response is not None:
            self.fail(response)

    def on_tool_completed(self, event: e.ToolCompleted) -> None:
        """A tool came back; late and second results are dropped."""
        if self.open_tools.pop(event.tool_call_id, None) is None:
            return
        floor, response = self._floor, self._floor.response
        floor.history.set_output(event.tool_call_id, event.output)
        self.unreported = True
        if response is None or event.tool_call_id not in response.open_tools:
            return
        response.open_tools.discard(event.tool_call_id)
        flushing = response.state is ResponseState.FLUSHING
        if not response.generating and not response.open_tools and not flushing:
            self._after_step(response)

    def _generating(self, response_id: int) -> Response | None:
        response = self._live(response_id)
        return response if response is not None and response.generating else None

    def _open(self, turn_id: int | None, speech_end_ms: int) -> Response:
        floor = self._floor
        if floor.response is not None:
            raise IllegalEvent("a response while another one is under way")
        response = Response(self._next_response, turn_id, floor.now_ms, speech_end_ms, self._pace)
        self._next_response += 1
        floor.response = response
        # Somebody who speaks on already (noise, or a typed turn) stops it only with words.
        floor.overlap = Overlap.NONE if floor.user.phase is Phase.IDLE else Overlap.PATIENT
        floor.out.append(ReportResponse(response.response_id, "in_progress"))
        return response

    def _generate(self, response: Response) -> None:
        response.step += 1
        response.step_has_tools = False
        response.step_tools.clear()
        response.generating = True
        response.progress_ms = self._floor.now_ms
        self.unreported = False
        self._floor.history.add_step(response.response_id)
        self._floor.out.append(StartGeneration(response.response_id))

    def _after_step(self, response: Response) -> None:
        if not response.step_has_tools:
            self._finish(response)
        elif response.step + 1 < self._floor.policy.dead_air.tool_rounds:
            self._generate(response)
        else:
            self.fail(response)

    def fail(self, response: Response) -> None:
        """The rest of the answer will not come: say so."""
        response.generating = False
        response.open_tools.clear()
        self._flush_text(response)
        self._write(response, " " + self._floor.setup.phrases.llm_failed)
        self._finish(response)

    def _finish(self, response: Response) -> None:
        """All text is written."""
        self._flush_text(response)
        phrases = self._floor.setup.phrases
        if not response.segments and response.turn_id is not None:
            self._write(
                response, phrases.goodbye if response.end_call_reason else phrases.llm_failed
            )
            self._flush_text(response)
        if not response.segments:
            self.close(response)
            return
        response.synthesis_ended = True
        self._floor.out.append(EndSynthesis(response.response_id))

    def _write(self, response: Response, text: str) -> None:
        self._floor.history.add_text(response.response_id, text)
        for segment in response.segmenter.push(text):
            self.speak(response, segment)

    def _flush_text(self, response: Response) -> None:
        for segment in response.segmenter.flush():
            self.speak(response, segment)

    # ---- voice -----------------------------------------------------------------------------

    def speak(self, response: Response, text: str) -> None:
        """Give a segment to the voice."""
        response.signs_of_life = 0
        segment_id = response.add_segment(text, self._floor.now_ms)
        self._floor.out.append(SynthesizeText(response.response_id, segment_id, text))

    def on_audio(self, event: e.AudioSynthesized) -> None:
        """More audio of a segment."""
        response = self._voiced(event.response_id, event.segment_id)
        if response is not None:
            self._add_audio(response, event.segment_id, event.duration_ms)

    def on_segment(self, event: e.SegmentSynthesized) -> None:
        """A segment is whole."""
        response = self._voiced(event.response_id, event.segment_id)
        if response is not None:
            response.finish_segment(event.segment_id, event.duration_ms, event.words)
            self._add_audio(response, event.segment_id, event.duration_ms)

    def _add_audio(self, response: Response, segment_id: int, duration_ms: int) -> None:
        response.add_audio(segment_id, duration_ms, self._floor.now_ms)
        if response.state is ResponseState.WAITING and response.played_ms < response.audio_ms:
            response.state = ResponseState.SPEAKING
        self.play_if_ready()

    def on_synthesis_failed(self, event: e.SynthesisFailed) -> None:
        """The voice broke off."""
        if self._live(event.response_id) is not None:
            self.voice_failed()

    def voice_failed(self) -> None:
        """Try once more with what was not heard; a voice that fails twice ends the call, because
        nothing can be said any more."""
        response = self._floor.response
        assert response is not None
        self._voice_failures += 1
        rest, ending = response.unheard(), response.end_call_reason
        self.stop("voice", status="failed")
        if self._voice_failures >= _VOICE_FAILURES:
            self.end_call("the voice failed")
        elif ending and not rest:
            self.end_call(ending)
        else:
            self.rest, self.rest_end = rest, ending

    def _voiced(self, response_id: int, segment_id: int) -> Response | None:
        response = self._live(response_id)
        if response is not None and not 0 <= segment_id < len(response.segments):
            raise IllegalEvent(f"audio for segment {segment_id} that was not asked for")
        return response

    # ---- playback --------------------------------------------------------------------------

    def on_playback_started(self, event: e.PlaybackStarted) -> None:
        """The first sound."""
        floor, response = self._floor, self._live(event.response_id)
        if response is None or response.audible:
            return
        if not response.play_requested:
            raise IllegalEvent("playback of audio that was not let go")
        response.state = ResponseState.SPEAKING
        response.started_ms = response.quiet_from_ms = floor.now_ms
        if response.turn_id is not None:
            parts, total_ms = response.latency(), floor.now_ms - response.speech_end_ms
            floor.out.append(ReportLatency(response.turn_id, response.response_id, total_ms, parts))

    def on_playback_progressed(self, event: e.PlaybackProgressed) -> None:
        """So much was heard."""
        response = self._live(event.response_id)
        if response is None or not response.audible:
            return
        response.played(event.played_ms, self._floor.now_ms)
        waiting = response.played_ms >= response.audio_ms and response.unfinished
        response.state = ResponseState.WAITING if waiting else ResponseState.SPEAKING
        self._report_heard(response)

    def on_playback_ended(self, event: e.PlaybackEnded) -> None:
        """All was heard."""
        response = self._live(event.response_id)
        if response is None or not response.audible or not response.synthesis_ended:
            return
        response.played(response.audio_ms, self._floor.now_ms)
        self.close(response)

    def on_playback_flushed(self, event: e.PlaybackFlushed) -> None:
        """The player confirms: this much was heard, and nothing more will be."""
        response = self._floor.response
        if response is None or response.response_id != event.response_id:
            return
        if response.state is ResponseState.FLUSHING:
            response.played(event.played_ms, self._floor.now_ms)
            self.close(response)

    def _report_heard(self, response: Response) -> None:
        if response.heard_count() > response.reported_words:
            words = response.heard().split()
            text = " ".join(words[response.reported_words :])
            response.reported_words = len(words)
            self._floor.out.append(ReportHeard(response.response_id, text))

    # ---- the end of a response -------------------------------------------------------------

    def _live(self, response_id: int) -> Response | None:
        """The response, when it is under way and was not stopped: the one place where late
        results are dropped."""
        response = self._floor.response
        if response is None or response.response_id != response_id:
            return None
        return None if response.state is ResponseState.FLUSHING else response

    def close(self, response: Response) -> None:
        """The response is over: the one place where it ends, however it ended."""
        floor = self._floor
        self._report_heard(response)
        completed = response.close_status == "completed"
        floor.history.close(response.response_id, response.heard_steps(), interrupted=not completed)
        floor.out.append(
            ReportResponse(
                response.response_id, response.close_status, response.heard(), response.close_reason
            )
        )
        floor.response = None
        if floor.overlap in (Overlap.DUCKED, Overlap.PAUSED):
            floor.out.append(ResumeAudio())
        floor.overlap = Overlap.NONE
        floor.idle_from_ms = floor.now_ms
        if completed:
            self._voice_failures = 0
            if response.end_call_reason and floor.user.phase is Phase.IDLE:
                self.end_call(response.end_call_reason)

    def end_call(self, reason: str) -> None:
        """Hang up."""
        self._floor.ending = True
        self._floor.out.append(EndCall(reason))
