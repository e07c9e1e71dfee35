"""Takes the agent's own voice out of what the microphone hears, for lines on which nobody does.

Browsers and telephones cancel their echo themselves. This is the echo canceller of WebRTC, as the
package `livekit` brings it (an optional dependency of 30 MB; it opens no connection). About 0.3 ms
of computing for a frame of 20 ms, and none while the agent is silent.
"""

from __future__ import annotations

from typing import Any, Protocol

from antiphon.audio.resample import LiveResampler
from antiphon.errors import UserFacingError
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

_CHUNK = FRAME_BYTES // 2
"""Bytes of 10 ms, the only length that the module takes."""
_SILENCE = bytes(FRAME_BYTES)
_IDLE = 1000 // FRAME_MS
"""Frames of the agent's silence after which nothing of its voice can come back."""
_MOST_AHEAD = 200 // FRAME_MS * FRAME_BYTES


class _Module(Protocol):
    """What is used of `livekit.rtc.AudioProcessingModule`; frames are changed in place."""

    def process_stream(self, data: Any) -> None: ...
    def process_reverse_stream(self, data: Any) -> None: ...


class _Frame(Protocol):
    """What is used of `livekit.rtc.AudioFrame`."""

    @property
    def data(self) -> memoryview: ...


class EchoCanceller:
    """The canceller of one call. It learns the room within a second of the agent's voice.

    Args:
        output_rate_hz: sample rate of what is played.

    Raises:
        UserFacingError: the package is not installed.
    """

    def __init__(self, output_rate_hz: int) -> None:
        try:
            from livekit import rtc
        except ImportError:
            raise UserFacingError(
                "echo_cancel needs the package `livekit`, which is not installed."
                " Run: pip install 'antiphon[aec]'"
            ) from None
        self._frame: type[Any] = rtc.AudioFrame
        self._module: _Module = rtc.AudioProcessingModule(echo_cancellation=True)
        self._resampler = LiveResampler(output_rate_hz, INPUT_RATE_HZ)
        self._played = bytearray()  # at 16 kHz, not yet handed to the module
        self._silence = _IDLE

    def played(self, frame: bytes | None) -> None:
        """Take the 20 ms (s16 mono) that were played to the caller; None for silence."""
        if frame is not None and any(frame):
            self._silence = 0
            self._played += self._resampler.push(frame)
        else:
            self._silence += 1
            self._played += _SILENCE
        if self._silence < _IDLE:
            # A channel that plays and does not listen must not make it grow.
            del self._played[:-_MOST_AHEAD]
        else:
            self._played.clear()

    def clean(self, pcm: bytes) -> bytes:
        """20 ms from the caller (s16 mono, 16 kHz) without the agent's voice."""
        if self._silence >= _IDLE:
            return pcm
        cleaned = []
        for at in (0, _CHUNK):
            reference = bytes(self._played[:_CHUNK]).ljust(_CHUNK, b"\0")
            del self._played[:_CHUNK]
            self._module.process_reverse_stream(self._chunk(reference))
            chunk = self._chunk(pcm[at : at + _CHUNK])
            self._module.process_stream(chunk)
            cleaned.append(bytes(chunk.data))
        return b"".join(cleaned)

    def _chunk(self, pcm: bytes) -> _Frame:
        frame: _Frame = self._frame(bytearray(pcm), INPUT_RATE_HZ, 1, _CHUNK // 2)
        return frame
