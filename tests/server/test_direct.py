"""Media streams without the detour through ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from antiphon.channels.phone import wire as wire_module
from antiphon.channels.phone.wire import MAX_UNSENT, SocketWire, Wire
from antiphon.server import direct as module
from antiphon.server.direct import DirectWire, open_wire
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings


class Served:
    """A server of wires of one kind; `heard` is what the application does with a message."""

    def __init__(self, kind: str) -> None:
        self.kind, self.port = kind, 0
        self.wires: list[Wire] = []
        self.got: list[str | bytes] = []
        self.firsts: list[str | bytes | None] = []
        self.ended: list[str] = []
        self.answer: Callable[[Wire, str | bytes], None] = lambda wire, message: None

    async def endpoint(self, websocket: WebSocket) -> None:
        await websocket.accept()
        wire = open_wire(websocket) if self.kind == "direct" else SocketWire(websocket)
        assert isinstance(wire, DirectWire if self.kind == "direct" else SocketWire)
        self.wires.append(wire)
        self.firsts.append(await wire.first())
        await asyncio.sleep(0.02)

        def heard(message: str | bytes) -> None:
            self.got.append(message)
            self.answer(wire, message)

        try:
            await wire.run(heard)
            self.ended.append("ended")
        except* ValueError:
            self.ended.append("broken")

    async def connect(self) -> ClientConnection:
        return await connect(f"ws://127.0.0.1:{self.port}/", proxy=None)


@pytest.fixture(params=["direct", "ordinary"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    one = Served(request.param)
    listener = listen(ServerSettings(port=0))
    app = Starlette(routes=[WebSocketRoute("/", one.endpoint)])
    server = uvicorn.Server(http_config(app))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    one.port = listener.getsockname()[1]
    yield one
    server.should_exit = True
    async with asyncio.timeout(20):
        await task
    listener.close()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_messages_come_in_order_also_those_that_were_early(served: Served) -> None:
    async with await served.connect() as socket:
        sent = [f"message {number}" for number in range(50)]
        for message in sent:
            await socket.send(message)
        await socket.send(b"\x00\xff")
        await until(lambda: len(served.got) == 50)
    assert [*served.firsts, *served.got] == [*sent, b"\x00\xff"]
    await until(lambda: served.ended == ["ended"])


async def test_messages_go_out_in_order_and_closing_comes_after_them(served: Served) -> None:
    async with await served.connect() as socket:
        await socket.send("first")
        await until(lambda: served.firsts)

        def answer(wire: Wire, message: str | bytes) -> None:
            for number in range(20):
                wire.send(f"{number}")
            wire.send(b"\x01")
            wire.close(1008, "enough")
            wire.close(1000)
            wire.send("too late")

        served.answer = answer
        await socket.send("second")
        got = [await socket.recv() for _ in range(21)]
        assert got == [*(f"{number}" for number in range(20)), b"\x01"]
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "enough")
    await until(lambda: served.ended == ["ended"])


async def test_closed_before_its_first_word(served: Served) -> None:
    socket = await served.connect()
    await socket.close()
    await until(lambda: served.firsts)
    assert served.firsts == [None]
    await until(lambda: served.ended)


async def test_who_closed_and_how(served: Served) -> None:
    for code in (1000, 4000):
        async with await served.connect() as socket:
            await socket.send("first")
            await until(lambda: len(served.wires) == len(served.firsts))
            await socket.close(code)
        await until(lambda: len(served.ended) == len(served.wires))
    socket = await served.connect()
    await socket.send("first")
    await until(lambda: len(served.firsts) == 3)
    served.wires[2].close(1008)
    await until(lambda: len(served.ended) == 3)
    assert [wire.closed_with for wire in served.wires] == [1000, 4000, None]
    await socket.close()


async def test_pings_are_answered_where_the_server_can_ask(served: Served) -> None:
    pongs: list[bytes] = []
    async with await served.connect() as socket:
        await socket.send("first")
        await until(lambda: served.firsts)
        served.wires[0].ponged = pongs.append
        asked = served.wires[0].ping(b"\0\0\0\1")
        assert asked == (served.kind == "direct")
        if asked:
            await until(lambda: pongs == [b"\0\0\0\1"])
        await socket.pong(b"nobody asked")
        await socket.send("second")
        await until(lambda: served.got)
    await until(lambda: served.ended)
    served.wires[0].ping(b"too late")


async def test_a_fragmented_message_is_one(served: Served) -> None:
    async with await served.connect() as socket:
        await socket.send("first")
        await until(lambda: served.firsts)
        await asyncio.sleep(0.05)
        await socket.send(["a", "b", "c"])
        await until(lambda: served.got)
    assert served.got == ["abc"]


async def test_an_application_that_breaks_ends_its_own_call(served: Served) -> None:
    def answer(wire: Wire, message: str | bytes) -> None:
        raise ValueError("a mistake")

    served.answer = answer
    async with await served.connect() as socket:
        await socket.send("first")
        await socket.send("second")
        await until(lambda: served.ended == ["broken"])


async def test_the_other_side_takes_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STUCK_S", 0.1)
    monkeypatch.setattr(wire_module, "STUCK_S", 0.1)
    socket = await served.connect()
    await socket.send("first")
    await until(lambda: served.firsts)
    await asyncio.sleep(0.05)
    socket.transport.pause_reading()
    for _ in range(400):
        served.wires[0].send("x" * 60_000)
        await asyncio.sleep(0)
    await until(lambda: served.ended)
    socket.transport.abort()


def test_the_bound_of_the_ordinary_one() -> None:
    assert MAX_UNSENT == 256
