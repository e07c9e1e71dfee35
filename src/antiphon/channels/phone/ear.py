"""What comes in on a media stream, as the session wants it: in order, 16 kHz, 20 ms at a time."""

from __future__ import annotations

from antiphon.audio import g711
from antiphon.audio.double import Doubler
from antiphon.audio.resample import LiveResampler
from antiphon.channels.phone.vendor import Encoding, Sound
from antiphon.types import FRAME_BYTES, INPUT_RATE_HZ

WAIT_S = 0.06
"""How long a chunk that came too early waits for the one before it."""
MAX_WAITING = 16
"""Chunks that wait; with more than that the missing one is given up."""
MAX_BYTES = 32 * 1024
"""Sound in one message, four seconds of G.711; what is longer is cut."""


class Ear:
    """One stream's sound on its way in. Pure: `now_s` is any monotonic time."""

    def __init__(self, encoding: Encoding, rate_hz: int) -> None:
        self._encoding: Encoding = encoding
        double = rate_hz * 2 == INPUT_RATE_HZ
        self._resampler = Doubler() if double else LiveResampler(rate_hz, INPUT_RATE_HZ)
        self._rest = b""
        self._next = 0
        self._waiting: dict[int, bytes] = {}
        self._since_s = 0.0

    def push(self, sound: Sound, now_s: float) -> list[bytes]:
        """The frames of 640 bytes that are complete with it."""
        payload = sound.payload[:MAX_BYTES]
        pcm = payload[: len(payload) & ~1] if self._encoding == "l16" else (
            g711.decode(payload, self._encoding)
        )  # fmt: skip
        if sound.chunk <= 0:
            return self._cut(pcm)
        return self._cut(b"".join(self._in_order(sound.chunk, pcm, now_s)))

    def _in_order(self, chunk: int, pcm: bytes, now_s: float) -> list[bytes]:
        if not self._next:
            self._next = chunk
        if chunk < self._next or chunk in self._waiting:
            return []
        if not self._waiting:
            self._since_s = now_s
        self._waiting[chunk] = pcm
        ready = self._consecutive()
        late = now_s - self._since_s > WAIT_S or len(self._waiting) > MAX_WAITING
        if self._waiting and late:
            self._next = min(self._waiting)
            ready += self._consecutive()
        if ready:
            self._since_s = now_s
        return ready

    def _consecutive(self) -> list[bytes]:
        ready = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        return ready

    def _cut(self, pcm: bytes) -> list[bytes]:
        data = self._resampler.push(pcm)
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        return [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]
