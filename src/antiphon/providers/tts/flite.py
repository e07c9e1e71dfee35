"""flite: a small voice that needs no network, no key and no graphics card, and sounds like it.

A segment is spoken clause by clause, so that the first sound does not wait for the last word. The
times of words come from flite's own timing of phones and are exact; by the same timing the silence
that flite puts around every clause is cut to a natural gap.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from antiphon.errors import ProviderError
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
from antiphon.providers.tts._flite_ctypes import FliteLibrary, Token
from antiphon.types import Word

_RATE_HZ = 16_000
_BYTES_PER_MS = _RATE_HZ // 1000 * 2
# Stretch at which each voice speaks about 150 words a minute, measured on ordinary sentences.
_USUAL_RATE = 150
_STRETCH = {"slt": 1.3, "rms": 1.2, "awb": 1.32}
# Silence before a clause, and after it by its last character; flite alone makes 300 to 500 ms.
_LEAD_MS = 30
_GAP_MS = {",": 140, ";": 180, ":": 180, ".": 250, "!": 250, "?": 250}
_JOINT_MS = 40
_CHUNK_BYTES = 200 * _BYTES_PER_MS

_FIRST_CLAUSE_WORDS = 4
_CLAUSE_WORDS = 8
_MAX_CLAUSE_WORDS = 24
_MAX_WORD_LETTERS = 60
_ABBREVIATIONS = frozenset({"dr.", "mr.", "mrs.", "ms.", "st.", "vs.", "e.g.", "i.e."})
_ASCII = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-"})


class FliteOptions(ProviderOptions):
    """Options of the flite voice."""

    voice: Literal["slt", "rms", "awb"] = "slt"
    """`slt` (a woman), `rms` (a man), `awb` (a Scottish man)."""
    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    """1.2 is a fifth faster than the agent's rate (`speech.rate`, 150 words a minute)."""


class FliteTts:
    """A small local voice: instant, clear, robotic; English. Its threads, one per processor and
    four at most, are shared by all agents of the process; when all are busy a clause waits its turn
    of some tens of milliseconds."""

    Options = FliteOptions
    traits = Traits(can=("word times",))

    def __init__(self, options: FliteOptions, hints: AgentHints) -> None:
        self._voice = options.voice
        self._stretch = _STRETCH[options.voice] * _USUAL_RATE / (hints.rate * options.speed)
        self._library: FliteLibrary | None = None

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def start(self) -> None:
        """Load the library and the voice.

        Raises:
            UserFacingError: it is not installed.
        """
        if self._library is None:
            loop = asyncio.get_running_loop()
            threads = _THREADS.acquire()
            try:
                self._library = await loop.run_in_executor(threads, _library, self._voice)
            finally:
                if self._library is None:
                    _THREADS.release()

    async def aclose(self) -> None:
        if self._library is not None:
            self._library = None
            _THREADS.release()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Words of a clause come before its audio. Each `Word.text` is one piece of the segment's
        text between white space, as written."""
        async for segment in segments:
            samples = 0
            for clause in split_clauses(segment.text.split()):
                offset_ms = samples * 1000 // _RATE_HZ
                if not clause.text:
                    silent = tuple(Word(word, offset_ms, offset_ms) for word in clause.written)
                    yield TtsWords(segment.segment_id, silent)
                    continue
                async with aclosing(self._speak(clause, offset_ms)) as results:
                    async for result in results:
                        if isinstance(result, bytes):
                            samples += len(result) // 2
                            yield TtsAudio(segment.segment_id, result)
                        else:
                            yield TtsWords(segment.segment_id, result)
            yield TtsSegmentDone(segment.segment_id)

    async def _speak(
        self, clause: Clause, offset_ms: int
    ) -> AsyncGenerator[bytes | tuple[Word, ...], None]:
        if self._library is None:
            raise ProviderError("not started", provider="flite", retryable=False)
        job = _Job(self._library, clause, self._stretch, offset_ms)
        _THREADS.submit(job)
        try:
            while (result := await job.results.get()) is not None:
                if isinstance(result, ProviderError):
                    raise result
                yield result
        finally:
            job.stopped = True


# ---- text ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clause:
    """A run of written words that is synthesized at once. `pieces` are what flite is given for
    each of them: printable ASCII, empty for a word that cannot be spoken."""

    written: tuple[str, ...]
    pieces: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(piece for piece in self.pieces if piece)

    @property
    def gap_ms(self) -> int:
        """Silence that belongs after it."""
        last = next(piece for piece in reversed(self.pieces) if piece)
        return _GAP_MS.get(last.rstrip("\"')]}")[-1:], _JOINT_MS)


def split_clauses(written: Sequence[str]) -> Iterator[Clause]:
    """Cut after sentences, and after a comma where enough words have come together that the
    melody does not suffer; the first cut comes earlier, because somebody waits for it."""
    first = 0
    for index, word in enumerate(written):
        count, rest = index + 1 - first, len(written) - index - 1
        mark = word.rstrip("\"')]}”’")[-1:]
        enough = _CLAUSE_WORDS if first else _FIRST_CLAUSE_WORDS
        sentence = mark in (".", "!", "?") and word.lower() not in _ABBREVIATIONS
        comma = mark in (",", ";", ":") and count >= enough and rest >= _FIRST_CLAUSE_WORDS
        if sentence or comma or not rest or count >= _MAX_CLAUSE_WORDS:
            words = tuple(written[first : index + 1])
            yield Clause(words, tuple(_speakable(word) for word in words))
            first = index + 1


def _speakable(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.translate(_ASCII))
    plain = "".join(letter for letter in plain if letter.isascii() and letter.isprintable())
    if not any(letter.isalnum() for letter in plain):
        return ""
    # A longer "word" is rubbish, and would hold a thread for as long as it is.
    return "".join(plain.split())[:_MAX_WORD_LETTERS]


def time_words(clause: Clause, tokens: Sequence[Token], shift_ms: int) -> tuple[Word, ...]:
    """Times of the written words, from those of flite's tokens. What is not spoken has no length
    and stands at the end of the word before it."""
    groups: list[list[Token]] = []
    for token in tokens:
        if token.follows_space or not groups:
            groups.append([])
        groups[-1].append(token)
    words = []
    end_ms = min((t.start_ms for t in tokens if t.start_ms is not None), default=0)
    remaining = iter(groups)
    for written, piece in zip(clause.written, clause.pieces, strict=True):
        group = next(remaining, []) if piece else []
        timed = [t for t in group if t.start_ms is not None and t.end_ms is not None]
        start_ms = end_ms
        if timed:
            start_ms, end_ms = timed[0].start_ms or 0, timed[-1].end_ms or 0
        words.append(Word(written, start_ms + shift_ms, end_ms + shift_ms))
    return tuple(words)


# ---- work on threads -----------------------------------------------------------------------


class _Job:
    """One clause being synthesized on a thread. `results` is bounded by the clause: words, chunks
    of audio, then None or what went wrong."""

    def __init__(
        self, library: FliteLibrary, clause: Clause, stretch: float, offset_ms: int
    ) -> None:
        self.results: asyncio.Queue[bytes | tuple[Word, ...] | ProviderError | None]
        self.results = asyncio.Queue()
        self.stopped = False
        self._library, self._clause, self._stretch = library, clause, stretch
        self._offset_ms = offset_ms
        self._loop = asyncio.get_running_loop()
        self._chunk = bytearray()
        self._sent = False
        self._first_byte, self._end_byte = 0, 0

    def run(self) -> None:
        """Called on a thread."""
        # A thread's outermost frame: what escaped it would be lost, and the caller would wait.
        try:
            if not self.stopped:
                text = self._clause.text
                self._library.synthesize(text, self._stretch, self._on_tokens, self._on_audio)
                self._post_chunk()
            self._post(None)
        except ProviderError as error:
            self._post(error)
        except Exception as error:  # noqa: BLE001
            self._post(ProviderError(repr(error), provider="flite", retryable=False))

    def _on_tokens(self, tokens: list[Token]) -> None:
        starts = [token.start_ms for token in tokens if token.start_ms is not None]
        ends = [token.end_ms for token in tokens if token.end_ms is not None]
        lead_ms = max(0, min(starts, default=0) - _LEAD_MS)
        self._first_byte = lead_ms * _BYTES_PER_MS
        self._end_byte = (max(ends, default=0) + self._clause.gap_ms) * _BYTES_PER_MS
        self._post(time_words(self._clause, tokens, self._offset_ms - lead_ms))

    def _on_audio(self, first_sample: int, pcm: bytes) -> bool:
        start = first_sample * 2
        self._chunk += pcm[max(0, self._first_byte - start) : max(0, self._end_byte - start)]
        # The first sound goes out at once; after it, few large chunks are cheaper.
        if self._chunk and (not self._sent or len(self._chunk) >= _CHUNK_BYTES):
            self._sent = True
            self._post_chunk()
        return not self.stopped and start + len(pcm) < self._end_byte

    def _post_chunk(self) -> None:
        if self._chunk:
            self._post(bytes(self._chunk))
            self._chunk.clear()

    def _post(self, result: bytes | tuple[Word, ...] | ProviderError | None) -> None:
        if self.stopped:
            return
        try:
            self._loop.call_soon_threadsafe(self.results.put_nowait, result)
        except RuntimeError:
            # The event loop is closed: nobody will ever read this.
            self.stopped = True


class _Threads:
    """Threads for all flite voices of the process, kept while any voice is started. Each stream
    has one clause in work, so what waits here is bounded by the number of calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._users = 0

    def acquire(self) -> ThreadPoolExecutor:
        with self._lock:
            self._users += 1
            if self._pool is None:
                count = min(4, os.cpu_count() or 1)
                self._pool = ThreadPoolExecutor(count, thread_name_prefix="flite")
            return self._pool

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None

    def submit(self, job: _Job) -> None:
        with self._lock:
            if self._pool is None:
                raise ProviderError("closed", provider="flite", retryable=False)
            self._pool.submit(job.run)


_THREADS = _Threads()


@functools.cache
def _library(voice: str) -> FliteLibrary:
    """A shared library cannot be unloaded safely, so each voice is loaded once per process."""
    return FliteLibrary(voice)
