"""A worker: what the front hands to it, what they tell each other, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.two_workers import Front, running
from websockets.asyncio.client import connect

from antiphon.server.workers import Door


async def until(true: Callable[[], object], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with running(tmp_path, count=1) as front:
        yield front


async def test_it_serves_what_it_is_handed(front: Front) -> None:
    async with front.client(0) as client:
        answer = await client.get("/api/agents")
        assert answer.status_code == 200
        assert [one["name"] for one in answer.json()["agents"]] == ["Cafe", "Clinic"]
        # Over the same connection, which the worker keeps.
        front.to = 99
        assert (await client.get("/healthz")).text == "ok\n"


async def test_a_websocket_works_as_well(front: Front) -> None:
    async with connect(f"ws://127.0.0.1:{front.port}/api/text", proxy=None) as socket_:
        async with asyncio.timeout(20):
            event = json.loads(await socket_.recv())
    assert event["type"] == "session.created"


async def test_many_connections_at_once(front: Front) -> None:
    async def one() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.partition(b"\r\n\r\n")[2]

    async with asyncio.timeout(20):
        assert set(await asyncio.gather(*(one() for _ in range(100)))) == {b"ok\n"}


async def test_it_says_how_busy_it_is_when_that_changes(front: Front) -> None:
    worker = front.workers[0]
    await until(lambda: {"report": [0, True, True]} in worker.read())
    async with connect(f"ws://127.0.0.1:{front.port}/api/text", proxy=None) as first:
        await first.recv()
        await until(lambda: {"report": [1, True, True]} in worker.read())
    await until(lambda: worker.read()[-1] == {"report": [0, True, True]})
    count = len(worker.said)
    await asyncio.sleep(0.2)
    assert len(worker.read()) <= count + 1


async def test_an_order_ends_it_after_its_calls(front: Front) -> None:
    worker = front.workers[0]
    worker.tell({"stop": 1})
    await until(lambda: {"leaving": True} in worker.read())
    # What was on its way is still answered.
    connection = socket.create_connection(("127.0.0.1", front.port))
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    connection.setblocking(False)
    await asyncio.sleep(0.05)
    worker.door.shutdown(socket.SHUT_WR)
    with connection:
        answer = await asyncio.get_running_loop().sock_recv(connection, 4096)
    assert answer.startswith(b"HTTP/1.1 200 ")
    await asyncio.wait_for(worker.task, 20)
    assert worker.host.drained == [2]  # type: ignore[attr-defined]


async def test_an_order_to_end_at_once(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = front.workers[0]

    async def never(timeout_s: float) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(worker.host, "drain", never)
    worker.tell({"stop": 1})
    await asyncio.sleep(0.05)
    assert not worker.task.done()
    worker.tell({"stop": 2})
    worker.door.close()
    await asyncio.wait_for(worker.task, 20)


async def test_when_the_front_is_gone_it_ends_after_its_calls(front: Front) -> None:
    worker = front.workers[0]
    worker.close()
    await asyncio.wait_for(worker.task, 20)
    assert worker.host.drained == [2]  # type: ignore[attr-defined]


async def test_a_front_that_says_something_strange_is_a_front_that_is_gone(
    front: Front, caplog: pytest.LogCaptureFixture
) -> None:
    worker = front.workers[0]
    worker.control.send(b"{\n")
    await asyncio.wait_for(worker.task, 20)
    assert "something strange" in caplog.text


async def test_a_connection_for_which_there_is_no_file_is_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    taken: list[socket.socket] = []
    door = Door(theirs, taken.append)
    told: list[tuple[bytes, list[int], int, None]] = [
        (b"\0", [], socket.MSG_CTRUNC, None),
        (b"", [], 0, None),
    ]
    monkeypatch.setattr(socket, "recv_fds", lambda *_: told.pop(0))
    door.open()
    ours.send(b"\0")
    await door.aclose()
    ours.close()
    assert "no more files" in caplog.text
    assert taken == []
