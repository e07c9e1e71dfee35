"""What comes from a browser's microphone: packets of Opus to 20 ms of 16 kHz PCM. Pure."""

from __future__ import annotations

from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.packet import ReportBlock, parse_rtp
from antiphon.channels.rtp.receive import LineStats, Receiver
from antiphon.types import FRAME_BYTES, FRAME_MS

SILENT_AFTER_MS = 300
"""A mobile network may halt for so long and then bring everything at once: silence put in between
would cut words in two, and end turns that go on."""
_SILENCE = bytes(FRAME_BYTES)


class Ear:
    """The receiving end of one connection; what it does at holes is told in `rtp/receive.py`.

    Args:
        payload_type: of Opus, as agreed.

    Raises:
        UserFacingError: at the first sound, when there is no libopus.
    """

    def __init__(self, payload_type: int) -> None:
        codec = Codec("opus", payload_type, 48_000, 2)
        self._receiver = Receiver({payload_type: codec}, SILENT_AFTER_MS)
        self._polls = 0

    @property
    def stats(self) -> LineStats:
        return self._receiver.stats

    def push(self, datagram: bytes, now_s: float) -> list[bytes]:
        """Frames that are complete with this RTP packet."""
        packet = parse_rtp(datagram)
        if packet is None:
            self.stats.unknown += 1
            return []
        return self._receiver.push(packet, now_s)

    def poll(self, now_s: float) -> list[bytes]:
        """Frames that are due because something did not come. To be asked every 20 ms."""
        if self.stats.packets:
            return self._receiver.poll(now_s)
        # A caller without a microphone, who may never send anything.
        self._polls += 1
        return [_SILENCE] if self._polls * FRAME_MS > SILENT_AFTER_MS else []

    def report(self) -> ReportBlock | None:
        """For the peer: what came since the last one."""
        return self._receiver.report()
