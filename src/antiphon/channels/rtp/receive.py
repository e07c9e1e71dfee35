"""What comes on a line to 20 ms frames of 16 kHz PCM. Pure: `now_s` comes in.

There is no jitter buffer, because nobody plays this sound: what comes in order goes on at once.
Only at a hole is it worth waiting, for packets that overtook each other. Where nothing comes at all
the frames go on as silence, because a pause has to be heard to be one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from antiphon.audio.frames import FrameCutter
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.coding import Decoder, is_audio, make_decoder
from antiphon.channels.rtp.packet import (
    COMFORT_NOISE,
    ReportBlock,
    RtpPacket,
    sequence_step,
    timestamp_step,
)
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

WAIT_MS = 60
"""How long packets wait for one that should come before them."""
SILENT_AFTER_MS = 120
"""On a telephone line, whose packets come evenly."""
MOST_HELD = 50
"""Packets that wait; one more ends the wait."""
MOST_AHEAD, MOST_BEHIND = 3000, 100
"""Further away a sequence number is of another stream (RFC 3550 appendix A.1)."""
MOST_MADE_MS = 500
"""At most so much is made at once for what did not come."""

MOST_OWED_MS = 2000
REPAID_AFTER_MS = 1500
"""Time that was made for packets that were only late is taken out of silence, so that frames and
time agree again; not out of the silence that ends a turn, whose length counts."""

_BYTES_PER_MS = INPUT_RATE_HZ // 500
_SILENT_PEAK = 327
"""-40 dBFS."""
_DTX_BYTES = 2
"""An Opus packet that short says that nothing is sent for a while (RFC 6716 section 2.1.9)."""
_REMEMBERED = 64
_G711_HZ = 8000


@dataclass(slots=True)
class LineStats:
    """What came on a line, and what did not."""

    packets: int = 0
    lost: int = 0
    late: int = 0
    """Came after they were given up."""
    duplicates: int = 0
    unknown: int = 0
    """Of payload types that nobody agreed on, or of no stream."""
    concealed_ms: int = 0
    """Was made up for what did not come."""
    recovered_ms: int = 0
    """Was had from the copy in a packet that came later."""
    jitter_ms: float = 0.0
    """RFC 3550 section 6.4.1."""
    keys: int = 0
    strangers: int = 0
    """Datagrams from where the peer is not."""
    sent: int = 0
    their_lost: int = 0
    """Of our packets, as the peer last reported."""
    round_trip_ms: float = 0.0


class Receiver:
    """The receiving end of one line.

    Args:
        codecs: what may come, by payload type.
        silent_after_ms: nothing came for so long: the frames go on without it.
    """

    def __init__(self, codecs: Mapping[int, Codec], silent_after_ms: int = SILENT_AFTER_MS) -> None:
        self.stats = LineStats()
        self._silent_after_ms = silent_after_ms
        self._codecs = dict(codecs)
        self._clocks = _clocks(codecs)
        self._decoders: dict[int, Decoder] = {}
        self._cutter = FrameCutter(FRAME_BYTES)
        self._ssrc: int | None = None
        self._candidate: RtpPacket | None = None
        self._next = 0
        self._time: int | None = None
        self._type = -1
        """Payload type of the last sound."""
        self._packet_ms = FRAME_MS
        self._held: dict[int, RtpPacket] = {}
        self._held_since_s = 0.0
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)
        self._came_s: float | None = None
        self._made_ms = 0
        self._owed_ms = 0
        """Was made for packets that came after all: the frames are ahead of time by so much."""
        self._calm_ms = 0
        """Silence in a row, while something is owed."""
        self._quiet = False
        """The sender said that silence follows."""
        self._count = _Count(0)

    def change(self, codecs: Mapping[int, Codec]) -> None:
        """Other codecs are agreed on."""
        if dict(codecs) != self._codecs:
            self._codecs = dict(codecs)
            self._clocks = _clocks(codecs)
            self._decoders.clear()

    def pause(self) -> None:
        """Nothing is to come for a while, and no silence instead."""
        self._came_s = None
        self._held.clear()
        self._time = None

    def push(self, packet: RtpPacket, now_s: float) -> list[bytes]:
        """Frames that are complete with this packet."""
        sequence = packet.sequence
        if sequence == self._next and packet.ssrc == self._ssrc and not self._held:
            # Nearly every packet.
            self._candidate = None
            self._note(packet, now_s)
            self._recent.append(sequence)
            self._next = (sequence + 1) % 65536
            self._held_since_s = now_s
            return self._deliver(packet, now_s)
        return self._sort(packet, now_s)

    def _sort(self, packet: RtpPacket, now_s: float) -> list[bytes]:
        """A packet that is not the next one."""
        first = self._candidate
        if self._ssrc is None:
            return self._restart([packet], now_s)
        step = sequence_step(packet.sequence, self._next)
        if packet.ssrc != self._ssrc or not -MOST_BEHIND <= step <= MOST_AHEAD:
            # Two in a row make a stream, so that a stray packet does not (appendix A.1).
            if (
                first is not None
                and first.ssrc == packet.ssrc
                and sequence_step(packet.sequence, first.sequence) == 1
            ):
                return self._restart([first, packet], now_s)
            self._candidate = packet
            self.stats.unknown += 1
            return []
        self._candidate = None
        self._note(packet, now_s)
        if packet.sequence in self._held or (step < 0 and packet.sequence in self._recent):
            self.stats.duplicates += 1
            return []
        self._recent.append(packet.sequence)
        if step < 0:
            self.stats.late += 1
            return []
        if not self._held:
            self._held_since_s = now_s
        self._held[packet.sequence] = packet
        return self._go_on(now_s)

    def poll(self, now_s: float) -> list[bytes]:
        """Frames that are due because something did not come. To be asked every 20 ms."""
        frames = self._go_on(now_s) if self._held else []
        if self._came_s is None or self._held:
            return frames
        silent_ms = _ms(now_s - self._came_s)
        least_ms = 0 if self._quiet else max(self._silent_after_ms, self._packet_ms * 5 // 2)
        if silent_ms < least_ms:
            return frames
        # The next packet is not late before its own length is over.
        due_ms = (silent_ms - self._packet_ms) // FRAME_MS * FRAME_MS - self._made_ms
        if due_ms <= 0:
            return frames
        # After a halt of this process the rest is left out.
        self._made_ms += due_ms
        return frames + self._make(min(due_ms, MOST_MADE_MS))

    def report(self) -> ReportBlock | None:
        """What was received, for the sender: without the times of its own report."""
        return None if self._ssrc is None else self._count.report(self._ssrc)

    # ---- order -----------------------------------------------------------------------------

    def _restart(self, packets: list[RtpPacket], now_s: float) -> list[bytes]:
        """A stream begins, or another one takes its place."""
        first = packets[0]
        self._ssrc, self._candidate = first.ssrc, None
        self._next, self._time = first.sequence, None
        self._held.clear()
        self._recent.clear()
        self._decoders.clear()
        self._owed_ms = 0
        self._count = _Count(first.sequence)
        frames: list[bytes] = []
        for packet in packets:
            self._note(packet, now_s)
            self._recent.append(packet.sequence)
            self._held[packet.sequence] = packet
        self._held_since_s = now_s
        return frames + self._go_on(now_s)

    def _go_on(self, now_s: float) -> list[bytes]:
        """Everything that need not wait any longer."""
        frames: list[bytes] = []
        while self._held:
            packet = self._held.pop(self._next, None)
            if packet is None:
                nearest = min(self._held.values(), key=self._ahead)
                missing_ms = self._missing_ms(nearest)
                waited = _ms(now_s - self._held_since_s) >= WAIT_MS
                if not waited and missing_ms > self._made_ms and len(self._held) <= MOST_HELD:
                    break
                frames += self._give_up(nearest, missing_ms)
                continue
            self._next = (self._next + 1) % 65536
            self._held_since_s = now_s
            frames += self._deliver(packet, now_s)
        return frames

    def _ahead(self, packet: RtpPacket) -> int:
        return sequence_step(packet.sequence, self._next)

    def _missing_ms(self, packet: RtpPacket) -> int:
        """How much sound is missing before a packet."""
        named = self._codecs.get(packet.payload_type)
        by_count = self._ahead(packet) * self._packet_ms
        if named is None or self._time is None:
            return by_count
        by_time = timestamp_step(packet.timestamp, self._time) * 1000 // named.clock_hz
        return by_time if 0 < by_time <= 2 * by_count else by_count

    def _give_up(self, packet: RtpPacket, missing_ms: int) -> list[bytes]:
        self.stats.lost += self._ahead(packet)
        self._next = packet.sequence
        due_ms = missing_ms - self._made_ms
        self._made_ms = 0
        self._time = packet.timestamp
        if due_ms <= 0:
            return []
        following = packet.payload if packet.payload_type == self._type else None
        return self._make(min(due_ms, MOST_MADE_MS), following)

    def _note(self, packet: RtpPacket, now_s: float) -> None:
        self.stats.packets += 1
        clock_hz = self._clocks.get(packet.payload_type, 0)
        self._count.add(packet, now_s, clock_hz)
        if clock_hz:
            self.stats.jitter_ms = self._count.jitter * 1000 / clock_hz

    # ---- sound -----------------------------------------------------------------------------

    def _deliver(self, packet: RtpPacket, now_s: float) -> list[bytes]:
        kind = packet.payload_type
        clock_hz = self._clocks.get(kind, 0)
        if not clock_hz:
            return self._soundless(packet, now_s)
        frames: list[bytes] = []
        if packet.timestamp != self._time or self._made_ms:
            frames = self._paused(packet, clock_hz)
        decoder = self._decoders.get(kind) or self._decoder(kind)
        pcm = decoder.decode(packet.payload) or decoder.conceal(self._packet_ms)[0]
        self._type = kind
        if clock_hz == _G711_HZ:
            self._packet_ms = max(1, len(packet.payload) // 8)
            self._quiet = False
        else:
            self._packet_ms = max(1, len(pcm) // _BYTES_PER_MS)
            self._quiet = len(packet.payload) <= _DTX_BYTES
        self._time = (packet.timestamp + self._packet_ms * clock_hz // 1000) % (1 << 32)
        self._came_s, self._made_ms = now_s, 0
        if self._owed_ms and self._repaid(pcm):
            return frames
        made = self._cutter.push(pcm)
        return frames + made if frames else made

    def _soundless(self, packet: RtpPacket, now_s: float) -> list[bytes]:
        """A packet of keys, of comfort noise, or of nothing that was agreed on."""
        if packet.payload_type not in self._codecs and packet.payload_type != COMFORT_NOISE:
            self.stats.unknown += 1
            return []
        if self._came_s is None or not self._quiet:
            self._came_s, self._made_ms = now_s, 0
        self._quiet = True
        return []

    def _paused(self, packet: RtpPacket, clock_hz: int) -> list[bytes]:
        """The rest of a pause in which the sender sent nothing."""
        if self._time is None:
            return []
        jump_ms = timestamp_step(packet.timestamp, self._time) * 1000 // clock_hz
        left_ms = min(jump_ms, MOST_MADE_MS) - self._made_ms
        if left_ms < 0 <= jump_ms:
            self._owed_ms = min(MOST_OWED_MS, self._owed_ms - left_ms)
            self._calm_ms = 0
        if left_ms < FRAME_MS:
            return []
        return self._cutter.push(bytes(left_ms * _BYTES_PER_MS))

    def _repaid(self, pcm: bytes) -> bool:
        """Whether this is silence that is left out, because as much was made before."""
        if np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)).max(initial=0) > _SILENT_PEAK:
            self._calm_ms = 0
            return False
        self._calm_ms += self._packet_ms
        if self._calm_ms < REPAID_AFTER_MS or self._owed_ms < self._packet_ms:
            return False
        self._owed_ms -= self._packet_ms
        return True

    def _make(self, ms: int, following: bytes | None = None) -> list[bytes]:
        """Something in place of what did not come."""
        if self._quiet or self._type not in self._clocks:
            return self._cutter.push(bytes(ms * _BYTES_PER_MS))
        pcm, recovered_ms = self._decoder(self._type).conceal(ms, following)
        self.stats.recovered_ms += recovered_ms
        self.stats.concealed_ms += ms - recovered_ms
        return self._cutter.push(pcm)

    def _decoder(self, payload_type: int) -> Decoder:
        decoder = self._decoders.get(payload_type)
        if decoder is None:
            decoder = make_decoder(self._codecs[payload_type])
            self._decoders[payload_type] = decoder
        return decoder


def _clocks(codecs: Mapping[int, Codec]) -> dict[int, int]:
    """Of the codecs of sound, by payload type."""
    return {kind: codec.clock_hz for kind, codec in codecs.items() if is_audio(codec)}


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class _Count:
    """The numbers of a receiver's report (RFC 3550 appendices A.1, A.3 and A.8)."""

    def __init__(self, first: int) -> None:
        self.jitter = 0.0
        self._first = self._highest = first
        self._received = 0
        self._told = (0, 0)
        self._transit: float | None = None

    def add(self, packet: RtpPacket, now_s: float, clock_hz: int) -> None:
        self._received += 1
        self._highest += max(0, sequence_step(packet.sequence, self._highest % 65536))
        if not clock_hz:
            return
        transit = now_s * clock_hz - packet.timestamp
        if self._transit is not None:
            apart = abs(transit - self._transit)
            # A timestamp that jumps is a new beginning, not jitter.
            if apart < clock_hz:
                self.jitter += (apart - self.jitter) / 16
        self._transit = transit

    def report(self, ssrc: int) -> ReportBlock:
        expected = self._highest - self._first + 1
        before, self._told = self._told, (expected, self._received)
        due, came = expected - before[0], self._received - before[1]
        fraction = (due - came) * 256 // due if due > 0 else 0
        return ReportBlock(
            ssrc,
            min(255, max(0, fraction)),
            expected - self._received,
            self._highest,
            int(self.jitter),
        )
