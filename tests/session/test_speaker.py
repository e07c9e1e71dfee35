"""The agent's voice in one call: withheld until it may be heard, and its positions told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.support.stage import leftovers, settle

from antiphon.agent.speech import SpeechConfig
from antiphon.engine import events as e
from antiphon.providers.base import AgentHints, Tts
from antiphon.providers.scripted import ScriptedTts, ScriptedTtsOptions
from antiphon.session import speaker as speaker_module
from antiphon.session import utterance as utterance_module
from antiphon.session.speaker import FarEnd, Speaker, TextSpeaker


class Booth:
    """A speaker, what it posted, and its tasks."""

    def __init__(
        self,
        rate_hz: int = 16_000,
        *,
        voices: Sequence[Tts] = (),
        speech: SpeechConfig | None = None,
        on_played: Callable[[bytes | None], None] | None = None,
        tells_heard: bool = False,
        clear: Callable[[], bool] | None = None,
        **script: Any,
    ) -> None:
        options = ScriptedTtsOptions.model_validate(script)
        self.events: list[e.Event] = []
        self.now_ms = 0
        self.rate_hz = rate_hz
        self.tasks: list[asyncio.Task[None]] = []
        self.speaker = Speaker(
            voices or (ScriptedTts(options, AgentHints()),),
            rate_hz,
            lambda: self.now_ms,
            self.events.append,
            self._spawn,
            speech=speech or SpeechConfig(),
            far_end=FarEnd(on_played, tells_heard, clear),
        )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work, name=name))
        return self.tasks[-1]

    async def say(self, *texts: str, response_id: int = 1, end: bool = True) -> None:
        for number, text in enumerate(texts):
            self.speaker.speak(response_id, number, text)
        if end:
            self.speaker.end(response_id)
        await settle()

    async def play(self, frames: int) -> list[bytes | None]:
        heard = []
        for _ in range(frames):
            heard.append(self.speaker.read_frame())
            self.now_ms += 20
            await settle()
        return heard

    def of(self, *kinds: type[e.Event]) -> list[e.Event]:
        return [one for one in self.events if isinstance(one, kinds)]


async def test_nothing_is_heard_before_the_engine_lets_it() -> None:
    booth = Booth()
    await booth.say("one two")
    assert await booth.play(3) == [None] * 3
    (segment,) = booth.of(e.SegmentSynthesized)
    assert isinstance(segment, e.SegmentSynthesized)
    assert segment.duration_ms == 600
    assert [word.text for word in segment.words] == ["one", "two"]
    assert not booth.speaker.busy
    booth.speaker.play(1)
    frames = await booth.play(32)
    assert [one is not None for one in frames] == [True] * 30 + [False] * 2
    assert isinstance(booth.of(e.PlaybackStarted, e.PlaybackEnded)[0], e.PlaybackStarted)
    assert booth.of(e.PlaybackEnded)[0] == e.PlaybackEnded(60 + 29 * 20, 1, 600)


async def test_positions_are_told_every_tenth_of_a_second() -> None:
    booth = Booth()
    await booth.say("one two")
    booth.speaker.play(1)
    await booth.play(31)
    played = [one.played_ms for one in booth.events if isinstance(one, e.PlaybackProgressed)]
    assert played == [100, 200, 300, 400, 500, 600]


async def test_segments_written_while_it_speaks_follow_without_a_gap() -> None:
    booth = Booth()
    await booth.say("one", end=False)
    booth.speaker.play(1)
    await booth.play(5)
    booth.speaker.speak(1, 1, "two")
    booth.speaker.end(1)
    await settle()
    frames = await booth.play(27)
    assert sum(one is not None for one in frames) == 25
    assert booth.of(e.PlaybackEnded)


async def test_a_gap_is_told_so_that_the_engine_knows_the_position() -> None:
    booth = Booth()
    await booth.say("one", end=False)
    booth.speaker.play(1)
    await booth.play(18)
    told = [one.played_ms for one in booth.events if isinstance(one, e.PlaybackProgressed)]
    assert told[-1] == 300
    assert not booth.of(e.PlaybackEnded)


async def test_silence_before_the_first_word_is_taken_off_and_its_words_moved() -> None:
    booth = Booth(leading_silence_ms=400)
    await booth.say("one two")
    (segment,) = booth.of(e.SegmentSynthesized)
    assert isinstance(segment, e.SegmentSynthesized)
    assert 600 <= segment.duration_ms <= 700
    assert segment.words[0].start_ms <= 60
    assert segment.words[1].start_ms - segment.words[0].start_ms == 300


async def test_a_voice_of_another_rate_is_resampled() -> None:
    booth = Booth(48_000, sample_rate_hz=8000)
    await booth.say("one two")
    booth.speaker.play(1)
    frames = [one for one in await booth.play(35) if one is not None]
    assert all(len(one) == 1920 for one in frames)
    assert abs(len(frames) - 30) <= 1


async def test_a_flush_closes_the_voice_and_leaves_one_fading_frame() -> None:
    booth = Booth(chunk_ms=100, hang_after_chunks=8)
    await booth.say("one two three four")
    booth.speaker.play(1)
    await booth.play(10)
    assert booth.speaker.busy
    booth.speaker.flush(1)
    await settle()
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(200, 1, 200)]
    assert not booth.speaker.busy
    frames = await booth.play(5)
    assert frames[0] is not None
    assert frames[1:] == [None] * 4
    assert leftovers() == set()


async def test_a_flush_before_anything_sounded_is_silent() -> None:
    booth = Booth()
    await booth.say("one two")
    booth.speaker.flush(1)
    booth.speaker.play(1)
    assert await booth.play(3) == [None] * 3
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(0, 1, 0)]


async def test_lower_silent_and_on_again() -> None:
    booth = Booth()
    await booth.say("one two three")
    booth.speaker.play(1)
    await booth.play(5)
    booth.speaker.duck(-18.0)
    quiet = (await booth.play(5))[-1]
    booth.speaker.pause()
    gap = await booth.play(5)
    booth.speaker.resume()
    loud = (await booth.play(5))[-1]
    assert gap[1:] == [None] * 4
    assert quiet is not None
    assert loud is not None
    assert peak(loud) > 4 * peak(quiet)


def peak(pcm: bytes) -> int:
    return max(memoryview(pcm).cast("h"))


@pytest.mark.parametrize("chunks", [0, 3])
async def test_a_voice_that_fails_says_so_once(chunks: int) -> None:
    booth = Booth(fail_after_chunks=chunks)
    await booth.say("one two three")
    (failure,) = booth.of(e.SynthesisFailed)
    assert isinstance(failure, e.SynthesisFailed)
    assert "failed as scripted" in failure.reason
    assert not booth.of(e.SegmentSynthesized)


async def test_an_answer_that_never_ends_fails_rather_than_grow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(utterance_module, "MAX_SEGMENTS", 3)
    booth = Booth(hang_after_chunks=0)
    for number in range(4):
        booth.speaker.speak(1, number, "one")
    booth.speaker.end(1)
    reasons = [one.reason for one in booth.events if isinstance(one, e.SynthesisFailed)]
    assert reasons == ["the answer is too long"] * 2
    booth.speaker.flush(1)
    await settle()


async def test_audio_is_not_made_far_ahead_of_the_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monkeypatch.setattr(speaker_module, "AHEAD_MS", 500)
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))
    booth = Booth()
    await booth.say("one two three four five six")
    made = [one.duration_ms for one in booth.events if isinstance(one, e.AudioSynthesized)]
    assert max(made) <= 700
    assert not booth.speaker.busy  # it waits for the listener, nothing is computed
    booth.speaker.play(1)
    frames = await booth.play(95)
    assert sum(one is not None for one in frames) == 90


async def test_commands_for_an_answer_that_is_not_spoken_change_nothing() -> None:
    booth = Booth()
    booth.speaker.end(7)
    booth.speaker.play(7)
    booth.speaker.flush(7)
    assert booth.events == [e.PlaybackFlushed(0, 7, 0)]
    await booth.say("one", response_id=8)
    booth.speaker.end(7)
    booth.speaker.play(7)
    assert await booth.play(2) == [None] * 2


async def test_answers_follow_each_other() -> None:
    booth = Booth()
    for response_id in (1, 2):
        await booth.say("one", response_id=response_id)
        booth.speaker.play(response_id)
        await booth.play(17)
    ended = [one.response_id for one in booth.events if isinstance(one, e.PlaybackEnded)]
    assert ended == [1, 2]


# ---- without audio -------------------------------------------------------------------------


def test_what_is_shown_is_heard() -> None:
    events: list[e.Event] = []
    speaker = TextSpeaker(lambda: 5, events.append)
    speaker.speak(1, 0, "One.")
    assert events == [e.SegmentSynthesized(5, 1, 0, 0)]
    speaker.play(1)
    speaker.speak(1, 1, "Two.")
    speaker.end(1)
    assert events[1:] == [
        e.PlaybackStarted(5, 1),
        e.PlaybackProgressed(5, 1, 0),
        e.SegmentSynthesized(5, 1, 1, 0),
        e.PlaybackProgressed(5, 1, 0),
        e.PlaybackEnded(5, 1, 0),
    ]
    assert speaker.read_frame() is None
    assert not speaker.busy


def test_a_flush_of_text_is_confirmed_and_nothing_follows() -> None:
    events: list[e.Event] = []
    speaker = TextSpeaker(lambda: 5, events.append)
    speaker.speak(1, 0, "One.")
    speaker.play(1)
    speaker.duck(-18.0)
    speaker.pause()
    speaker.resume()
    events.clear()
    speaker.flush(1)
    speaker.end(1)
    assert events == [e.PlaybackFlushed(5, 1, 0)]


async def test_what_the_far_end_drops_is_not_heard_and_no_fade_follows_it() -> None:
    def clear() -> bool:
        # One more is at the ear before the far end knows.
        booth.speaker.heard(16)
        return True

    booth = Booth(tells_heard=True, clear=clear)
    await booth.say("one two three four")
    booth.speaker.play(1)
    await booth.play(20)
    booth.speaker.heard(15)
    booth.speaker.flush(1)
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(400, 1, 320)]
    assert await booth.play(2) == [None, None]


async def test_nothing_is_dropped_where_nothing_of_the_response_is_on_its_way() -> None:
    def clear() -> bool:
        raise AssertionError

    booth = Booth(tells_heard=True, clear=clear)
    await booth.say("one two three four")
    booth.speaker.play(1)
    await booth.play(20)
    booth.speaker.heard(20)
    booth.speaker.flush(1)
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(400, 1, 400)]


async def test_what_is_on_its_way_to_a_browser_will_be_heard() -> None:
    booth = Booth(tells_heard=True, clear=lambda: False)
    await booth.say("one two three four")
    booth.speaker.play(1)
    await booth.play(20)
    booth.speaker.heard(15)
    assert booth.of(e.PlaybackProgressed)[-1] == e.PlaybackProgressed(400, 1, 300)
    booth.speaker.flush(1)
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(400, 1, 400)]
    fading = await booth.play(2)
    assert [frame is not None for frame in fading] == [True, False]


async def test_what_is_on_its_way_when_the_line_is_lost_was_not_heard() -> None:
    booth = Booth(tells_heard=True)
    await booth.say("one two three four")
    booth.speaker.play(1)
    await booth.play(20)
    booth.speaker.heard(7)
    booth.speaker.away = True
    booth.speaker.flush(1)
    assert booth.of(e.PlaybackFlushed) == [e.PlaybackFlushed(400, 1, 140)]


async def test_an_answer_is_over_when_its_last_frame_was_heard() -> None:
    booth = Booth(tells_heard=True)
    await booth.say("one")
    booth.speaker.play(1)
    await booth.play(20)
    assert not booth.of(e.PlaybackEnded)
    booth.speaker.heard(15)
    assert booth.of(e.PlaybackEnded) == [e.PlaybackEnded(400, 1, 300)]
