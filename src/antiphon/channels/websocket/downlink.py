"""The agent's voice on its way to a WebSocket: a message of 20 ms for a frame, nothing in silence.

Nothing is sent ahead of its time, so that what was flushed can not be on its way; the client's
buffer is what smooths the network. A run of speech ends with 20 ms of silence, which bring out what
resampler and codec withhold. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.audio import g711
from antiphon.audio.double import Doubler
from antiphon.audio.resample import LiveResampler
from antiphon.channels.rtp.opus import CLEAR, OpusEncoder, OpusMode
from antiphon.channels.voice.base import OUTPUT_RATE_HZ
from antiphon.channels.websocket.format import AudioFormat
from antiphon.types import FRAME_MS

_SILENCE = bytes(OUTPUT_RATE_HZ * FRAME_MS // 1000 * 2)
_LAWS: dict[str, g711.Law] = {"ulaw": "mulaw", "alaw": "alaw"}


class Downlink:
    """One connection's sound on its way out.

    Args:
        sound: what the client wants.
        bitrate: of Opus, in bits per second.

    Raises:
        UserFacingError: Opus is asked for, and there is no libopus.
    """

    def __init__(self, sound: AudioFormat, bitrate: int = CLEAR.bitrate) -> None:
        self._sound, self._bitrate = sound, bitrate
        self.cut()

    def cut(self) -> None:
        """What was said so far is not to be heard any more, nor what resampler and codec withhold
        of it; the run is over."""
        opus = self._sound.encoding == "opus"
        self._resample = _Resampler(OUTPUT_RATE_HZ if opus else self._sound.rate_hz)
        self._encode = _encoder(self._sound, self._bitrate)
        self._speaking = False

    def message(self, pcm: bytes | None) -> bytes | None:
        """What to send for the next 20 ms: mono s16 PCM at 24 kHz, or None for silence."""
        if pcm is None:
            if not self._speaking:
                return None
            pcm = _SILENCE
            self._speaking = False
        else:
            self._speaking = True
        return self._encode(self._resample.push(pcm)) or None


class _Resampler:
    """Exactly 20 ms for 20 ms: what the resampler withholds at first is made up with silence."""

    def __init__(self, rate_hz: int) -> None:
        self._bytes = rate_hz * FRAME_MS // 1000 * 2
        double = rate_hz == 2 * OUTPUT_RATE_HZ
        self._resampler = Doubler() if double else LiveResampler(OUTPUT_RATE_HZ, rate_hz)
        self._rest: bytes | None = None

    def push(self, pcm: bytes) -> bytes:
        made = self._resampler.push(pcm)
        if self._rest is None:
            self._rest = bytes(max(0, self._bytes - len(made)))
        made = self._rest + made
        self._rest = made[self._bytes :]
        return made[: self._bytes].ljust(self._bytes, b"\0")


def _encoder(sound: AudioFormat, bitrate: int) -> Callable[[bytes], bytes]:
    if sound.encoding == "opus":
        return OpusEncoder(OUTPUT_RATE_HZ, OpusMode(bitrate, complexity=CLEAR.complexity)).encode
    law = _LAWS.get(sound.encoding)
    return (lambda pcm: pcm) if law is None else (lambda pcm: g711.encode(pcm, law))
