"""20 ms frames of PCM to the datagrams of one RTP stream. Pure but for random beginnings."""

from __future__ import annotations

import secrets
import struct
from collections import deque
from collections.abc import Mapping

from antiphon.audio.tones import tones
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.coding import Encoder, make_encoder, pcm_rate_hz
from antiphon.channels.rtp.keys import MOST_WAITING, KeySender
from antiphon.channels.rtp.packet import VERSION, Report, ntp_time
from antiphon.types import FRAME_MS

_TICKS = 1 << 32
_HEADER = struct.Struct("!BBHII")


class Stream:
    """The numbers of one stream of packets (RFC 3550 section 5.1).

    Args:
        ssrc: of it; None: a random one.
    """

    def __init__(self, ssrc: int | None = None) -> None:
        # Unguessable, so that nobody who does not see the stream can add to it.
        self.ssrc = secrets.randbits(32) if ssrc is None else ssrc
        self.timestamp = secrets.randbits(32)
        self._sequence = secrets.randbits(16)
        self._packets = self._octets = 0

    def skip(self, ticks: int) -> None:
        """The clock moves on."""
        self.timestamp = (self.timestamp + ticks) % _TICKS

    def packet(
        self, payload_type: int, payload: bytes, *, marker: bool, timestamp: int | None = None
    ) -> bytes:
        """The datagram of the next packet, of now or of another time."""
        sequence = self._sequence
        self._sequence = (sequence + 1) % 65536
        self._packets += 1
        self._octets += len(payload)
        at = self.timestamp if timestamp is None else timestamp
        kind = payload_type | 0x80 if marker else payload_type
        return _HEADER.pack(VERSION << 6, kind, sequence, at, self.ssrc) + payload

    def report(self, unix_s: float) -> Report:
        """What was sent up to now; the caller adds what it received."""
        ntp, sends = ntp_time(unix_s), self._packets > 0
        return Report(self.ssrc, ntp, self.timestamp, self._packets, self._octets, sends=sends)


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
        self._stream = Stream()
        self._spurt = False

    def change(self, codec: Codec, accepts: Mapping[int, Codec], keys_type: int | None) -> None:
        """Something else is agreed on. A codec with another clock is another stream (RFC 7160)."""
        if codec.name.lower() != self._codec.name.lower():
            self._encoder = make_encoder(codec)
            self._tone.clear()
        if codec.clock_hz != self._codec.clock_hz:
            self._stream, self._spurt = Stream(), False
        if (self._keys_type is None) != (keys_type is None):
            self._keys.clear()
            self._tone.clear()
        self._codec = codec
        self._keys_type, self._keys_hz = keys_type, _keys_hz(codec, accepts, keys_type)

    @property
    def ssrc(self) -> int:
        return self._stream.ssrc

    @property
    def timestamp(self) -> int:
        return self._stream.timestamp

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
        self._stream.skip(frames * self._codec.clock_hz * FRAME_MS // 1000)

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
            return self._stream.packet(
                self._keys_type, key.payload, marker=key.marker, timestamp=key.timestamp
            )
        if self._tone:
            pcm = self._tone.popleft()
        payload = self._encoder.silence() if pcm is None else self._encoder.encode(pcm)
        # The first packet after silence (RFC 3551 section 4.1): buffers may adapt here.
        marker = pcm is not None and not self._spurt
        self._spurt = pcm is not None
        kind = self._codec.payload_type
        return self._stream.packet(kind, payload, marker=marker, timestamp=timestamp)

    def report(self, unix_s: float) -> Report:
        """What was sent up to now; the caller adds what it received."""
        return self._stream.report(unix_s)


def _keys_hz(codec: Codec, accepts: Mapping[int, Codec], keys_type: int | None) -> int:
    named = accepts.get(keys_type) if keys_type is not None else None
    return named.clock_hz if named is not None else codec.clock_hz
