"""What is done otherwise than in aioice and aiortc to reach a caller. Besides `port`, the only
module that knows their insides; tests/channels/webrtc/test_ice.py holds what it relies on.

- Sockets on wanted addresses and ports, instead of all addresses and any port.
- A check that a caller sends makes ours go out again at once (RFC 8445 section 7.3.1.4): the first
  one to a TURN server's address comes before the permission and is lost, and the next would go half
  a second later.
- ICE is done when it is done, not at the next of the 20 ms that pace its checks.
- DTLS as the server: the caller's browser begins as soon as it can send, half a round trip before
  this end could.
- A flight of the handshake that gets no answer goes out again after 100 ms; OpenSSL waits a second.
- One certificate for a day of calls, instead of one for each.
- Consent to send outlasts a way of a second and a half.
- Bounds on what a caller can make us keep.
- A connection that is closed while it is being made is nothing that asyncio has to complain of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, cast

from aioice import Candidate, Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import ICE_COMPLETED, ICE_FAILED, CandidatePair, StunProtocol
from aioice.turn import UDP_SOCKET_BUFFER_SIZE
from aiortc import RTCConfiguration, RTCDtlsTransport, RTCPeerConnection
from aiortc.exceptions import InvalidStateError
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile
from OpenSSL import SSL

from antiphon.channels.webrtc.config import Network, RtcConfig
from antiphon.channels.webrtc.sockets import bind, local_addresses

log = logging.getLogger(__name__)

PACE_S = 0.02
"""Between two checks of ours (RFC 8445 section 14.2, Ta)."""
MOST_PAIRS = 100
MOST_UNREAD = 500
COMPONENT = 1
"""RTP and RTCP share a socket."""
CONSENT_RETRIES = 1
"""Half a second and a whole one."""
AGAIN_AFTER_S = (0.1, 0.2, 0.4)
CERTIFICATE_S = 86_400.0


@dataclass(frozen=True, slots=True)
class IceRules:
    """Which sockets a connection may open."""

    networks: tuple[Network, ...] = ()
    """Of these, any address of this machine; empty: all but loopback."""
    ports: tuple[int, int] | None = None

    @classmethod
    def of(cls, config: RtcConfig) -> IceRules:
        return cls(config.networks, config.udp_ports)


ANY = IceRules()


class Peer(RTCPeerConnection):
    """A connection whose ICE and DTLS are as this module says. It asks no server for its own
    address."""

    def __init__(self, rules: IceRules) -> None:
        super().__init__(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._RTCPeerConnection__certificates = [_certificates.get(_now_s())]
        self._rules = rules
        self._ice: list[IceConnection] = []

    def _RTCPeerConnection__createDtlsTransport(self) -> RTCDtlsTransport:
        made = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        transport = cast(RTCDtlsTransport, made)
        transport.__class__ = _Dtls
        connection = transport.transport._connection
        connection.__class__ = IceConnection
        assert isinstance(connection, IceConnection)
        connection.rules = self._rules
        self._ice.append(connection)
        return transport

    async def _RTCPeerConnection__connect(self) -> None:
        """The whole of a task of aiortc's, which nobody asks what became of it."""
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except (ConnectionError, InvalidStateError) as error:
            # Either side has closed in mid-handshake; whose call it is knows by the state.
            log.info("a connection was not made to its end", extra={"error": str(error)})

    def be_dtls_server(self, offer_sdp: str) -> None:
        """After the offer and before the answer: let the caller begin DTLS, if the offer leaves
        the choice (RFC 8842 section 5.3)."""
        for transceiver in self.getTransceivers():
            transport = transceiver.receiver.transport
            if transport._role == "auto" and "a=setup:passive" not in offer_sdp:
                transport._set_role("server")

    async def add_candidate(self, candidate: Candidate) -> None:
        """Another address of the caller's. Does nothing when the connection is closed."""
        for connection in self._ice:
            await connection.add_remote_candidate(candidate)

    def drop(self) -> None:
        """Let go of the sockets, where closing does not come to its end."""
        for connection in self._ice:
            for protocol in connection._protocols:
                protocol.transport.abort()

    @property
    def why_unreachable(self) -> str:
        """Why there is no candidate, as a sentence for the caller."""
        if any(connection.found_addresses for connection in self._ice):
            return (
                "All network ports for voice are taken; try again shortly, or type instead. "
                "(Whoever runs the server: widen `udp_ports`.)"
            )
        return (
            "This server has no network address that a voice connection could use; type instead. "
            "(Whoever runs the server: connect it to a network, or allow one by `addresses` in "
            "rtc.yaml.)"
        )


class _Dtls(RTCDtlsTransport):
    """Never constructed either. A datagram that arrives twice is dropped there (RFC 6347 section
    4.1.2.6)."""

    async def _do_handshake(self) -> None:
        send = self.transport._send
        again = _Again(send)
        self.transport._send = again.send
        try:
            await super()._do_handshake()
        finally:
            again.stop()
            self.transport._send = send

    async def _send_data(self, data: bytes) -> None:
        """SCTP sends in tasks that nobody asks either, and again what was not acknowledged; where
        the connection is gone it is told so by the state."""
        with contextlib.suppress(ConnectionError):
            await super()._send_data(data)


class _Again:
    """Sends, and sends again until the next or the end."""

    def __init__(self, sender: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        self.sender = sender
        self._timer: asyncio.TimerHandle | None = None

    async def send(self, data: bytes) -> None:
        self.stop()
        self._wait(data, list(AGAIN_AFTER_S))
        await self.sender(data)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, data: bytes, delays: list[float]) -> None:
        if delays:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delays[0], self._send, data, delays[1:])

    def _send(self, data: bytes, delays: list[float]) -> None:
        self._wait(data, delays)
        sending = self.sender(data)
        try:
            # aioice's send is a coroutine that never waits.
            sending.send(None)
        except (StopIteration, ConnectionError):
            pass
        finally:
            sending.close()


class _Certificate(RTCCertificate):
    """With the OpenSSL context made once: making one takes longer than a handshake's arithmetic."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
            # No call continues another's DTLS session, and the context would keep them all.
            self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        return self._context


class _Certificates:
    """The certificate of this process. Callers know it by its fingerprint, from the answer."""

    def __init__(self) -> None:
        self._newest: _Certificate | None = None
        self._until_s = 0.0

    def get(self, now_s: float) -> _Certificate:
        if self._newest is None or now_s >= self._until_s:
            self._newest = _Certificate.generateCertificate()
            self._until_s = now_s + CERTIFICATE_S
        return self._newest


_certificates = _Certificates()


class _Socket(StunProtocol):
    async def request(
        self,
        request: stun.Message,
        addr: tuple[str, int],
        integrity_key: bytes | None = None,
        retransmissions: int | None = None,
    ) -> tuple[stun.Message, tuple[str, int]]:
        """aioice takes a caller for gone whose answers take more than half a second, as by
        satellite: it asks for consent (RFC 7675) once and waits no longer."""
        if retransmissions == 0:
            retransmissions = CONSENT_RETRIES
        return await super().request(request, addr, integrity_key, retransmissions)


class IceConnection(Connection):
    """See the module. Never constructed: an aioice connection is made one."""

    rules = ANY
    found_addresses = False

    async def gather_candidates(self) -> None:
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        for address in local_addresses(self.rules.networks, _now_s()):
            self.found_addresses = True
            sock = bind(address, self.rules.ports)
            if sock is not None:
                self._local_candidates.append(await self._listen(sock))
        self._local_candidates_end = True

    async def _listen(self, sock: socket.socket) -> Candidate:
        loop = asyncio.get_running_loop()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE)
            _, protocol = await loop.create_datagram_endpoint(lambda: _Socket(self), sock=sock)
        except BaseException:
            sock.close()
            raise
        host, port = sock.getsockname()[:2]
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host), component=COMPONENT,
            transport="udp", priority=candidate_priority(COMPONENT, "host"),
            host=host, port=port, type="host",
        )  # fmt: skip
        self._protocols.append(protocol)
        return protocol.local_candidate

    async def connect(self) -> None:
        if not self._local_candidates_end or self._closing:
            raise ConnectionError("no local candidates")
        if self.remote_username is None or self.remote_password is None:
            raise ConnectionError("no remote user name or password")
        for candidate in self._remote_candidates:
            self._pair_remote_candidate(candidate)
        self.sort_check_list()
        self._unfreeze_initial()
        for early in self._early_checks:
            self.check_incoming(*early)
        self._early_checks.clear()
        self._early_checks_done = True
        # No deadline here: the call has one for all of connecting, and closes this.
        done = await self._checked()
        for pair in self._check_list:
            if pair.task:
                pair.task.cancel()
        if done != ICE_COMPLETED:
            raise ConnectionError("ICE negotiation failed")
        self._query_consent_task = asyncio.create_task(self.query_consent())

    async def _checked(self) -> int:
        while self._check_periodic():
            try:
                async with asyncio.timeout(PACE_S):
                    return await self._check_list_state.get()
            except TimeoutError:
                continue
        return await self._check_list_state.get() if self._check_list else ICE_FAILED

    def check_incoming(
        self, message: stun.Message, addr: tuple[str, int], protocol: StunProtocol
    ) -> None:
        if len(self._check_list) >= MOST_PAIRS and not self._knows(addr):
            self._forget_some()
        under_way = {
            pair.remote_addr for pair in self._check_list
            if pair.protocol is protocol and pair.state is CandidatePair.State.IN_PROGRESS
        }  # fmt: skip
        super().check_incoming(message, addr, protocol)
        if addr in under_way:
            for request in requests_to(protocol, addr):
                protocol.send_stun(request, addr)

    def data_received(self, data: bytes, component: int) -> None:
        # Anybody may send to an open port; before DTLS is done nobody reads.
        if self._queue.qsize() < MOST_UNREAD:
            super().data_received(data, component)

    def _knows(self, addr: tuple[str, int]) -> bool:
        return any(one.host == addr[0] and one.port == addr[1] for one in self._remote_candidates)

    def _forget_some(self) -> None:
        """A caller whose address changed a hundred times: all but the one in use are given up."""
        nominated = [pair.remote_candidate for pair in self._nominated.values()]
        for pair in self._check_list[:]:
            if pair.remote_candidate not in nominated:
                if pair.task is not None:
                    pair.task.cancel()
                self._check_list.remove(pair)
        self._remote_candidates = nominated


def requests_to(protocol: StunProtocol, addr: tuple[str, int]) -> Iterator[stun.Message]:
    """The checks to an address that have no answer yet."""
    for transaction in list(protocol.transactions.values()):
        private = cast(Any, transaction)
        if isinstance(transaction, stun.Transaction) and private._Transaction__addr == addr:
            yield private._Transaction__request


def _now_s() -> float:
    return asyncio.get_running_loop().time()
