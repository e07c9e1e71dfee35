"""The promises bite: engines that are broken on purpose, each as such a thing really breaks, and
each is caught within 1,000 seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine import notice
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.budget import Budget
from antiphon.engine.conversation import Conversation
from antiphon.engine.dead_air import DeadAir
from antiphon.engine.floor import Deadline, Floor
from antiphon.engine.history import History
from antiphon.engine.line import Line
from antiphon.engine.policy import Setup
from antiphon.engine.response import Response
from antiphon.engine.user_turn import UserTurn
from antiphon.engine.voice_turn import VoiceTurn
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.run import run_seed
from antiphon.sim.world import Engine

SEEDS = 1000


def caught(engine: Engine = Conversation) -> str:
    """The first promise that some seed finds broken; empty when none does."""
    for seed in range(SEEDS):
        violation = run_seed(seed, FAULT_NAMES, engine).violation
        if violation is not None:
            return violation.promise
    return ""


# ---- commands that are forgotten, or said too often ----------------------------------------


def without(*kinds: type[c.Command]) -> Engine:
    class Forgetful(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            return [x for x in super().handle(event) if not isinstance(x, kinds)]

    return Forgetful


def changed(kind: type[c.Command], change: Callable[[c.Command], list[c.Command]]) -> Engine:
    class Changed(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            given = super().handle(event)
            return [y for x in given for y in (change(x) if type(x) is kind else [x])]

    return Changed


def twice(command: c.Command) -> list[c.Command]:
    return [command, command]


@pytest.mark.parametrize(
    ("kind", "promises"),
    [
        (c.BeginUtterance, "5"),
        (c.FinalizeUtterance, "5"),
        (c.EndUtterance, "7"),
        (c.StartGeneration, "3c"),
        (c.CancelGeneration, "c7"),
        (c.CallTool, "4"),
        (c.SynthesizeText, "68"),
        (c.EndSynthesis, "46"),
        (c.PlayAudio, "68"),
        (c.ResumeAudio, "4"),
        (c.FlushAudio, "1"),
        (c.ReportTurn, "36a"),
        (c.ReportHeard, "2"),
    ],
)
def test_a_forgotten_command_is_caught(kind: type[c.Command], promises: str) -> None:
    assert caught(without(kind))[:1] in set(promises)


@pytest.mark.parametrize(
    ("kind", "promise"),
    [
        (c.CallTool, "4 tools run at most once"),
        (c.StartGeneration, "commands are in order"),
        (c.PlayAudio, "commands are in order"),
        (c.SynthesizeText, "commands are in order"),
        (c.EndUtterance, "commands are in order"),
        (c.ReportResponse, "4 one speaks, and never stays paused"),
    ],
)
def test_a_command_given_twice_is_caught(kind: type[c.Command], promise: str) -> None:
    assert caught(changed(kind, twice)) == promise


def test_a_lost_onset_is_caught() -> None:
    """The pre-roll is cut off: the first 300 ms never reach the recogniser."""

    def late(command: c.Command) -> list[c.Command]:
        assert isinstance(command, c.BeginUtterance)
        return [replace(command, speech_at_ms=command.speech_at_ms + 300)]

    assert caught(changed(c.BeginUtterance, late)) == "5 no speech is dropped"


def test_latencies_that_do_not_sum_are_caught() -> None:
    def more(command: c.Command) -> list[c.Command]:
        assert isinstance(command, c.ReportLatency)
        return [replace(command, total_ms=command.total_ms + 1)]

    assert caught(changed(c.ReportLatency, more)) == "10 latencies sum"


# ---- events that are not listened to -------------------------------------------------------


def deaf_to(*kinds: type[e.Event]) -> Engine:
    class Deaf(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            if isinstance(event, kinds):
                event = e.DeadlineReached(event.at_ms)
            return super().handle(event)

    return Deaf


@pytest.mark.parametrize(
    "kind",
    [
        e.CallEnded,
        e.GenerationEnded,
        e.PlaybackEnded,
        e.PlaybackProgressed,
        e.SegmentSynthesized,
        e.TextGenerated,
        e.TextReceived,
        e.ToolCompleted,
        e.ToolRequested,
        e.TranscriptCompleted,
        e.TranscriptUpdated,
        e.UserSpeechStarted,
        e.UserSpeechStopped,
    ],
)
def test_an_ignored_event_is_caught(kind: type[e.Event]) -> None:
    # Not here are GenerationFailed, SynthesisFailed, PlaybackFlushed: a deadline makes good for
    # each before the caller notices.
    assert caught(deaf_to(kind))


# ---- deadlines -----------------------------------------------------------------------------


def forgetting(reason: str) -> Engine:
    class Timeless(Conversation):
        __slots__ = ()

        @property
        def deadline(self) -> Deadline | None:
            deadline = super().deadline
            return None if deadline is not None and deadline.reason == reason else deadline

    return Timeless


@pytest.mark.parametrize(
    "reason", ["end of turn", "overlap", "dead air", "voice", "silence", "LLM", "tool", "playback"]
)
def test_a_forgotten_timer_is_caught(reason: str) -> None:
    assert caught(forgetting(reason)) == "3 always a way out"


def test_a_deadline_that_does_not_move_on_is_caught() -> None:
    class Busy(Conversation):
        __slots__ = ()

        @property
        def deadline(self) -> Deadline | None:
            return Deadline(0, "again")

    assert caught(Busy) == "a deadline lies ahead"


def test_a_patience_without_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says "one moment" while the LLM is slow."""
    monkeypatch.setattr(DeadAir, "_fill", lambda self: None)
    assert caught()[:1] in set("t6")


# ---- what goes wrong inside ----------------------------------------------------------------


def test_a_late_result_that_is_not_dropped_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VoiceTurn, "live", lambda self, response_id: self._floor.response)
    assert caught()


def test_an_open_tool_that_is_ignored_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(self: AgentTurn, event: e.GenerationEnded) -> None:
        response = self._generating(event.response_id)
        if response is not None:
            response.generating = False
            self._text.flush(response)
            self._after_step(response)

    monkeypatch.setattr(AgentTurn, "on_generation_ended", ended)
    assert caught() == "4 tools run at most once"


def test_a_tool_that_never_comes_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentTurn, "on_tool_completed", lambda self, event: None)
    assert caught()


def test_a_history_of_all_generated_text_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(History, "close", lambda self, response_id, heard, *, interrupted: None)
    assert caught() == "2 history is what was heard"


def test_a_response_that_counts_as_heard_when_synthesized_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def played(self: Response, played_ms: int, at_ms: int) -> None:
        self.played_ms = self.audio_ms
        self.quiet_from_ms = at_ms

    monkeypatch.setattr(Response, "played", played)
    assert caught() == "2 history is what was heard"


def test_a_cut_answer_that_is_not_marked_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = History.close

    def close(self: History, response_id: int, heard: list[str], *, interrupted: bool) -> None:
        whole(self, response_id, heard, interrupted=False)

    monkeypatch.setattr(History, "close", close)
    assert caught() == "2 history is what was heard"


@pytest.mark.parametrize("level", ["cheaper", "end"])
def test_a_budget_that_is_forgotten_is_caught(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Budget.on_reached

    def careless(self: Budget, event: e.BudgetReached) -> None:
        if event.level != level:
            whole(self, event)

    monkeypatch.setattr(Budget, "on_reached", careless)
    assert caught() == "spending stops"


def test_an_answer_that_is_begun_without_money_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AgentTurn, "_spent", False)
    assert caught() == "spending stops"


def test_a_goodbye_that_is_never_said_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    over = DeadAir._over_ms

    def patient(self: DeadAir) -> tuple[int, int]:
        spent_ms, self._floor.spent_ms = self._floor.spent_ms, None
        try:
            return over(self)
        finally:
            self._floor.spent_ms = spent_ms

    monkeypatch.setattr(DeadAir, "_over_ms", patient)
    assert caught() == "spending stops"


def test_a_turn_lost_in_protected_speech_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller says during a legal notice is thrown away."""

    class Rude(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            given = super().handle(event)
            response = self._floor.response
            protected = response is not None and response.protected
            if protected and isinstance(event, e.TranscriptCompleted):
                self._floor.user.close()
            return given

    assert caught(Rude)[:1] in set("356t")


def test_protected_speech_that_is_interrupted_is_caught() -> None:
    def rude(setup: Setup) -> Conversation:
        return Conversation(replace(setup, greeting_protected=False))

    assert caught(rude) == "8 protected speech is heard to its end"


def test_a_reopened_turn_that_loses_its_first_words_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = UserTurn.reopen

    def reopen(self: UserTurn, turn_id: int, text: str, end_ms: int) -> None:
        whole(self, turn_id, "", end_ms)

    monkeypatch.setattr(UserTurn, "reopen", reopen)
    assert caught() == "3 every turn is answered or refused"


def test_an_utterance_that_is_never_ended_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(self: UserTurn) -> None:
        self._parts = []
        self.source = "speech"

    whole = UserTurn.close

    def forgetful(self: UserTurn) -> None:
        if len(self._parts) > 1:
            close(self)
        whole(self)

    monkeypatch.setattr(UserTurn, "close", forgetful)
    assert caught() == "7 everything closes"


def test_a_call_that_nobody_ends_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(self: DeadAir) -> None:
        self._floor.idle_from_ms = self._floor.now_ms

    monkeypatch.setattr(DeadAir, "_check_in", idle)
    assert caught() == "7 everything closes"


# ---- prepared answers ----------------------------------------------------------------------

_PREPARED = "a prepared answer is unheard"


def test_a_prepared_answer_that_is_spoken_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = VoiceTurn._add_audio

    def add_audio(self: VoiceTurn, response: Response, segment_id: int, duration_ms: int) -> None:
        whole(self, response, segment_id, duration_ms)
        if response.draft is not None and not response.play_requested:
            response.play_requested = True
            self._floor.out.append(c.PlayAudio(response.response_id))

    monkeypatch.setattr(VoiceTurn, "_add_audio", add_audio)
    assert caught() == _PREPARED


def test_a_dropped_answer_that_is_left_in_history_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = AgentTurn.drop_prepared

    def drop(self: AgentTurn) -> None:
        prepared = self._floor.prepared
        whole(self)
        if prepared is not None and prepared.draft is not None and prepared.draft.written:
            self._floor.history.add_step(prepared.response_id)
            self._floor.history.add_text(prepared.response_id, prepared.draft.written)

    monkeypatch.setattr(AgentTurn, "drop_prepared", drop)
    assert caught() == "2 history is what was heard"


def test_tools_of_a_prepared_answer_that_run_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = AgentTurn.on_tool_requested

    def requested(self: AgentTurn, event: e.ToolRequested) -> None:
        whole(self, event)
        prepared = self._floor.prepared
        if prepared is not None and prepared.response_id == event.response_id:
            call = c.CallTool(event.tool_call_id, event.name, event.arguments, 1000)
            self._floor.out.append(call)

    monkeypatch.setattr(AgentTurn, "on_tool_requested", requested)
    assert caught() == _PREPARED


def test_an_answer_to_other_words_that_is_adopted_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Response, "draft_of", lambda self, words: self.draft is not None)
    assert caught() == _PREPARED


def test_an_answer_that_does_not_know_of_a_tool_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool comes back while an answer is prepared without it."""
    whole = AgentTurn.on_tool_completed

    def completed(self: AgentTurn, event: e.ToolCompleted) -> None:
        prepared, self._floor.prepared = self._floor.prepared, None
        whole(self, event)
        self._floor.prepared = prepared

    monkeypatch.setattr(AgentTurn, "on_tool_completed", completed)
    assert caught() == _PREPARED


# ---- fallbacks -----------------------------------------------------------------------------


def test_a_fallback_voice_that_is_never_tried_is_caught() -> None:
    def same(command: c.Command) -> list[c.Command]:
        assert isinstance(command, c.SynthesizeText)
        return [replace(command, voice=0)]

    assert caught(changed(c.SynthesizeText, same))[:1] == "6"


def test_a_fallback_llm_that_is_never_tried_is_caught() -> None:
    def same(command: c.Command) -> list[c.Command]:
        assert isinstance(command, c.StartGeneration)
        return [replace(command, attempt=0)]

    # The first one may also be one that costs too much, or that is known to be broken.
    assert caught(changed(c.StartGeneration, same)) in (
        "6 an honest failure",
        "commands are in order",
        "spending stops",
    )


# ---- the process dies ----------------------------------------------------------------------


def test_a_restored_call_that_runs_its_tools_again_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(self: AgentTurn, call_id: str, output: str) -> None:
        self._floor.out.append(c.CallTool(call_id, "book", wanted[call_id], 1000))

    wanted: dict[str, str] = {}
    whole = AgentTurn._run_tool

    def run(self: AgentTurn, response: Response, event: e.ToolRequested) -> None:
        wanted[event.tool_call_id] = event.arguments
        whole(self, response, event)

    monkeypatch.setattr(AgentTurn, "_run_tool", run)
    monkeypatch.setattr(AgentTurn, "on_tool_lost", lost)
    assert caught() == "4 tools run at most once"


def test_a_restored_call_that_loses_the_turn_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserTurn, "restore", lambda self, at_ms: self.close())
    assert caught() == "3 every turn is answered or refused"


def test_a_restored_call_that_forgets_its_answer_is_caught() -> None:
    class Mute(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            given = super().handle(event)
            if isinstance(event, e.CallRestored):
                self._agent.unreported = self._voice.rest = ""
                if self._floor.response is not None:
                    self._voice.abandon("forgotten")
                    given += self._floor.out[:]
                    self._floor.out.clear()
                self._settle()
            return given

    assert caught(Mute)[:1] in set("36c")


def test_a_restored_call_that_is_told_nothing_is_caught() -> None:
    assert caught(deaf_to(e.CallRestored))


# ---- keys, and who ends a turn -------------------------------------------------------------


def test_push_to_talk_that_obeys_voice_activity_is_caught() -> None:
    class Obedient(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            edge = isinstance(event, e.UserSpeechStarted | e.UserSpeechStopped)
            manual, self._caller._manual = self._caller._manual, False
            if not edge:
                self._caller._manual = manual
            given = super().handle(event)
            self._caller._manual = manual
            return given

    assert caught(Obedient)


@pytest.mark.parametrize("kind", [e.KeyPressed, e.TalkKeyMoved])
def test_a_key_that_is_not_noticed_is_caught(kind: type[e.Event]) -> None:
    assert caught(deaf_to(kind))[:1] in set("356")


def test_a_key_that_is_lost_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = UserTurn.pressed

    def pressed(self: UserTurn, key: str, at_ms: int) -> None:
        whole(self, "#" if key == "7" else key, at_ms)

    monkeypatch.setattr(UserTurn, "pressed", pressed)
    assert caught() == "3 every turn is answered or refused"


# ---- the clock, echoes, protected speech ---------------------------------------------------


def test_a_clock_that_goes_back_with_its_events_is_caught() -> None:
    class Gullible(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            self._floor.now_ms = min(self._floor.now_ms, event.at_ms)
            return super().handle(event)

    assert caught(Gullible)


def test_a_line_that_is_given_up_for_a_step_of_the_clock_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        DeadAir, "_line_stuck", lambda self: self._voice.end_call("the line is dead")
    )
    assert caught() == "6 an honest failure"


def test_words_that_are_taken_for_an_echo_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "antiphon.engine.caller_side.is_own_voice", lambda floor, text: floor.echo < 0.1
    )
    assert caught() == "3 every turn is answered or refused"


def test_an_agent_that_is_stopped_in_protected_speech_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Response, "protected", property(lambda self: False))
    assert caught() == "8 protected speech is heard to its end"


# ---- a telephone ---------------------------------------------------------------------------


def test_a_recording_without_a_yes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(floor: Any) -> str:
        said = notice_begin(floor)
        floor.out.append(c.StartRecording())
        return said

    notice_begin = notice.begin
    monkeypatch.setattr(notice, "begin", begin)
    assert caught() == "recording is agreed to"


def test_a_secret_number_on_tape_is_caught() -> None:
    class Taped(Conversation):
        def handle(self, event: e.Event) -> list[c.Command]:
            kinds = (c.PauseRecording, c.ResumeRecording)
            return [one for one in super().handle(event) if not isinstance(one, kinds)]

    assert caught(Taped) == "recording is agreed to"


def test_an_answer_before_the_notice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "next_due", lambda self, due: due)
    assert caught()


def test_talk_to_a_line_on_hold_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Floor, "away", False)
    assert caught() == "the absent are left alone"


def test_a_transfer_of_which_nobody_tells_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Line, "_transfer_lost", lambda self: None)
    assert caught()
