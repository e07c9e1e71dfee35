"""The front: who is shown in to whom, and what becomes of workers that die."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from antiphon.errors import UserFacingError
from antiphon.server import front as front_module
from antiphon.server import front_process as process_module
from antiphon.server.board import Board, Report
from antiphon.server.front import Porter, run_front
from antiphon.server.settings import ServerSettings
from antiphon.server.slot import Slot

FREE = Report(0, room=True, ready=True)


async def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


class Rig:
    """A porter, and what workers have been given."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.board = Board(3)
        self.given: list[tuple[int, socket.socket]] = []
        self.refusing: set[int] = set()
        self.clients: list[socket.socket] = []
        self.porter = Porter(self.listener, self.board, self.hand)

    def hand(self, worker: int, connection: socket.socket) -> bool:
        if worker in self.refusing:
            return False
        self.given.append((worker, connection.dup()))
        return True

    @property
    def workers(self) -> list[int]:
        return [worker for worker, _ in self.given]

    async def connect(self, said: bytes = b"") -> socket.socket:
        client = socket.socket()
        client.setblocking(False)
        self.clients.append(client)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, self.listener.getsockname())
        if said:
            await loop.sock_sendall(client, said)
        return client

    async def asked(self, target: str) -> int:
        """Which worker gets it."""
        count = len(self.given)
        await self.connect(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: len(self.given) > count)
        return self.given[-1][0]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    for worker in range(3):
        rig.board.told(worker, FREE)
    rig.porter.open()
    yield rig
    rig.porter.close()
    for one in (rig.listener, *rig.clients, *(taken for _, taken in rig.given)):
        one.close()


async def test_what_names_a_worker_goes_there(rig: Rig) -> None:
    rig.board.told(2, Report(9, room=False, ready=False))
    assert await rig.asked("/w2/twilio/media") == 2
    assert await rig.asked("/api/voice/socket?token=t&session=w1_call_0f") == 1
    assert await rig.asked("/v1/calls") == 0


async def test_anything_else_goes_to_whoever_has_fewest_calls(rig: Rig) -> None:
    rig.board.told(0, Report(2, room=True, ready=True))
    assert {await rig.asked("/"), await rig.asked("/api/text")} == {1, 2}


async def test_a_rush_of_calls_spreads_and_probes_do_not_count(rig: Rig) -> None:
    rig.board.told(2, Report(4, room=True, ready=True))
    for _ in range(10):
        assert await rig.asked("/metrics") in (0, 1)
    chosen = [await rig.asked("/api/text") for _ in range(11)]
    assert sorted(chosen) == [0] * 5 + [1] * 5 + [2]


async def test_nothing_of_a_connection_is_taken(rig: Rig) -> None:
    await rig.asked("/hello")
    _, taken = rig.given[0]
    assert taken.recv(100) == b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
    assert rig.porter.waiting == 0


async def test_a_worker_that_is_not_there_is_not_waited_for(rig: Rig) -> None:
    rig.board.told(1, None)
    assert await rig.asked("/api/voice/socket?session=w1_call_0f") in (0, 2)
    assert await rig.asked("/w9/twilio/media") in (0, 2)


async def test_a_worker_that_takes_no_more_is_passed_over(rig: Rig) -> None:
    rig.refusing = {0, 1}
    assert await rig.asked("/") == 2
    # Only it can answer this, so that it is tried again.
    await rig.connect(b"GET /w1/twilio/media HTTP/1.1\r\n\r\n")
    await until(lambda: rig.porter.waiting == 1)
    rig.refusing = set()
    await until(lambda: rig.workers[-1] == 1)


async def test_a_request_that_comes_in_pieces(rig: Rig) -> None:
    client = await rig.connect(b"GET /w2/")
    await until(lambda: rig.porter.waiting == 1)
    await asyncio.sleep(0.03)
    assert rig.given == []
    await asyncio.get_running_loop().sock_sendall(client, b"x HTTP/1.1\r\n")
    await until(lambda: rig.workers == [2])


async def test_whoever_says_nothing_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(front_module, "PATIENCE_S", 0.05)
    client = await rig.connect()
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 10), 20) == b""
    assert rig.porter.waiting == 0


async def test_of_too_many_that_say_nothing_the_oldest_is_closed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "MAX_WAITING", 2)
    first = await rig.connect()
    await until(lambda: rig.porter.waiting == 1)
    await rig.connect()
    await rig.connect()
    assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(first, 10), 20) == b""
    await until(lambda: rig.porter.waiting == 2)
    assert await rig.asked("/") in (0, 1, 2)


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\n",
        b"GET /" + b"x" * 10_000,
        b"\n\n\n\r\n\r\nnonsense\r\n",
        b"GET /api/voice/socket?session=w99_call_0 HTTP/1.1\r\n",
        bytes(5000),
    ],
)
async def test_a_worker_answers_what_makes_no_sense(rig: Rig, said: bytes) -> None:
    await rig.connect(said)
    await until(lambda: rig.given)


async def test_a_long_address_is_judged_by_its_beginning(rig: Rig) -> None:
    await rig.connect(b"GET /w2/twilio/media?" + b"x" * 10_000)
    await until(lambda: rig.workers == [2])


async def test_whoever_leaves_at_once_is_forgotten(rig: Rig) -> None:
    for said in (b"", b"GET /half"):
        (await rig.connect(said)).close()
    client = await rig.connect(b"GET /")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert await rig.asked("/") in (0, 1, 2)


async def test_while_nobody_is_there_one_waits_and_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "PATIENCE_S", 0.2)
    for worker in range(3):
        rig.board.told(worker, None)
    loop = asyncio.get_running_loop()
    patient = await rig.connect(b"GET /w1/x HTTP/1.1\r\n\r\n")
    answer = await asyncio.wait_for(loop.sock_recv(patient, 4096), 20)
    assert answer.startswith(b"HTTP/1.1 503 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    monkeypatch.setattr(front_module, "PATIENCE_S", 5.0)
    await rig.connect(b"GET / HTTP/1.1\r\n\r\n")
    await until(lambda: rig.porter.waiting == 1)
    rig.board.told(2, FREE)
    await until(lambda: rig.workers == [2])


async def test_when_there_are_no_more_files_it_goes_on_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(front_module, "NO_MORE_FILES_S", 0.05)
    accept, failing = rig.listener.accept, [OSError(24, "Too many open files")]

    class Poor:
        def accept(self) -> tuple[socket.socket, object]:
            if failing:
                raise failing.pop()
            return accept()

        def fileno(self) -> int:
            return rig.listener.fileno()

    rig.porter._listener = Poor()  # type: ignore[assignment]
    assert await rig.asked("/") in (0, 1, 2)
    assert "Too many open files" in caplog.text
    rig.porter.close()


# ---- processes ---------------------------------------------------------------------------------

# A worker without an agent: it says `ready`, answers every connection with its number and its
# process, and ends when it is told to.
WORKER = """
import json, os, socket, sys, threading
slot = json.loads(sys.argv[1])
control = socket.socket(fileno=slot["control_fd"])
door = socket.socket(fileno=slot["door_fd"])
how = sys.argv[2]
if how == "fails":
    control.sendall(json.dumps({"failed": "no voice is installed"}).encode() + b"\\n")
    sys.exit(2)
if how == "dies":
    sys.exit(7)
if how == "once" and not os.path.exists(sys.argv[3]):
    open(sys.argv[3], "w").close()
    how = "dies later"
if how == "babbles":
    control.sendall(b"{\\n")
control.sendall(json.dumps({"report": [0, True, True]}).encode() + b"\\n")
if how == "dies later":
    sys.exit(9)
def serve():
    while True:
        data, found, _, _ = socket.recv_fds(door, 1, 1)
        if not data:
            return
        with socket.socket(fileno=found[0]) as connection:
            connection.recv(4096)
            connection.sendall(f"{slot['number']} {os.getpid()}".encode())
threading.Thread(target=serve, daemon=True).start()
for line in control.makefile():
    said = json.loads(line)
    if said.get("stop", 0) >= (2 if how == "stubborn" else 1):
        control.sendall(json.dumps({"leaving": True}).encode() + b"\\n")
        break
"""


class Served:
    """A front with such workers, as a task of this test."""

    def __init__(self, folder: Path, count: int = 2, how: str = "serves") -> None:
        self.ready: asyncio.Queue[ServerSettings] = asyncio.Queue()
        settings = ServerSettings(port=0, drain_s=2)
        note = str(folder / "note")

        def command(slot: Slot) -> list[str]:
            told = f'{{"number": {slot.number}, "control_fd": {slot.control_fd}, '
            told += f'"door_fd": {slot.door_fd}}}'
            which = how if slot.number == 1 else "serves"
            return [sys.executable, "-c", WORKER, told, which, note]

        self.task = asyncio.create_task(run_front(count, command, settings, self.ready.put_nowait))
        self.port = 0

    async def until_ready(self) -> None:
        async with asyncio.timeout(20):
            self.port = (await self.ready.get()).port

    async def ask(self, worker: int) -> tuple[int, int]:
        """Which worker answered, and its process."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET /w{worker}/x HTTP/1.1\r\n\r\n".encode())
        async with asyncio.timeout(20):
            number, pid = (await reader.read()).decode().split()
        writer.close()
        await writer.wait_closed()
        return int(number), int(pid)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(process_module, "FIRST_WAIT_S", 0.02)
    yield tmp_path
    assert not list(tmp_path.glob("antiphon-*"))


def gone(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


async def test_from_start_to_sigterm(folder: Path) -> None:
    served = Served(folder)
    await served.until_ready()
    (first, one), (second, other) = await served.ask(0), await served.ask(1)
    assert (first, second) == (0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(served.task, 20)
    assert gone(one)
    assert gone(other)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await served.ask(0)


async def test_a_worker_that_was_killed_is_started_again_and_the_other_goes_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(folder)
    await served.until_ready()
    (_, kept), (_, pid) = await served.ask(0), await served.ask(1)
    os.kill(pid, signal.SIGKILL)
    found = pid
    async with asyncio.timeout(20):
        while found in (pid, kept):
            with contextlib.suppress(ValueError, ConnectionError):
                # Meanwhile the other one answers.
                _, found = await served.ask(1)
    assert await served.ask(0) == (0, kept)
    assert "worker 1 ended with code -9; it is started again" in caplog.text
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(served.task, 20)


async def test_a_worker_that_dies_after_its_start_does_not_end_the_server(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served(folder, how="once")
    await served.until_ready()
    await until(lambda: "ended with code 9" in caplog.text)
    async with asyncio.timeout(20):
        while (await served.ask(1))[0] != 1:  # noqa: ASYNC110 - asked until it is there
            await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(served.task, 20)


@pytest.mark.parametrize(
    ("how", "why"), [("fails", "no voice is installed"), ("dies", "worker 1 ended with code 7")]
)
async def test_a_worker_that_cannot_start_ends_the_server_with_its_reason(
    folder: Path, how: str, why: str
) -> None:
    served = Served(folder, how=how)
    with pytest.raises(UserFacingError, match=why):
        await asyncio.wait_for(served.task, 20)


async def test_a_worker_that_babbles_is_killed(folder: Path) -> None:
    served = Served(folder, how="babbles")
    with pytest.raises(UserFacingError, match="strange"):
        await asyncio.wait_for(served.task, 20)


async def test_a_worker_that_is_silent_is_killed_and_started_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_module, "SILENT_S", 0.3)
    served = Served(folder)
    await served.until_ready()
    await until(lambda: "has said nothing" in caplog.text)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(served.task, 20)


async def test_a_second_signal_ends_at_once(folder: Path) -> None:
    served = Served(folder, how="stubborn")
    await served.until_ready()
    _, pid = await served.ask(1)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.1)
    assert not served.task.done()
    # The door stays open for what belongs to calls that go on.
    assert await served.ask(1) == (1, pid)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(served.task, 20)
    assert gone(pid)


async def test_a_worker_that_does_not_end_is_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "DRAIN_GRACE_S", -1.9)
    monkeypatch.setattr(front_module, "KILL_GRACE_S", 0.5)
    served = Served(folder, how="serves")
    await served.until_ready()
    (_, one), (_, pid) = await served.ask(0), await served.ask(1)
    os.kill(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(served.task, 20)
    assert gone(pid)
    assert gone(one)


def test_sockets_have_short_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = Path(front_module._private_folder())
    assert len(str(folder)) < 90
    assert folder.stat().st_mode & 0o077 == 0
    folder.rmdir()


async def test_so_many_workers_there_cannot_be() -> None:
    for count in (0, 65):
        with pytest.raises(UserFacingError, match="1 to 64"):
            await run_front(count, lambda slot: [], ServerSettings(port=0), lambda _: None)


async def test_a_system_that_cannot_hand_connections_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "send_fds")
    with pytest.raises(UserFacingError, match="leave out --workers"):
        await run_front(2, lambda slot: [], ServerSettings(port=0), lambda _: None)


async def test_a_command_that_is_not_there(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    caplog.set_level(logging.ERROR)
    task = run_front(1, lambda slot: ["/no/such/python"], ServerSettings(port=0), lambda _: None)
    with pytest.raises(UserFacingError, match="worker 0 cannot be started"):
        await asyncio.wait_for(task, 20)
