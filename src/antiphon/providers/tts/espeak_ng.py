"""espeak-ng: a formant voice for more than a hundred languages, small, instant and robotic.

Its library (GPL) is not part of this package: Debian's `espeak-ng` brings it. It has one state for
the whole process, so that all calls share one thread; ten seconds of speech take it 15 ms.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from pydantic import Field

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import (
    AgentHints,
    ProviderOptions,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)
from antiphon.providers.tts._espeak_ctypes import (
    MISSING,
    EspeakLibrary,
    Manner,
    Spoken,
    library_path,
)
from antiphon.providers.tts.options import speakable
from antiphon.types import Word

_RATE_HZ = 22_050
_LANGUAGES = {"en": "en-us", "zh": "cmn", "no": "nb", "iw": "he", "fil": "tl"}
# What it calls 128 words a minute are 150 of ordinary sentences.
_USUAL = 128 / 150
_FASTEST, _SLOWEST = 450, 80
_WAIT_S = 10.0
_CHUNK_BYTES = _RATE_HZ // 5 * 2


class EspeakOptions(ProviderOptions):
    """Options of the espeak-ng voice."""

    voice: str | None = Field(
        default=None,
        description="A language or voice of `espeak-ng --voices`, with a variant after a plus, such"
        " as `en+f3`; else the agent's language.",
    )
    speed: float = Field(
        default=1.0, ge=0.5, le=2.0, description="1.2 is a fifth faster than the agent's rate."
    )
    pitch: int = Field(default=50, ge=0, le=99, description="How high the voice is.")
    pitch_range: int = Field(
        default=50, ge=0, le=99, description="How much the melody moves; 0 is a monotone."
    )


class EspeakTts:
    """A small local voice for more than a hundred languages: instant, exact word times, robotic."""

    Options = EspeakOptions
    traits = Traits(can=("word times", "languages", "speed", "pitch"))

    def __init__(self, options: EspeakOptions, hints: AgentHints) -> None:
        language = hints.language.lower()
        main = language.partition("-")[0]
        of_language = (_LANGUAGES.get(language, language), _LANGUAGES.get(main, main))
        self._voices = (options.voice,) if options.voice else of_language
        rate = min(_FASTEST, max(_SLOWEST, round(hints.rate * options.speed * _USUAL)))
        self._manner = Manner(self._voices[0], rate, options.pitch, options.pitch_range)
        self._ready = False

    @staticmethod
    def missing() -> str | None:
        """What this machine lacks: the library."""
        try:
            ctypes.CDLL(library_path())
        except OSError:
            return MISSING
        return None

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def start(self) -> None:
        """Load the library and the voice.

        Raises:
            UserFacingError: one of them is not there.
        """
        loop = asyncio.get_running_loop()
        voice = await loop.run_in_executor(_thread(), _find_voice, self._voices)
        self._manner = replace(self._manner, voice=voice)
        self._ready = True

    async def aclose(self) -> None:
        self._ready = False

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response. Words of a segment come before its audio; each `Word.text` is one
        piece of the segment's text between white space, as written."""
        async for segment in segments:
            number, text = segment.segment_id, segment.text
            if speakable(text):
                words, pcm = await self._speak(text)
                yield TtsWords(number, words)
                for start in range(0, len(pcm), _CHUNK_BYTES):
                    yield TtsAudio(number, bytes(pcm[start : start + _CHUNK_BYTES]))
            elif text.split():
                yield TtsWords(number, tuple(Word(word, 0, 0) for word in text.split()))
            yield TtsSegmentDone(number)

    async def _speak(self, text: str) -> tuple[tuple[Word, ...], bytearray]:
        if not self._ready:
            raise ProviderError("not started", provider="espeak-ng", retryable=False)
        stopped = threading.Event()
        loop = asyncio.get_running_loop()
        work = functools.partial(_speak, text, self._manner, stopped)
        try:
            async with asyncio.timeout(_WAIT_S):
                return await loop.run_in_executor(_thread(), work)
        except TimeoutError:
            message = f"no sound within {_WAIT_S:g} s"
            raise ProviderError(message, provider="espeak-ng", retryable=True) from None
        finally:
            stopped.set()


def time_words(text: str, spoken: Spoken) -> tuple[Word, ...]:
    """Times of the written words. One for which nothing is said has no length and stands at the end
    of the word before it."""
    length_ms = len(spoken.pcm) * 1000 // 2 // _RATE_HZ
    written, starts = text.split(), _starts(text, spoken.words)
    ends: list[int] = []
    next_ms = length_ms
    for start_ms in reversed(starts):
        ends.append(next_ms)
        next_ms = next_ms if start_ms is None else start_ms
    words: list[Word] = []
    now_ms = 0
    for word, start_ms, limit_ms in zip(written, starts, reversed(ends), strict=True):
        if start_ms is None:
            words.append(Word(word, now_ms, now_ms))
            continue
        start_ms = max(now_ms, start_ms)
        # Silence inside a written word, as in a date, does not end it.
        inside = [ms for _, ms in spoken.words if start_ms <= ms < limit_ms]
        after = max(inside, default=start_ms)
        now_ms = min((ms for ms in spoken.pauses_ms if after < ms <= limit_ms), default=limit_ms)
        now_ms = max(start_ms, min(now_ms, length_ms))
        words.append(Word(word, start_ms, now_ms))
    return tuple(words)


def _starts(text: str, events: Sequence[tuple[int, int]]) -> list[int | None]:
    """When each written word begins: with the first event that points into it."""
    starts: list[int | None] = []
    place = 0
    for written in text.split():
        first = text.index(written, place)
        place = first + len(written)
        inside = [ms for at, ms in events if first <= at < place]
        starts.append(min(inside, default=None))
    return starts


# ---- on the thread -------------------------------------------------------------------------


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """The one thread of the library. Each stream has one segment in work, so what waits is bounded
    by the number of calls."""
    return ThreadPoolExecutor(1, thread_name_prefix="espeak-ng")


@functools.cache
def _library() -> EspeakLibrary:
    return EspeakLibrary()


def _find_voice(wanted: Sequence[str]) -> str:
    """The first that there is."""
    for voice in wanted:
        if _library().has_voice(voice):
            return voice
    raise UserFacingError(
        f"tts espeak-ng: there is no voice `{wanted[0]}`; `espeak-ng --voices` lists them."
    )


def _speak(
    text: str, manner: Manner, stopped: threading.Event
) -> tuple[tuple[Word, ...], bytearray]:
    if stopped.is_set():
        return (), bytearray()
    spoken = _library().speak(text, manner, stopped.is_set)
    return time_words(text, spoken), spoken.pcm
