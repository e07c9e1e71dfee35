"""One response: its text, open tools, segments with their words, what was played and heard.

A response has one or more *steps*: each generation is one, and what the agent says on its own
account (a filler, an apology) belongs to the step under way.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

from antiphon.engine.events import ToolRequested
from antiphon.engine.spoken_text import Segmenter
from antiphon.engine.ssml import plain
from antiphon.types import Word

_LAST_WORDS, _NEXT_WORDS = 30, 8


class ResponseState(Enum):
    """Where a response is. A closed response no longer exists for the conversation."""

    PENDING = "pending"  # nothing of it has been heard
    SPEAKING = "speaking"  # its audio is being played
    WAITING = "waiting"  # all audio so far has been heard, more is to come
    FLUSHING = "flushing"  # stopped; the player has not confirmed yet


class Pace:
    """How fast the voice speaks, from what it has said; needed only for a segment whose length is
    not known yet. Begins with a sentence at 150 words a minute."""

    __slots__ = ("_characters", "_ms")

    def __init__(self) -> None:
        self._characters, self._ms = 40, 2600

    def note(self, text: str, duration_ms: int) -> None:
        """The voice took so long for this text."""
        if duration_ms:
            self._characters += len(text)
            self._ms += duration_ms

    def expected_ms(self, text: str) -> int:
        """How long it will take for this one."""
        return len(text) * self._ms // self._characters


class Segment:
    """A piece of text given to the voice, and what is known about its audio."""

    __slots__ = ("_middles", "_pace", "duration_ms", "step", "text", "whole", "written")

    def __init__(self, text: str, step: int, pace: Pace) -> None:
        self.text, self.step = plain(text), step
        self.written = self.text.split()
        self._pace = pace
        self._middles: list[int] = []  # twice the middle of each word, where times are known
        self.duration_ms = 0
        self.whole = False

    def finish(self, words: tuple[Word, ...]) -> None:
        """Its audio is whole, and the times of its words are known."""
        self.whole = True
        self._middles = sorted(w.start_ms + w.end_ms for w in words)

    def heard(self, played_ms: int) -> list[str]:
        """Return the words heard when `played_ms` of the segment's audio have been played."""
        return self.written[: self.heard_count(played_ms)]

    def heard_count(self, played_ms: int) -> int:
        """How many words those are."""
        written = self.written
        if self.whole and played_ms >= self.duration_ms:
            return len(written)
        if played_ms <= 0:
            return 0
        middles = self._middles
        if middles:
            count = bisect_right(middles, 2 * played_ms)
            return round(count * len(written) / len(middles))
        length_ms = self.duration_ms if self.whole else self._expected_ms()
        reach = len(self.text) * played_ms / length_ms
        count, position = 0, 0.0
        for word in written:
            if position + len(word) / 2 > reach:
                break
            count += 1
            position += len(word) + 1
        # How long the segment would have become is a guess, so its end is never thought heard.
        return count if self.whole else min(count, len(written) - 1)

    def _expected_ms(self) -> int:
        return max(self.duration_ms, self._pace.expected_ms(self.text))


@dataclass(frozen=True, slots=True)
class Then:
    """Whom the caller is passed to once a response was heard to its end."""

    tool_call_id: str
    arguments: str


class Draft:
    """What is kept of an answer that is prepared for words which may not be all: its text, the
    segments that wait to be voiced, and the tools that it wants."""

    __slots__ = ("text", "waiting", "wanted", "words", "written")

    def __init__(self, words: list[str], text: str) -> None:
        self.words, self.text = words, text  # of the caller
        self.written = ""
        self.waiting: list[str] = []
        self.wanted: list[ToolRequested] = []


class Response:
    """State of one response; the conversation decides, this keeps the books."""

    __slots__ = (
        "_pace",
        "_past",
        "_past_ms",
        "_past_words",
        "_unvoiced",
        "_words",
        "audio_from_ms",
        "audio_ms",
        "close_reason",
        "close_status",
        "committed_ms",
        "draft",
        "end_call_reason",
        "first_audio_ms",
        "first_segment_ms",
        "first_text_ms",
        "flushed_ms",
        "generating",
        "lead_in",
        "manner",
        "open_tools",
        "owed",
        "play_requested",
        "played_ms",
        "progress_ms",
        "quiet_from_ms",
        "reported_words",
        "response_id",
        "segmenter",
        "segments",
        "signs_of_life",
        "speech_end_ms",
        "started_ms",
        "state",
        "step",
        "step_has_text",
        "step_has_tools",
        "step_tools",
        "stuck_at_ms",
        "synthesis_ended",
        "then",
        "tools_called",
        "tries",
        "turn_id",
        "voice",
        "voice_progress_ms",
    )

    def __init__(
        self,
        response_id: int,
        turn_id: int | None,
        at_ms: int,
        speech_end_ms: int,
        pace: Pace,
    ) -> None:
        self.response_id, self.turn_id = response_id, turn_id
        self._pace = pace
        self.state = ResponseState.PENDING
        self.owed = False  # the caller waits for it, although it answers no turn
        self.manner = "interruptible"  # or patient, or protected: see policy.Interruption
        self.draft: Draft | None = None  # while it is only prepared
        self.end_call_reason = ""  # hang up once it has been heard
        self.then: Then | None = None  # pass the caller on once it has been heard
        self.lead_in = ""  # said where nothing else was
        self.close_status, self.close_reason = "completed", ""  # when it is closed
        self.flushed_ms = 0  # when it was stopped
        # Text.
        self.generating = False
        self.step = 0
        self.tries = 0  # LLMs that failed at it
        self.step_has_text = self.step_has_tools = False
        self.segmenter = Segmenter()
        self.open_tools: set[str] = set()
        self.tools_called = False  # any, in any step
        self.step_tools: set[str] = set()  # the LLM's ids in this step
        self.progress_ms = at_ms  # when the LLM last gave a sign
        # Voice.
        self.voice = 0  # which one speaks
        self.segments: list[Segment] = []
        self._words: list[str] = []  # of all segments
        self._unvoiced = 0  # segments that are not whole
        self._past = self._past_words = self._past_ms = 0  # segments heard to their end
        self.synthesis_ended = False
        self.voice_progress_ms = at_ms  # when the voice last gave a sign
        # Playback.
        self.play_requested = False
        self.audio_ms = 0  # audio there is, played or not
        self.audio_from_ms = at_ms  # since when there is audio to play
        self.played_ms = 0
        self.quiet_from_ms = speech_end_ms  # since when the caller has heard nothing
        self.stuck_at_ms = -1  # where audio did not move for too long
        self.signs_of_life = 0  # fillers said since the last words of the answer itself
        self.reported_words = 0
        # Marks for the latency.
        self.speech_end_ms, self.committed_ms = speech_end_ms, at_ms
        self.first_text_ms: int | None = None
        self.first_segment_ms: int | None = None
        self.first_audio_ms: int | None = None
        self.started_ms: int | None = None

    @property
    def audible(self) -> bool:
        """Whether the caller has heard anything of it."""
        return self.started_ms is not None

    @property
    def protected(self) -> bool:
        """Whether it is heard to its end, whatever the caller says."""
        return self.manner == "protected"

    def draft_of(self, words: list[str]) -> bool:
        """Whether it was prepared for these words."""
        return self.draft is not None and self.draft.words == words

    def begin_step(self, at_ms: int) -> None:
        """The LLM begins to write."""
        self.step_has_text = self.step_has_tools = False
        self.step_tools.clear()
        self.generating = True
        self.progress_ms = at_ms

    @property
    def voice_busy(self) -> bool:
        """Whether the voice still owes audio."""
        return self._unvoiced > 0

    @property
    def unfinished(self) -> bool:
        """Whether more audio may come."""
        return not self.synthesis_ended or self.voice_busy

    @property
    def working(self) -> bool:
        """Whether more text may come."""
        return self.generating or bool(self.open_tools)

    def add_segment(self, text: str, at_ms: int) -> int:
        """Note a segment given to the voice; return its id."""
        if not self.voice_busy:
            self.voice_progress_ms = at_ms
        segment = Segment(text, self.step, self._pace)
        self.segments.append(segment)
        self._unvoiced += 1
        self._words += segment.written
        if self.first_segment_ms is None:
            self.first_segment_ms = at_ms
        return len(self.segments) - 1

    def finish_segment(self, segment_id: int, duration_ms: int, words: tuple[Word, ...]) -> None:
        """Note that a segment is whole."""
        segment = self.segments[segment_id]
        if not segment.whole:
            self._unvoiced -= 1
        segment.finish(words)
        self._pace.note(segment.text, duration_ms)

    def add_audio(self, segment_id: int, duration_ms: int, at_ms: int) -> None:
        """Note that a segment has `duration_ms` of audio in all."""
        segment = self.segments[segment_id]
        if self.played_ms >= self.audio_ms:
            self.audio_from_ms = at_ms
        self.audio_ms += max(0, duration_ms - segment.duration_ms)
        segment.duration_ms = max(segment.duration_ms, duration_ms)
        self.voice_progress_ms = at_ms
        if self.first_audio_ms is None:
            self.first_audio_ms = at_ms

    def played(self, played_ms: int, at_ms: int) -> None:
        """Note how far playback is; it never goes back."""
        if played_ms > self.audio_ms:
            played_ms = self.audio_ms
        if played_ms > self.played_ms:
            self.played_ms = played_ms
        self.quiet_from_ms = at_ms

    def heard_steps(self) -> list[str]:
        """What was heard of each step, oldest first."""
        texts: list[list[str]] = [[] for _ in range(self.step + 1)]
        if self.audible:
            before_ms = 0
            for segment in self.segments:
                words = segment.heard(self.played_ms - before_ms)
                texts[segment.step].extend(words)
                if not segment.whole or self.played_ms < before_ms + segment.duration_ms:
                    break
                before_ms += segment.duration_ms
        return [" ".join(words) for words in texts]

    def heard_count(self) -> int:
        """How many words were heard of it in all."""
        if self.started_ms is None:
            return 0
        segments, played_ms = self.segments, self.played_ms
        while self._past < len(segments):
            segment = segments[self._past]
            inside_ms = played_ms - self._past_ms
            if not segment.whole or inside_ms < segment.duration_ms:
                return self._past_words + segment.heard_count(inside_ms)
            # What was heard to its end stays so: it is counted once.
            self._past += 1
            self._past_ms += segment.duration_ms
            self._past_words += len(segment.written)
        return self._past_words

    def heard_since(self, count: int) -> list[str]:
        """The words that were heard after the first `count`."""
        return self._words[count : self.heard_count()]

    def heard(self) -> str:
        """What was heard of it in all."""
        return " ".join(text for text in self.heard_steps() if text)

    def unheard(self) -> str:
        """What was given to the voice and not heard."""
        return " ".join(self._words[self.heard_count() :])

    def last_words(self) -> str:
        """What was heard of it last, and what comes next: the words that may come back as echo."""
        count = self.heard_count()
        return " ".join(self._words[max(0, count - _LAST_WORDS) : count + _NEXT_WORDS])

    def asked(self) -> bool:
        """Whether the caller has (nearly) heard a question at its end."""
        if self.working or not self.segments or not self.segments[-1].text.endswith("?"):
            return False
        return len(self._words) - self.heard_count() <= 2

    def latency(self) -> tuple[tuple[str, int], ...]:
        """From the end of speech to the first sound, in parts that sum to the whole."""
        assert self.started_ms is not None
        marks = (
            ("endpointing", self.committed_ms),
            ("generation", self.first_text_ms),
            ("segmentation", self.first_segment_ms),
            ("synthesis", self.first_audio_ms),
            ("playback", self.started_ms),
        )
        parts: list[tuple[str, int]] = []
        before_ms = self.speech_end_ms
        for name, mark in marks:
            # A filler sounds before the LLM's first text: such a mark lies after the end.
            at_ms = before_ms if mark is None else max(before_ms, min(mark, self.started_ms))
            parts.append((name, at_ms - before_ms))
            before_ms = at_ms
        return tuple(parts)
