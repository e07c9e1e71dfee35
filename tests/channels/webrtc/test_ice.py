"""What is done otherwise than in aioice and aiortc, whose insides are as `ice` has them."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any, cast

import aioice.ice
import pytest
from aioice import Candidate, stun
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InvalidStateError
from aiortc.rtcdtlstransport import SRTP_PROFILES
from tests.support.rtc_client import RtcCaller

from antiphon.channels.webrtc import ice, sockets
from antiphon.channels.webrtc.config import RtcConfig
from antiphon.channels.webrtc.ice import (
    ANY,
    MOST_PAIRS,
    MOST_UNREAD,
    IceConnection,
    IceRules,
    Peer,
    requests_to,
)

PEER = ("203.0.113.9", 61000)


# ---- what it relies on ---------------------------------------------------------------------------


def test_the_versions_that_were_looked_into() -> None:
    assert version("aiortc").startswith("1.16.")
    assert version("aioice").startswith("0.13.")


def test_the_names_that_are_replaced_are_there() -> None:
    assert callable(vars(RTCPeerConnection)["_RTCPeerConnection__createDtlsTransport"])
    assert "self.__createDtlsTransport()" in inspect.getsource(RTCPeerConnection)
    assert callable(vars(RTCPeerConnection)["_RTCPeerConnection__connect"])
    assert "ensure_future(self.__connect())" in inspect.getsource(RTCPeerConnection)
    assert "self.__certificates" in inspect.getsource(RTCPeerConnection)
    assert "self.transport._send(data)" in inspect.getsource(RTCDtlsTransport._write_ssl)
    for name in ("_do_handshake", "_set_role", "_send_data"):
        assert callable(getattr(RTCDtlsTransport, name))
    connection: Any = aioice.ice.Connection
    for name in ("gather_candidates", "connect", "check_incoming", "data_received"):
        assert callable(vars(connection)[name])
    for name in ("_pair_remote_candidate", "_unfreeze_initial", "_check_periodic"):
        assert callable(vars(connection)[name])
    assert "retransmissions=0" in inspect.getsource(connection.query_consent)


def test_connect_does_what_aioice_does() -> None:
    """Ours is a copy but for the waiting; a change there should be looked at."""
    theirs = inspect.getsource(aioice.ice.Connection.connect)
    for step in (
        *("self._pair_remote_candidate(remote_candidate)", "self.sort_check_list()"),
        *("self._unfreeze_initial()", "self._early_checks.clear()", "_early_checks_done = True"),
        *("self._check_list_state.get()", "check.task.cancel()", "self.query_consent()"),
    ):
        assert step in theirs


# ---- what a peer is ------------------------------------------------------------------------------


@asynccontextmanager
async def answered(
    rules: IceRules = ANY, setup: str = "actpass"
) -> AsyncIterator[tuple[Peer, str]]:
    """A peer that has answered, and its answer."""
    caller, peer = RtcCaller(), Peer(rules)
    try:
        offer = (await caller.offer()).replace("a=setup:actpass", f"a=setup:{setup}")
        peer.addTransceiver("audio", "sendrecv")
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        peer.be_dtls_server(offer)
        await peer.setLocalDescription(await peer.createAnswer())
        yield peer, peer.localDescription.sdp
    finally:
        await peer.close()
        await caller.close()


@pytest.mark.parametrize(
    ("offered", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
async def test_the_caller_begins_dtls_where_it_may(offered: str, ours: str) -> None:
    async with answered(setup=offered) as (_, sdp):
        assert sdp.count(f"a=setup:{ours}") == 2


async def test_sockets_are_on_wanted_addresses_and_ports() -> None:
    config = RtcConfig(addresses=("127.0.0.0/8",), udp_ports=(42_000, 42_199))
    async with answered(IceRules.of(config)) as (peer, _):
        (connection,) = peer._ice
        (candidate,) = connection.local_candidates
        assert candidate.host == "127.0.0.1"
        assert 42_000 <= candidate.port <= 42_199


async def test_all_ports_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "bind", lambda address, ports: None)
    async with answered() as (peer, sdp):
        assert "a=candidate" not in sdp
        assert "udp_ports" in peer.why_unreachable


async def test_a_machine_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_all_addresses", lambda: iter(["127.0.0.1", "::1"]))
    monkeypatch.setattr(sockets, "_addresses", sockets._Addresses())
    async with answered() as (peer, sdp):
        assert "a=candidate" not in sdp
        assert "no network address" in peer.why_unreachable


async def test_calls_of_a_day_share_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = ice._Certificates()
    first = certificates.get(0.0)
    assert certificates.get(ice.CERTIFICATE_S - 1) is first
    later = certificates.get(ice.CERTIFICATE_S)
    assert later is not first
    assert later.getFingerprints() != first.getFingerprints()
    assert first._create_ssl_context(SRTP_PROFILES) is first._create_ssl_context(SRTP_PROFILES)


# ---- checks --------------------------------------------------------------------------------------


class SocketDouble(StunProtocol):
    """Keeps what is sent."""

    def __init__(self, receiver: IceConnection) -> None:
        super().__init__(receiver)
        self.sent: list[tuple[stun.Message, tuple[str, int]]] = []
        self.local_candidate = Candidate("1", 1, "udp", 1, "10.0.0.5", 5000, "host")

    def send_stun(self, message: stun.Message, addr: tuple[str, int]) -> None:
        self.sent.append((message, addr))


@asynccontextmanager
async def checking() -> AsyncIterator[tuple[IceConnection, SocketDouble]]:
    """A connection that has sent its first check to a relay's address."""
    connection = IceConnection(ice_controlling=False)
    socket = SocketDouble(connection)
    connection._protocols.append(socket)
    connection._local_candidates_end = True
    connection.remote_username, connection.remote_password = "abcd", "p" * 22
    await connection.add_remote_candidate(Candidate("7", 1, "udp", 1, *PEER, "relay"))
    connecting = asyncio.create_task(connection.connect())
    async with asyncio.timeout(20):
        while not socket.sent:  # noqa: ASYNC110 - aioice has no event for it
            await asyncio.sleep(0)
    try:
        yield connection, socket
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        connection._protocols.clear()
        await connection.close()


def check_of(connection: IceConnection) -> stun.Message:
    """A caller's check."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{connection.local_username}:abcd"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLING"] = 1
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(connection.local_password.encode())
    return stun.parse_message(bytes(message))


async def test_a_check_that_comes_sends_ours_again_at_once() -> None:
    async with checking() as (connection, socket):
        first, _ = socket.sent[0]
        connection.request_received(check_of(connection), PEER, socket)
        response, again = (message for message, _ in socket.sent[1:])
        assert response.message_class is stun.Class.RESPONSE
        assert again.transaction_id == first.transaction_id
        assert bytes(again) == bytes(first)


async def test_ice_is_done_when_the_answer_comes() -> None:
    async with checking() as (connection, socket):
        connection.request_received(check_of(connection), PEER, socket)
        (transaction,) = socket.transactions.values()
        reply = stun.Message(
            stun.Method.BINDING, stun.Class.RESPONSE, socket.sent[0][0].transaction_id
        )
        reply.add_message_integrity(b"p" * 22)
        transaction.response_received(stun.parse_message(bytes(reply)), PEER)
        async with asyncio.timeout(20):
            while connection._query_consent_task is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert connection._nominated[1].remote_addr == PEER


async def test_who_asks_from_elsewhere_gets_no_more_than_an_answer() -> None:
    async with checking() as (connection, socket):
        connection.request_received(check_of(connection), ("203.0.113.10", 61000), socket)
        assert [addr for _, addr in socket.sent] == [PEER, ("203.0.113.10", 61000)]
        assert list(requests_to(socket, ("203.0.113.10", 1))) == []


async def test_a_caller_of_a_thousand_addresses_is_not_kept_whole() -> None:
    async with checking() as (connection, socket):
        for port in range(20_000, 21_000):
            connection.check_incoming(check_of(connection), ("203.0.113.10", port), socket)
            assert len(connection._check_list) <= MOST_PAIRS
            assert len(connection._remote_candidates) <= MOST_PAIRS
        assert connection._check_list[-1].state is CandidatePair.State.WAITING


async def test_what_nobody_reads_is_bounded() -> None:
    connection = IceConnection(ice_controlling=False)
    for _ in range(MOST_UNREAD + 100):
        connection.data_received(b"\x17 noise", 1)
    assert connection._queue.qsize() == MOST_UNREAD


async def test_consent_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []

    async def request(*given: Any) -> None:
        asked.append(given[-1])

    monkeypatch.setattr(StunProtocol, "request", request)
    socket = ice._Socket(IceConnection(ice_controlling=False))
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    await socket.request(message, PEER, b"", 0)
    await socket.request(message, PEER, b"")
    assert asked == [1, None]


# ---- DTLS ----------------------------------------------------------------------------------------


async def test_a_flight_goes_out_again_until_the_next() -> None:
    sent: list[bytes] = []

    async def send(data: bytes) -> None:
        sent.append(data)

    again = ice._Again(send)
    await again.send(b"one")
    timer = cast(asyncio.TimerHandle, again._timer)
    assert timer.when() - asyncio.get_running_loop().time() <= ice.AGAIN_AFTER_S[0]
    again._send(b"one", [0.2])
    await again.send(b"two")
    assert timer.cancelled() or sent == [b"one", b"one", b"two"]
    again.stop()
    assert sent == [b"one", b"one", b"two"]


async def test_a_lost_flight_costs_no_second(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[bytes] = []
    sent: list[bytes] = []
    real = StunProtocol.send_data

    async def send_data(self: StunProtocol, data: bytes, addr: tuple[str, int]) -> None:
        if isinstance(self, ice._Socket) and 19 < data[0] < 64 and not lost:
            lost.append(data)
        else:
            sent.append(data)
            await real(self, data, addr)

    monkeypatch.setattr(StunProtocol, "send_data", send_data)
    await connecting_takes()
    # OpenSSL sends again after a second, and then with another number (RFC 6347 section 4.2.4).
    assert sent.count(lost[0]) >= 1


async def connecting_takes() -> float:
    """Seconds from the answer to a caller who is connected."""
    caller, peer = RtcCaller(), Peer(ANY)
    try:
        offer = await caller.offer()
        peer.addTransceiver("audio", "sendrecv")
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        peer.be_dtls_server(offer)
        await peer.setLocalDescription(await peer.createAnswer())
        started = time.perf_counter()
        await caller.take(peer.localDescription.sdp)
        async with asyncio.timeout(20):
            await caller.connected.wait()
        return time.perf_counter() - started
    finally:
        await caller.close()
        await peer.close()


# ---- who leaves before it is made ----------------------------------------------------------------


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What asyncio says of exceptions that nobody asked for."""
    said: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(str(context)))
    yield said
    loop.set_exception_handler(None)


async def until_quiet() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)


@pytest.mark.parametrize("error", [InvalidStateError("closed"), ConnectionError("closed")])
async def test_a_connection_closed_in_mid_handshake_is_no_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiortc goes on where it was when the other task has closed the connection."""

    async def connect(self: RTCPeerConnection) -> None:
        if isinstance(self, Peer):
            raise error

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(RTCPeerConnection, "_RTCPeerConnection__connect", connect)
    with complaints() as said:
        async with answered():
            await until_quiet()
        await until_quiet()
    assert not said
    assert "a connection was not made to its end" in caplog.messages


async def test_what_cannot_be_sent_any_more_is_no_traceback() -> None:
    async with answered() as (peer, _):
        with complaints() as said:
            ours = peer.sctp.transport  # type: ignore[union-attr]
            assert ours.state == "new"
            sending = asyncio.ensure_future(ours._send_data(b"x"))
            await until_quiet()
            assert sending.done()
            del sending
            await until_quiet()
        assert not said
