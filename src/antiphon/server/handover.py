"""A WebSocket that reached the wrong worker is handed to the right one, as it is.

The front hands connections over before anything is read. A proxy that keeps its connections sends
a WebSocket's handshake over one that some worker already has; then the connection goes on to the
other worker with the handshake beside it. The client has to wait for the answer before it sends
more (RFC 6455 section 4.1), so that nothing is on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from antiphon.server.direct import DirectProtocol
from antiphon.server.first import take_first
from antiphon.server.route import head_target

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
RECEIVE_S = 2.0
BACKLOG = 256
_SIZE_BYTES = 4


def hand_over(path: Path, head: bytes, connection: int) -> bool:
    """Give a worker, by its socket, a connection and what was read of it. The caller then closes
    its own copy; False where nothing was given."""
    if len(head) > MAX_HEAD_BYTES:
        return False
    message = len(head).to_bytes(_SIZE_BYTES, "big") + head
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
        way.setblocking(False)
        try:
            way.connect(str(path))
            return socket.send_fds(way, [message], [connection]) == len(message)
        except OSError:
            # It is not there, or has too much to do.
            return False


class Receiver:
    """The other end.

    Args:
        path: of the socket.
        taken: is given each connection, not blocking, and what was read of it.
    """

    def __init__(self, path: Path, taken: Callable[[socket.socket, bytes], None]) -> None:
        self._path, self._taken = path, taken
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take connections from now on."""
        # The one that had this worker's place before has died.
        self._path.unlink(missing_ok=True)
        self._listener.bind(str(self._path))
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Take no more."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for task in self._tasks:
            task.cancel()

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            way, _ = self._listener.accept()
            task = asyncio.create_task(self._receive(way))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _receive(self, way: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        way.setblocking(False)
        found: list[int] = []
        with way, contextlib.ExitStack() as stack:
            try:
                async with asyncio.timeout(RECEIVE_S):
                    await _readable(way)
                    data, found, _, _ = socket.recv_fds(way, _SIZE_BYTES + MAX_HEAD_BYTES, 1)
                    connection = socket.socket(fileno=found[0])
                    stack.callback(connection.close)
                    size = _SIZE_BYTES + int.from_bytes(data[:_SIZE_BYTES], "big")
                    while len(data) < size:
                        more = await loop.sock_recv(way, size - len(data))
                        if not more:
                            raise ConnectionError
                        data += more
            except (OSError, IndexError, TimeoutError):
                log.error("a connection of another worker was lost")
                return
            stack.pop_all()
        connection.setblocking(False)
        self._taken(connection, data[_SIZE_BYTES:])


async def _readable(one: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(one, ready.set)
    try:
        # No deadline: the caller has one.
        await ready.wait()
    finally:
        loop.remove_reader(one)


def handing_over(
    whose: Callable[[str, bool], int | None], give: Callable[[int, bytes, int], bool]
) -> type[DirectProtocol]:
    """uvicorn's WebSocket for a worker.

    Args:
        whose: the worker that a handshake for this target belongs to; None: this one. It is told
            whether that is the first that was asked over a connection from the front.
        give: gives that worker the handshake and the connection, by its file's number.
    """

    class HandingOver(DirectProtocol):
        looked = False

        def data_received(self, data: bytes) -> None:
            if not self.looked:
                # uvicorn begins with the whole handshake.
                self.looked = True
                worker = whose(head_target(data) or "", take_first(self.app_state))
                connection: Any = self.transport.get_extra_info("socket")
                if worker is not None and give(worker, data, connection.fileno()):
                    self.transport.abort()
                    return
            super().data_received(data)

    return HandingOver
