"""What a caller hears: 20 ms of 24 kHz PCM to RTP packets of Opus. Pure but for random beginnings.

A packet goes for every frame, in silence too: jitter buffers, network boxes and clocks on the way
like a stream that does not stop. Silence costs nothing: once the encoder has said it, its packet is
the same each time.
"""

from __future__ import annotations

from antiphon.channels.rtp.opus import CLEAR, OpusEncoder, OpusMode
from antiphon.channels.rtp.packet import Report
from antiphon.channels.rtp.send import Stream
from antiphon.channels.voice.base import OUTPUT_RATE_HZ
from antiphon.channels.webrtc.config import PLAIN, AudioConfig
from antiphon.types import FRAME_MS

TICKS = 48_000 * FRAME_MS // 1000
"""Opus counts time at 48 kHz, whatever is sent (RFC 7587 section 4.1)."""
LOSSY, CLEAN = 0.03, 0.01
"""Losses from which redundancy is worth its bits, and from which it is not any more."""
CLEAN_REPORTS = 3
"""In a row, before the redundancy ends."""
ROBUST_BITRATE = 40_000
"""At most, with redundancy: with more to spend libopus takes CELT, which knows none."""
LEAST_LOSS_PERCENT, MOST_LOSS_PERCENT = 6, 25
"""With 5 or less libopus gives up no bandwidth for the redundancy, and with few bits has none."""
_STILL_BYTES = 3
"""A packet of CELT that says nothing but that there is nothing."""
_SAME = 2


class Mouth:
    """The sending end of one connection.

    Args:
        payload_type: of Opus, as agreed.
        ssrc: of the stream, as the description says.
        audio: bits to spend, and when on redundancy.

    Raises:
        UserFacingError: there is no libopus.
    """

    def __init__(self, payload_type: int, ssrc: int, audio: AudioConfig = PLAIN) -> None:
        self._type = payload_type
        self._stream = Stream(ssrc)
        self._encoder = OpusEncoder(OUTPUT_RATE_HZ, CLEAR)
        self._nothing = bytes(OUTPUT_RATE_HZ * FRAME_MS // 500)
        self._audio = audio
        self._calm = OpusMode(audio.bitrate, complexity=CLEAR.complexity)
        """How it codes as long as nothing is lost."""
        if audio.redundancy == "always":
            self._calm = self._robust(LEAST_LOSS_PERCENT)
        self._mode = self._calm
        self._speaking = False
        self._clean = 0
        self._silent, self._same = b"", 0
        """The last packet of silence, and how often it was the same."""

    @property
    def ssrc(self) -> int:
        return self._stream.ssrc

    @property
    def robust(self) -> bool:
        """Whether redundancy is sent, because packets are lost."""
        return self._mode.loss_percent > 0

    def frame(self, pcm: bytes | None) -> bytes:
        """The packet of the next 20 ms, mono s16; None is silence."""
        begins = pcm is not None and not self._speaking
        if begins:
            self._encoder.tune(self._mode)
        elif pcm is None and self._speaking:
            # Silence needs no redundancy, and CELT has the cheaper one.
            self._encoder.tune(CLEAR)
            self._same = 0
        self._speaking = pcm is not None
        payload = self._silence() if pcm is None else self._encoder.encode(pcm)
        datagram = self._stream.packet(self._type, payload, marker=begins)
        self._stream.skip(TICKS)
        return datagram

    def skip(self, frames: int) -> None:
        """So many were left out, after a halt of this process; the clock goes on."""
        self._stream.skip(frames * TICKS)

    def lost(self, fraction: float) -> None:
        """What the peer reports: the share of the packets since the last time that did not come."""
        if self._audio.redundancy == "never":
            return
        if fraction > LOSSY:
            self._clean = 0
            percent = round(fraction * 100)
            percent = min(MOST_LOSS_PERCENT, max(LEAST_LOSS_PERCENT, percent))
            self._change(self._robust(percent))
        elif fraction > CLEAN:
            self._clean = 0
        else:
            self._clean += 1
            if self._clean >= CLEAN_REPORTS:
                self._change(self._calm)

    def report(self, unix_s: float) -> Report:
        """What was sent up to now."""
        return self._stream.report(unix_s)

    def _robust(self, percent: int) -> OpusMode:
        return OpusMode(min(ROBUST_BITRATE, self._audio.bitrate), percent)

    def _change(self, mode: OpusMode) -> None:
        if mode != self._mode:
            self._mode = mode
            if self._speaking:
                self._encoder.tune(mode)

    def _silence(self) -> bytes:
        if self._same >= _SAME:
            return self._silent
        payload = self._encoder.encode(self._nothing)
        still = len(payload) <= _STILL_BYTES and payload == self._silent
        self._same = self._same + 1 if still else 0
        self._silent = payload
        return payload
