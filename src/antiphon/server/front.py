"""The front of a server with several workers: it has the port, and gives away what connects.

It looks at the first bytes of a connection without taking them (MSG_PEEK), chooses a worker by the
address that is asked for, and hands the connection over. Nothing of it passes through here again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UserFacingError
from antiphon.server.board import Board
from antiphon.server.front_process import Command, WorkerProcess
from antiphon.server.process import Stop, listen, stop_signals
from antiphon.server.route import MAX_WORKERS, head_target, may_begin_a_call, worker_of_target
from antiphon.server.settings import ServerSettings

log = logging.getLogger(__name__)

PEEK_BYTES = 4096
"""An address that is longer is judged by its beginning."""
PATIENCE_S = 5.0
"""How long a connection may say nothing, or wait for a worker that takes it."""
AGAIN_S = 0.02
MAX_UNREAD = 256 * 1024
MAX_WAITING = 1000
"""Connections that have said nothing yet; of more the oldest are closed."""
AT_ONCE = 64
NO_MORE_FILES_S = 0.5
BOARD_S = 0.25
"""Between two tellings of how busy everybody is."""
MAX_FOLDER_BYTES = 70
DRAIN_GRACE_S = 30.0
"""Beyond `drain_s`: hanging up, writing down, closing."""
KILL_GRACE_S = 15.0

_NOBODY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 43\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b"The server is starting; try again shortly.\n"
)


@dataclass(slots=True)
class _Waiting:
    """A connection that nobody has taken yet."""

    connection: socket.socket
    deadline: asyncio.TimerHandle
    again: asyncio.TimerHandle | None = None
    watched: bool = False
    target: str | None = None


class Porter:
    """Opens the door, looks who is there, and shows them in.

    Args:
        listener: the port.
        board: how busy the workers are.
        hand: gives a connection to a worker; False where that one takes none.
    """

    def __init__(
        self, listener: socket.socket, board: Board, hand: Callable[[int, socket.socket], bool]
    ) -> None:
        self._listener, self._board, self._hand = listener, board, hand
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, _Waiting] = {}
        self._pause: asyncio.TimerHandle | None = None
        self._open = False

    def open(self) -> None:
        """Take connections from now on."""
        self._open = True
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Take no more, and close those that wait."""
        if self._open:
            self._loop.remove_reader(self._listener)
        self._open = False
        if self._pause is not None:
            self._pause.cancel()
        for number in list(self._waiting):
            self._drop(number)

    @property
    def waiting(self) -> int:
        """Connections that nobody has taken yet."""
        return len(self._waiting)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No more files, or no memory for one: it would be tried again without end.
                log.error("no connection can be taken now: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._open = False
                self._pause = self._loop.call_later(NO_MORE_FILES_S, self.open)
                if self._waiting:
                    self._drop(next(iter(self._waiting)))
                return
            self._meet(connection)

    def _meet(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._waiting) >= MAX_WAITING:
            self._drop(next(iter(self._waiting)))
        number = connection.fileno()
        deadline = self._loop.call_later(PATIENCE_S, self._too_late, number)
        self._waiting[number] = _Waiting(connection, deadline)
        self._look(number)

    def _look(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is None:
            return
        waiting.again = None
        try:
            if waiting.target is None:
                waiting.target = _peek(waiting.connection)
        except BlockingIOError:
            if not waiting.watched:
                waiting.watched = True
                self._loop.add_reader(waiting.connection, self._look, number)
            return
        except OSError:
            self._drop(number)
            return
        if waiting.target is not None and self._show_in(waiting.target, waiting.connection):
            self._drop(number)
        else:
            self._look_again(number)

    def _look_again(self, number: int) -> None:
        """What has come is still there, so that watching would call at once, without end."""
        waiting = self._waiting[number]
        self._unwatch(waiting)
        waiting.again = self._loop.call_later(AGAIN_S, self._look, number)

    def _show_in(self, target: str, connection: socket.socket) -> bool:
        now_s = self._loop.time()
        wanted = worker_of_target(target)
        if wanted is not None and self._board.is_there(wanted):
            return self._give(wanted, connection, now_s, counts=False)
        tried: list[int] = []
        while (worker := self._board.choose(now_s, but=tried)) is not None:
            if self._give(worker, connection, now_s, counts=may_begin_a_call(target)):
                return True
            tried.append(worker)
        return False

    def _give(
        self, worker: int, connection: socket.socket, now_s: float, *, counts: bool
    ) -> bool:  # fmt: skip
        if not self._hand(worker, connection):
            return False
        if counts:
            self._board.sent(worker, now_s)
        return True

    def _too_late(self, number: int) -> None:
        waiting = self._waiting[number]
        if waiting.target is not None:
            with contextlib.suppress(OSError):
                waiting.connection.send(_NOBODY)
                waiting.connection.shutdown(socket.SHUT_WR)
                # What is closed unread is reset, and the answer with it.
                waiting.connection.recv(MAX_UNREAD)
        self._drop(number)

    def _unwatch(self, waiting: _Waiting) -> None:
        if waiting.watched:
            waiting.watched = False
            self._loop.remove_reader(waiting.connection)

    def _drop(self, number: int) -> None:
        """Our copy; a worker that has taken the connection has its own."""
        waiting = self._waiting.pop(number)
        self._unwatch(waiting)
        waiting.deadline.cancel()
        if waiting.again is not None:
            waiting.again.cancel()
        waiting.connection.close()


async def run_front(
    count: int,
    command: Command,
    settings: ServerSettings,
    on_ready: Callable[[ServerSettings], None],
) -> None:
    """Serve with so many workers until SIGTERM or SIGINT; then the workers take no more calls, give
    the present ones `settings.drain_s`, and end. A second signal ends at once.

    `on_ready` is called when all of them take calls, with the port that was really opened.

    Raises:
        UserFacingError: the address cannot be used, or a worker could not start.
    """
    if not hasattr(socket, "send_fds") or not hasattr(socket, "AF_UNIX"):
        raise UserFacingError("This system cannot serve with several workers; leave out --workers.")
    if not 1 <= count <= MAX_WORKERS:
        raise UserFacingError(f"There can be 1 to {MAX_WORKERS} workers, one for each core.")
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(listen(settings))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        folder = _private_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        board = Board(count)
        workers = [
            WorkerProcess(number, board, command, folder, settings.port) for number in range(count)
        ]
        porter = Porter(listener, board, lambda worker, one: workers[worker].hand(one))
        stack.callback(porter.close)
        porter.open()
        stop = Stop()
        stack.enter_context(stop_signals(stop))
        await _keep_all(workers, board, stop, settings.drain_s, lambda: on_ready(settings))


async def _keep_all(
    workers: list[WorkerProcess],
    board: Board,
    stop: Stop,
    drain_s: float,
    on_ready: Callable[[], None],
) -> None:
    keeping = {asyncio.create_task(one.keep(), name="worker") for one in workers}
    telling = asyncio.create_task(_tell(workers, board), name="board")
    others: set[asyncio.Task[Any]] = {
        asyncio.create_task(_all_ready(workers), name="ready"),
        asyncio.create_task(stop.asked.wait(), name="stop"),
    }
    asked = asyncio.create_task(stop.at_once.wait(), name="at-once")
    try:
        await _until(keeping, others)
        if not stop.asked.is_set():
            # Whoever is asked from now on knows that all are ready.
            _tell_now(workers, board.written())
            on_ready()
            await _until(keeping, {one for one in others if not one.done()})
        for worker in workers:
            worker.order(1)
        await _ended(keeping, drain_s + DRAIN_GRACE_S, asked)
        for worker in workers:
            worker.order(2)
        await _ended(keeping, KILL_GRACE_S)
    finally:
        tasks = {*keeping, *others, telling, asked}
        for task in tasks:
            task.cancel()
        # Each kills its process and waits for it to be gone.
        await asyncio.wait(tasks, timeout=KILL_GRACE_S)
    for task in keeping:
        if task.done() and not task.cancelled():
            task.result()


async def _until(keeping: set[asyncio.Task[None]], others: set[asyncio.Task[Any]]) -> None:
    """One of the others is done; raises why a worker cannot be kept."""
    # No deadline: this is what the front does all day, and each start has its own.
    done, _ = await asyncio.wait({*keeping, *others}, return_when=asyncio.FIRST_COMPLETED)
    for task in done & keeping:
        task.result()


async def _ended(
    keeping: set[asyncio.Task[None]], timeout_s: float, hurry: asyncio.Task[bool] | None = None
) -> None:
    """All workers have ended, or it took too long, or somebody is in a hurry."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    while (left := {one for one in keeping if not one.done()}) and loop.time() < end_s:
        if hurry is not None and hurry.done():
            return
        waited = left if hurry is None else {*left, hurry}
        await asyncio.wait(waited, timeout=end_s - loop.time(), return_when=asyncio.FIRST_COMPLETED)


async def _all_ready(workers: list[WorkerProcess]) -> None:
    for worker in workers:
        # No deadline: a worker that does not start ends by its own.
        await worker.was_ready.wait()


async def _tell(workers: list[WorkerProcess], board: Board) -> None:
    """Let everybody know how busy everybody is, until cancelled."""
    told: object = None
    while True:
        rows = board.written()
        if rows != told:
            told = rows
            _tell_now(workers, rows)
        await asyncio.sleep(BOARD_S)


def _tell_now(workers: list[WorkerProcess], rows: list[list[object]]) -> None:
    for worker in workers:
        worker.tell({"board": rows})


def _private_folder() -> str:
    """For sockets, whose paths may have some 100 bytes: those of some users' own folders for
    temporary files are longer."""
    usual = tempfile.gettempdir()
    place = usual if len(usual.encode()) <= MAX_FOLDER_BYTES else "/tmp"
    return tempfile.mkdtemp(prefix="antiphon-", dir=place)


def _peek(connection: socket.socket) -> str | None:
    """The target that is asked for; None: only a part of it is here.

    Raises:
        BlockingIOError: nothing is here.
        OSError: whoever connected has gone.
    """
    head = connection.recv(PEEK_BYTES, socket.MSG_PEEK)
    if not head:
        raise ConnectionAbortedError
    target = head_target(head)
    if target is None and len(head) >= PEEK_BYTES:
        return head_target(head + b" HTTP/1.1\r\n") or ""
    return target
