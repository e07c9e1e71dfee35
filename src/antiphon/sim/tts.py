"""The voices of a simulated world. Half of them tell the times of words; for the others the times
are found by aligning the text to the audio, which is a little wrong."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.commands import EndSynthesis, FlushAudio, SynthesizeText
from antiphon.engine.events import AudioSynthesized, SegmentSynthesized, SynthesisFailed
from antiphon.sim.latency import TTS_FIRST
from antiphon.sim.plan import between
from antiphon.types import Word

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 4
_CHUNK_MS = 1200
_NEVER_MS = -1_000_000


class Speech:
    """Audio of one segment as it really is: where in the response it begins, and its words."""

    __slots__ = ("done_ms", "duration_ms", "segment_id", "start_ms", "words")

    def __init__(self, segment_id: int, words: tuple[Word, ...], duration_ms: int) -> None:
        self.segment_id, self.words, self.duration_ms = segment_id, words, duration_ms
        self.start_ms = 0
        self.done_ms = 0


class _Stream:
    """Synthesis of one response: one segment after the other."""

    __slots__ = ("alive", "busy", "ended", "queue", "spoken", "voice")

    def __init__(self, voice: int) -> None:
        self.voice = voice
        self.alive, self.busy, self.ended = True, False, False
        self.queue: deque[Speech] = deque()
        self.spoken: list[Speech] = []


class Tts:
    """Several times faster than speech, in pieces, with a delay before each segment."""

    __slots__ = (
        "_latencies",
        "_ms_per_char",
        "_recorded",
        "_rng",
        "_streams",
        "_timed",
        "_troubled_ms",
        "_world",
        "doubted",
        "error_chance",
        "stall_chance",
    )

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.error_chance, self.stall_chance = world.faults.errors * 0.5, world.faults.stalls * 0.5
        self._ms_per_char = between(rng, 55, 75)
        self._timed = rng.random() < 0.5
        self._streams: dict[int, _Stream] = {}
        self.doubted = False  # something has happened that a voice may be given up for
        # When each voice last failed, stalled or was slow.
        self._troubled_ms = [_NEVER_MS] * world.setup.voices
        self._latencies = tuple(
            TTS_FIRST[between(rng, 0, len(TTS_FIRST) - 1)] for _ in range(world.setup.voices)
        )
        self._recorded = world.setup.voices  # what it says is there, and nothing goes wrong

    @property
    def troubled_ms(self) -> int:
        """When there was last no voice without trouble; long ago when there was always one."""
        return min(self._troubled_ms)

    @property
    def any_troubled_ms(self) -> int:
        """When there was last a voice with trouble."""
        return max(self._troubled_ms)

    def speech(self, response_id: int) -> list[Speech]:
        """The segments of a response that have begun to exist as audio, in order."""
        stream = self._streams.get(response_id)
        return stream.spoken if stream is not None else []

    def working(self, response_id: int) -> bool:
        """Whether audio of a response may still come."""
        stream = self._streams.get(response_id)
        return stream is not None and stream.alive and (stream.busy or bool(stream.queue))

    # ---- what the engine asks for -----------------------------------------------------------

    def synthesize(self, command: SynthesizeText) -> None:
        stream = self._streams.get(command.response_id)
        if stream is None:
            stream = self._streams[command.response_id] = _Stream(command.voice)
        stream.queue.append(self._speak(command))
        if not stream.busy:
            self._begin(command.response_id, stream)

    def end(self, command: EndSynthesis) -> None:
        stream = self._streams.get(command.response_id)
        if stream is None:
            return
        stream.ended = True
        if not stream.busy and not stream.queue and stream.alive:
            self._world.player.close(command.response_id)

    def flush(self, command: FlushAudio) -> None:
        stream = self._streams.get(command.response_id)
        if stream is not None:
            stream.alive = False

    def reset(self) -> None:
        """The process died with all streams; the audio that was heard was heard."""
        self.close()

    def step(self, ms: int) -> None:
        """The clock has gone ahead: to who looks at it the voice has been silent."""
        self.doubted = True
        self._troubled_ms = [at_ms + ms for at_ms in self._troubled_ms]

    def close(self) -> None:
        """The call is over."""
        for stream in self._streams.values():
            stream.alive = False

    # ---- the voice --------------------------------------------------------------------------

    def _speak(self, command: SynthesizeText) -> Speech:
        rng, ms_per_char = self._rng.random, self._ms_per_char
        at_ms = between(self._rng, 40, 160)
        words = []
        for text in command.text.split():
            # Nobody speaks letter by letter: a word may be much shorter or longer than it looks.
            end_ms = at_ms + (len(text) + 1) * ms_per_char * (70 + int(rng() * 71)) // 100
            words.append(Word(text, at_ms, end_ms))
            at_ms = end_ms
        return Speech(command.segment_id, tuple(words), at_ms + between(self._rng, 20, 120))

    def _aligned(self, speech: Speech) -> tuple[Word, ...]:
        """The words with times as an alignment finds them."""
        rng, words, at_ms = self._rng, [], 0
        for word in speech.words:
            end_ms = min(speech.duration_ms, max(at_ms, word.end_ms + between(rng, -60, 60)))
            words.append(Word(word.text, at_ms, end_ms))
            at_ms = end_ms
        return tuple(words)

    def _begin(self, response_id: int, stream: _Stream) -> None:
        rng, faults = self._rng, self._world.faults
        speech = stream.queue.popleft()
        stream.busy = True
        if stream.voice == self._recorded:
            self._follow(response_id, stream, speech, 5, 0)
            return
        delay_ms = self._latencies[stream.voice].draw(rng)
        if rng.random() < faults.slow * 0.5:
            delay_ms *= between(rng, 2, 6)
            self._note_trouble(stream, delay_ms)
        trouble = rng.random()
        if trouble < self.stall_chance:
            self._note_trouble(stream, 0)
            if rng.random() < 0.5:
                return  # nothing more of this segment, ever
            speech.done_ms = -between(rng, 1, 3)  # stalls after so many pieces
        elif trouble > 1 - self.error_chance:
            self._note_trouble(stream, 0)
            self._world.after(delay_ms, self._fail, (response_id, stream))
            return
        pieces, speech.done_ms = -speech.done_ms, 0
        self._follow(response_id, stream, speech, delay_ms, pieces)

    def _follow(
        self, response_id: int, stream: _Stream, speech: Speech, delay_ms: int, pieces: int
    ) -> None:
        """The segment's audio comes after what there is; no more than so many pieces, or all."""
        if stream.spoken:
            last = stream.spoken[-1]
            speech.start_ms = last.start_ms + last.duration_ms
        stream.spoken.append(speech)
        self._world.after(delay_ms, self._piece, (response_id, stream, speech, pieces))

    def _note_trouble(self, stream: _Stream, delay_ms: int) -> None:
        self.doubted = True
        self._troubled_ms[stream.voice] = self._world.now_ms + delay_ms

    def _piece(self, item: tuple[int, _Stream, Speech, int]) -> None:
        response_id, stream, speech, left = item
        world, rng = self._world, self._rng
        if not stream.alive and rng.random() >= world.faults.late:
            return
        done_ms = min(speech.duration_ms, speech.done_ms + _CHUNK_MS)
        speech.done_ms = done_ms
        if stream.alive:
            world.player.append(response_id, speech.start_ms + done_ms)
        whole = done_ms == speech.duration_ms
        if not whole:
            world.send(
                AudioSynthesized(world.now_ms, response_id, speech.segment_id, done_ms), _SOURCE
            )
            if left != 1:
                following = (response_id, stream, speech, max(0, left - 1))
                world.after(between(rng, 40, 160), self._piece, following)
            return
        stream.busy = False
        if stream.alive and stream.ended and not stream.queue:
            world.player.close(response_id)
        words = speech.words if self._timed else self._aligned(speech)
        event = SegmentSynthesized(world.now_ms, response_id, speech.segment_id, done_ms, words)
        if stream.alive and stream.queue:
            self._begin(response_id, stream)
        world.send(event, _SOURCE)
        if rng.random() < world.faults.duplicates:
            world.send(event, _SOURCE)

    def _fail(self, item: tuple[int, _Stream]) -> None:
        response_id, stream = item
        if stream.alive:
            world = self._world
            world.send(SynthesisFailed(world.now_ms, response_id, "voice lost"), _SOURCE)
