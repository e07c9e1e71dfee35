"""20 ms frames of PCM to the datagrams of one RTP stream. Pure but for random beginnings."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Mapping

from antiphon.audio.tones import tones
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.coding import Encoder, make_encoder, pcm_rate_hz
from antiphon.channels.rtp.keys import MOST_WAITING, KeySender
from antiphon.channels.rtp.packet import Report, RtpPacket, make_rtp, ntp_time
from antiphon.types import FRAME_MS

_TICKS = 1 << 32


class Sender:
    """The sending end of one line. Its clock moves with every frame, sent or not.

    Args:
        codec: of the sound.
        accepts: what the peer takes, by payload type; for the clock of its keys.
        keys_type: payload type of telephone events; None: keys are sent as tones.
    """

    def __init__(self, codec: Codec, accepts: Mapping[int, Codec], keys_type: int | None) -> None:
        self._keys = KeySender()
        self._tone: deque[bytes] = deque()
        self._encoder: Encoder = make_encoder(codec)
        self._codec = codec
        self._keys_type, self._keys_hz = keys_type, _keys_hz(codec, accepts, keys_type)
        self._begin()

    def _begin(self) -> None:
        # Unguessable, so that nobody who does not see the stream can add to it (section 5.1).
        self.ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self.timestamp = secrets.randbits(32)
        self.packets = self._octets = 0
        self._spurt = False

    def change(self, codec: Codec, accepts: Mapping[int, Codec], keys_type: int | None) -> None:
        """Something else is agreed on. A codec with another clock is another stream (RFC 7160)."""
        if codec.name.lower() != self._codec.name.lower():
            self._encoder = make_encoder(codec)
            self._tone.clear()
        if codec.clock_hz != self._codec.clock_hz:
            self._begin()
        if (self._keys_type is None) != (keys_type is None):
            self._keys.clear()
            self._tone.clear()
        self._codec = codec
        self._keys_type, self._keys_hz = keys_type, _keys_hz(codec, accepts, keys_type)

    def press(self, digits: str) -> int:
        """Send keys before any further sound. Returns how many are left out because too many
        wait."""
        if self._keys_type is not None:
            return self._keys.press(digits)
        rate_hz = pcm_rate_hz(self._codec)
        step = rate_hz * FRAME_MS // 500
        sound = tones(digits[:MOST_WAITING], rate_hz)
        if len(self._tone) * step + len(sound) > MOST_WAITING * step * 25:
            return len(digits)
        self._tone.extend(sound[at : at + step] for at in range(0, len(sound), step))
        return max(0, len(digits) - MOST_WAITING)

    @property
    def busy(self) -> bool:
        """Whether keys are being sent; sound given meanwhile is not."""
        return self._keys.busy or bool(self._tone)

    def skip(self, frames: int = 1) -> None:
        """The clock moves on and nothing is sent."""
        ticks = self._codec.clock_hz * FRAME_MS // 1000
        self.timestamp = (self.timestamp + frames * ticks) % _TICKS

    def frame(self, pcm: bytes | None) -> bytes | None:
        """The datagram of the next 20 ms; None is silence, which is sent too. None comes back in a
        pause between keys."""
        timestamp = self.timestamp
        self.skip()
        if self._keys.busy and self._keys_type is not None:
            self._spurt = False
            key = self._keys.step(timestamp, self._keys_hz * FRAME_MS // 1000)
            if key is None:
                return None
            return self._packet(self._keys_type, key.timestamp, key.payload, key.marker)
        if self._tone:
            pcm = self._tone.popleft()
        payload = self._encoder.silence() if pcm is None else self._encoder.encode(pcm)
        # The first packet after silence (RFC 3551 section 4.1): buffers may adapt here.
        marker = pcm is not None and not self._spurt
        self._spurt = pcm is not None
        return self._packet(self._codec.payload_type, timestamp, payload, marker)

    def report(self, unix_s: float) -> Report:
        """What was sent up to now; the caller adds what it received."""
        return Report(
            self.ssrc,
            ntp_time(unix_s),
            self.timestamp,
            self.packets,
            self._octets,
            sends=self.packets > 0,
        )

    def _packet(self, kind: int, timestamp: int, payload: bytes, marker: bool) -> bytes:
        packet = RtpPacket(kind, self._sequence, timestamp, self.ssrc, payload, marker)
        self._sequence = (self._sequence + 1) % 65536
        self.packets += 1
        self._octets += len(payload)
        return make_rtp(packet)


def _keys_hz(codec: Codec, accepts: Mapping[int, Codec], keys_type: int | None) -> int:
    named = accepts.get(keys_type) if keys_type is not None else None
    return named.clock_hz if named is not None else codec.clock_hz
