"""Promises about commands: each belongs to something alive, in an order that can be carried out;
tools run at most once; everything closes; the parts of a latency sum to the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.clock import BACK_MS
from antiphon.sim.promise import Promise
from antiphon.types import DIGITS_TOOL, END_CALL_TOOL, TRANSFER_TOOL

if TYPE_CHECKING:
    from antiphon.sim.world import World


_LAG_MS = 100


_NO_TOOLS = (END_CALL_TOOL, DIGITS_TOOL, TRANSFER_TOOL)
"""What the engine does itself."""


class _Voiced:
    """What was asked for a response."""

    __slots__ = ("down", "ended", "played", "prepared", "segments")

    def __init__(self, *, prepared: bool, down: frozenset[int]) -> None:
        self.down = down  # voices that were known to be broken
        self.segments = 0
        self.ended = self.played = False
        self.prepared = prepared


class CommandsAreInOrder(Promise):
    """No command for a response that is unknown or over; segments are numbered from 0 without a
    gap, none comes after the last; generations do not overlap; who is known to be broken is not
    asked while somebody else is there."""

    name = "commands are in order"
    __slots__ = ("_down", "_newest", "_next_utterance", "_open", "_revisions")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: dict[int, _Voiced] = {}
        self._revisions: dict[int, int] = {}
        self._next_utterance = 1
        self._newest = 0  # response
        self._down: frozenset[tuple[str, int]] = frozenset()

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.ProviderChanged: self._on_changed,
            c.ReportResponse: self._on_report,
            c.ReportSpeculation: self._on_speculation,
            c.StartGeneration: self._on_generation,
            c.CancelGeneration: self._on_any,
            c.SynthesizeText: self._on_segment,
            c.EndSynthesis: self._on_synthesis_end,
            c.PlayAudio: self._on_play,
            c.FlushAudio: self._on_any,
            c.ReportHeard: self._on_any,
            c.BeginUtterance: self._on_begin,
            c.FinalizeUtterance: self._on_finalize,
            c.EndUtterance: self._on_end,
            c.PauseAudio: self._on_pause,
        }

    def _on_changed(self, event: e.ProviderChanged) -> None:
        one = (event.kind, event.number)
        self._down = self._down - {one} if event.works else self._down | {one}

    def _response(self, command: Any) -> _Voiced:
        voiced = self._open.get(command.response_id)
        if voiced is None:
            self.fail(f"{type(command).__name__} for response {command.response_id}, which is over")
        assert voiced is not None
        return voiced

    def _on_any(self, command: Any) -> None:
        self._response(command)

    def _on_report(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            self._begin(command.response_id, prepared=False)
            return
        self._response(command)
        self._over(command.response_id)

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
        if not self._response(command).prepared:
            self.fail(f"response {command.response_id} is {command.outcome} and not prepared")
        if command.outcome == "dropped":
            self._over(command.response_id)

    def _begin(self, response_id: int, *, prepared: bool) -> None:
        known = self._open.get(response_id)
        if known is not None and known.prepared:
            known.prepared = prepared
        elif response_id > self._newest:
            self._newest = response_id
            down = frozenset(number for kind, number in self._down if kind == "tts")
            self._open[response_id] = _Voiced(prepared=prepared, down=down)

    def _over(self, response_id: int) -> None:
        del self._open[response_id]
        if self.world.llm.generating_id == response_id:
            self.fail(f"response {response_id} is over and its LLM still writes")

    def _on_generation(self, command: c.StartGeneration) -> None:
        if command.response_id > self._newest:
            self._begin(command.response_id, prepared=True)
        llms = self.world.setup.llms
        if command.attempt >= llms:
            self.fail(f"LLM {command.attempt} is asked, and there is none")
        down = {number for kind, number in self._down if kind == "llm"}
        if command.attempt in down and len(down) < llms:
            self.fail(f"LLM {command.attempt} is asked, and known to be broken")
        if self._response(command).ended:
            self.fail("a generation for a response whose voice was told the end")
        if self.world.llm.generating_id is not None:
            self.fail(f"two generations of response {command.response_id} at once")

    def _on_segment(self, command: c.SynthesizeText) -> None:
        voiced = self._response(command)
        if voiced.ended:
            self.fail(f"segment {command.segment_id} after the last")
        if command.segment_id != voiced.segments:
            self.fail(f"segment {command.segment_id} where {voiced.segments} is due")
        if not command.text.strip():
            self.fail("a segment without words")
        setup = self.world.setup
        if command.voice >= setup.voices + setup.recorded:
            self.fail(f"voice {command.voice} is asked, and there is none")
        if command.voice in voiced.down and len(voiced.down) < setup.voices:
            self.fail(f"voice {command.voice} is asked, and known to be broken")
        if command.voice == setup.voices and command.text not in setup.phrases.voice_gone:
            self.fail(f"what was not recorded is asked for: {command.text!r}")
        voiced.segments += 1

    def _on_synthesis_end(self, command: c.EndSynthesis) -> None:
        voiced = self._response(command)
        if voiced.ended:
            self.fail("the end of the voice, told twice")
        voiced.ended = True

    def _on_play(self, command: c.PlayAudio) -> None:
        voiced = self._response(command)
        if voiced.played:
            self.fail(f"response {command.response_id} let go twice")
        voiced.played = True

    def _on_begin(self, command: c.BeginUtterance) -> None:
        if command.utterance_id < self._next_utterance:
            self.fail(f"utterance {command.utterance_id} begins twice")
        self._next_utterance = command.utterance_id + 1
        self._revisions[command.utterance_id] = 0

    def _on_finalize(self, command: c.FinalizeUtterance) -> None:
        if self._revisions.get(command.utterance_id) != command.revision - 1:
            self.fail(f"revision {command.revision} of utterance {command.utterance_id}")
        self._revisions[command.utterance_id] = command.revision

    def _on_end(self, command: c.EndUtterance) -> None:
        if self._revisions.pop(command.utterance_id, None) is None:
            self.fail(f"utterance {command.utterance_id} ends and is not open")

    def _on_pause(self, command: c.PauseAudio) -> None:
        if self.world.player.paused:
            self.fail("a pause while paused")


class ToolsRunOnce(Promise):
    """Tools run once, whatever is interrupted; the answer waits for its tools, and the LLM sees
    each call with its result."""

    name = "4 tools run at most once"
    __slots__ = (
        "_due",
        "_lag_ms",
        "_lost",
        "_outputs",
        "_prepared",
        "_ran",
        "_response_id",
        "_running",
        "wanted",
    )

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ran: set[str] = set()  # by arguments, which are unlike any others
        self._due: dict[str, int] = {}
        self._running: dict[str, int] = {}  # tool call -> response
        self._outputs: dict[str, str] = {}  # that came in time
        self._lost: set[str] = set()  # tool calls that nobody knows the result of
        self._prepared: list[str] = []  # arguments of the calls that a prepared answer wants
        self.wanted = ""  # arguments of the call that the LLM has just asked for
        self._response_id = 0
        # The engine's clock runs so far behind where events overtake each other or are dated back.
        self._lag_ms = _LAG_MS + (BACK_MS if world.faults.clock else 0)

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.ToolRequested: self._on_requested,
            c.CallTool: self._on_call,
            e.ToolCompleted: self._on_completed,
            c.StartGeneration: self._on_generation,
            c.ReportResponse: self._on_report,
            c.ReportSpeculation: self._on_speculation,
        }

    def crashed(self) -> None:
        self._lost.update(self._running)
        self._running.clear()

    def _on_report(self, command: c.ReportResponse) -> None:
        self._response_id = command.response_id

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
        if command.outcome == "adopted" and self._prepared:
            self.wanted = self._prepared[-1]
        self._prepared.clear()

    def runs(self, tool_call_id: str) -> bool:
        """Whether its result is awaited, and in time."""
        until_ms = self.world.now_ms + self._lag_ms
        return tool_call_id in self._running and until_ms < self._due[tool_call_id]

    def _on_requested(self, event: e.ToolRequested) -> None:
        live = self.world.llm.generating_id == event.response_id
        if not live or event.name in _NO_TOOLS or event.arguments in self._ran:
            return
        if not self.world.promises.is_under_way(event.response_id):
            self._prepared.append(event.arguments)
        else:
            self.wanted = event.arguments

    def after_step(self) -> None:
        """Called after every event."""
        if self.wanted:
            self.fail(f"the LLM asked for a tool with {self.wanted} and it does not run")

    def _on_call(self, command: c.CallTool) -> None:
        if command.arguments == self.wanted:
            self.wanted = ""
        if command.arguments in self._ran:
            self.fail(f"{command.name}({command.arguments}) runs twice")
        if command.tool_call_id in self._due:
            self.fail(f"tool call {command.tool_call_id} runs twice")
        self._ran.add(command.arguments)
        self._due[command.tool_call_id] = self.world.now_ms + command.deadline_ms
        self._running[command.tool_call_id] = self._response_id

    def _on_completed(self, event: e.ToolCompleted) -> None:
        call_id = event.tool_call_id
        until_ms = self.world.now_ms + self._lag_ms
        if self._running.pop(call_id, None) is not None and until_ms < self._due[call_id]:
            self._outputs[call_id] = event.output

    def _on_generation(self, command: c.StartGeneration) -> None:
        until_ms = self.world.now_ms + self._lag_ms
        for call_id, response_id in self._running.items():
            if response_id == command.response_id and until_ms < self._due[call_id]:
                self.fail(f"response {response_id} goes on while its tool {call_id} runs")
        self._check_messages()

    def _check_messages(self) -> None:
        awaited: list[str] = []
        for message in self.world.engine.messages():
            if message.role == "tool":
                if not awaited or message.tool_call_id not in awaited:
                    self.fail(f"a result of {message.tool_call_id} that nothing asked for")
                call_id = str(message.tool_call_id)
                awaited.remove(call_id)
                if call_id in self._lost and "error" not in message.content:
                    self.fail(f"{call_id} was lost, and the LLM is shown {message.content}")
                if self._outputs.get(call_id, message.content) != message.content:
                    self.fail(f"{call_id} gave {self._outputs[call_id]}, the LLM is shown another")
                continue
            if awaited:
                self.fail(f"the LLM is not shown the results of {awaited}")
            awaited = [call.tool_call_id for call in message.tool_calls]
        if awaited:
            self.fail(f"the LLM is not shown the results of {awaited}")


class EverythingCloses(Promise):
    """When the call ends nothing is left open, and nothing is asked for afterwards; a call in which
    nobody speaks ends by itself."""

    name = "7 everything closes"
    __slots__ = ()

    # A long answer, two check-ins with their patience and a goodbye fit into less.
    _ZOMBIE_MS = 150_000
    _GOODBYE_MS = 66_000

    def after_end(self) -> None:
        """Called right after CallEnded was handled."""
        world = self.world
        if not world.engine.ended or world.engine.deadline is not None:
            self.fail("the call is over and the engine is not")
        if world.stt.open:
            self.fail(f"utterances {list(world.stt.open)} are still open")
        if world.llm.generating_id is not None:
            self.fail(f"the LLM still writes response {world.llm.generating_id}")
        for response_id in world.player.tracks:
            if world.tts.working(response_id):
                self.fail(f"the voice still speaks response {response_id}")
        # A caller who was away is asked anew whether they are there.
        since_ms = max(world.promises.caller_quiet_ms, world.phone.away_ms)
        quiet_ms = world.now_ms - since_ms
        # On a line with echo voice activity goes on; and an agent that nobody tells that it hears
        # itself cannot know that nobody is there.
        limit_ms = self._ZOMBIE_MS * (2 if world.vad.line else 1)
        if quiet_ms > limit_ms and world.vad.line != "unknown":
            self.fail(f"the caller was silent for {quiet_ms} ms and the call did not end")
        longest_ms = world.setup.policy.silence.max_call_ms + self._GOODBYE_MS
        if world.now_ms > longest_ms + world.clock.stepped_ms:
            self.fail(f"a call of {world.now_ms} ms is longer than the policy allows")


class LatencySums(Promise):
    """The contributions to a turn's latency are not negative and sum to the measured total."""

    name = "10 latencies sum"
    __slots__ = ()

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {c.ReportLatency: self._on_latency}

    def _on_latency(self, command: c.ReportLatency) -> None:
        parts = [ms for _, ms in command.contributions]
        if sum(parts) != command.total_ms or min(parts) < 0:
            self.fail(f"{command.contributions} are not {command.total_ms} ms")
        if command.total_ms > self.world.now_ms:
            self.fail(f"an answer after {command.total_ms} ms in a call of {self.world.now_ms} ms")
