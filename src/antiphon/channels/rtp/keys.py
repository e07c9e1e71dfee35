"""Telephone keys as events in RTP (RFC 4733). Pure.

A key is a few packets with one timestamp, that of its beginning, and a duration that grows; the
last is sent three times and says that it is the end. Any one of them is enough to know the key.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass

from antiphon.channels.rtp.packet import RtpPacket, timestamp_step
from antiphon.types import FRAME_MS

KEYS = "0123456789*#ABCD"
"""By the number of their event (RFC 4733 section 3.2)."""
TONE_MS, GAP_MS, PAUSE_MS = 100, 60, 500
PAUSE = "w"
MOST_WAITING = 128
"""Keys that wait to be sent; more are left out."""

_EVENT = struct.Struct("!BBH")
_END, _VOLUME = 0x80, 10
_MOST_BEHIND_S = 5
_UPDATES = TONE_MS // FRAME_MS
_AGAIN = 2
_FRAMES = (TONE_MS + GAP_MS) // FRAME_MS


class KeyReceiver:
    """Finds the keys in event packets, whichever of them are lost, doubled or late.

    Args:
        clock_hz: the clock of the stream's timestamps.
    """

    def __init__(self, clock_hz: int = 8000) -> None:
        self._most_behind = _MOST_BEHIND_S * clock_hz
        self._last: tuple[int, int, int, int] | None = None
        """SSRC, event, timestamp and duration of the packet that was understood last."""
        self._ended = False

    def push(self, packet: RtpPacket) -> str | None:
        """The key that this packet is the first to tell of."""
        if len(packet.payload) < _EVENT.size:
            return None
        event, flags, duration = _EVENT.unpack_from(packet.payload)
        if event >= len(KEYS):
            return None
        seen, self._last = self._last, (packet.ssrc, event, packet.timestamp, duration)
        if seen is not None and seen[0] == packet.ssrc:
            step = timestamp_step(packet.timestamp, seen[2])
            if -self._most_behind < step < 0:
                self._last = seen
                return None
            # A key that begins before the last one is over is the same one, held for so long that
            # its duration has no room (section 2.5.1.3), or by a sender that moves its timestamps.
            if step == 0 or (
                0 < step <= seen[3] and event == seen[1] and not (self._ended or packet.marker)
            ):
                if step == 0:
                    self._last = (*seen[:3], max(seen[3], duration))
                self._ended = self._ended or flags & _END > 0
                return None
        self._ended = flags & _END > 0
        return KEYS[event]


@dataclass(frozen=True, slots=True)
class KeyPacket:
    """What to send in a frame's stead: the payload, and the timestamp that the key began at."""

    payload: bytes
    timestamp: int
    marker: bool


class KeySender:
    """Sends keys, one packet for a frame: 100 ms each, 60 ms between them, `w` for 500 ms."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._frame = 0
        self._began = 0

    def press(self, digits: str) -> int:
        """Add keys; others than `0-9*#A-D` and `w` mean nothing. Returns how many are left out
        because too many wait."""
        wanted = [one for one in digits.upper().replace("W", PAUSE) if one in KEYS or one == PAUSE]
        room = MOST_WAITING - len(self._waiting)
        self._waiting.extend(wanted[:room])
        return max(0, len(wanted) - room)

    @property
    def busy(self) -> bool:
        """Whether keys are being sent; then no sound is."""
        return bool(self._waiting)

    def clear(self) -> None:
        """Drop what was not sent."""
        self._waiting.clear()
        self._frame = 0

    def step(self, timestamp: int, ticks: int) -> KeyPacket | None:
        """What to send in the next 20 ms; None for nothing. To be asked while `busy`.

        Args:
            timestamp: that of a sound which would be sent now.
            ticks: of the event's clock in a frame.
        """
        if not self._waiting:
            return None
        frame, self._frame = self._frame, self._frame + 1
        key = self._waiting[0]
        if self._frame >= (PAUSE_MS // FRAME_MS if key == PAUSE else _FRAMES):
            self._waiting.popleft()
            self._frame = 0
        if key == PAUSE or frame >= _UPDATES + _AGAIN:
            return None
        if frame == 0:
            self._began = timestamp
        updates = min(frame + 1, _UPDATES)
        flags = _VOLUME | (_END if updates == _UPDATES else 0)
        payload = _EVENT.pack(KEYS.index(key), flags, min(0xFFFF, updates * ticks))
        return KeyPacket(payload, self._began, frame == 0)
