"""Arbitrary sequences of events: the engine raises nothing but IllegalEvent, and there is always a
way out. With nothing but deadlines from any point on, the conversation comes to rest or ends."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.commands import AgentState, UserState
from antiphon.engine.conversation import Conversation
from antiphon.engine.policy import (
    DeadAir,
    Endpointing,
    Interruption,
    Setup,
    Silence,
    Speculation,
    TurnPolicy,
)
from antiphon.errors import IllegalEvent
from antiphon.types import Word

IDS = st.integers(1, 4)
TEXTS = st.sampled_from(["", "yeah", "stop", "a large coffee please", "um", "4 2", "😀", " "])
REPLIES = st.sampled_from(["Hi.", "One, two, three and four. ", "**", "Is that right?", "x" * 400])
NAMES = st.sampled_from(["find", "end_call"])
COMPLETE = st.one_of(st.none(), st.floats(0, 1))
DURATIONS = st.integers(0, 3000)


@st.composite
def words(draw: st.DrawFn) -> tuple[Word, ...]:
    times = sorted(draw(st.lists(DURATIONS, max_size=4)))
    return tuple(Word("w", at_ms, at_ms + 100) for at_ms in times)


# What is drawn is an event without its time: a class and the rest of its fields.
EVENTS: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just(e.DeadlineReached)),
    st.tuples(st.just(e.UserSpeechStarted), st.integers(0, 300)),
    st.tuples(st.just(e.UserSpeechStopped), st.integers(0, 300)),
    st.tuples(st.just(e.TranscriptUpdated), IDS, TEXTS, COMPLETE),
    st.tuples(st.just(e.TranscriptCompleted), IDS, IDS, TEXTS, st.floats(0, 1), COMPLETE),
    st.tuples(st.just(e.TranscriptionFailed), st.just("gone")),
    st.tuples(st.just(e.TextReceived), TEXTS),
    st.tuples(st.just(e.TextGenerated), IDS, REPLIES),
    st.tuples(st.just(e.ToolRequested), IDS, st.sampled_from(["a", "b"]), NAMES, st.just("{}")),
    st.tuples(st.just(e.GenerationEnded), IDS),
    st.tuples(st.just(e.GenerationFailed), IDS, st.just("down")),
    st.tuples(st.just(e.ToolCompleted), st.sampled_from(["a", "b", "a+"]), st.just("{}")),
    st.tuples(st.just(e.AudioSynthesized), IDS, st.integers(0, 2), DURATIONS),
    st.tuples(st.just(e.SegmentSynthesized), IDS, st.integers(0, 2), DURATIONS, words()),
    st.tuples(st.just(e.SynthesisFailed), IDS, st.just("down")),
    st.tuples(st.just(e.PlaybackStarted), IDS),
    st.tuples(st.just(e.PlaybackProgressed), IDS, DURATIONS),
    st.tuples(st.just(e.PlaybackEnded), IDS, DURATIONS),
    st.tuples(st.just(e.PlaybackFlushed), IDS, DURATIONS),
    st.tuples(st.just(e.TurnPredicted), st.integers(0, 300), st.floats(0, 1)),
    st.tuples(st.just(e.TurnSignalled), IDS, st.sampled_from(["eager", "resumed", "final"])),
    st.tuples(st.just(e.SpeechMeasured), st.floats(-70, 0), st.floats(0, 1)),
    st.tuples(st.just(e.TalkKeyMoved), st.booleans()),
    st.tuples(st.just(e.KeyPressed), st.sampled_from(["1", "7", "*", "#"])),
    st.tuples(st.just(e.CallRestored)),
)
STEPS = st.lists(st.tuples(st.integers(0, 3000), EVENTS), max_size=60)
SETUPS = st.builds(
    Setup,
    greeting=st.sampled_from(["", "Hello. How can I help?"]),
    greeting_protected=st.booleans(),
    policy=st.builds(
        TurnPolicy,
        endpointing=st.builds(
            Endpointing,
            mode=st.sampled_from(["automatic", "stt", "manual"]),
            max_utterance_ms=st.sampled_from([5000, 30_000]),
        ),
        speculation=st.builds(Speculation, prepare=st.sampled_from(["nothing", "text", "voice"])),
        interruption=st.builds(
            Interruption,
            pause_ms=st.sampled_from([0, 300, 3000]),
            speech=st.sampled_from(["interruptible", "patient", "protected"]),
        ),
        dead_air=st.builds(
            DeadAir, tool_rounds=st.integers(1, 3), filler_ms=st.sampled_from([200, 1600])
        ),
        silence=st.builds(Silence, check_ins=st.integers(0, 2), max_call_ms=st.just(60_000)),
    ),
    llms=st.integers(1, 2),
    voices=st.integers(1, 2),
    detects_turns=st.booleans(),
)


def event_of(drawn: tuple[Any, ...], at_ms: int) -> e.Event:
    cls, *rest = drawn
    if cls in (e.UserSpeechStarted, e.UserSpeechStopped, e.TurnPredicted):
        ago_ms, *more = rest
        return cls(at_ms, max(0, at_ms - ago_ms), *more)  # type: ignore[no-any-return]
    return cls(at_ms, *rest)  # type: ignore[no-any-return]


class Driver:
    """Feeds an engine as a session does: deadlines are reached in time, flushes are answered."""

    def __init__(self, setup: Setup) -> None:
        self.engine = Conversation(setup)
        self.now_ms = 0
        self.illegal = self.ended = False
        self.flushes: list[int] = []
        self.feed(e.CallStarted(0))

    def feed(self, event: e.Event) -> None:
        self.now_ms = max(self.now_ms, event.at_ms)
        try:
            given = self.engine.handle(event)
        except IllegalEvent:
            self.illegal = True
            return
        for command in given:
            if isinstance(command, c.FlushAudio):
                self.flushes.append(command.response_id)
            self.ended = self.ended or isinstance(command, c.EndCall)
        deadline = self.engine.deadline
        assert self.ended or deadline is not None or self.engine.ended
        assert deadline is None or deadline.at_ms > self.now_ms

    def wait(self, until_ms: int) -> None:
        for _ in range(1000):
            deadline = self.engine.deadline
            if deadline is None or deadline.at_ms > until_ms or self.illegal:
                self.now_ms = max(self.now_ms, until_ms)
                return
            self.feed(e.DeadlineReached(deadline.at_ms))
        raise AssertionError("a thousand deadlines, and no end")

    def confirm(self) -> None:
        while self.flushes and not self.illegal:
            self.feed(e.PlaybackFlushed(self.now_ms, self.flushes.pop(), 0))


@settings(max_examples=400, deadline=None)
@given(SETUPS, STEPS)
def test_only_illegal_events_raise_and_there_is_always_a_way_out(
    setup: Setup, steps: list[tuple[int, tuple[Any, ...]]]
) -> None:
    driver = Driver(setup)
    for delay_ms, drawn in steps:
        driver.wait(driver.now_ms + delay_ms)
        if driver.illegal or driver.ended:
            return
        driver.feed(event_of(drawn, driver.now_ms))
        driver.confirm()
        if driver.illegal:
            return
    if driver.engine.user_state is UserState.SPEAKING and not driver.ended:
        manual = setup.policy.endpointing.mode == "manual"
        stopped = e.UserSpeechStopped(driver.now_ms, driver.now_ms)
        driver.feed(e.TalkKeyMoved(driver.now_ms, held=False) if manual else stopped)
    rested = False
    for _ in range(120):
        driver.wait(driver.now_ms + 1000)
        driver.confirm()
        assert not driver.illegal
        rested = rested or driver.engine.agent_state is AgentState.LISTENING
        if driver.ended:
            break
    assert rested or driver.ended
    assert driver.ended, "nobody speaks and the longest call is a minute: it ends"


@settings(max_examples=200, deadline=None)
@given(SETUPS, STEPS)
def test_the_same_events_give_the_same_commands(
    setup: Setup, steps: list[tuple[int, tuple[Any, ...]]]
) -> None:
    def run() -> list[Any]:
        driver, seen = Driver(setup), []
        for delay_ms, drawn in steps:
            driver.wait(driver.now_ms + delay_ms)
            try:
                seen.append(driver.engine.handle(event_of(drawn, driver.now_ms)))
            except IllegalEvent as error:
                return [*seen, str(error)]
        return seen

    assert run() == run()


@settings(max_examples=200, deadline=None)
@given(SETUPS, STEPS)
def test_a_call_that_is_over_gives_no_commands(
    setup: Setup, steps: list[tuple[int, tuple[Any, ...]]]
) -> None:
    driver = Driver(setup)
    for delay_ms, drawn in steps:
        driver.wait(driver.now_ms + delay_ms)
        if driver.illegal:
            return
        driver.feed(event_of(drawn, driver.now_ms))
        if driver.illegal:
            return
    driver.engine.handle(e.CallEnded(driver.now_ms, "hung up"))
    assert driver.engine.ended
    assert driver.engine.deadline is None
    for delay_ms, drawn in steps:
        assert driver.engine.handle(event_of(drawn, driver.now_ms + delay_ms)) == []
