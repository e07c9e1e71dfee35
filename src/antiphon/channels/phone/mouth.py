"""What goes out on a media stream: sound a little ahead of its time, marks, and keys as tones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from antiphon.audio import g711
from antiphon.channels.phone.played import FRAME_S, PlaybackClock
from antiphon.channels.phone.vendor import Dialect
from antiphon.types import FRAME_MS

LEAD_MS = 100
"""How much sound waits at the far end, against the jitter of the way there."""
MESSAGE_S = 2 * FRAME_S
"""Sound goes out 40 ms at a time: half as many messages as frames."""
MAX_TONE_FRAMES = 3000
"""A minute of tones; what is pressed beyond that is dropped."""
_EARLY_S = 0.001

Send = Callable[[str | bytes], None]


class Mouth:
    """One call's sound on its way out; outlives a stream that is replaced by another. Pure."""

    def __init__(self, rate_hz: int, lead_ms: int = LEAD_MS) -> None:
        self.clock = PlaybackClock()
        self._lead_s = lead_ms / 1000
        self._frame_bytes = rate_hz * FRAME_MS // 1000 * 2
        self._tones: deque[bytes] = deque()
        self._running = False

    def press(self, pcm: bytes) -> None:
        """Send these tones before anything else."""
        size = self._frame_bytes
        for at in range(0, len(pcm), size):
            if len(self._tones) < MAX_TONE_FRAMES:
                self._tones.append(pcm[at : at + size].ljust(size, b"\0"))

    def speak(
        self, read: Callable[[], bytes | None], dialect: Dialect, send: Send, now_s: float
    ) -> None:
        """Send as much of what `read` gives as there is room for ahead of its time."""
        least_s = getattr(dialect, "least_ms", 0) / 1000
        room_s = max(self._lead_s, 2 * least_s) - self.clock.ahead_s(now_s)
        if room_s < max(MESSAGE_S, least_s) - _EARLY_S:
            return
        frames = int((room_s + _EARLY_S) / FRAME_S)
        tones: list[bytes] = []
        while self._tones and len(tones) < frames:
            tones.append(self._tones.popleft())
        if tones:
            self._send(tones, dialect, send, now_s, counted=False)
        if self._tones:
            return
        sound: list[bytes] = []
        while len(tones) + len(sound) < frames:
            frame = read()
            if frame is None:
                break
            sound.append(frame)
        if sound:
            self._send(sound, dialect, send, now_s, counted=True)
        ends = len(tones) + len(sound) < frames
        if (sound or tones or self._running) and (name := self.clock.mark(now_s, ends=ends)):
            send(dialect.mark(name))
        self._running = not ends

    def clear(self, dialect: Dialect | None, send: Send | None, now_s: float) -> None:
        """Drop what the far end has not played; without a stream it is gone anyway."""
        if dialect is not None and send is not None:
            send(dialect.clear())
        self.clock.clear(now_s)
        self._tones.clear()
        self._running = False

    def _send(
        self, frames: list[bytes], dialect: Dialect, send: Send, now_s: float, *, counted: bool
    ) -> None:
        most = getattr(dialect, "most_ms", 0) // FRAME_MS or len(frames)
        for at in range(0, len(frames), most):
            pcm = b"".join(frames[at : at + most])
            payload = pcm if dialect.encoding == "l16" else g711.encode(pcm, dialect.encoding)
            send(dialect.sound(payload))
        self.clock.sent(len(frames), now_s, counted=counted)
