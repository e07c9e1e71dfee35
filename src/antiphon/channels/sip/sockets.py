"""SIP's sockets: UDP, and TCP both ways (RFC 3261 section 18)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import cast

from antiphon.channels.sip.framing import PONG, Framer
from antiphon.channels.sip.message import MAX_BYTES, ParseError
from antiphon.channels.sip.wire import Flow

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 1_024
IDLE_S = 600.0
SILENT_S = 30.0
"""A connection that has not brought a whole message by then is closed."""
CONNECT_TIMEOUT_S = 5.0
MOST_UNSENT = 256 * 1024
MOST_WAITING = 64
FREE_PORT_TRIES = 16
Take = Callable[[bytes, Flow], None]


class Sockets:
    """All of them of one station. `take` gets datagrams and whole messages."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._udp: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[Flow, _Connection] = {}
        self._opening: dict[Flow, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self, host: str, port: int, *, tcp: bool) -> None:
        """Listen; with port 0 on a free one, the same for both.

        Raises:
            OSError: the port is taken, or the host no address of this machine.
        """
        for left in range(FREE_PORT_TRIES if port == 0 else 1, 0, -1):
            try:
                await self._listen(host, port, tcp)
                return
            except OSError:
                if self._udp is not None:
                    self._udp.close()
                    self._udp = None
                if left == 1:
                    raise

    async def _listen(self, host: str, port: int, tcp: bool) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._take), local_addr=(host, port)
        )
        self.port = self._udp.get_extra_info("sockname")[1]
        if tcp:
            # A port that is free for UDP may be taken for TCP.
            self._server = await loop.create_server(
                lambda: _Connection(self), host, self.port, backlog=256
            )

    def send(self, data: bytes, flow: Flow) -> None:
        """Never fails: what cannot be sent is repeated or given up by its transaction."""
        if flow.transport == "udp":
            # The event loop complains of an address of another family than ours.
            if self._udp is not None and not self._udp.is_closing():
                with contextlib.suppress(OSError, ValueError):
                    self._udp.sendto(data[:MAX_BYTES], (flow.host, flow.port))
            return
        connection = self._connections.get(flow)
        if connection is not None:
            connection.send(data)
        elif flow in self._opening:
            if len(self._opening[flow]) < MOST_WAITING:
                self._opening[flow].append(data)
        elif len(self._connections) + len(self._opening) < MOST_CONNECTIONS:
            self._opening[flow] = [data]
            task = asyncio.create_task(self._connect(flow), name="sip-connect")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, flow: Flow) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self), flow.host, flow.port
                )
        except (OSError, TimeoutError):
            log.info("no SIP connection could be made")
            self._opening.pop(flow, None)
            return
        for data in self._opening.pop(flow, []):
            connection.send(data)

    async def aclose(self) -> None:
        """Close everything. Idempotent."""
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections.values()):
            connection.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        # The loop closes transports in its next rounds.
        await asyncio.sleep(0)

    # ---- called by connections ---------------------------------------------------------------

    def opened(self, connection: _Connection) -> bool:
        """Whether there is room for it."""
        if len(self._connections) >= MOST_CONNECTIONS:
            return False
        self._connections[connection.flow] = connection
        return True

    def closed(self, connection: _Connection) -> None:
        if self._connections.get(connection.flow) is connection:
            del self._connections[connection.flow]

    def took(self, data: bytes, flow: Flow) -> None:
        self._take(data, flow)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Take) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        host, port = cast(tuple[str, int], addr[:2])
        self._take(data, Flow("udp", host, port))

    def error_received(self, exc: Exception) -> None:
        """A peer's port is closed: the transaction finds out."""


class _Connection(asyncio.Protocol):
    """One TCP connection, whoever made it."""

    flow: Flow

    def __init__(self, owner: Sockets) -> None:
        self._owner = owner
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.flow = Flow("tcp", host, port)
        if not self._owner.opened(self):
            self._transport.abort()
            return
        self._watch(SILENT_S)

    def data_received(self, data: bytes) -> None:
        pings = self._framer.pings
        try:
            messages = self._framer.push(data)
        except ParseError:
            self.close()
            return
        if self._framer.pings > pings:
            self.send(PONG)
        for message in messages:
            self._owner.took(message, self.flow)
        if messages or self._framer.pings > pings:
            self._watch(IDLE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._transport = None
        self._owner.closed(self)

    def send(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MOST_UNSENT:
            self._transport.abort()
            return
        self._transport.write(data)
        self._watch(IDLE_S)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _watch(self, seconds: float) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(seconds, self.close)
