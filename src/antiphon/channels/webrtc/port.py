"""Sound past aiortc's own sender and receiver: the one module that knows aiortc's and aioice's
insides (aiortc 1.16, aioice 0.13; tests/channels/webrtc/test_port.py holds them to it).

aiortc's own takes a thread, three tasks and four queues per call, and encodes and decodes in other
threads. Here a packet of sound is taken where aioice gets it from its socket, and is understood
before the next one; one that is sent goes to the socket at once. All else, ICE, DTLS and the data
channel, goes the way it always went.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from aioice import stun
from aiortc import RTCRtpTransceiver

from antiphon.channels.webrtc.srtp import Srtp

MOST_WAITING = 256
"""Datagrams that wait for aiortc; it reads none before ICE is done. More are dropped."""
REFRESH_EVERY_S = 1.0
_COMPONENT = 1
_CHANNEL_DATA = struct.Struct("!HH")
_STUN, _DTLS, _MEDIA = range(4), range(20, 64), range(128, 192)
"""By the first byte (RFC 7983 section 7)."""
_RTCP = range(192, 224)
"""By the second byte (RFC 5761 section 4)."""


@dataclass(slots=True)
class PortStats:
    """Datagrams, by what became of them."""

    taken: int = 0
    sent: int = 0
    broken: int = 0
    """That were not encrypted by the peer, or came twice, or cannot be encrypted."""
    early: int = 0
    """That came before the keys."""
    dropped: int = 0
    """That nobody knows, or that were too many."""


class MediaPort:
    """The sound of a transceiver. To be made before its description is applied; `open_taps` once
    candidates are gathered.

    Args:
        transceiver: of an RTCPeerConnection; for calling or for answering.
        on_rtp: told each RTP packet that came, decrypted.
        on_rtcp: told each RTCP packet.
    """

    def __init__(
        self,
        transceiver: RTCRtpTransceiver,
        on_rtp: Callable[[bytes], None],
        on_rtcp: Callable[[bytes], None],
    ) -> None:
        self.stats = PortStats()
        self.ssrc: int = transceiver.sender._ssrc
        """Of the stream that is sent, as the description says."""
        self._on_rtp, self._on_rtcp = on_rtp, on_rtcp
        self._transceiver = cast(Any, transceiver)
        self._rx: Srtp | None = None
        self._tx: Srtp | None = None
        self._ice: Any = None
        self._pair: Any = None
        self._address: tuple[str, int] = ("", 0)
        self._turn: Any = None
        """aioice's client of a TURN server, where the pair in use goes by one."""
        self._refresh_s = 0.0
        self._tapped: list[Any] = []
        self._asked: tuple[Any, bytes] | None = None
        self._answered = False
        # aiortc calls both when DTLS is done; neither is then started, nor has to be stopped.
        self._transceiver.sender.send = self._begin
        self._transceiver.receiver.receive = _nothing

    @property
    def ready(self) -> bool:
        """Whether the keys are there."""
        return self._tx is not None

    @property
    def payload_type(self) -> int:
        """Of Opus, as agreed. To be asked when the peer's description is applied."""
        return int(self._transceiver._codecs[0].payloadType)

    def bundled(self) -> None:
        """All lines go by one transport from the beginning: the connection's policy is max-bundle.
        To be called before the offer is applied, because aiortc would close that transport when the
        first line of the offer is the one of data."""
        self._transceiver._bundled = True

    def plain(self) -> None:
        """Agree on no header extension. To be called between the offer and the answer: they are for
        telling streams apart, and there is one."""
        self._transceiver._headerExtensions = []

    def open_taps(self) -> None:
        """Take the sound out of what comes by the sockets that are there now."""
        self._ice = self._transceiver.receiver.transport.transport._connection
        for protocol in self._ice._protocols:
            if "datagram_received" not in vars(protocol):
                protocol.datagram_received = self._tap(protocol.datagram_received)
                self._tapped.append(protocol)

    def send_rtp(self, datagram: bytes) -> bool:
        """Encrypt and send now. False: there is no way to the peer."""
        return self._tx is not None and self._send(self._tx.protect, datagram)

    def send_rtcp(self, datagram: bytes) -> bool:
        """The same for RTCP."""
        return self._tx is not None and self._send(self._tx.protect_rtcp, datagram)

    def ask(self) -> None:
        """Ask the peer's ICE whether it is there (RFC 7675 section 5.1)."""
        pair = self._nominated()
        if pair is None:
            return
        self._forget()
        request = self._ice.build_request(pair, nominate=False)
        request.add_message_integrity(self._ice.remote_password.encode())
        transactions = pair.protocol.transactions
        transactions[request.transaction_id] = self
        self._asked = (transactions, request.transaction_id)
        pair.protocol.send_stun(request, pair.remote_addr)

    def answered(self) -> bool:
        """Whether the peer has answered since this was called last."""
        answered, self._answered = self._answered, False
        return answered

    def response_received(self, message: stun.Message, addr: tuple[str, int]) -> None:
        """aioice's name for what a transaction is told."""
        key = self._ice.remote_password.encode()
        if message.message_class == stun.Class.RESPONSE and message.check_message_integrity(key):
            self._answered = True

    def close(self) -> None:
        """Take and send nothing more. Before `RTCPeerConnection.close`; idempotent."""
        self._rx = self._tx = None
        self._forget()
        for protocol in self._tapped:
            vars(protocol).pop("datagram_received", None)
        self._tapped.clear()

    # ---- in ----------------------------------------------------------------------------------

    def _tap(self, onward: Callable[[bytes, Any], None]) -> Callable[[bytes, Any], None]:
        def received(data: bytes, addr: Any) -> None:
            first = data[0] if data else 255
            if first in _MEDIA:
                self._take(data)
            elif first in _STUN or (first in _DTLS and self._ice._queue.qsize() < MOST_WAITING):
                onward(data, addr)
            else:
                self.stats.dropped += 1

        return received

    def _take(self, data: bytes) -> None:
        rx = self._rx
        if rx is None:
            self.stats.early += 1
            return
        if len(data) > 1 and data[1] in _RTCP:
            clear, deliver = rx.unprotect_rtcp(data), self._on_rtcp
        else:
            clear, deliver = rx.unprotect(data), self._on_rtp
        if clear is None:
            self.stats.broken += 1
            return
        self.stats.taken += 1
        deliver(clear)

    # ---- out ---------------------------------------------------------------------------------

    def _send(self, protect: Callable[[bytes], bytes | None], clear: bytes) -> bool:
        pair = self._nominated()
        if pair is None:
            return False
        data = protect(clear)
        if data is None:
            self.stats.broken += 1
            return False
        if self._turn is not None and self._by_channel(data):
            return True
        transport = pair.protocol.transport
        if self._turn is None and transport.is_closing():
            return False
        self.stats.sent += 1
        transport.sendto(data, self._address)
        return True

    def _by_channel(self, data: bytes) -> bool:
        """By the channel of a TURN server (RFC 8656 section 12.4), where there is one. aioice makes
        a task of each datagram, which is what binds and refreshes a channel."""
        turn = self._turn
        channel = turn.peer_to_channel.get(self._address)
        if channel is None or turn.transport.is_closing():
            return False
        now_s = time.time()
        if now_s > turn.channel_refresh_at[channel] and now_s > self._refresh_s:
            self._refresh_s = now_s + REFRESH_EVERY_S
            return False
        self.stats.sent += 1
        turn._send(_CHANNEL_DATA.pack(channel, len(data)) + data)
        return True

    def _nominated(self) -> Any:
        """The pair in use, which the peer may change; None when there is none."""
        pair = self._ice._nominated.get(_COMPONENT) if self._ice is not None else None
        if pair is not self._pair:
            self._pair, self._turn = pair, None
            if pair is not None:
                self._address = pair.remote_addr
                if pair.local_candidate.type == "relay":
                    self._turn = pair.protocol.transport._TurnTransport__inner_protocol
        return pair

    async def _begin(self, parameters: Any) -> None:
        dtls = self._transceiver.sender.transport
        self._rx, self._tx = Srtp(dtls._rx_srtp), Srtp(dtls._tx_srtp)
        self.open_taps()
        # What came during the handshake waits in aiortc's queue.
        dtls._handle_rtp_data = self._take_rtp
        dtls._handle_rtcp_data = self._take_rtcp

    async def _take_rtp(self, data: bytes, arrival_time_ms: int) -> None:
        if self._rx is not None:
            self._on_rtp(data)

    async def _take_rtcp(self, data: bytes) -> None:
        if self._rx is not None:
            self._on_rtcp(data)

    def _forget(self) -> None:
        if self._asked is not None:
            transactions, ident = self._asked
            transactions.pop(ident, None)
            self._asked = None


async def _nothing(parameters: Any) -> None:
    """What aiortc would start to receive."""
