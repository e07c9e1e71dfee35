"""One response on its way through the voice: its text in parts, the audio of each, and its words.

A segment is one part, or several with pauses between them. Of each part the silence around it is
trimmed, its sound resampled and joined to what came before; the times of its words are those that
the voice told, or found in the sound. Positions are those of the player, to the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from antiphon.agent.speech import SpeechConfig
from antiphon.audio.align import Aligner
from antiphon.audio.join import Joiner
from antiphon.audio.resample import LiveResampler
from antiphon.audio.trim import SegmentTrimmer
from antiphon.providers.base import Tts, TtsSegment
from antiphon.spoken.script import Part, Script
from antiphon.spoken.times import written_times
from antiphon.types import Word

MAX_SEGMENTS = 512
"""Parts of one response waiting for the voice; a longer answer fails rather than grow."""
LEAD_MS, TAIL_MS = 30, 40
"""Silence left at either end of a part, so that soft sounds there are whole."""
_SENTENCE, _CLAUSE = ".!?…。！？", ",;:–—-，、；："
_CLOSERS = "\"')]»”’"


class Utterance:
    """One response. See the module."""

    def __init__(
        self, response_id: int, tts: Tts, output_rate_hz: int, speech: SpeechConfig
    ) -> None:
        self.response_id, self.tts = response_id, tts
        self.task: asyncio.Task[None] | None = None
        self.open_segments = 0
        self.waiting = False  # enough audio is ahead
        self.ended: set[int] = set()  # segments that are whole
        self.released = False
        self.held_bytes = 0
        self._held: list[tuple[int, bytes]] = []
        self._rate_hz, self._speech = output_rate_hz, speech
        self._queue: asyncio.Queue[TtsSegment | None] = asyncio.Queue(MAX_SEGMENTS)
        self._parts: list[tuple[int, Part, bool]] = []  # segment, part, the last of its segment
        self._pause_ms = 0  # asked for after the newest segment written
        self._current: PartAudio | None = None
        self._joiner = Joiner(output_rate_hz)
        self._gap_ms = 0  # between the part before and the next one
        self._kept_ms = 0  # of which there is so much already
        self._words: list[Word] = []  # of the segment under way
        self._segment_from_ms = 0
        self._reported_ms = 0

    # ---- text ------------------------------------------------------------------------------

    def write(self, segment_id: int, script: Script) -> bool:
        """Queue a segment for the voice. False: too much is waiting."""
        if self._queue.qsize() + len(script.parts) >= MAX_SEGMENTS:
            return False
        for number, part in enumerate(script.parts, 1):
            if number == 1 and self._pause_ms:
                part = Part(part.pause_ms + self._pause_ms, part.text, part.words)
            self._queue.put_nowait(TtsSegment(len(self._parts), part.text))
            self._parts.append((segment_id, part, number == len(script.parts)))
        self._pause_ms = script.pause_ms
        self.open_segments += 1
        return True

    def end_text(self) -> bool:
        """The text is whole. False: too much is waiting."""
        if self._queue.full():
            return False
        self._queue.put_nowait(None)
        return True

    async def texts(self) -> AsyncIterator[TtsSegment]:
        """The parts as they are written, until the response's text is whole."""
        while (segment := await self._queue.get()) is not None:
            yield segment

    # ---- audio -----------------------------------------------------------------------------

    @property
    def segment_ms(self) -> int:
        """Audio of the segment under way so far."""
        return self._joiner.ms - self._segment_from_ms

    def part(self, number: int) -> PartAudio:
        """The audio of the part that the voice speaks."""
        if self._current is None or self._current.number != number:
            segment_id, part, _ = self._parts[number]
            self._current = PartAudio(number, segment_id, part, self.tts, self._rate_hz)
        return self._current

    def join(self, part: PartAudio, pcm: bytes, *, ends: bool, late: bool) -> bytes:
        """Audio of a part -> what is played of it now, with the pause before it. `late`: the caller
        has heard the pause already."""
        joined = b""
        if pcm and part.from_ms is None:
            asked_ms = part.part.pause_ms
            gap_ms = max(asked_ms, 0 if late else self._gap_ms)
            joined = self._joiner.pause(gap_ms - self._kept_ms - part.trimmer.kept_lead_ms)
            part.from_ms = self.segment_ms
        joined += self._joiner.push(pcm)
        return joined + self._joiner.end() if ends else joined

    def hold(self, segment_id: int, pcm: bytes) -> None:
        """Withhold audio until the response may be heard."""
        self._held.append((segment_id, pcm))
        self.held_bytes += len(pcm)

    def let_go(self) -> list[tuple[int, bytes]]:
        """The response may be heard: what was withheld."""
        held, self._held, self.held_bytes, self.released = self._held, [], 0, True
        return held

    def due(self, every_ms: int) -> bool:
        """Whether the engine should be told of new audio: of the first, and then now and then."""
        if self._reported_ms and self.segment_ms - self._reported_ms < every_ms:
            return False
        self._reported_ms = max(1, self.segment_ms)
        return True

    def end_part(self, part: PartAudio) -> bool:
        """A part is whole, and joined. Returns whether its segment is."""
        self._current = None
        from_ms = self.segment_ms if part.from_ms is None else part.from_ms
        longest_ms = self.segment_ms
        for word in part.words():
            start_ms, end_ms = (min(longest_ms, from_ms + t) for t in (word.start_ms, word.end_ms))
            self._words.append(Word(word.text, start_ms, end_ms, word.confidence))
        self._gap_ms = self._gap_after(part.part.text)
        self._kept_ms = part.trimmer.kept_tail_ms
        return self._parts[part.number][2]

    def end_segment(self, segment_id: int) -> tuple[Word, ...]:
        """The segment under way is whole: its words. The next one begins."""
        words = tuple(self._words)
        self._words.clear()
        self.open_segments -= 1
        self.ended.add(segment_id)
        self._segment_from_ms = self._joiner.ms
        self._reported_ms = 0
        return words

    def _gap_after(self, text: str) -> int:
        """The pause that belongs after a text, by its last mark."""
        if text.endswith("</speak>"):
            text = text.removesuffix("</speak>").rpartition(">")[2] or "."
        mark = text.rstrip().rstrip(_CLOSERS)[-1:]
        if mark and mark in _SENTENCE:
            return self._speech.sentence_gap_ms
        return self._speech.clause_gap_ms if mark and mark in _CLAUSE else 0


class PartAudio:
    """Audio of a part under way: trimmed and resampled, and its words."""

    def __init__(
        self, number: int, segment_id: int, part: Part, tts: Tts, output_rate_hz: int
    ) -> None:
        self.number, self.segment_id, self.part = number, segment_id, part
        self.from_ms: int | None = None  # where in its segment it begins
        self.told: list[Word] = []
        rate_hz = tts.sample_rate_hz
        self.trimmer = SegmentTrimmer(rate_hz, keep_lead_ms=LEAD_MS, max_gap_ms=TAIL_MS)
        self._resampler = LiveResampler(rate_hz, output_rate_hz)
        self._aligner = Aligner(rate_hz)

    def push(self, pcm: bytes) -> bytes:
        """Take audio of the voice; return what is left of it at the output rate."""
        return self._resampler.push(self._heard(self.trimmer.push(pcm)))

    def flush(self) -> bytes:
        """The voice is done with it: the rest."""
        return self._resampler.push(self._heard(self.trimmer.finish())) + self._resampler.flush()

    def _heard(self, pcm: bytes) -> bytes:
        if not self.told:
            self._aligner.push(pcm)
        return pcm

    def words(self) -> tuple[Word, ...]:
        """One for each written word, with times in what is left: the voice's own, or found."""
        written = self.part.words
        if not self.told:
            return self._aligner.words([w.written for w in written], [w.spoken for w in written])
        off = self.trimmer.removed_lead_ms
        return tuple(
            Word(w.text, max(0, w.start_ms - off), max(0, w.end_ms - off), w.confidence)
            for w in written_times(written, self.told)
        )
