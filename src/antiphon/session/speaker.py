"""The agent's voice in one call: segments in, audio into the playout ledger, positions out.

Audio is withheld until the engine lets a response be heard, and read by the channel, which owns the
playback clock. `TextSpeaker` is the same for a call without audio, where shown is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.agent.speech import SpeechConfig
from antiphon.audio.player import Ended, Player, Progressed, Started
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import Tts, TtsAudio, TtsSegmentDone, TtsWords
from antiphon.session.heard import HeardLedger, Moved
from antiphon.session.utterance import PartAudio, Utterance
from antiphon.spoken.script import script
from antiphon.types import FRAME_MS

AHEAD_MS = 20_000
"""Audio made ahead of what is heard; the voice waits beyond it."""
REPORT_MS = 250
"""The engine is told of new audio this often; it wants signs of life, not every chunk."""
PREBUFFER_MS = 40
FADE_MS = 10
RAMP_MS = 40
TOO_LONG = "the answer is too long"
_PLAIN = SpeechConfig()

Post = Callable[[e.Event], None]


class Voice(Protocol):
    """What the session asks of a speaker; `Speaker` and `TextSpeaker` are two."""

    away: bool
    """Whether the line is lost or on hold: nothing that is on its way will be heard."""

    @property
    def busy(self) -> bool:
        """Whether the voice still owes audio for text it was given."""
        ...

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> int:
        """Returns how many characters the voice was given for it."""
        ...

    def end(self, response_id: int) -> None: ...
    def play(self, response_id: int) -> None: ...
    def duck(self, gain_db: float) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def flush(self, response_id: int) -> None: ...
    def read_frame(self) -> bytes | None: ...
    def heard(self, frames: int) -> None: ...


@dataclass(frozen=True, slots=True)
class FarEnd:
    """The line beyond: `on_played` is told of each frame. Where it `tells_heard`, frames are heard
    later than they are read; `clear` drops what is on its way, and says whether it could."""

    on_played: Callable[[bytes | None], None] | None = None
    tells_heard: bool = False
    clear: Callable[[], bool] | None = None


_NOBODY = FarEnd()


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
        far_end: FarEnd = _NOBODY,
    ) -> None:
        self._voices, self._now_ms, self._post, self._spawn = voices, now_ms, post, spawn
        self._language, self._speech, self._on_played = language, speech, far_end.on_played
        self._rate_hz = output_rate_hz
        self._player = Player(output_rate_hz, prebuffer_ms=PREBUFFER_MS)
        self._clear = far_end.clear
        self._ledger = HeardLedger() if far_end.tells_heard else None
        self.away = False
        self._utterance: Utterance | None = None

    @property
    def busy(self) -> bool:
        utterance = self._utterance
        return utterance is not None and utterance.open_segments > 0 and not utterance.waiting

    # ---- what the engine asks --------------------------------------------------------------

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> int:
        utterance = self._utterance
        if utterance is None or utterance.response_id != response_id:
            if voice >= len(self._voices):
                if segment_id == 0:
                    reason = "nothing is recorded"
                    self._post(e.SynthesisFailed(self._now_ms(), response_id, reason))
                return 0
            tts = self._voices[voice]
            utterance = self._utterance = Utterance(response_id, tts, self._rate_hz, self._speech)
            utterance.task = self._spawn(self._run(utterance), f"speak-{response_id}")
        made = script(
            text,
            self._language,
            takes_ssml=getattr(utterance.tts, "takes_ssml", False),
            as_written=self._speech.as_written,
        )
        if not utterance.write(segment_id, made):
            self._post(e.SynthesisFailed(self._now_ms(), response_id, TOO_LONG))
            return 0
        return sum(len(part.text) for part in made.parts)

    def end(self, response_id: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.response_id != response_id:
            return
        if not utterance.end_text():
            self._post(e.SynthesisFailed(self._now_ms(), response_id, TOO_LONG))

    def play(self, response_id: int) -> None:
        utterance = self._utterance
        if utterance is None or utterance.response_id != response_id:
            return
        held = utterance.let_go()
        for segment_id, pcm in held:
            self._player.append(response_id, segment_id, pcm)
        if held and (last := held[-1][0]) in utterance.ended:
            self._player.end_segment(response_id, last)
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
        ledger = self._ledger
        on_the_way = ledger is not None and ledger.on_the_way(response_id)
        cleared = on_the_way and self._clear is not None and self._clear()
        # No fade where what it would follow is dropped.
        played_ms = self._player.flush(response_id, 0 if cleared else FADE_MS)
        if ledger is not None:
            heard_ms = ledger.flush(response_id, played_ms)
            # What is on its way and cannot be called back will be heard, unless the line is lost.
            if cleared or self.away:
                played_ms = heard_ms
        self._post(e.PlaybackFlushed(self._now_ms(), response_id, played_ms))

    # ---- what the channel takes ------------------------------------------------------------

    def read_frame(self) -> bytes | None:
        frame = self._player.read()
        if self._on_played is not None:
            self._on_played(frame)
        ledger = self._ledger
        if ledger is not None and frame is not None:
            self._moved(ledger.read(*self._player.position))
        for event in self._player.progress():
            now_ms, response_id = self._now_ms(), event.response_id
            if isinstance(event, Started):
                self._post(e.PlaybackStarted(now_ms, response_id))
            elif ledger is not None:
                if isinstance(event, Ended):
                    self._moved(ledger.ended(response_id, event.played_ms))
            elif isinstance(event, Progressed):
                self._post(e.PlaybackProgressed(now_ms, response_id, event.played_ms))
            elif isinstance(event, Ended):
                self._post(e.PlaybackEnded(now_ms, response_id, event.played_ms))
            else:
                played_ms = self._player.played_ms(response_id)
                self._post(e.PlaybackProgressed(now_ms, response_id, played_ms))
        return frame

    def heard(self, frames: int) -> None:
        """So many of the frames that were read have reached the caller."""
        if self._ledger is not None:
            self._moved(self._ledger.heard(frames))

    def _moved(self, moved: list[Moved]) -> None:
        for one in moved:
            kind = e.PlaybackEnded if one.ended else e.PlaybackProgressed
            self._post(kind(self._now_ms(), one.response_id, one.played_ms))

    # ---- the voice at work -----------------------------------------------------------------

    async def _run(self, utterance: Utterance) -> None:
        """Synthesize one response, from its first segment to its last."""
        response_id = utterance.response_id
        try:
            await self._synthesize(utterance)
        except ProviderError as error:
            self._post(e.SynthesisFailed(self._now_ms(), response_id, str(error)))
            return
        if utterance.released:
            self._player.end_response(response_id)

    async def _synthesize(self, utterance: Utterance) -> None:
        async for event in utterance.tts.stream(utterance.texts()):
            part = utterance.part(event.segment_id)
            if isinstance(event, TtsAudio):
                await self._take(utterance, part, part.push(event.pcm))
            elif isinstance(event, TtsWords):
                part.told.extend(event.words)
            elif isinstance(event, TtsSegmentDone):
                await self._take(utterance, part, part.flush(), ends=True)
                if utterance.end_part(part):
                    self._end_segment(utterance, part.segment_id)

    def _end_segment(self, utterance: Utterance, segment_id: int) -> None:
        if utterance.released:
            self._player.end_segment(utterance.response_id, segment_id)
        self._post(
            e.SegmentSynthesized(
                self._now_ms(),
                utterance.response_id,
                segment_id,
                utterance.segment_ms,
                utterance.end_segment(segment_id),
            )
        )

    async def _take(
        self, utterance: Utterance, part: PartAudio, pcm: bytes, *, ends: bool = False
    ) -> None:
        """Queue audio, or withhold it, and tell the engine when there is reason to."""
        pcm = utterance.join(part, pcm, ends=ends, late=self._is_starved(utterance))
        if not pcm:
            return
        if utterance.released:
            # Never refused: less than AHEAD_MS wait in the player.
            self._player.append(utterance.response_id, part.segment_id, pcm)
        else:
            utterance.hold(part.segment_id, pcm)
        if utterance.due(REPORT_MS):
            self._post(
                e.AudioSynthesized(
                    self._now_ms(), utterance.response_id, part.segment_id, utterance.segment_ms
                )
            )
            # A voice that never waits must not keep the loop from playing what there is.
            await asyncio.sleep(0)
        while self._ahead_ms(utterance) > AHEAD_MS:
            utterance.waiting = True
            await asyncio.sleep(0.1)
        utterance.waiting = False

    def _is_starved(self, utterance: Utterance) -> bool:
        """Whether the caller has been waiting for the next word already."""
        playing = self._player.playing_id == utterance.response_id
        return playing and self._player.buffered_ms < FRAME_MS

    def _ahead_ms(self, utterance: Utterance) -> int:
        return self._player.buffered_ms + utterance.held_bytes * 500 // self._rate_hz


class TextSpeaker:
    """The voice of a call by text: what is shown is heard."""

    busy = False
    away = False

    def __init__(self, now_ms: Callable[[], int], post: Post) -> None:
        self._now_ms, self._post = now_ms, post
        self._playing: int | None = None
        self._ended: int | None = None

    def speak(self, response_id: int, segment_id: int, text: str, voice: int = 0) -> int:
        self._post(e.SegmentSynthesized(self._now_ms(), response_id, segment_id, 0))
        if self._playing == response_id:
            self._post(e.PlaybackProgressed(self._now_ms(), response_id, 0))
        return 0

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

    def heard(self, frames: int) -> None:
        """What is shown was heard."""
