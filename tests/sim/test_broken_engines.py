"""The promises bite: engines that are broken on purpose, each as such a thing really breaks, and
each is caught within 1,000 seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.conversation import Conversation
from antiphon.engine.dead_air import DeadAir
from antiphon.engine.floor import Deadline
from antiphon.engine.history import History
from antiphon.engine.policy import Setup
from antiphon.engine.response import Response
from antiphon.engine.user_turn import UserTurn
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
        (c.StartGeneration, "3"),
        (c.CancelGeneration, "c7"),
        (c.CallTool, "4"),
        (c.SynthesizeText, "68"),
        (c.EndSynthesis, "46"),
        (c.PlayAudio, "68"),
        (c.ResumeAudio, "4"),
        (c.FlushAudio, "1"),
        (c.ReportTurn, "36"),
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
    monkeypatch.setattr(AgentTurn, "_live", lambda self, response_id: self._floor.response)
    assert caught()


def test_an_open_tool_that_is_ignored_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(self: AgentTurn, event: e.GenerationEnded) -> None:
        response = self._generating(event.response_id)
        if response is not None:
            response.generating = False
            self._flush_text(response)
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


def test_a_turn_lost_in_protected_speech_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the caller says during a legal notice is thrown away."""

    class Rude(Conversation):
        __slots__ = ()

        def handle(self, event: e.Event) -> list[c.Command]:
            given = super().handle(event)
            response = self._floor.response
            protected = response is not None and not response.interruptible
            if protected and isinstance(event, e.TranscriptCompleted):
                self._floor.user.close()
            return given

    assert caught(Rude)[:1] in set("35t")


def test_protected_speech_that_is_interrupted_is_caught() -> None:
    def rude(setup: Setup) -> Conversation:
        return Conversation(replace(setup, greeting_protected=False))

    assert caught(rude) == "8 protected speech is heard to its end"


def test_a_reopened_turn_that_loses_its_first_words_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = UserTurn.reopen

    def reopen(self: UserTurn, turn_id: int, text: str) -> None:
        whole(self, turn_id, "")

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
