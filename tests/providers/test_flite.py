from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment, TtsWords
from antiphon.providers.tts import flite
from antiphon.providers.tts._flite_ctypes import FliteLibrary, Token
from antiphon.providers.tts.flite import FliteOptions, FliteTts, split_clauses, time_words
from antiphon.types import Word


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def spoken(text: str, rate: int = 150, **options: object) -> tuple[bytes, list[Word]]:
    tts = FliteTts(FliteOptions.model_validate(options), AgentHints(rate=rate))
    await tts.start()
    try:
        events = [event async for event in tts.stream(segments(text))]
    finally:
        await tts.aclose()
    pcm = b"".join(event.pcm for event in events if isinstance(event, TtsAudio))
    words = [word for event in events if isinstance(event, TtsWords) for word in event.words]
    return pcm, words


def energies(pcm: bytes) -> np.ndarray:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    blocks = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    return np.asarray(10 * np.log10((blocks**2).mean(axis=1) + 100))


async def test_words_are_as_written_and_where_they_sound() -> None:
    text = "Hello — that's 2 large lattes, Dr. Smith. Is that right?"
    pcm, words = await spoken(text)
    assert [word.text for word in words] == text.split()
    times = [moment for word in words for moment in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(int))
    loud = np.flatnonzero(samples > 300) / 16
    assert words[0].start_ms == 30
    assert words[0].start_ms - 10 <= loud[0] <= words[0].start_ms + 60
    assert words[-1].end_ms - 120 <= loud[-1] <= words[-1].end_ms + 60
    assert len(pcm) // 32 - words[-1].end_ms <= 250
    pause = samples[words[7].end_ms * 16 + 800 : words[8].start_ms * 16 - 480]
    assert len(pause)
    assert pause.max() < 300


async def test_speed_and_voices() -> None:
    text = "I would like a large latte with oat milk please."
    lengths = {speed: len((await spoken(text, speed=speed))[0]) for speed in (0.8, 1.0, 1.5)}
    assert lengths[0.8] / lengths[1.0] == pytest.approx(1.25, abs=0.1)
    assert lengths[1.5] / lengths[1.0] == pytest.approx(0.67, abs=0.08)
    for voice in ("rms", "awb"):
        pcm, words = await spoken(text, voice=voice)
        assert 120 <= 10 * 60_000 / words[-1].end_ms <= 200
        assert energies(pcm).max() > 50


@pytest.mark.parametrize("rate", [110, 150, 200])
@pytest.mark.parametrize("voice", ["slt", "rms", "awb"])
async def test_it_speaks_as_many_words_a_minute_as_it_is_told(voice: str, rate: int) -> None:
    text = (
        "The kitchen is open until nine o'clock today, and we have a small table by the window. "
        "Would you like to order something now, or shall I call you back later on? "
        "Go straight on until you see the church on your right, then turn left."
    )
    pcm = (await spoken(text, rate=rate, voice=voice))[0]
    assert len(text.split()) * 60_000 / (len(pcm) / 32) == pytest.approx(rate, rel=0.13)


async def test_what_cannot_be_spoken_has_words_without_length() -> None:
    pcm, words = await spoken("日本 … 😀")
    assert pcm == b""
    assert words == [Word("日本", 0, 0), Word("…", 0, 0), Word("😀", 0, 0)]
    pcm, words = await spoken("Café 日本 x\0y")
    assert [word.text for word in words] == ["Café", "日本", "x\0y"]
    assert words[1].start_ms == words[1].end_ms == words[0].end_ms
    assert await spoken("") == (b"", [])


async def test_closing_stops_the_synthesis(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    seen: list[bool] = []
    original = flite._Job._on_audio

    def watched(job: flite._Job, first_sample: int, pcm: bytes) -> bool:
        if first_sample >= 8000:
            stopped.wait(2)
        seen.append(original(job, first_sample, pcm))
        return seen[-1]

    monkeypatch.setattr(flite._Job, "_on_audio", watched)
    tts = FliteTts(FliteOptions(), AgentHints())
    await tts.start()
    stream = tts.stream(segments("one two three four five six seven eight nine ten eleven"))
    async for event in stream:
        if isinstance(event, TtsAudio):
            break
    await stream.aclose()  # type: ignore[attr-defined]
    stopped.set()
    for _ in range(200):
        if seen[-1:] == [False]:
            break
        await asyncio.sleep(0.005)
    assert seen[-1] is False
    assert len(seen) < 15
    await tts.aclose()


async def test_a_cancelled_task_lets_go_at_once() -> None:
    tts = FliteTts(FliteOptions(), AgentHints())
    await tts.start()

    async def speak() -> None:
        async for _ in tts.stream(segments("a long sentence " * 50)):
            pass

    tasks = [asyncio.create_task(speak()) for _ in range(20)]
    await asyncio.sleep(0.02)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    await tts.aclose()


def test_many_threads_speak_as_one_does() -> None:
    # Excitation of voiceless sounds is random, so audio is compared by its energies.
    library = FliteLibrary("slt")
    texts = ["Hello, how are you today?", "A large latte.", "Your order is number 42."]

    def once(text: str) -> tuple[list[Token], bytes]:
        tokens: list[Token] = []
        audio = bytearray()

        def keep(_: int, pcm: bytes) -> bool:
            audio.extend(pcm)
            return True

        library.synthesize(text, 1.0, tokens.extend, keep)
        return tokens, bytes(audio)

    reference = {text: once(text) for text in texts}
    problems: list[str] = []

    def worker(offset: int) -> None:
        for number in range(6):
            text = texts[(number + offset) % len(texts)]
            tokens, audio = once(text)
            expected_tokens, expected_audio = reference[text]
            alike = np.corrcoef(energies(audio), energies(expected_audio))[0, 1]
            if tokens != expected_tokens or len(audio) != len(expected_audio) or alike < 0.98:
                problems.append(text)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(library._idle) <= 4
    assert not library._listeners


def test_an_error_in_a_listener_stops_and_comes_out() -> None:
    def fail(tokens: list[Token]) -> None:
        raise KeyError("planted")

    library = FliteLibrary("slt")
    with pytest.raises(KeyError, match="planted"):
        library.synthesize("hello", 1.0, fail, lambda first, pcm: True)
    assert len(library._idle) == 1


def test_nothing_leaks() -> None:
    def resident_kb() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4

    library = FliteLibrary("slt")

    def speak(times: int) -> None:
        for _ in range(times):
            library.synthesize("hello there", 0.5, lambda tokens: None, lambda first, pcm: False)

    speak(30)
    before = resident_kb()
    speak(150)
    # One utterance that was not deleted is about 100 kB.
    assert resident_kb() - before < 4_000


def test_a_missing_library_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, mode: int = 0) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(UserFacingError, match="apt-get install libflite1"):
        FliteLibrary("slt")


def test_clauses_end_where_a_speaker_would_pause() -> None:
    def cut(text: str) -> list[str]:
        return [" ".join(clause.written) for clause in split_clauses(text.split())]

    assert cut("Hello. I can take your order.") == ["Hello.", "I can take your order."]
    assert cut("Thank you, Dr. Smith, that is all.") == ["Thank you, Dr. Smith, that is all."]
    assert cut("Please wait a moment, while I look at the times.") == [
        "Please wait a moment,",
        "while I look at the times.",
    ]
    assert cut("word " * 50) == [" ".join(["word"] * n) for n in (24, 24, 2)]
    assert cut("") == []


@settings(deadline=None)
@given(st.text(max_size=200))
def test_clauses_keep_every_word_and_give_flite_printable_ascii(text: str) -> None:
    clauses = list(split_clauses(text.split()))
    assert [word for clause in clauses for word in clause.written] == text.split()
    for clause in clauses:
        assert clause.text.isascii()
        assert clause.text == "" or clause.text.isprintable()
        assert len(clause.text.split()) == sum(bool(piece) for piece in clause.pieces)
        if clause.text:
            assert clause.gap_ms > 0


def test_tokens_that_do_not_fit_still_give_every_word_a_time() -> None:
    (clause,) = split_clauses(["one", "two", "three"])
    words = time_words(clause, [Token(False, 100, 300)], 10)
    assert words == (Word("one", 110, 310), Word("two", 310, 310), Word("three", 310, 310))
    assert time_words(clause, [], 0) == tuple(Word(text, 0, 0) for text in clause.written)
