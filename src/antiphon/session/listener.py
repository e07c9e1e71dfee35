"""The caller's side of one call: every frame goes through the VAD, inline, and to the STT.

What is nothing but the agent's own voice coming back is silence for the VAD, so that it neither
begins an overlap nor hides the beginning of one. The STT hears everything.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from antiphon.audio.canceller import EchoCanceller
from antiphon.audio.echo import EchoGuard
from antiphon.audio.levels import energies
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import EndOfTurn, PartialText, SttEvent, SttStream, VadStream
from antiphon.types import FRAME_BYTES, FRAME_MS

PREROLL_MS = 300
"""Audio before the VAD's onset that the STT is given: onsets are found late, at worst 150 ms."""
MEASURED_MS = 60
"""How often the engine is told how the caller sounds while the agent sounds too; otherwise, to
learn what is usual for the caller, a quarter as often."""
ANEW_MS = 600
"""A caller who is silent for so long begins anew; what is told of how they sound, too."""
_LATELY = 300 // FRAME_MS
_SILENCE = bytes(FRAME_BYTES)


class _Frame:
    """20 ms of the caller's, whose energy is computed when it is asked for; -1: not yet."""

    __slots__ = ("echo", "energy", "pcm")

    def __init__(self, pcm: bytes, echo: float) -> None:
        self.pcm, self.echo, self.energy = pcm, echo, -1.0


class Listener:
    """VAD and STT of one call. The STT may be missing, and may fail; the call goes on by text.
    `canceller` takes the agent's voice out before either hears it, on a line where nobody does."""

    def __init__(
        self,
        vad: VadStream,
        stt: SttStream | None,
        now_ms: Callable[[], int],
        post: Callable[[e.Event], None],
        canceller: EchoCanceller | None = None,
    ) -> None:
        self._canceller = canceller
        self._vad, self._stt, self._now_ms, self._post = vad, stt, now_ms, post
        self._guard = EchoGuard()
        self._lately: deque[_Frame] = deque(maxlen=_LATELY)
        self._loudest = (0.0, 0.0)  # of the speech under way: mean energy, that of the echo
        self._ended_ms = 0  # in the audio fed
        self._speaking_ms: int | None = None  # how long the caller has been speaking
        self._fed_ms = 0
        self._wanted: tuple[int, int] | None = None  # final transcript that was asked for

    @property
    def busy(self) -> bool:
        """Whether a final transcript is owed."""
        return self._wanted is not None and self._stt is not None

    def on_audio(self, pcm: bytes) -> None:
        """Take 20 ms of 16 kHz PCM. Frames of another length are a channel's bug."""
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, this one {len(pcm)}")
        self._fed_ms += FRAME_MS
        if self._canceller is not None:
            pcm = self._canceller.clean(pcm)
        if self._stt is not None:
            try:
                self._stt.push(pcm)
            except ProviderError as error:
                self.failed(str(error))
        only_echo = self._guard.hear(pcm)
        if self._guard.active or self._speaking_ms is not None:
            self._lately.append(_Frame(pcm, self._guard.echo))
            self._measure()
        elif self._lately:
            self._lately.clear()
        for edge in self._vad.feed(_SILENCE if only_echo else pcm):
            now_ms = self._now_ms()
            ago_ms = self._fed_ms - edge.position_ms
            kind = e.UserSpeechStarted if edge.speaking else e.UserSpeechStopped
            self._post(kind(now_ms, max(0, now_ms - ago_ms)))
            self._turned(edge.speaking, ago_ms // FRAME_MS)

    def on_played(self, frame: bytes | None) -> None:
        """Take the 20 ms that were played to the caller meanwhile; None for silence."""
        if self._canceller is not None:
            self._canceller.played(frame)
        self._guard.played(frame)

    def _measure(self) -> None:
        if self._speaking_ms is not None:
            self._speaking_ms += FRAME_MS
            every_ms = MEASURED_MS if self._guard.active else 4 * MEASURED_MS
            if self._speaking_ms % every_ms == 0:
                self._tell()

    def _turned(self, speaking: bool, frames_ago: int) -> None:
        """The caller began or ended speaking; how they sound is known from there on."""
        self._speaking_ms = 0 if speaking else None
        if not speaking:
            self._ended_ms = self._fed_ms
        elif self._fed_ms - self._ended_ms >= ANEW_MS:
            self._loudest = 0.0, 0.0
        while len(self._lately) > (frames_ago if speaking else 0):
            self._lately.popleft()
        if self._lately and self._guard.active:
            self._tell()

    def _tell(self) -> None:
        """By the loudest moment: the last ones, when the caller falls silent, say nothing."""
        unknown = [frame for frame in self._lately if frame.energy < 0]
        for frame, found in zip(unknown, energies([one.pcm for one in unknown]), strict=True):
            frame.energy = found
        count = len(self._lately)
        energy = sum(frame.energy for frame in self._lately) / count
        if energy > self._loudest[0]:
            echo = sum(frame.energy * frame.echo for frame in self._lately) / count
            self._loudest = energy, echo
        energy, echo = self._loudest
        level_db, share = 10 * math.log10(energy), echo / energy
        self._post(e.SpeechMeasured(self._now_ms(), round(level_db, 1), round(share, 2)))

    def begin(self, utterance_id: int, speech_at_ms: int) -> None:
        """Transcribe from here on; speech that was noticed late gets its pre-roll."""
        late_ms = self._now_ms() - speech_at_ms
        if self._stt is not None:
            preroll_ms = late_ms + PREROLL_MS if late_ms > 0 else 0
            self._stt.begin(utterance_id, preroll_ms, self._guard.active)

    def finalize(self, utterance_id: int, revision: int) -> None:
        if self._stt is not None:
            self._wanted = (utterance_id, revision)
            self._stt.finalize(utterance_id, revision)

    def end(self, utterance_id: int) -> None:
        if self._stt is not None:
            self._stt.end(utterance_id)
        if self._wanted is not None and self._wanted[0] == utterance_id:
            self._wanted = None

    async def run(self) -> None:
        """Pass on what the STT understands, until the call ends."""
        if self._stt is None:
            return
        try:
            async for event in self._stt.events():
                self._take(event)
            self.failed("the recogniser ended its stream")
        except ProviderError as error:
            self.failed(str(error))

    def failed(self, reason: str) -> None:
        """The STT is gone for the rest of the call."""
        if self._stt is not None:
            self._stt = None
            self._post(e.TranscriptionFailed(self._now_ms(), reason))

    def _take(self, event: SttEvent) -> None:
        now_ms = self._now_ms()
        if isinstance(event, EndOfTurn):
            self._post(e.TurnSignalled(now_ms, event.utterance_id, event.signal))
            return
        if isinstance(event, PartialText):
            self._post(e.TranscriptUpdated(now_ms, event.utterance_id, event.text, event.complete))
            return
        if self._wanted == (event.utterance_id, event.revision):
            self._wanted = None
        self._post(
            e.TranscriptCompleted(
                now_ms,
                event.utterance_id,
                event.revision,
                event.text,
                event.confidence,
                event.complete,
            )
        )
