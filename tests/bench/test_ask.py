"""One provider is asked for one thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.stage import LevelVad, speech

from antiphon.bench import ask
from antiphon.bench.ask import Edge, Speech
from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import FinalText, LlmRequest, PartialText, SttEvent, TtsSegment
from antiphon.types import FRAME_BYTES, Message

ASKED = LlmRequest((Message("user", "A large latte."),))
SPOKEN = Speech("tone", speech(300), (Edge(True, 0, 40), Edge(False, 300, 400)), "yes please")


def scripted(kind: Any, **options: Any) -> Any:
    return registry.make(kind, "scripted", options)


async def understood(given: Speech = SPOKEN, **options: Any) -> tuple[Any, list[str]]:
    stream = await scripted("stt", **options).open()
    partials: list[str] = []
    try:
        made = await ask.understand(
            stream, given, name="s", fast=True, tell=lambda at_ms, text: partials.append(text)
        )
    finally:
        await stream.aclose()
    return made, partials


# ---- recordings ----------------------------------------------------------------------------


def test_what_a_detector_hears() -> None:
    silence = bytes(FRAME_BYTES * 10)
    heard = ask.hear(LevelVad(), "x", silence + speech(300) + silence, "hm")
    ((begin, end),) = heard.spans
    assert 160 <= begin <= 240
    assert 460 <= end <= 540
    assert all(edge.told_ms >= edge.position_ms for edge in heard.edges)
    assert (heard.ms, heard.text) == (700, "hm")


def test_speech_to_the_very_end_is_ended_by_the_silence_after_it() -> None:
    assert [one.speaking for one in ask.hear(LevelVad(), "x", speech(300)).edges] == [True, False]


def test_without_edges_all_of_it_is_speech() -> None:
    assert Speech("x", speech(300)).spans == [(0, 300)]
    assert Speech("x", speech(300), (Edge(True, 100, 140),)).spans == [(100, 300)]


def test_frames_are_whole() -> None:
    cut = ask.frames(b"\1" * (FRAME_BYTES + 2), 40)
    assert [len(one) for one in cut] == [FRAME_BYTES] * 4
    assert cut[1] == b"\1\1" + bytes(FRAME_BYTES - 2)


# ---- recognisers ---------------------------------------------------------------------------


async def test_a_recording_is_understood() -> None:
    made, partials = await understood(
        transcripts=["yes please"], partial_every_ms=100, first_delay_ms=30
    )
    assert made.text == "yes please"
    # A partial that nobody has read yet is replaced by the next one.
    assert partials == [text for _, text in made.partials]
    assert partials[-1] == "yes please"
    # The detector told the end 100 ms after it, which were played in ten; then the recogniser.
    assert 30 <= made.final_ms < 5000
    assert 0 < made.told_ms <= made.final_ms
    assert made.first_ms is not None


async def test_a_recording_in_which_nothing_was_heard_is_given_nevertheless() -> None:
    made, _ = await understood(Speech("x", bytes(FRAME_BYTES * 5)), transcripts=["yes"])
    assert made.text == "yes"


async def test_the_final_text_is_that_of_the_last_pause() -> None:
    given = Speech(
        "two",
        speech(500),
        (Edge(True, 0, 40), Edge(False, 100, 200), Edge(True, 300, 340), Edge(False, 400, 500)),
    )
    finals = _Finals()
    assert (await ask.understand(finals, given, fast=True)).text == "revision 2"
    assert finals.asked == [1, 2]
    assert finals.begun == [(1, 40 + ask.PREROLL_MS)]
    assert finals.ended == [1]


class _Finals:
    """A stream that answers every request, once it was asked for all."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.all_asked = asyncio.Event()
        self.begun: list[tuple[int, int]] = []
        self.ended: list[int] = []

    def push(self, pcm: bytes) -> None:
        """Nothing is kept."""

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self.begun.append((utterance_id, preroll_ms))

    def finalize(self, utterance_id: int, revision: int) -> None:
        self.asked.append(revision)
        if revision == 2:
            self.all_asked.set()

    def end(self, utterance_id: int) -> None:
        self.ended.append(utterance_id)

    async def events(self) -> AsyncIterator[SttEvent]:
        yield PartialText(1, "")
        await self.all_asked.wait()
        for revision in self.asked:
            yield FinalText(1, revision, f"revision {revision}")

    async def aclose(self) -> None:
        """Nothing to release."""


async def test_a_recogniser_that_fails() -> None:
    with pytest.raises(ProviderError, match="as scripted"):
        await understood(fail_at_utterance=0)


async def test_a_recogniser_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "DEADLINE_S", 0.05)
    with pytest.raises(ProviderError, match="no final text in time") as caught:
        await understood(hang_at_utterance=0)
    assert caught.value.provider == "s"


async def test_a_recogniser_that_takes_no_more_sound() -> None:
    class Full(_Finals):
        def push(self, pcm: bytes) -> None:
            raise ProviderError("full", provider="f", retryable=True)

    with pytest.raises(ProviderError, match="full"):
        await ask.understand(Full(), SPOKEN)


async def test_a_recogniser_that_ends_without_a_word() -> None:
    class Ended(_Finals):
        async def events(self) -> AsyncIterator[SttEvent]:
            return
            yield

    with pytest.raises(ProviderError, match="ended without a final text"):
        await ask.understand(Ended(), SPOKEN, fast=True)


# ---- brains --------------------------------------------------------------------------------


async def test_an_answer_is_timed() -> None:
    told: list[str] = []
    replies = ["A large latte. Is that right, and do you want it here?"]
    llm = scripted("llm", replies=replies, first_delay_ms=20, chunk_delay_ms=2)
    made = await ask.answer(llm, ASKED, tell=told.append)
    assert made.text == "".join(told) == replies[0]
    assert made.sentence == "A large latte."
    assert made.sentence_ms is not None
    assert 20 <= made.first_ms <= made.sentence_ms < made.total_ms


async def test_an_answer_that_is_a_tool() -> None:
    replies = [{"tool_calls": [{"name": "order", "arguments": {"size": "large"}}]}]
    made = await ask.answer(scripted("llm", replies=replies), ASKED)
    assert [one.name for one in made.tools] == ["order"]
    assert (made.sentence, made.sentence_ms) == ("", None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fail_after_chunks": 1}, "as scripted"),
        ({"hang_after_chunks": 1}, "no whole answer in time"),
        ({"replies": [""]}, "nothing to say"),
    ],
)
async def test_a_brain_that_fails(
    options: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "DEADLINE_S", 0.05)
    with pytest.raises(ProviderError, match=says):
        await ask.answer(scripted("llm", **options), ASKED)


# ---- voices --------------------------------------------------------------------------------


async def test_a_sentence_is_timed() -> None:
    tts = scripted("tts", ms_per_word=200, chunk_ms=100, first_delay_ms=20, chunk_delay_ms=2)
    made = await ask.speak(tts, "two words")
    assert (made.audio_ms, made.rate_hz) == (400, 16_000)
    assert 20 <= made.first_ms < made.total_ms


async def test_only_the_first_sound_is_waited_for() -> None:
    tts = scripted("tts", ms_per_word=200, chunk_ms=100, hang_after_chunks=1)
    assert (await ask.speak(tts, "two words", first_only=True)).audio_ms == 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fail_after_chunks": 1}, "as scripted"),
        ({"hang_after_chunks": 1}, "not all sound came in time"),
    ],
)
async def test_a_voice_that_fails(
    options: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "DEADLINE_S", 0.05)
    with pytest.raises(ProviderError, match=says):
        await ask.speak(scripted("tts", **options), "two words")


async def test_a_voice_that_reads_ssml_is_given_it() -> None:
    class Reads:
        takes_ssml, sample_rate_hz = True, 8000

        def __init__(self) -> None:
            self.given: list[str] = []

        async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[Any]:
            self.given += [one.text async for one in segments]
            return
            yield

    tts: Any = Reads()
    with pytest.raises(ProviderError, match="made no sound"):
        await ask.speak(tts, "a < b")
    assert tts.given == ["<speak>a &lt; b</speak>"]
