"""The agent's voice in one call: segments in, audio into the playout ledger, positions out.

Audio is withheld until the engine lets a response be heard, and read by the channel, which owns the
playback clock. `TextSpeaker` is the same for a call without audio, where shown is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from antiphon.agent.speech import SpeechConfig
from antiphon.audio.player import Ended, Player, Progressed, Started
from antiphon.audio.resample import LiveResampler
from antiphon.audio.trim import SegmentTrimmer
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import Tts, TtsAudio, TtsSegment, TtsSegmentDone, TtsWords
from antiphon.types import Word

MAX_SEGMENTS = 512
"""Segments of one response waiting for the voice; a longer answer fails rather than grow."""
AHEAD_MS = 20_000
"""Audio made ahead of what is heard; the voice waits beyond it."""
REPORT_MS = 250
"""The engine is told of new audio this often; it wants signs of life, not every chunk."""
FADE_MS = 20
RAMP_MS = 40
_PLAIN = SpeechConfig()

Post = Callable[[e.Event], None]


class Voice(Protocol):
    """What the session asks of a speaker; `Speaker` and `TextSpeaker` are two."""

    @property
    def busy(self) -> bool:
        """Whether the voice still owes audio for text it was given."""
        ...

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> None: ...
    def end(self, response_id: int) -> None: ...
    def play(self, response_id: int) -> None: ...
    def duck(self, gain_db: float) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def flush(self, response_id: int) -> None: ...
    def read_frame(self) -> bytes | None: ...


class _Utterance:
    """One response on its way through the voice."""

    def __init__(self, response_id: int, tts: Tts) -> None:
        self.response_id, self.tts = response_id, tts
        self.texts: asyncio.Queue[TtsSegment | None] = asyncio.Queue(MAX_SEGMENTS)
        self.open_segments = 0
        self.waiting = False  # enough audio is ahead
        self.ended: set[int] = set()  # segments that are whole
        self.released = False
        self.held: list[tuple[int, bytes]] = []
        self.held_bytes = 0
        self.task: asyncio.Task[None] | None = None

    async def segments(self) -> AsyncIterator[TtsSegment]:
        """The segments as they are written, until the response's text is whole."""
        while (segment := await self.texts.get()) is not None:
            yield segment


class Speaker:
    """The voice of a call with audio."""

    def __init__(
        self,
        voices: Sequence[Tts],
        output_rate_hz: int,
        now_ms: Callable[[], int],
        post: Post,
        spawn: Callable[..., asyncio.Task[None]],
        language: str = "en",
        speech: SpeechConfig = _PLAIN,
        on_played: Callable[[bytes | None], None] | None = None,
    ) -> None:
        self._voices, self._now_ms, self._post, self._spawn = voices, now_ms, post, spawn
        self._language, self._speech, self._on_played = language, speech, on_played
        self._rate_hz = output_rate_hz
        self._player = Player(output_rate_hz)
        self._utterance: _Utterance | None = None

    @property
    def busy(self) -> bool:
        utterance = self._utterance
        return utterance is not None and utterance.open_segments > 0 and not utterance.waiting

    # ---- what the engine asks --------------------------------------------------------------

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> None:
        utterance = self._utterance
        if utterance is None or utterance.response_id != response_id:
            utterance = self._utterance = _Utterance(response_id, self._voices[voice])
            utterance.task = self._spawn(self._run(utterance), f"speak-{response_id}")
        try:
            utterance.texts.put_nowait(TtsSegment(segment_id, text))
            utterance.open_segments += 1
        except asyncio.QueueFull:
            self._post(e.SynthesisFailed(self._now_ms(), response_id, "the answer is too long"))

    def end(self, response_id: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.response_id == response_id:
            try:
                utterance.texts.put_nowait(None)
            except asyncio.QueueFull:
                self._post(e.SynthesisFailed(self._now_ms(), response_id, "the answer is too long"))

    def play(self, response_id: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.response_id != response_id:
            return
        utterance.released = True
        for segment_id, pcm in utterance.held:
            self._player.append(response_id, segment_id, pcm)
        if utterance.held and (last := utterance.held[-1][0]) in utterance.ended:
            self._player.end_segment(response_id, last)
        utterance.held.clear()
        utterance.held_bytes = 0
        if utterance.task is not None and utterance.task.done():
            self._player.end_response(response_id)

    def duck(self, gain_db: float) -> None:
        self._player.duck(gain_db, RAMP_MS)

    def pause(self) -> None:
        self._player.pause(FADE_MS)

    def resume(self) -> None:
        self._player.unduck(RAMP_MS)
        self._player.resume(FADE_MS)

    def flush(self, response_id: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.response_id == response_id:
            if utterance.task is not None:
                utterance.task.cancel()
            self._utterance = None
        played_ms = self._player.flush(response_id, FADE_MS)
        self._post(e.PlaybackFlushed(self._now_ms(), response_id, played_ms))

    # ---- what the channel takes ------------------------------------------------------------

    def read_frame(self) -> bytes | None:
        frame = self._player.read()
        if self._on_played is not None:
            self._on_played(frame)
        for event in self._player.progress():
            now_ms, response_id = self._now_ms(), event.response_id
            if isinstance(event, Started):
                self._post(e.PlaybackStarted(now_ms, response_id))
            elif isinstance(event, Progressed):
                self._post(e.PlaybackProgressed(now_ms, response_id, event.played_ms))
            elif isinstance(event, Ended):
                self._post(e.PlaybackEnded(now_ms, response_id, event.played_ms))
            else:
                played_ms = self._player.played_ms(response_id)
                self._post(e.PlaybackProgressed(now_ms, response_id, played_ms))
        return frame

    # ---- the voice at work -----------------------------------------------------------------

    async def _run(self, utterance: _Utterance) -> None:
        """Synthesize one response, from its first segment to its last."""
        response_id = utterance.response_id
        try:
            await self._synthesize(utterance)
        except ProviderError as error:
            self._post(e.SynthesisFailed(self._now_ms(), response_id, str(error)))
            return
        if utterance.released:
            self._player.end_response(response_id)

    async def _synthesize(self, utterance: _Utterance) -> None:
        current: _SegmentAudio | None = None
        async for event in utterance.tts.stream(utterance.segments()):
            if current is None or current.segment_id != event.segment_id:
                current = _SegmentAudio(
                    event.segment_id, utterance.tts.sample_rate_hz, self._rate_hz
                )
            if isinstance(event, TtsAudio):
                await self._take(utterance, current, current.push(event.pcm))
            elif isinstance(event, TtsWords):
                current.words.extend(event.words)
            elif isinstance(event, TtsSegmentDone):
                await self._take(utterance, current, current.flush())
                utterance.open_segments -= 1
                utterance.ended.add(current.segment_id)
                if utterance.released:
                    self._player.end_segment(utterance.response_id, current.segment_id)
                self._post(
                    e.SegmentSynthesized(
                        self._now_ms(),
                        utterance.response_id,
                        current.segment_id,
                        current.duration_ms,
                        current.shifted_words(),
                    )
                )
                current = None

    async def _take(self, utterance: _Utterance, segment: _SegmentAudio, pcm: bytes) -> None:
        """Queue audio, or withhold it, and tell the engine when there is reason to."""
        if not pcm:
            return
        segment.bytes += len(pcm)
        if utterance.released:
            # Never refused: less than AHEAD_MS wait in the player.
            self._player.append(utterance.response_id, segment.segment_id, pcm)
        else:
            utterance.held.append((segment.segment_id, pcm))
            utterance.held_bytes += len(pcm)
        if segment.due():
            self._post(
                e.AudioSynthesized(
                    self._now_ms(),
                    utterance.response_id,
                    segment.segment_id,
                    segment.duration_ms,
                )
            )
        while self._ahead_ms(utterance) > AHEAD_MS:
            utterance.waiting = True
            await asyncio.sleep(0.1)
        utterance.waiting = False

    def _ahead_ms(self, utterance: _Utterance) -> int:
        return self._player.buffered_ms + utterance.held_bytes * 500 // self._rate_hz


class _SegmentAudio:
    """Audio of the segment under way: trimmed, resampled, counted."""

    def __init__(self, segment_id: int, tts_rate_hz: int, output_rate_hz: int) -> None:
        self.segment_id = segment_id
        self.words: list[Word] = []
        self.bytes = 0
        self._rate_hz = output_rate_hz
        self._reported_ms = -REPORT_MS
        self._trimmer = SegmentTrimmer(tts_rate_hz)
        self._resampler = LiveResampler(tts_rate_hz, output_rate_hz)

    @property
    def duration_ms(self) -> int:
        return self.bytes * 500 // self._rate_hz

    def push(self, pcm: bytes) -> bytes:
        return self._resampler.push(self._trimmer.push(pcm))

    def flush(self) -> bytes:
        return self._resampler.push(self._trimmer.finish()) + self._resampler.flush()

    def due(self) -> bool:
        """Whether the engine should be told of new audio."""
        if self.duration_ms - self._reported_ms < REPORT_MS:
            return False
        self._reported_ms = self.duration_ms
        return True

    def shifted_words(self) -> tuple[Word, ...]:
        """The words with the trimmed silence taken off their times."""
        off = self._trimmer.removed_lead_ms
        return tuple(
            Word(w.text, max(0, w.start_ms - off), max(0, w.end_ms - off), w.confidence)
            for w in self.words
        )


class TextSpeaker:
    """The voice of a call by text: what is shown is heard."""

    busy = False

    def __init__(self, now_ms: Callable[[], int], post: Post) -> None:
        self._now_ms, self._post = now_ms, post
        self._playing: int | None = None
        self._ended: int | None = None

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> None:
        self._post(e.SegmentSynthesized(self._now_ms(), response_id, segment_id, 0))
        if self._playing == response_id:
            self._post(e.PlaybackProgressed(self._now_ms(), response_id, 0))

    def end(self, response_id: int) -> None:
        self._ended = response_id
        self._finish()

    def play(self, response_id: int) -> None:
        self._playing = response_id
        self._post(e.PlaybackStarted(self._now_ms(), response_id))
        self._post(e.PlaybackProgressed(self._now_ms(), response_id, 0))
        self._finish()

    def _finish(self) -> None:
        if self._playing is not None and self._playing == self._ended:
            self._post(e.PlaybackEnded(self._now_ms(), self._playing, 0))
            self._playing = self._ended = None

    def duck(self, gain_db: float) -> None:
        """Nothing sounds."""

    def pause(self) -> None:
        """Nothing sounds."""

    def resume(self) -> None:
        """Nothing sounds."""

    def flush(self, response_id: int) -> None:
        self._playing = self._ended = None
        self._post(e.PlaybackFlushed(self._now_ms(), response_id, 0))

    def read_frame(self) -> bytes | None:
        return None
