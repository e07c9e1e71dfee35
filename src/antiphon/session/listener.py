"""The caller's side of one call: every frame goes through the VAD, inline, and to the STT."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import EndOfTurn, PartialText, SttEvent, SttStream, VadStream
from antiphon.types import FRAME_BYTES, FRAME_MS

PREROLL_MS = 300
"""Audio before the VAD's onset that the STT is given: onsets are found late, at worst 150 ms."""


class Listener:
    """VAD and STT of one call. The STT may be missing, and may fail; the call goes on by text."""

    def __init__(
        self,
        vad: VadStream,
        stt: SttStream | None,
        now_ms: Callable[[], int],
        post: Callable[[e.Event], None],
    ) -> None:
        self._vad, self._stt, self._now_ms, self._post = vad, stt, now_ms, post
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
        if self._stt is not None:
            try:
                self._stt.push(pcm)
            except ProviderError as error:
                self.failed(str(error))
        for edge in self._vad.feed(pcm):
            now_ms = self._now_ms()
            at_ms = max(0, now_ms - (self._fed_ms - edge.position_ms))
            kind = e.UserSpeechStarted if edge.speaking else e.UserSpeechStopped
            self._post(kind(now_ms, at_ms))

    def begin(self, utterance_id: int, speech_at_ms: int) -> None:
        """Transcribe from here on; speech that was noticed late gets its pre-roll."""
        late_ms = self._now_ms() - speech_at_ms
        if self._stt is not None:
            self._stt.begin(utterance_id, late_ms + PREROLL_MS if late_ms > 0 else 0)

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

    def on_played(self, frame: bytes | None) -> None:
        """What the caller was just played, 20 ms at the output's rate; None: nothing."""
