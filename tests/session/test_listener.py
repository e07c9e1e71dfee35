"""The caller's side: every frame is heard by both, edges keep their true time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from antiphon.audio.canceller import EchoCanceller
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, PartialText, SttEvent, VadEdge
from antiphon.session.listener import PREROLL_MS, Listener
from antiphon.types import FRAME_BYTES

FRAME = bytes(FRAME_BYTES)


class Edges:
    """A VAD that finds an edge when the test says so."""

    def __init__(self) -> None:
        self.next: list[VadEdge] = []
        self.fed = 0
        self.silent = 0

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        self.fed += 1
        self.silent += not any(pcm)
        found, self.next = self.next, []
        return found


class Recogniser:
    """Notes what it is asked; says what the test gives it."""

    def __init__(
        self, *results: SttEvent, failure: ProviderError | None = None, ends: bool = False
    ) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.pushed = 0
        self.full = False
        self._results, self._failure, self._ends = results, failure, ends

    def push(self, pcm: bytes) -> None:
        if self.full:
            raise ProviderError("full", provider="test", retryable=False)
        self.pushed += 1

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self.asked.append(("begin", utterance_id, preroll_ms))
        self.over_agent = over_agent

    def finalize(self, utterance_id: int, revision: int) -> None:
        self.asked.append(("finalize", utterance_id, revision))

    def end(self, utterance_id: int) -> None:
        self.asked.append(("end", utterance_id))

    async def events(self) -> AsyncIterator[SttEvent]:
        for one in self._results:
            yield one
        if self._failure is not None:
            raise self._failure
        if self._ends:
            return
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Nothing to release."""


class Call:
    """A listener whose clock the test moves."""

    def __init__(self, stt: Recogniser | None) -> None:
        self.now_ms = 0
        self.vad = Edges()
        self.events: list[e.Event] = []
        self.listener = Listener(self.vad, stt, lambda: self.now_ms, self.events.append)

    def frames(self, count: int) -> None:
        for _ in range(count):
            self.now_ms += 20
            self.listener.on_audio(FRAME)


def test_every_frame_goes_to_both() -> None:
    stt = Recogniser()
    call = Call(stt)
    call.frames(5)
    assert (call.vad.fed, stt.pushed, call.events) == (5, 5, [])


def test_an_edge_has_the_time_at_which_it_was_not_at_which_it_was_found() -> None:
    call = Call(Recogniser())
    call.now_ms = 1000  # the line had been open for a second before the first frame
    call.frames(9)
    call.vad.next = [VadEdge(True, 100), VadEdge(False, 160)]
    call.frames(1)
    assert call.events == [e.UserSpeechStarted(1200, 1100), e.UserSpeechStopped(1200, 1160)]


def test_an_edge_before_the_call_began_is_at_its_beginning() -> None:
    call = Call(Recogniser())
    call.frames(9)
    call.now_ms = 50
    call.vad.next = [VadEdge(True, 0)]
    call.listener.on_audio(FRAME)
    assert call.events == [e.UserSpeechStarted(50, 0)]


def test_speech_that_was_noticed_late_gets_its_preroll() -> None:
    stt = Recogniser()
    call = Call(stt)
    call.now_ms = 500
    call.listener.begin(1, 420)
    call.listener.begin(2, 500)
    assert stt.asked == [("begin", 1, 80 + PREROLL_MS), ("begin", 2, 0)]


def test_the_recogniser_knows_when_the_agent_is_spoken_over() -> None:
    stt = Recogniser()
    call = Call(stt)
    call.listener.begin(1, 0)
    assert not stt.over_agent
    call.listener.on_played(b"\x00\x20" * 320)
    call.listener.begin(2, 0)
    assert stt.over_agent
    for _ in range(100):
        call.listener.on_played(None)
    call.listener.begin(3, 0)
    assert not stt.over_agent


def test_a_final_is_owed_until_it_comes_or_nobody_wants_it() -> None:
    stt = Recogniser()
    call = Call(stt)
    assert not call.listener.busy
    call.listener.finalize(1, 1)
    call.listener.finalize(1, 2)
    call.listener._take(FinalText(1, 1, "old"))
    assert call.listener.busy
    call.listener._take(FinalText(1, 2, "new"))
    assert not call.listener.busy
    call.listener.finalize(2, 1)
    call.listener.end(1)
    assert call.listener.busy
    call.listener.end(2)
    assert not call.listener.busy


async def test_what_is_understood_is_passed_on_and_a_failure_ends_it() -> None:
    failure = ProviderError("gone", provider="test", retryable=False)
    stt = Recogniser(
        PartialText(1, "a cof", 0.2), FinalText(1, 1, "a coffee", 0.9, 0.8), failure=failure
    )
    call = Call(stt)
    call.now_ms = 700
    await call.listener.run()
    assert call.events == [
        e.TranscriptUpdated(700, 1, "a cof", 0.2),
        e.TranscriptCompleted(700, 1, 1, "a coffee", 0.9, 0.8),
        e.TranscriptionFailed(700, "test: gone"),
    ]
    call.frames(1)
    assert stt.pushed == 0


async def test_a_recogniser_that_just_stops_has_failed_too() -> None:
    call = Call(Recogniser(ends=True))
    await call.listener.run()
    assert call.events == [e.TranscriptionFailed(0, "the recogniser ended its stream")]
    await call.listener.run()


async def test_an_outbox_that_is_full_fails_once_although_its_stream_ends_as_well() -> None:
    stt = Recogniser(ends=True)
    call = Call(stt)
    stt.full = True
    running = asyncio.create_task(call.listener.run())
    call.frames(1)
    await running
    assert len(call.events) == 1


def test_an_outbox_that_is_full_is_a_failure_and_told_once() -> None:
    stt = Recogniser()
    call = Call(stt)
    stt.full = True
    call.frames(3)
    call.listener.failed("again")
    assert call.events == [e.TranscriptionFailed(20, "test: full")]


async def test_without_a_recogniser_voice_activity_is_still_heard() -> None:
    call = Call(None)
    await call.listener.run()
    call.vad.next = [VadEdge(True, 0)]
    call.frames(1)
    call.listener.begin(1, 0)
    call.listener.finalize(1, 1)
    call.listener.end(1)
    assert not call.listener.busy
    assert call.events == [e.UserSpeechStarted(20, 0)]


def test_frames_of_another_length_are_a_channels_bug() -> None:
    with pytest.raises(ValueError, match="640 bytes, this one 6"):
        Call(None).listener.on_audio(b"\0" * 6)


# ---- both sound ----------------------------------------------------------------------------


def loud(amplitude: int, count: int = 1, seed: int = 1) -> list[bytes]:
    """Frames of noise that rises and falls, of this amplitude at its loudest."""
    random = np.random.default_rng(seed)
    shape = np.repeat(random.uniform(0.05, 1.0, count // 5 + 1), 5)[:count, None]
    noise = random.uniform(-amplitude, amplitude, (count, FRAME_BYTES // 2)) * shape
    return [frame.astype("<i2").tobytes() for frame in noise]


def measured(call: Call) -> list[e.SpeechMeasured]:
    return [event for event in call.events if isinstance(event, e.SpeechMeasured)]


def overlap(call: Call, played: list[bytes | None], heard: list[bytes]) -> None:
    for mine, theirs in zip(played, heard, strict=True):
        call.now_ms += 20
        call.listener.on_played(mine)
        call.listener.on_audio(theirs)


def test_how_the_caller_sounds_is_told_at_the_onset_and_every_60_ms_while_both_sound() -> None:
    call = Call(Recogniser())
    agent: list[bytes | None] = [*loud(9000, 200)]
    overlap(call, agent[:10], [FRAME] * 10)
    assert not call.events
    call.vad.next = [VadEdge(True, 200)]
    overlap(call, agent[10:20], [bytes(FRAME_BYTES - 2) + b"\x00\x40"] * 10)
    assert isinstance(call.events[0], e.UserSpeechStarted)
    assert [event.at_ms for event in measured(call)] == [220, 280, 340, 400]
    # A single sample of half of full scale in 320: -6 - 25 dB.
    assert [event.level_db for event in measured(call)] == pytest.approx([-31.1] * 4, abs=0.1)
    call.vad.next = [VadEdge(False, 400)]
    overlap(call, agent[20:30], [FRAME] * 10)
    assert len(measured(call)) == 4


def test_how_the_caller_sounds_is_told_less_often_while_the_agent_is_silent() -> None:
    call = Call(Recogniser())
    call.frames(10)
    call.vad.next = [VadEdge(True, 140)]
    overlap(call, [None] * 50, loud(8000, 50))
    told = measured(call)
    assert [event.at_ms for event in told] == [460, 700, 940, 1180]
    assert all(event.echo == 0.0 and -40 < event.level_db < -12 for event in told)


def test_the_agents_own_voice_is_silence_for_the_detector_and_not_for_the_recogniser() -> None:
    stt = Recogniser()
    call = Call(stt)
    agent: list[bytes | None] = [*loud(12_000, 200)]
    echo = [FRAME] * 5 + [
        (np.frombuffer(frame, "<i2") // 8).astype("<i2").tobytes() for frame in agent if frame
    ]
    room = loud(20, 200, seed=2)
    heard = [
        (np.frombuffer(a, "<i2") + np.frombuffer(b, "<i2")).tobytes()
        for a, b in zip(echo[:200], room, strict=True)
    ]
    overlap(call, agent[:100], heard[:100])
    before = call.vad.silent
    overlap(call, agent[100:], heard[100:])
    assert call.vad.silent - before > 90
    assert stt.pushed == 200
    call.vad.next = [VadEdge(True, 4000)]
    overlap(call, [*loud(12_000, 10, seed=3)], loud(25_000, 10, seed=4))
    assert call.vad.silent - before < 110
    assert measured(call)[-1].echo < 0.3


def test_the_loudest_moment_counts_until_the_caller_speaks_anew() -> None:
    call = Call(Recogniser())
    agent: list[bytes | None] = [*loud(9000, 150)]
    call.vad.next = [VadEdge(True, 0)]
    overlap(call, agent[:50], loud(9000, 20, seed=2) + loud(300, 30, seed=3))
    levels = [event.level_db for event in measured(call)]
    assert levels == sorted(levels)
    assert levels[-1] > -25
    call.vad.next = [VadEdge(False, 900), VadEdge(True, 980)]
    overlap(call, agent[50:60], loud(300, 10, seed=4))
    assert measured(call)[-1].level_db == levels[-1]
    call.vad.next = [VadEdge(False, 1200)]
    overlap(call, agent[60:100], loud(300, 40, seed=4))
    call.vad.next = [VadEdge(True, 2000)]
    overlap(call, agent[100:110], loud(300, 10, seed=5))
    assert measured(call)[-1].level_db < -40


def test_a_canceller_comes_before_everything_else() -> None:
    class Canceller(EchoCanceller):
        def __init__(self) -> None:
            self.heard: list[bytes] = []
            self.told: list[bytes | None] = []

        def played(self, frame: bytes | None) -> None:
            self.told.append(frame)

        def clean(self, pcm: bytes) -> bytes:
            self.heard.append(pcm)
            return FRAME

    vad, canceller = Edges(), Canceller()
    listener = Listener(vad, None, lambda: 0, lambda event: None, canceller)
    (frame,) = loud(9000)
    listener.on_played(frame)
    listener.on_played(None)
    listener.on_audio(frame)
    assert (canceller.told, canceller.heard, vad.silent) == ([frame, None], [frame], 1)
