"""A worker: a process that serves what the front hands to it.

It has two sockets to the front. Over `control` they tell each other, a line of JSON each, how busy
everybody is and when to stop. Over `door` come the connections: one byte each, with the connection
itself beside it (SCM_RIGHTS); nothing of it has been read. What belongs to a worker and reached
another one comes over a socket in a folder that only the server's user can open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from antiphon.server.board import Board, Report
from antiphon.server.first import first_state
from antiphon.server.forward import Paths, Rooted, Together
from antiphon.server.handover import Receiver, hand_over, handing_over
from antiphon.server.peers import Peers
from antiphon.server.process import Stop, stop_signals
from antiphon.server.run import ManagedHost, ManagedServer, Parts, http_config, serve_until
from antiphon.server.settings import ServerSettings
from antiphon.server.slot import Slot

log = logging.getLogger(__name__)

REPORT_EVERY_S = 1.0
"""At the latest; what has changed is said at once, which is the next measurement of the loop."""
LEAVE_S = 1.0
MAX_UNSENT = 64 * 1024
AT_ONCE = 64
"""Connections that are taken before anything else may run."""

Factory = Callable[[], asyncio.Protocol]


class Link:
    """The worker's end of `control`."""

    def __init__(self, host: ManagedHost, board: Board, stop: Stop) -> None:
        self._host, self._board, self._stop = host, board, stop
        self._writer: asyncio.StreamWriter | None = None
        self._told, self._told_s = Report(), 0.0

    async def run(self, control: socket.socket) -> None:
        """Until the front is gone, which is an order to stop."""
        reader, self._writer = await asyncio.open_unix_connection(sock=control)
        try:
            # No deadline: the front has nothing to say for days, and its end is noticed.
            while line := await reader.readline():
                self._read(json.loads(line))
        except ConnectionError:
            log.error("the front is gone")
        except ValueError:
            log.error("the front has said something strange")
        finally:
            self._stop.order(1)
            self._writer.close()
            self._writer = None

    def tick(self, lag_ms: float, now_s: float) -> None:
        """The loop was measured: say how busy this worker is, if that is new."""
        report = Report(self._host.active_calls, self._host.has_room, self._host.ready)
        if report == self._told and now_s - self._told_s < REPORT_EVERY_S:
            return
        self._told, self._told_s = report, now_s
        self._write({"report": [report.calls, report.room, report.ready]})

    def leave(self) -> None:
        """Connections are taken no more."""
        self._write({"leaving": True})

    def _read(self, said: dict[str, object]) -> None:
        if "stop" in said:
            self._stop.order(2 if said["stop"] == 2 else 1)
        rows = said.get("board")
        if isinstance(rows, list):
            self._board.read(rows)

    def _write(self, said: dict[str, object]) -> None:
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_UNSENT:
            return
        writer.write(json.dumps(said).encode() + b"\n")


class Door:
    """The worker's end of `door`.

    Args:
        taken: is given each connection, not blocking.
    """

    def __init__(self, door: socket.socket, taken: Callable[[socket.socket], None]) -> None:
        self._door, self._taken = door, taken
        self._ended = asyncio.Event()
        door.setblocking(False)

    def open(self) -> None:
        """Take connections from now on."""
        asyncio.get_running_loop().add_reader(self._door, self._read)

    async def aclose(self) -> None:
        """Once the front has closed its end, or a second later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._ended.wait()
        self._end()
        self._door.close()

    def _read(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, found, flags, _ = socket.recv_fds(self._door, 1, 1)
            except BlockingIOError:
                return
            except OSError:
                data, found, flags = b"", [], 0
            for number in found:
                connection = socket.socket(fileno=number)
                connection.setblocking(False)
                self._taken(connection)
            if flags & socket.MSG_CTRUNC:
                log.error("a connection was lost: this process may open no more files")
            if not data:
                self._end()
                return

    def _end(self) -> None:
        if not self._ended.is_set():
            self._ended.set()
            asyncio.get_running_loop().remove_reader(self._door)


class WorkerServer(ManagedServer):
    """uvicorn with a door instead of a port.

    Args:
        config: for what comes through the door.
        inside: for what other workers pass on.
        peers: these, and where their sockets are.
    """

    def __init__(
        self, config: uvicorn.Config, inside: uvicorn.Config, door: socket.socket, peers: Peers
    ) -> None:
        super().__init__(config)
        self._inside, self._path = inside, peers.path(peers.me)
        self._door = Door(door, self._take)
        self._receiver = Receiver(peers.door(peers.me), self._take_over)
        self._opening: set[asyncio.Task[None]] = set()
        self.on_leave: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open both."""
        await super().startup([])
        self._inside.load()
        loop = asyncio.get_running_loop()
        state = self.lifespan.state
        unix = await loop.create_unix_server(self._factory(self._inside, state), str(self._path))
        self.servers.append(unix)
        self._receiver.open()
        self._door.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what is on its way, and close."""
        self.on_leave()
        await self._door.aclose()
        self._receiver.close()
        await super().shutdown()

    def _factory(self, config: uvicorn.Config, state: dict[str, Any]) -> Factory:
        """As `uvicorn.Server.startup` makes them."""

        def create() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=state
            )

        return create

    def _take(self, connection: socket.socket) -> None:
        self._begin(connection, self._factory(self.config, first_state(self.lifespan.state)))

    def _take_over(self, connection: socket.socket, head: bytes) -> None:
        create = self._factory(self._inside, self.lifespan.state)

        def begun() -> asyncio.Protocol:
            protocol = create()
            made = protocol.connection_made

            def connection_made(transport: asyncio.BaseTransport) -> None:
                made(transport)
                protocol.data_received(head)

            protocol.connection_made = connection_made  # type: ignore[method-assign]
            return protocol

        self._begin(connection, begun)

    def _begin(self, connection: socket.socket, create: Factory) -> None:
        task = asyncio.create_task(_serve_one(connection, create))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


async def _serve_one(connection: socket.socket, create: Factory) -> None:
    try:
        await asyncio.get_running_loop().connect_accepted_socket(create, connection)
    except OSError:
        # Whoever connected has gone meanwhile.
        connection.close()


async def run_worker(
    slot: Slot,
    parts: Parts,
    settings: ServerSettings,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until the front says so, is gone, or a signal comes.

    Raises:
        UserFacingError: the supervisor could not start; to `say_failure` is the caller's.
    """
    settings = settings.model_copy(update={"port": slot.port})
    board, stop = Board(slot.count), Stop()
    link = Link(parts.host, board, stop)
    peers = Peers(Path(slot.folder), slot.number, slot.count)
    companies = () if parts.phone is None else tuple(parts.phone.companies)
    inside = Rooted(parts.app(settings))
    together = Together(inside, parts.host, board, peers, Paths.of(companies))
    door = socket.socket(fileno=slot.door_fd)
    ws = handing_over(together.whose, lambda worker, *rest: hand_over(peers.door(worker), *rest))
    server = WorkerServer(http_config(together, ws), http_config(inside), door, peers)
    server.on_leave = link.leave
    unwatch = parts.metrics.on_lag(link.tick)
    # A copy: whoever started this process may have to say why it has failed.
    control = socket.fromfd(slot.control_fd, socket.AF_UNIX, socket.SOCK_STREAM)
    control.setblocking(False)
    linked = asyncio.create_task(link.run(control), name="front")
    try:
        with stop_signals(stop):
            await serve_until(stop, server, [], parts, settings.drain_s, on_ready)
    finally:
        unwatch()
        linked.cancel()
        await asyncio.wait([linked])
        await peers.aclose()
