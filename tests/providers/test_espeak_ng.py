from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsEvent, TtsSegment, TtsWords
from antiphon.providers.tts._espeak_ctypes import MISSING, EspeakLibrary
from antiphon.providers.tts.espeak_ng import EspeakOptions, EspeakTts
from antiphon.types import Word

RATE_HZ = 22_050


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


async def spoken(
    text: str, hints: AgentHints | None = None, **options: Any
) -> tuple[bytes, list[Word]]:
    tts = EspeakTts(EspeakOptions.model_validate(options), hints or AgentHints())
    await tts.start()
    try:
        events = [event async for event in tts.stream(segments(text))]
    finally:
        await tts.aclose()
    pcm = b"".join(event.pcm for event in events if isinstance(event, TtsAudio))
    words = [word for event in events if isinstance(event, TtsWords) for word in event.words]
    return pcm, words


async def test_words_are_as_written_and_where_they_sound() -> None:
    text = "Hello — that's 25 large lattes, Dr. Smith, for 3.50 €. Is that right?"
    pcm, words = await spoken(text)
    assert [word.text for word in words] == text.split()
    times = [moment for word in words for moment in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    samples = np.abs(np.frombuffer(pcm, "<i2").astype(int))
    loud = np.flatnonzero(samples > 300) * 1000 / RATE_HZ
    assert words[0].start_ms <= loud[0] + 30
    assert loud[-1] - 40 <= words[-1].end_ms <= loud[-1] + 80
    assert len(pcm) * 500 // RATE_HZ - words[-1].end_ms >= 100
    assert words[1].start_ms == words[1].end_ms
    # Two full stops, and silence after the first of them.
    pause = samples[words[10].end_ms * 22 + 700 : words[11].start_ms * 22 - 700]
    assert len(pause) > RATE_HZ // 20
    assert pause.max() < 300
    for word in (words[3], words[4]):
        inside = samples[word.start_ms * 22 : word.end_ms * 22]
        assert inside.max() > 1000


async def test_the_agents_rate_and_speed() -> None:
    text = "Your appointment is on Tuesday, the third of March, at half past nine in the morning."
    _, usual = await spoken(text)
    assert 130 <= 16 * 60_000 / usual[-1].end_ms <= 175
    _, faster = await spoken(text, speed=1.5)
    _, fast_agent = await spoken(text, AgentHints(rate=225))
    assert usual[-1].end_ms / faster[-1].end_ms == pytest.approx(1.5, abs=0.12)
    assert fast_agent[-1].end_ms == pytest.approx(faster[-1].end_ms, abs=80)


def pitch_hz(pcm: bytes) -> float:
    """The median over the voiced parts, by the autocorrelation of what is below some 400 Hz."""
    samples = np.frombuffer(pcm, "<i2").astype(float)
    low = np.convolve(samples, np.hanning(110), "valid")[::5]
    found = []
    for start in range(0, len(low) - 400, 100):
        window = low[start : start + 400] * np.hanning(400)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(window, 1024)) ** 2)
        if correlation[0] > 1e9:
            found.append(RATE_HZ / 5 / (14 + int(correlation[14:90].argmax())))
    return float(np.median(found))


async def test_pitch_and_variants() -> None:
    text = "Mum and Anna may all remain."
    low, _ = await spoken(text, pitch=20, pitch_range=0)
    high, _ = await spoken(text, pitch=80, pitch_range=0)
    assert (pitch_hz(low), pitch_hz(high)) == pytest.approx((65, 126), abs=8)
    woman, _ = await spoken("Hello.", voice="en+f3")
    man, _ = await spoken("Hello.", voice="en")
    assert woman != man


@pytest.mark.parametrize(
    ("language", "voice", "text"),
    [
        ("en", "en-us", "Hello."),
        ("en-GB", "en-gb", "Hello."),
        ("de-CH", "de-ch", "Grüezi mitenand, schön."),
        ("zh", "cmn", "你好，世界。"),
        ("pt-BR", "pt-br", "Olá."),
        ("ja", "ja", "こんにちは。"),
        ("ar", "ar", "مرحبا بك"),
    ],
)
async def test_languages(language: str, voice: str, text: str) -> None:
    tts = EspeakTts(EspeakOptions(), AgentHints(language=language))
    await tts.start()
    assert tts._manner.voice == voice
    await tts.aclose()
    pcm, words = await spoken(text, AgentHints(language=language))
    assert len(pcm) > RATE_HZ // 5
    assert [word.text for word in words] == text.split()
    assert words[-1].end_ms > 200


async def test_voices_do_not_change_each_other() -> None:
    manners = [
        AgentHints(language=to, rate=at) for to, at in (("en", 110), ("de", 170), ("fr", 260))
    ]

    async def ends(hints: AgentHints) -> list[int]:
        _, words = await spoken("Kaffee oder Tee?", hints)
        return [word.end_ms for word in words]

    alone = [await ends(one) for one in manners]
    # Each is slower than the next by more than a language leaves its mark on the next one's vowels.
    assert all(slow[-1] > 1.25 * quick[-1] for slow, quick in pairwise(alone))
    for _ in range(3):
        for found, expected in zip(await asyncio.gather(*map(ends, manners)), alone, strict=True):
            assert found == pytest.approx(expected, rel=0.12)


async def test_any_text_is_survived() -> None:
    for text in ("\0a\0b", "<speak>a</speak>", "[[a]]", "a" * 5000, "🙂 ok", "%s %n", "\ud7ff é"):
        _, words = await spoken(text)
        assert [word.text for word in words] == text.split()
    assert (await spoken("?! — …"))[0] == b""


async def test_a_long_text_neither_holds_the_loop_nor_goes_on_when_nobody_listens() -> None:
    tts = EspeakTts(EspeakOptions(), AgentHints())
    await tts.start()
    text = "Seven hundred and seventy seven. " * 1000

    async def speak() -> None:
        async for _ in tts.stream(segments(text)):
            pass

    speaking = asyncio.create_task(speak())
    await asyncio.sleep(0.03)
    # Held for the whole text, the loop would come here when it has been spoken.
    assert not speaking.done()
    speaking.cancel()
    await asyncio.wait([speaking], timeout=20)
    assert speaking.cancelled()
    # The thread is free again long before the text would have been spoken.
    stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(segments("Yes.")))
    async with asyncio.timeout(20):
        assert isinstance(await anext(stream), TtsWords)
    await stream.aclose()
    await tts.aclose()


def test_it_is_not_confused_with_a_library_of_that_name_that_is_loaded() -> None:
    """kokoro-onnx brings one, with the data of the machine that it was built on."""
    code = (
        "import ctypes, espeakng_loader\n"
        "ctypes.CDLL(espeakng_loader.get_library_path())\n"
        "from antiphon.providers.tts._espeak_ctypes import EspeakLibrary, Manner\n"
        "spoken = EspeakLibrary().speak('Hello', Manner('en', 150, 50, 50), lambda: False)\n"
        "assert len(spoken.pcm) > 10_000\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_what_is_missing_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert EspeakTts.missing() is None
    with pytest.raises(UserFacingError, match="no voice `qqx`"):
        await spoken("Hello.", voice="qqx")
    with pytest.raises(UserFacingError, match="no voice `tlh-kx`"):
        await spoken("Hello.", AgentHints(language="tlh-KX"))
    tts = EspeakTts(EspeakOptions(), AgentHints())
    with pytest.raises(ProviderError, match="not started"):
        await anext(tts.stream(segments("Hello.")))

    def none(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert EspeakTts.missing() == MISSING
    with pytest.raises(UserFacingError, match="apt-get install espeak-ng"):
        EspeakLibrary()
