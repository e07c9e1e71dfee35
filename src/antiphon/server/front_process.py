"""A worker's process as the front sees it: started, listened to, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Sequence

from antiphon.errors import UserFacingError
from antiphon.server.board import Board, Report
from antiphon.server.slot import Slot

log = logging.getLogger(__name__)

START_TIMEOUT_S = 150.0
SILENT_S = 20.0
"""A worker reports several times a second. One that is silent for so long carries no calls any
more, and is killed."""
END_TIMEOUT_S = 10.0
"""From its last word to the end of its process."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
"""Between two starts: twice as long each time."""
STEADY_S = 60.0
"""A worker that lived for so long is started again at once."""
MAX_UNSENT = 64 * 1024

Command = Callable[[Slot], Sequence[str]]


class WorkerProcess:
    """One of the workers, in one process after the other.

    Args:
        number: counted from 0.
        board: told what it reports.
        command: of its process.
        folder: of the sockets between workers.
        port: of the server.
    """

    def __init__(
        self, number: int, board: Board, command: Command, folder: str, port: int
    ) -> None:  # fmt: skip
        self._number, self._board, self._command = number, board, command
        self._folder, self._port = folder, port
        self._door: socket.socket | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._level = 0
        self._failure, self._is_steady = "", False
        self._wake = asyncio.Event()
        self.was_ready = asyncio.Event()
        """It took calls once."""

    async def keep(self) -> None:
        """Until it has stopped because it was told to.

        Raises:
            UserFacingError: it could not be started in the first place.
        """
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while not self._level:
            begun_s = loop.time()
            why = await self._live()
            if self._level:
                return
            if not self.was_ready.is_set():
                raise UserFacingError(self._failure or f"worker {self._number} {why}")
            log.error("worker %d %s; it is started again", self._number, self._failure or why)
            if loop.time() - begun_s > STEADY_S:
                wait_s = FIRST_WAIT_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    def hand(self, connection: socket.socket) -> bool:
        """Give it a connection, of which the caller then closes its own copy; False where it takes
        none now."""
        if self._door is None:
            return False
        try:
            socket.send_fds(self._door, [b"\0"], [connection.fileno()])
        except OSError:
            # Its socket is full, or it has just died.
            return False
        return True

    def order(self, level: int) -> None:
        """Stop: 1 when its calls are over, 2 at once."""
        self._level = max(self._level, level)
        self._wake.set()
        self.tell({"stop": self._level})

    def tell(self, said: dict[str, object]) -> None:
        """Say something to it, if it listens."""
        writer = self._writer
        if writer is not None and writer.transport.get_write_buffer_size() < MAX_UNSENT:
            writer.write(json.dumps(said).encode() + b"\n")

    # ---- one process ---------------------------------------------------------------------------

    async def _live(self) -> str:
        """From its start to its end, which is told in a few words."""
        self._failure, self._is_steady = "", False
        control, its_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        door, its_door = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with its_control, its_door:
            fds = (its_control.fileno(), its_door.fileno())
            slot = Slot(self._number, self._board.count, *fds, self._folder, self._port)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command(slot),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=fds,
                    # Ctrl-C is for the front, which tells the workers.
                    start_new_session=True,
                )
            except OSError as error:
                control.close()
                door.close()
                return f"cannot be started: {error.strerror}"
        self._board.started(self._number)
        door.setblocking(False)
        control.setblocking(False)
        reader, self._writer = await asyncio.open_unix_connection(sock=control)
        self._door = door
        why = ""
        try:
            if self._level:
                self.tell({"stop": self._level})
            why = await self._listen(reader)
            if not why:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(END_TIMEOUT_S):
                        await process.wait()
        finally:
            self._close_door()
            self._writer.close()
            self._writer = None
            await _end(process)
        return why or f"ended with code {process.returncode}"

    async def _listen(self, reader: asyncio.StreamReader) -> str:
        """Until it says nothing more; what was wrong with that."""
        try:
            while True:
                limit_s = SILENT_S if self._is_steady else START_TIMEOUT_S
                async with asyncio.timeout(limit_s):
                    line = await reader.readline()
                if not line:
                    return ""
                self._heard(json.loads(line))
        except TimeoutError:
            return f"has said nothing for {limit_s:.0f} s and was killed"
        except ConnectionError:
            # It died before it had read what it was told.
            return ""
        except ValueError:
            return "has said something strange and was killed"
        finally:
            self._board.told(self._number, None)

    def _heard(self, said: dict[str, object]) -> None:
        report = said.get("report")
        if isinstance(report, list) and self._door is not None:
            calls, room, ready = report
            self._board.told(self._number, Report(int(calls), bool(room), bool(ready)))
            if ready:
                self._is_steady = True
                self.was_ready.set()
        if isinstance(said.get("failed"), str):
            self._failure = str(said["failed"])
        if said.get("leaving"):
            self._board.told(self._number, None)
            self._close_door()

    def _close_door(self) -> None:
        """What it was given is still read; then it knows that no more comes."""
        if self._door is not None:
            self._door.close()
            self._door = None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()
