"""Workers of one server, in one process, each with a host of its own; the test is the front."""

from __future__ import annotations

import asyncio
import fcntl
import json
import socket
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from tests.support.fake_host import FakeHost, FakeSession

from antiphon.channels.base import Call
from antiphon.observe.metrics import Metrics
from antiphon.server.board import Board, Report
from antiphon.server.phone_service import PhoneService
from antiphon.server.route import call_prefix
from antiphon.server.run import ManagedHost, Parts
from antiphon.server.settings import ServerSettings
from antiphon.server.slot import Slot
from antiphon.server.workers import run_worker


class NamedHost(FakeHost):
    """Its calls say whose they are."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.refusals = 0

    async def start_call(self, call: Call, agent: str | None) -> FakeSession:
        session = await super().start_call(call, agent)
        session.call_id = f"{call_prefix(self.number)}call_{len(self.sessions):04x}"
        return session


class Worker:
    """One of them, and the front's ends of its sockets."""

    def __init__(
        self,
        number: int,
        count: int,
        folder: Path,
        host: ManagedHost,
        phone: PhoneService | None,
        settings: ServerSettings,
    ) -> None:
        self.number, self.host, self.metrics = number, host, Metrics()
        self.control, its_control = socket.socketpair()
        self.door, its_door = socket.socketpair()
        self.control.setblocking(False)
        slot = Slot(
            *(number, count, its_control.fileno(), its_door.detach()),
            folder=str(folder),
            port=8080,
        )
        self._its_control = its_control
        parts = Parts(host, self.metrics, phone)
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(run_worker(slot, parts, settings, self.ready.set))
        self.said: list[dict[str, object]] = []
        self._rest = b""

    def read(self) -> list[dict[str, object]]:
        """All that it has said to the front."""
        try:
            while data := self.control.recv(65536):
                self._rest += data
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        self.said += [json.loads(line) for line in lines]
        return self.said

    def tell(self, said: object) -> None:
        self.control.send(json.dumps(said).encode() + b"\n")

    @property
    def unread(self) -> int:
        """Bytes that it has not read yet; not 0 as long as there are some (unix(7))."""
        told = fcntl.ioctl(self.control, termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(told, "little")

    def hand(self, connection: socket.socket) -> None:
        """Give it a connection, as the front does."""
        socket.send_fds(self.door, [b"\0"], [connection.fileno()])

    def close(self) -> None:
        self.control.close()
        self.door.close()
        self._its_control.close()


class Front:
    """Hands connections on that come to its port, to whichever worker is wanted."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self.to = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = int(self.listener.getsockname()[1])
        asyncio.get_running_loop().add_reader(self.listener, self._accept)

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            self.workers[self.to].hand(connection)

    @asynccontextmanager
    async def client(self, to: int) -> AsyncIterator[httpx.AsyncClient]:
        """A client whose connection this worker has."""
        self.to = to
        url = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
            yield client

    async def board(self, *reports: Report | None) -> None:
        """Let all know how busy everybody is, and wait until those know who are still there."""
        board = Board(len(reports))
        for number, report in enumerate(reports):
            board.started(number)
            board.told(number, report)
        there = [worker for worker in self.workers if not worker.task.done()]
        for worker in there:
            worker.tell({"board": board.written()})
        async with asyncio.timeout(20):
            while any(worker.unread for worker in there):  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.005)
        # What was read is understood in the next step of the loop.
        await asyncio.sleep(0.02)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.listener)
        self.listener.close()


@asynccontextmanager
async def running(
    folder: Path,
    count: int = 2,
    phone: Callable[[int, NamedHost], PhoneService] | None = None,
    settings: ServerSettings | None = None,
) -> AsyncIterator[Front]:
    """So many workers, ready."""
    hosts = [NamedHost(number) for number in range(count)]
    workers = [
        Worker(
            *(number, count, folder, host),
            None if phone is None else phone(number, host),
            settings or ServerSettings(drain_s=2),
        )
        for number, host in enumerate(hosts)
    ]
    front = Front(workers)
    try:
        async with asyncio.timeout(20):
            for worker in workers:
                await worker.ready.wait()
        yield front
    finally:
        front.close()
        for worker in workers:
            worker.close()
        await asyncio.wait([worker.task for worker in workers], timeout=15)
