"""What is spoken of a response: pauses, words and positions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from tests.session.test_speaker import Booth
from tests.support.stage import settle

from antiphon.agent.speech import SpeechConfig
from antiphon.engine import events as e
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.scripted import ScriptedTts, ScriptedTtsOptions
from antiphon.session.utterance import Utterance
from antiphon.spoken.script import script


def segments(booth: Booth) -> list[e.SegmentSynthesized]:
    return [one for one in booth.events if isinstance(one, e.SegmentSynthesized)]


async def heard(booth: Booth, frames: int = 400) -> np.ndarray:
    booth.speaker.play(1)
    pcm = b"".join(frame or b"" for frame in await booth.play(frames))
    return np.frombuffer(pcm, "<i2").astype(int)


def silences_ms(sound: np.ndarray, rate_hz: int = 16_000) -> list[int]:
    """Lengths of the pauses between sounds, to 5 ms."""
    block = rate_hz // 200
    loud = np.flatnonzero(
        np.abs(sound[: len(sound) // block * block]).reshape(-1, block).max(1) > 300
    )
    gaps = np.diff(loud) - 1
    return [int(gap) * 5 for gap in gaps if gap > 4]


async def test_sentences_and_clauses_have_their_pauses() -> None:
    booth = Booth(leading_silence_ms=200)
    await booth.say("One two.", "three, four,", "five", "six.")
    pauses = silences_ms(await heard(booth))
    assert len(pauses) == 3
    for pause, expected in zip(pauses, (250, 130, 30), strict=True):
        assert abs(pause - expected) <= 15


async def test_positions_agree_with_the_player_to_the_sample() -> None:
    booth = Booth(22_050, leading_silence_ms=37, ms_per_word=211, chunk_ms=33)
    await booth.say(*(f"Number {n} is so." for n in range(12)))
    await heard(booth, 1200)
    (ended,) = (one for one in booth.events if isinstance(one, e.PlaybackEnded))
    assert sum(one.duration_ms for one in segments(booth)) == ended.played_ms
    for one in segments(booth):
        times = [t for word in one.words for t in (word.start_ms, word.end_ms)]
        assert times == sorted(times)
        assert times[-1] <= one.duration_ms


async def test_joints_do_not_click() -> None:
    booth = Booth()
    await booth.say("one", "two", "three.")
    sound = await heard(booth)
    tone_step = 2 * np.pi * 440 / 16_000 * 4635
    assert np.abs(np.diff(sound)).max() < 1.2 * tone_step


async def test_what_is_written_is_told_whatever_is_spoken() -> None:
    booth = Booth()
    await booth.say("It is 7:30 p.m. and costs $5.")
    (segment,) = segments(booth)
    assert [w.text for w in segment.words] == ["It", "is", "7:30", "p.m.", "and", "costs", "$5."]
    spans = {w.text: w.end_ms - w.start_ms for w in segment.words}
    assert spans["7:30"] == 4 * 300
    assert spans["p.m."] == 0
    assert spans["$5."] == pytest.approx(600, abs=2)


async def test_a_voice_that_tells_no_words_has_them_found() -> None:
    booth = Booth(word_times=False)
    await booth.say('one two, three <break time="400ms"/> four')
    (segment,) = segments(booth)
    assert [w.text for w in segment.words] == ["one", "two,", "three", "four"]
    assert segment.words[-1].start_ms - segment.words[-2].end_ms == pytest.approx(400, abs=20)
    assert segment.words[-1].end_ms == pytest.approx(segment.duration_ms, abs=50)


async def test_a_break_is_a_pause_of_its_length() -> None:
    booth = Booth(leading_silence_ms=300)
    await booth.say('one <break time="900ms"/> two. <break time="1s"/>', "three")
    pauses = silences_ms(await heard(booth))
    assert pauses == [pytest.approx(900, abs=15), pytest.approx(1000, abs=15)]
    first, second = segments(booth)
    assert [w.text for w in first.words] == ["one", "two."]
    assert first.words[1].start_ms - first.words[0].end_ms == pytest.approx(900, abs=2)
    assert second.words[0].start_ms == pytest.approx(1000, abs=35)


async def test_what_comes_late_is_not_paused_before_as_well() -> None:
    booth = Booth()
    await booth.say("one.", end=False)
    booth.speaker.play(1)
    await booth.play(40)
    booth.speaker.speak(1, 1, "two.")
    booth.speaker.end(1)
    await settle()
    assert segments(booth)[1].duration_ms == pytest.approx(300, abs=2)


async def test_pauses_and_reading_are_settings() -> None:
    tts = ScriptedTts(ScriptedTtsOptions(), AgentHints())
    speech = SpeechConfig(sentence_gap_ms=600, as_written=True)
    booth = Booth(speech=speech)
    await booth.say("one.", "$5")
    assert silences_ms(await heard(booth)) == [pytest.approx(600, abs=15)]
    assert len(segments(booth)[1].words) == 1
    utterance = Utterance(1, tts, 16_000, speech)
    utterance.write(0, script("one.", "en", takes_ssml=False))
    assert utterance.open_segments == 1


class Reader:
    """A voice that takes SSML, and keeps what it was given."""

    takes_ssml = True
    sample_rate_hz = 8000

    def __init__(self) -> None:
        self.given: list[str] = []

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...

    async def stream(self, texts: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        async for segment in texts:
            self.given.append(segment.text)
            tone = (9000 * np.sin(np.arange(8000) / 3)).astype("<i2")
            yield TtsAudio(segment.segment_id, tone.tobytes())
            yield TtsSegmentDone(segment.segment_id)


async def test_tags_reach_only_a_voice_that_takes_them() -> None:
    text = 'Tea <break time="1s"/> & <emphasis>more</emphasis>.'
    voice = Reader()
    booth = Booth(voices=[voice])
    await booth.say(text)
    assert voice.given == ['<speak>Tea <break time="1s"/> and <emphasis>more</emphasis>.</speak>']
    (segment,) = segments(booth)
    assert [w.text for w in segment.words] == ["Tea", "&", "more."]
    assert segment.duration_ms == 1000


async def test_a_response_is_spoken_by_the_voice_that_was_asked_for() -> None:
    voice = Reader()
    options: Any = ScriptedTtsOptions()
    booth = Booth(voices=[ScriptedTts(options, AgentHints()), voice])
    booth.speaker.speak(1, 0, "One.", 0)
    booth.speaker.end(1)
    await settle()
    assert not voice.given
    booth.speaker.flush(1)
    booth.speaker.speak(2, 0, "One.", 1)
    booth.speaker.speak(2, 1, "Two.", 1)
    booth.speaker.end(2)
    await settle()
    assert voice.given == ["<speak>One.</speak>", "<speak>Two.</speak>"]


async def test_every_frame_that_is_played_is_told() -> None:
    played: list[bytes | None] = []
    booth = Booth(on_played=played.append)
    await booth.say("one")
    booth.speaker.play(1)
    frames = await booth.play(20)
    assert played == frames
    assert played[0] is not None
    assert played[-1] is None
