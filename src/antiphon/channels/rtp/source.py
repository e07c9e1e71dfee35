"""Where a line's packets may come from, and where ours go: symmetric RTP (RFC 4961). Pure.

What a peer writes into its SDP is often an address that only its own network knows, so the sound is
sent to where sound comes from. An address is learned from packets that make a stream, seldom, and
not while the one that is known still sends.
"""

from __future__ import annotations

from collections.abc import Collection

from antiphon.channels.rtp.packet import RtpPacket, sequence_step

Address = tuple[str, int]
LEAST_PACKETS = 4
"""In a row, from an address that nobody named."""
SILENT_S = 2.0
"""The known address has to be silent for so long before a stranger takes its place."""
MOST_CHANGES = 8
"""Between two agreements."""


class Source:
    """Decides which packets belong to the line.

    Args:
        named: the address in the peer's SDP.
    """

    def __init__(self, named: Address) -> None:
        self._named = named
        self._known: Address | None = None
        self._ssrc: int | None = None
        self._heard_s = 0.0
        self._changes = 0
        self._stranger: Address | None = None
        self._waiting: list[RtpPacket] = []

    @property
    def address(self) -> Address:
        """Where to send."""
        return self._known or self._named

    def change(self, named: Address) -> None:
        """The peer names an address again: sound goes there until it comes from elsewhere."""
        self._changes = 0
        if named != self._named:
            self._named, self._known, self._ssrc = named, None, None
        self._forget()

    def is_peer(self, host: str) -> bool:
        """Whether a report from this host may be the peer's."""
        return host in (self.address[0], self._named[0])

    def admit(
        self, packet: RtpPacket, source: Address, types: Collection[int], now_s: float
    ) -> list[RtpPacket]:
        """The packets that are believed now: this one, and those that waited for it."""
        if source == self._known:
            self._heard_s, self._ssrc = now_s, packet.ssrc
            return [packet]
        if packet.payload_type not in types:
            return []
        if source == self._named:
            return self._learn(source, [packet], now_s)
        if self._changes >= MOST_CHANGES:
            return []
        # Nobody else knows the number of the stream: the peer's network gave it another port.
        if self._known is not None and packet.ssrc == self._ssrc:
            return self._learn(source, [packet], now_s)
        if self._known is not None and now_s - self._heard_s < SILENT_S:
            self._forget()
            return []
        if source != self._stranger or not self._follows(packet):
            self._forget()
            self._stranger = source
        self._waiting.append(packet)
        if len(self._waiting) < LEAST_PACKETS:
            return []
        return self._learn(source, self._waiting, now_s)

    def _follows(self, packet: RtpPacket) -> bool:
        last = self._waiting[-1]
        return packet.ssrc == last.ssrc and sequence_step(packet.sequence, last.sequence) == 1

    def _learn(self, source: Address, packets: list[RtpPacket], now_s: float) -> list[RtpPacket]:
        self._known, self._ssrc = source, packets[-1].ssrc
        self._heard_s = now_s
        self._changes += 1
        self._forget()
        return packets

    def _forget(self) -> None:
        self._stranger, self._waiting = None, []
