"""One answer of a speech-to-speech model: its text and its sound, and which belongs to which.

A model tells what it says as text beside the sound, without saying where in the sound a sentence
ends. The engine speaks in segments. So a segment's sound ends at the first pause after about as
much sound as its text takes, and the last one has all that is left: within a sentence the place is
known to a word or two, over several sentences the error does not add up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
from rapidfuzz import fuzz

from antiphon.errors import ProviderError
from antiphon.types import ToolCall

LONGEST_MS = 300_000
"""A longer answer is an endless one."""
PAUSE_MS = 120
_BLOCK_MS = 10
_QUIET = 32768 * 10 ** (-42 / 20)
_EARLIEST, _LATEST, _LATEST_MS = 0.6, 1.6, 400
_FIRST_PACE_MS = 75.0
"""A letter takes so long until the voice is known."""
_ALIKE = 60.0
_TAIL = 40
"""Letters by which the end of what was heard is found in the text."""


def letters(text: str) -> str:
    """What is compared: neither marks nor spaces nor case."""
    return "".join(c for c in text.casefold() if c.isalnum())


class Pace:
    """How long the model's voice takes for a letter, from what it has said."""

    def __init__(self) -> None:
        self._count, self._ms = 20.0, 20 * _FIRST_PACE_MS

    def note(self, count: int, ms: int) -> None:
        """It took so long for so many letters."""
        if count > 0 and ms > 0:
            self._count, self._ms = self._count * 0.7 + count, self._ms * 0.7 + ms

    def expected_ms(self, count: int) -> float:
        """How long it will take for so many."""
        return count * self._ms / self._count


@dataclass(slots=True)
class Span:
    """Letters of the text, `start` to `end`, and where they lie in the sound; `end_ms` is expected
    until the segment is whole."""

    start: int
    end: int
    start_ms: float
    end_ms: float


@dataclass(eq=False)
class Answer:
    """Filled by the connection, read by the brain's stream and the voice's, which wait on
    `changed`. `ask` is the number of the request that it answers, 0 for one that came by itself."""

    rate_hz: int
    pace: Pace
    ask: int = 0
    key: str | None = None
    own_words: bool = False  # said on request, word for word; not a part of the conversation
    text: str = ""
    tools: list[ToolCall] = field(default_factory=list)
    written: bool = False  # text and tools are whole
    whole: bool = False  # so is the sound
    stopped: bool = False  # nobody wants it any more
    cut_off: bool = False  # by the vendor, because the caller spoke
    error: ProviderError | None = None
    spans: list[Span] = field(default_factory=list)
    spoken_to: int = 0  # letters given to segments so far
    pcm: bytearray = field(default_factory=bytearray)  # not yet handed on
    total_bytes: int = 0
    _letters: str = ""
    asked_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    version: int = 0  # changes with everything
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    # ---- the connection's side -------------------------------------------------------------

    def say(self, text: str) -> None:
        """More text."""
        self.text += text
        self._letters += letters(text)
        self.touch()

    def sound(self, pcm: bytes) -> None:
        """More audio."""
        self.total_bytes += len(pcm)
        if not self.stopped:
            self.pcm += pcm
        if self.total_bytes > LONGEST_MS * self.rate_hz // 500:
            self.fail(ProviderError("an answer without end", provider="realtime", retryable=False))
        self.touch()

    def end(self) -> None:
        """It is whole."""
        self.written = self.whole = True
        self.touch()

    def cut(self) -> None:
        """The vendor has dropped the rest, because the caller spoke."""
        self.cut_off = True
        self.pcm.clear()
        self.end()

    def stop(self) -> None:
        """Nobody wants it any more."""
        self.stopped = True
        self.pcm.clear()
        self.touch()

    def fail(self, error: ProviderError) -> None:
        """The rest will not come."""
        if not self.whole:
            self.error = error
            self.end()

    def touch(self) -> None:
        """Wake those who wait."""
        self.version += 1
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def changed(self, version: int) -> None:
        """Until it is another one than this version."""
        if self.version != version:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    # ---- text and sound --------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Letters so far."""
        return len(self._letters)

    def find(self, text: str) -> int | None:
        """Where a segment's text ends in this one, in letters; None when it is not of this
        answer."""
        wanted = letters(text)
        if not wanted:
            return None
        rest = self._letters[self.spoken_to :]
        if rest.startswith(wanted):
            return self.spoken_to + len(wanted)
        window = rest[: 2 * len(wanted) + 20]
        found = fuzz.partial_ratio_alignment(wanted, window, score_cutoff=_ALIKE)
        if found is None or not window or len(window) * 2 < len(wanted):
            return None
        return self.spoken_to + found.dest_end

    def begin(self, end: int) -> Span:
        """A segment that ends at this letter begins to sound."""
        start_ms = self.ms(self.total_bytes - len(self.pcm))
        span = Span(self.spoken_to, end, start_ms, 0.0)
        span.end_ms = start_ms + self.expected_ms(span)
        self.spans.append(span)
        return span

    def finish(self, span: Span) -> None:
        """All sound of a segment has been handed on."""
        span.end_ms = self.ms(self.total_bytes - len(self.pcm))
        self.spoken_to = span.end
        if self.whole and not self.error and self.is_last(span) and not self.cut_off:
            self.pace.note(self.count, int(self.ms(self.total_bytes)))

    def expected_ms(self, span: Span) -> float:
        """How long a segment takes: once all sound is there, its share of what is left."""
        count = span.end - span.start
        left = self.count - span.start
        if self.whole and left > 0:
            return (self.ms(self.total_bytes) - span.start_ms) * count / left
        return self.pace.expected_ms(count)

    def is_last(self, span: Span) -> bool:
        """Whether nothing to say comes after a segment, as far as is known."""
        return self.count - span.end < 2

    def take(self, span: Span) -> tuple[bytes, bool]:
        """Audio of the segment that is there, and whether it ends with it."""
        if self.written and self.is_last(span):
            pcm = bytes(self.pcm[: len(self.pcm) // 2 * 2])
            del self.pcm[: len(pcm)]
            return pcm, self.whole
        size, ends = self._reach(span)
        if not ends and self.whole:
            size, ends = len(self.pcm) // 2 * 2, True
        pcm = bytes(self.pcm[:size])
        del self.pcm[:size]
        return pcm, ends

    def _reach(self, span: Span) -> tuple[int, bool]:
        """How many bytes belong to the segment, and whether its end is among them: a pause at a
        likely place, or the last place where it may be."""
        expected_ms = self.expected_ms(span)
        at_ms = self.ms(self.total_bytes - len(self.pcm)) - span.start_ms
        latest_ms = _LATEST * expected_ms + _LATEST_MS
        block = self.rate_hz * _BLOCK_MS // 1000 * 2
        most = max(1, int((latest_ms - at_ms) / _BLOCK_MS) + 1)
        count = min(len(self.pcm) // block, most)
        # What is surely inside is not looked at.
        inside = min(count, max(0, int((_EARLIEST * expected_ms - PAUSE_MS - at_ms) / _BLOCK_MS)))
        if inside == count:
            return count * block, False
        looked_at = np.frombuffer(bytes(self.pcm[inside * block : count * block]), "<i2")
        samples = looked_at.reshape(count - inside, -1).astype(np.float32)
        quiet = np.einsum("ij,ij->i", samples, samples) < _QUIET**2 * samples.shape[1]
        run, at_ms = 0, at_ms + inside * _BLOCK_MS
        for number, is_quiet in enumerate(quiet.tolist(), inside + 1):
            run = run + 1 if is_quiet else 0
            at_ms += _BLOCK_MS
            paused = run * _BLOCK_MS >= PAUSE_MS and at_ms >= _EARLIEST * expected_ms
            if paused or at_ms >= latest_ms:
                return number * block, True
        # A pause that has begun may be the end: what is quiet at the end waits for what follows.
        return (count - min(run, PAUSE_MS // _BLOCK_MS)) * block, False

    def ms(self, size: int) -> float:
        """The length of so many bytes."""
        return size * 500 / self.rate_hz

    def heard_ms(self, heard: str) -> int | None:
        """Where in the sound the caller stopped listening, by the words that were heard; None when
        they heard it all."""
        at = self._heard_letters(letters(heard))
        if self.count - at < 2:
            return None
        for span in self.spans:
            if at <= span.end or span is self.spans[-1]:
                share = min(1.0, max(0, at - span.start) / max(1, span.end - span.start))
                ms = span.start_ms + share * (span.end_ms - span.start_ms)
                return int(min(ms, self.ms(self.total_bytes)))
        return 0

    def resembles(self, heard: str) -> bool:
        """Whether these words are a beginning of it; a filler may be before them."""
        said, mine = letters(heard), self._letters
        if not said or not mine:
            return False
        return mine.startswith(said[:20]) or fuzz.partial_ratio(said[-_TAIL:], mine) >= 80

    def _heard_letters(self, said: str) -> int:
        if self._letters.startswith(said):
            return len(said)
        tail = said[-_TAIL:]
        window = self._letters[: len(said) + _TAIL]
        found = fuzz.partial_ratio_alignment(tail, window, score_cutoff=_ALIKE)
        return min(len(said), self.count) if found is None else found.dest_end
