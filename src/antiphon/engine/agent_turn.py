"""The agent's side of the conversation: one response at a time, its text and its tools.

A response is generated in steps, tools in between, and spoken by `voice_turn`. An answer may be
*prepared* before the caller's turn is over: it is written, and its first segment voiced, but
nothing of it is heard, no tool runs and history does not know of it until it is adopted.
"""

from __future__ import annotations

from typing import Protocol

from antiphon.engine import events as e
from antiphon.engine.commands import (
    CallTool,
    CancelGeneration,
    ReportResponse,
    ReportSpeculation,
    StartGeneration,
)
from antiphon.engine.floor import Floor
from antiphon.engine.history import CUT_OFF, LATE_TOOL, REFUSED, TYPED
from antiphon.engine.language import words_of
from antiphon.engine.overlap import Overlap
from antiphon.engine.response import Draft, Response, ResponseState, Then
from antiphon.engine.user_turn import Phase
from antiphon.engine.voice_turn import NO_VOICE, VoiceTurn
from antiphon.engine.writing import Writing
from antiphon.errors import IllegalEvent
from antiphon.types import END_CALL_TOOL, ToolCall

SPENT = "budget"
"""Why a call ends whose budget is spent."""


class LineTools(Protocol):
    """What the line does with tools that are its own."""

    def takes(self, response: Response, call: ToolCall) -> bool: ...
    def gave_up(self, response: Response) -> bool: ...


class AgentTurn:
    """Responses and tools. See the module."""

    __slots__ = (
        "_asked",
        "_failures",
        "_floor",
        "_llm",
        "_next_response",
        "_phrase_uses",
        "_text",
        "_voice",
        "line",
        "notes",
        "open_tools",
        "to_say",
        "unprepared",
        "unreported",
    )

    def __init__(self, floor: Floor, voice: VoiceTurn) -> None:
        self._floor, self._voice = floor, voice
        self._text = Writing(floor, voice)
        self._next_response = 1
        self._phrase_uses: dict[tuple[str, ...], int] = {}
        self._failures = 0  # answers in a row that no LLM gave
        self._llm = 0  # the one that worked last, or that is to be asked from now on
        self._asked = 0  # the one that was asked last
        self.open_tools: dict[str, int] = {}  # of all responses: when each is given up
        self.notes: dict[str, str] = {}  # what the LLM is told when a tool comes back late
        self.line: LineTools | None = None
        self.unprepared = False  # preparing failed: this turn's answer is begun when it is due
        self.unreported = ""  # why the LLM has to go on without a word from the caller
        self.to_say = ""  # as soon as nobody speaks

    # ---- what the conversation asks for ----------------------------------------------------

    def answer(self, turn_id: int, speech_end_ms: int, text: str) -> None:
        """Answer a turn."""
        # What a failing voice still owed belongs to a turn that is over.
        self._voice.forget_rest()
        prepared = self._floor.prepared
        if prepared is not None and prepared.draft_of(words_of(text)):
            self._adopt(prepared, speech_end_ms)
            return
        response = self._open(turn_id, speech_end_ms)
        if self._spent:
            self._floor.history.add_step(response.response_id)
            self._take_leave(response)
        else:
            self._generate(response)

    def go_on(self) -> None:
        """Answer without a word from the caller: there is something to tell."""
        self._floor.history.add_note(self.unreported)
        response = self._open(None, self._floor.now_ms)
        response.owed = self.unreported in (CUT_OFF, TYPED, REFUSED)
        self._generate(response)

    def say(
        self,
        text: str,
        *,
        protected: bool = False,
        speech_end_ms: int | None = None,
        end_call: str = "",
        then: Then | None = None,
    ) -> None:
        """Say a sentence of the agent's own; once the budget is spent, goodbye in its place."""
        floor = self._floor
        if self._spent and not end_call:
            text, end_call = floor.setup.phrases.budget_end, SPENT
        response = self._open(None, floor.now_ms if speech_end_ms is None else speech_end_ms)
        if protected:
            response.manner = "protected"
        response.end_call_reason, response.then = end_call, then
        if end_call == NO_VOICE:
            response.voice = floor.setup.voices  # the recorded sentence's
        response.step = 0
        floor.history.add_step(response.response_id)
        self._text.write(response, text)
        self._text.finish(response)

    def say_rest(self) -> None:
        """Say what is left of an answer that was broken off."""
        voice = self._voice
        text, ending, then = voice.rest, voice.rest_end, voice.rest_then
        voice.rest, voice.rest_end, voice.rest_then = "", "", None
        self.say(text, protected=voice.rest_protected, end_call=ending, then=then)

    def use_llm(self, llm: int) -> None:
        """Ask this one from the next generation on."""
        self._llm = llm

    def own_sentence(self, text: str) -> None:
        """Say this once nobody speaks."""
        self.to_say = text

    def next_phrase(self, phrases: tuple[str, ...]) -> str:
        """The phrases of a list in turn."""
        use = self._phrase_uses.get(phrases, 0)
        self._phrase_uses[phrases] = use + 1
        return phrases[use % len(phrases)] if phrases else ""

    # ---- before the turn is over -----------------------------------------------------------

    def prepare(self, text: str) -> None:
        """Begin the answer to these words, which may be all that the caller says."""
        floor, user = self._floor, self._floor.user
        response = self._new(user.turn_id, user.speech_end_ms)
        response.draft = Draft(words_of(text), text)
        floor.prepared = response
        self._start(response)

    def drop_prepared(self) -> None:
        """The prepared answer is for nothing; no trace of it remains."""
        prepared = self._floor.prepared
        if prepared is not None:
            self._voice.silence(prepared)
            self._floor.prepared = None
            self._report_speculation(prepared, "dropped")

    def _adopt(self, response: Response, speech_end_ms: int) -> None:
        """The turn ended with the words that the answer was prepared for."""
        floor, draft = self._floor, response.draft
        assert draft is not None
        self._report_speculation(response, "adopted")
        floor.prepared, response.draft = None, None
        self.unreported = ""  # it was shown all that there is
        response.committed_ms, response.speech_end_ms = floor.now_ms, speech_end_ms
        response.quiet_from_ms = speech_end_ms
        # The clock may have stepped while nobody waited for the LLM.
        response.progress_ms = floor.now_ms
        self._enter(response)
        floor.history.add_step(response.response_id)
        floor.history.add_text(response.response_id, draft.written)
        for segment in draft.waiting:
            self._voice.speak(response, segment)
        for wanted in draft.wanted:
            self._run_tool(response, wanted)
        if not response.generating:
            self._after_writing(response)
        self._voice.play_if_ready()

    def _report_speculation(self, response: Response, outcome: str) -> None:
        assert response.draft is not None
        voiced = sum(len(segment.text) for segment in response.segments)
        self._floor.out.append(
            ReportSpeculation(response.response_id, outcome, len(response.draft.written), voiced)
        )

    # ---- text ------------------------------------------------------------------------------

    def on_text(self, event: e.TextGenerated) -> None:
        """More text."""
        response = self._generating(event.response_id)
        if response is None:
            return
        response.progress_ms = self._floor.now_ms
        if response.first_text_ms is None:
            response.first_text_ms = self._floor.now_ms
        response.step_has_text = True
        self._text.write(response, event.text)

    def on_tool_requested(self, event: e.ToolRequested) -> None:
        """The LLM asks for a tool: run it, once."""
        response = self._generating(event.response_id)
        if response is None or event.tool_call_id in response.step_tools:
            return
        response.progress_ms = self._floor.now_ms
        response.step_tools.add(event.tool_call_id)
        if response.draft is not None:
            response.draft.wanted.append(event)
        else:
            self._run_tool(response, event)

    def _run_tool(self, response: Response, event: e.ToolRequested) -> None:
        floor, call_id = self._floor, event.tool_call_id
        while floor.history.knows_tool_call(call_id):
            call_id += "+"  # the LLM used this id before, for something else
        call = ToolCall(call_id, event.name, event.arguments)
        floor.history.add_tool_call(response.response_id, call)
        if event.name == END_CALL_TOOL:
            floor.history.set_output(call_id, '{"status": "ok"}')
            response.end_call_reason = "agent"
            return
        if self.line is not None and self.line.takes(response, call):
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
        self._text.flush(response)
        if response.draft is None:
            self._after_writing(response)

    def _after_writing(self, response: Response) -> None:
        self._failures = 0
        if not response.open_tools:
            self._after_step(response)

    def on_generation_failed(self, event: e.GenerationFailed) -> None:
        """Try the next LLM, or say so, after what was written before."""
        response = self._generating(event.response_id)
        if response is None:
            return
        response.generating = False
        self.generation_failed(response)

    def generation_failed(self, response: Response) -> None:
        """The LLM is not writing any more. Another one begins where nothing was written yet."""
        begun = response.step_has_text or bool(response.step_tools)
        response.tries += 1
        if response.draft is not None:
            self.drop_prepared()
            self.unprepared = True
        elif not begun and response.tries < self._floor.setup.llms and not self._spent:
            if self._llm == self._asked:
                self._llm = (self._llm + 1) % self._floor.setup.llms
            self._start(response)
        else:
            self.fail(response)

    def on_tool_completed(self, event: e.ToolCompleted) -> None:
        """A tool came back; late and second results are dropped."""
        if self.open_tools.pop(event.tool_call_id, None) is None:
            return
        floor, response = self._floor, self._floor.response
        self.drop_prepared()  # it was prepared without this
        floor.history.set_output(event.tool_call_id, event.output)
        self.unreported = self.notes.pop(event.tool_call_id, LATE_TOOL)
        if response is None or event.tool_call_id not in response.open_tools:
            return
        response.open_tools.discard(event.tool_call_id)
        flushing = response.state is ResponseState.FLUSHING
        if not response.generating and not response.open_tools and not flushing:
            self._after_step(response)

    def on_tool_lost(self, call_id: str, output: str) -> None:
        """The result of a tool will never come."""
        del self.open_tools[call_id]
        self._floor.history.set_output(call_id, output)
        self.unreported = LATE_TOOL

    def _generating(self, response_id: int) -> Response | None:
        response = self._voice.live(response_id)
        return response if response is not None and response.generating else None

    def _new(self, turn_id: int | None, speech_end_ms: int) -> Response:
        manner = self._floor.policy.interruption.speech
        response = self._voice.open(self._next_response, turn_id, speech_end_ms, manner)
        self._next_response += 1
        return response

    def _open(self, turn_id: int | None, speech_end_ms: int) -> Response:
        self.drop_prepared()
        response = self._new(turn_id, speech_end_ms)
        self._enter(response)
        return response

    def _enter(self, response: Response) -> None:
        """The response is the one under way from now on."""
        floor = self._floor
        if floor.response is not None:
            raise IllegalEvent("a response while another one is under way")
        floor.response = response
        # Somebody who speaks on already (noise, or a typed turn) stops it only with words.
        floor.overlap = Overlap.NONE if floor.user.phase is Phase.IDLE else Overlap.PATIENT
        floor.out.append(ReportResponse(response.response_id, "in_progress"))

    def _generate(self, response: Response) -> None:
        self.unreported = ""
        self._floor.history.add_step(response.response_id)
        self._start(response)

    def _start(self, response: Response) -> None:
        response.begin_step(self._floor.now_ms)
        self._llm = self._floor.health.best("llm", self._llm, self._floor.setup.llms)
        self._asked = self._llm
        self._floor.out.append(StartGeneration(response.response_id, self._llm))

    def _after_step(self, response: Response) -> None:
        if not response.step_has_tools:
            self._text.finish(response)
        elif self._spent:
            self._take_leave(response)
        elif response.step + 1 < self._floor.policy.dead_air.tool_rounds:
            response.step += 1
            self._generate(response)
        else:
            self.fail(response)

    def stalled(self) -> None:
        """The LLM under way gives no sign any more."""
        response = self._floor.response
        assert response is not None
        self._floor.out.append(CancelGeneration(response.response_id))
        response.generating = False
        self.generation_failed(response)

    def voice_failed(self) -> None:
        """The voice is not speaking any more. Another one says what was written, and what was not
        yet is written then."""
        response = self._floor.response
        unwritten = response is not None and response.generating
        self._voice.failed()
        if unwritten:
            self.unreported = CUT_OFF

    def fail(self, response: Response) -> None:
        """The rest of the answer will not come: say so, and give up when that goes on."""
        phrases, limit = self._floor.setup.phrases, self._floor.policy.dead_air.llm_failures
        response.generating = False
        response.open_tools.clear()
        self._text.flush(response)
        if self._spent:
            self._take_leave(response)
            return
        self._failures += 1
        gone = self._failures >= limit and not response.end_call_reason
        if gone and self.line is not None and self.line.gave_up(response):
            self._text.write(response, " " + phrases.transferring)
        elif gone:
            response.end_call_reason = "the language model failed"
            self._text.write(response, " " + phrases.llm_gone)
        else:
            self._text.write(response, " " + phrases.llm_failed)
        self._text.finish(response)

    @property
    def _spent(self) -> bool:
        return self._floor.spent_ms is not None

    def _take_leave(self, response: Response) -> None:
        """There is no money for more: say so, and hang up."""
        response.end_call_reason = SPENT
        self._text.write(response, " " + self._floor.setup.phrases.budget_end)
        self._text.finish(response)
