"""Sound that comes with the characters spoken in it, cut into segments and words.

A vendor who tells when each character is spoken makes nothing of segments: it is told by the
characters where one ends. Times are those of ElevenLabs' alignment: milliseconds from the start of
the piece of sound that they come with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone, TtsWords
from antiphon.types import Word

_LOOK_AHEAD = 12
"""So many characters may be missing in what is told, and the place is found again."""
_SLACK_MS = 50


@dataclass
class _Spoken:
    """A segment, and how much of it has been spoken."""

    segment_id: int
    words: list[str]
    first: int  # its first character among those of the response, without white space
    last: int
    ms: float = 0.0  # of its sound so far
    word: int = 0  # the one under way
    word_end: int = 0  # where that one ends, among the characters
    word_from_ms: float | None = None
    ended_ms: float | None = None  # where its last character ends
    told: bool = False  # when its characters are spoken
    ready: list[Word] = field(default_factory=list)


class Spelled:
    """The sound of one response, in order."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._bytes_per_ms = sample_rate_hz * 2 / 1000
        self._letters = ""
        self._at = 0
        self._open: list[_Spoken] = []
        self._text_over = False
        self._rest = b""

    def write(self, segment: TtsSegment) -> None:
        """Text that will be spoken; it has at least one character."""
        words = segment.text.split()
        first = len(self._letters)
        self._letters += "".join(words)
        spoken = _Spoken(segment.segment_id, words, first, len(self._letters))
        spoken.word_end = first + len(words[0])
        self._open.append(spoken)

    def finish(self) -> None:
        """No more text comes: the last segment has all sound that is left."""
        self._text_over = True

    def take(
        self,
        pcm: bytes,
        chars: Sequence[str],
        starts_ms: Sequence[float],
        lasts_ms: Sequence[float],
    ) -> list[TtsEvent]:
        """A piece of sound, and the characters in it."""
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % 2
        self._rest, pcm = pcm[whole:], pcm[:whole]
        events: list[TtsEvent] = []
        cut = 0
        # The vendor tells all three of the same length; what is longer has no meaning.
        for char, start_ms, last_ms in zip(chars, starts_ms, lasts_ms, strict=False):
            if char.isspace() or not self._advance(char):
                continue
            while len(self._open) > 1 and self._at > self._open[0].last:
                place = max(cut, min(len(pcm), int(start_ms * self._bytes_per_ms) & ~1))
                events += self._sound(pcm[cut:place])
                events += self._done()
                cut = place
            self._spell(start_ms - cut / self._bytes_per_ms, last_ms)
        events += self._sound(pcm[cut:])
        while self._open and self._is_whole(self._open[0]):
            events += self._done()
        return events

    def end(self) -> list[TtsEvent]:
        """The vendor has nothing more: everything is done."""
        events: list[TtsEvent] = []
        while self._open:
            events += self._done()
        return events

    def _advance(self, char: str) -> bool:
        """Find the next character of the text; False: it is not there."""
        found = self._letters.find(char, self._at, self._at + _LOOK_AHEAD)
        if found < 0:
            return False
        self._at = found + 1
        return True

    def _spell(self, start_ms: float, last_ms: float) -> None:
        """A character of the first open segment, from the start of what is left of this piece."""
        if not self._open:
            return
        spoken = self._open[0]
        spoken.told = True
        start = spoken.ms + max(0.0, start_ms)
        end = start + last_ms
        if spoken.word_from_ms is None:
            spoken.word_from_ms = start
        while spoken.word < len(spoken.words) and self._at >= spoken.word_end:
            begun = start if spoken.word_from_ms is None else spoken.word_from_ms
            word = Word(spoken.words[spoken.word], round(begun), round(end))
            spoken.ready.append(word)
            spoken.word += 1
            if spoken.word < len(spoken.words):
                spoken.word_end += len(spoken.words[spoken.word])
            spoken.word_from_ms = end if self._at >= spoken.word_end else None
        if self._at >= spoken.last:
            spoken.ended_ms = end

    def _sound(self, pcm: bytes) -> list[TtsEvent]:
        """Sound of the first open segment. What comes when all text is spoken is silence."""
        if not self._open or not pcm:
            return []
        spoken = self._open[0]
        spoken.ms += len(pcm) / self._bytes_per_ms
        return [TtsAudio(spoken.segment_id, pcm), *self._words(spoken, whole=False)]

    def _words(self, spoken: _Spoken, *, whole: bool) -> list[TtsEvent]:
        """The words that can be told: those whose sound is there."""
        there_ms = int(spoken.ms)
        told = [word for word in spoken.ready if whole or word.end_ms <= there_ms]
        if not told:
            return []
        del spoken.ready[: len(told)]
        words = tuple(
            Word(word.text, min(word.start_ms, there_ms), min(word.end_ms, there_ms))
            for word in told
        )
        return [TtsWords(spoken.segment_id, words)]

    def _is_whole(self, spoken: _Spoken) -> bool:
        if spoken.ended_ms is None or spoken.ended_ms > spoken.ms + _SLACK_MS:
            return False
        return not (self._text_over and len(self._open) == 1)

    def _done(self) -> list[TtsEvent]:
        spoken = self._open.pop(0)
        if spoken.told:
            # The end of the text was not told: it lasts as long as the sound.
            rest = spoken.words[spoken.word :]
            begun = spoken.ms if spoken.word_from_ms is None else spoken.word_from_ms
            spoken.ready += [Word(word, round(begun), int(spoken.ms)) for word in rest]
        events = self._words(spoken, whole=True)
        return [*events, TtsSegmentDone(spoken.segment_id)]
