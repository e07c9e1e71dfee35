"""A WebSocket that reached the wrong worker, as a proxy's kept connection may bring it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest
from tests.support.rtc_client import typed
from tests.support.two_workers import Front, NamedHost, running
from websockets.asyncio.client import connect

from antiphon.server import handover as module
from antiphon.server.board import Report
from antiphon.server.handover import Receiver, hand_over

FREE, FULL = Report(0, room=True, ready=True), Report(9, room=False, ready=True)


async def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with running(tmp_path) as front:
        yield front


def sessions(front: Front) -> list[int]:
    return [len(cast("NamedHost", worker.host).sessions) for worker in front.workers]


async def talk(front: Front, path: str, before: bytes = b"") -> None:
    """A call by text, over a connection that worker 0 has and that may have carried `before`."""
    front.to = 0
    connection = socket.create_connection(("127.0.0.1", front.port))
    if before:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        await loop.sock_sendall(connection, before)
        async with asyncio.timeout(20):
            assert (await loop.sock_recv(connection, 65536)).startswith(b"HTTP/1.1 200")
    async with connect(f"ws://127.0.0.1:{front.port}{path}", sock=connection, proxy=None) as way:
        async with asyncio.timeout(20):
            assert json.loads(await way.recv())["type"] == "session.created"
            await way.send(json.dumps(typed("a coffee")))
            while "a coffee" not in str(await way.recv()):
                pass


async def test_one_that_names_a_call_goes_on_to_its_worker(front: Front) -> None:
    asked = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await talk(front, "/api/text?session=w1_call_0001", asked)
    assert sessions(front) == [0, 1]
    await talk(front, "/w1/api/text")
    assert sessions(front) == [0, 2]
    await talk(front, "/api/text?session=w0_call_0001")
    assert sessions(front) == [1, 2]


async def test_a_new_call_goes_on_to_where_there_is_room(front: Front) -> None:
    await front.board(FREE, FREE)
    await talk(front, "/api/text")
    cast("NamedHost", front.workers[0].host).max_calls = 0
    await talk(front, "/api/text", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert sessions(front) == [1, 1]


async def test_where_the_other_one_is_not_there_this_one_answers(front: Front) -> None:
    front.workers[1].close()
    await asyncio.wait_for(front.workers[1].task, 20)
    await talk(front, "/api/text?session=w1_call_0001")
    await talk(front, "/api/text?session=w7_call_0001")
    assert sessions(front) == [2, 0]


async def test_no_file_stays_open(front: Front) -> None:
    await talk(front, "/api/text?session=w1_call_0001")

    def files() -> int:
        return len(os.listdir("/proc/self/fd"))

    await asyncio.sleep(0.1)
    before = files()
    for _ in range(10):
        await talk(front, "/api/text?session=w1_call_0001")
    await until(lambda: files() <= before)


# ---- the way between -----------------------------------------------------------------------------


@pytest.fixture
async def given(tmp_path: Path) -> AsyncIterator[tuple[Path, list[tuple[socket.socket, bytes]]]]:
    found: list[tuple[socket.socket, bytes]] = []
    path = tmp_path / "w0.door"
    path.write_text("left by the one before")
    receiver = Receiver(path, lambda connection, head: found.append((connection, head)))
    receiver.open()
    yield path, found
    receiver.close()
    for connection, _ in found:
        connection.close()


async def test_the_connection_and_what_was_read_of_it(
    given: tuple[Path, list[tuple[socket.socket, bytes]]],
) -> None:
    path, found = given
    ours, theirs = socket.socketpair()
    for head in (b"x" * module.MAX_HEAD_BYTES, b"", b"GET /"):
        assert hand_over(path, head, theirs.fileno())
    theirs.close()
    await until(lambda: len(found) == 3)
    assert sorted(len(head) for _, head in found) == [0, 5, module.MAX_HEAD_BYTES]
    found[0][0].sendall(b"hello")
    assert ours.recv(10) == b"hello"
    ours.close()


async def test_what_is_too_long_or_has_nowhere_to_go_is_not_given(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not hand_over(tmp_path / "nobody", b"GET", ours.fileno())
        assert not hand_over(tmp_path / "nobody", b"x" * (module.MAX_HEAD_BYTES + 1), 0)


async def test_half_a_message_is_dropped(
    given: tuple[Path, list[tuple[socket.socket, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "RECEIVE_S", 0.1)
    caplog.set_level(logging.ERROR)
    path, found = given
    ours, theirs = socket.socketpair()
    ways = []
    for message, files in (
        (b"\0\0\0\5GE", [ours.fileno()]),
        (b"\0\0\0\5GET /", []),
        (b"", []),
        (b"\0\0\0\5GE", [ours.fileno()]),
    ):
        way = socket.socket(socket.AF_UNIX)
        way.connect(str(path))
        if message:
            socket.send_fds(way, [message], files)
        ways.append(way)
    ways.pop().close()
    await until(lambda: caplog.text.count("was lost") == 4)
    assert found == []
    for one in (*ways, ours, theirs):
        one.close()
