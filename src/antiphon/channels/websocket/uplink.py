"""The caller's sound from a WebSocket, as the session wants it: 16 kHz, 20 ms at a time.

A WebSocket keeps the order and loses nothing, so there is nothing to wait for: what comes goes on
at once, be it late and a second of it. Where nothing comes, because the caller sends only while
somebody speaks, silence is made, because a pause has to be heard to be one. Pure: `now_s` comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.audio import g711
from antiphon.audio.double import Doubler
from antiphon.audio.frames import FrameCutter
from antiphon.audio.resample import LiveResampler
from antiphon.channels.rtp.opus import OpusDecoder
from antiphon.channels.websocket.format import AudioFormat
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

SILENT_AFTER_MS = 120
"""Nothing came for so long: the frames go on without it."""
MOST_MADE_MS = 500
"""At most so much silence is made at once; after a halt of this process the rest is left out."""
MOST_AT_ONCE_MS = 5_000
"""How much sound may come at once: what a client kept while its network was away."""
SPEED = 1.25
"""How much faster than time sound may come in the long run."""
LEAST_CHARGED_MS = 2.5
"""What a message counts at least, however short: the shortest frame of Opus."""
MOST_EXCESS_MS = 20_000
MOST_BROKEN = 250
"""Messages that are no sound; five seconds of them."""

_BYTES_PER_MS = INPUT_RATE_HZ // 500
_LAWS: dict[str, g711.Law] = {"ulaw": "mulaw", "alaw": "alaw"}


class BadSound(Exception):
    """A message that was dropped; its text is a sentence for the caller.

    Args:
        hopeless: there were too many of them.
    """

    def __init__(self, message: str, *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hopeless = hopeless


@dataclass(slots=True)
class Allowance:
    """Allows `MOST_AT_ONCE_MS` of sound at once and `SPEED` times real time in the long run."""

    left_ms: float = MOST_AT_ONCE_MS
    updated_s: float | None = None

    def has_room(self, now_s: float) -> bool:
        if self.updated_s is not None:
            more_ms = max(0.0, now_s - self.updated_s) * 1000 * SPEED
            self.left_ms = min(MOST_AT_ONCE_MS, self.left_ms + more_ms)
        self.updated_s = now_s
        return self.left_ms > 0

    def charge(self, ms: float) -> None:
        self.left_ms -= max(LEAST_CHARGED_MS, ms)


class Uplink:
    """One connection's sound on its way in.

    Args:
        sound: what the client sends.
        now_s: when the connection was made, by any monotonic clock.

    Raises:
        UserFacingError: Opus is asked for, and there is no libopus.
    """

    def __init__(self, sound: AudioFormat, now_s: float) -> None:
        self._decode = _decoder(sound)
        self._allowance = Allowance()
        self._cutter = FrameCutter(FRAME_BYTES)
        self._came_s = now_s
        self._made_ms = 0
        self.chunk_ms = FRAME_MS
        """How much sound the last message had."""
        self.broken = 0
        self.excess_ms = 0.0
        """Sound that was dropped because more came than time went by."""

    def push(self, message: bytes, now_s: float) -> list[bytes]:
        """The frames that are complete with a message.

        Raises:
            BadSound: it is none, or too much.
        """
        if not self._allowance.has_room(now_s):
            self.excess_ms += max(LEAST_CHARGED_MS, self.chunk_ms)
            raise BadSound(
                "More sound comes than time goes by, and is dropped; "
                "is the rate in the address the one that is sent?",
                hopeless=self.excess_ms > MOST_EXCESS_MS,
            )
        pcm = self._decode(message)
        self._allowance.charge(len(pcm) / _BYTES_PER_MS)
        if not pcm:
            self.broken += 1
            raise BadSound(
                f"A message of {len(message)} bytes is not sound in the format that was asked for.",
                hopeless=self.broken > MOST_BROKEN,
            )
        self.chunk_ms = max(1, len(pcm) // _BYTES_PER_MS)
        self._came_s, self._made_ms = now_s, 0
        return self._cutter.push(pcm)

    def poll(self, now_s: float) -> list[bytes]:
        """Silence that is due because nothing came. To be asked every 20 ms."""
        silent_ms = round((now_s - self._came_s) * 1000)
        if silent_ms < max(SILENT_AFTER_MS, self.chunk_ms * 5 // 2):
            return []
        # The next message is not late before its own length is over.
        due_ms = (silent_ms - self.chunk_ms) // FRAME_MS * FRAME_MS - self._made_ms
        if due_ms <= 0:
            return []
        self._made_ms += due_ms
        return self._cutter.push(bytes(min(due_ms, MOST_MADE_MS) * _BYTES_PER_MS))


def _decoder(sound: AudioFormat) -> Callable[[bytes], bytes]:
    """Messages to 16 kHz PCM; nothing of what is no sound."""
    if sound.encoding == "opus":
        return OpusDecoder().decode
    law = _LAWS.get(sound.encoding)
    double = sound.rate_hz * 2 == INPUT_RATE_HZ
    resample = (Doubler() if double else LiveResampler(sound.rate_hz, INPUT_RATE_HZ)).push
    if law is not None:
        return lambda message: resample(g711.decode(message, law))
    return lambda message: b"" if len(message) % 2 else resample(message)
