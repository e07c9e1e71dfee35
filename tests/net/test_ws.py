from __future__ import annotations

import socket as sockets

import pytest
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import FakeVendor

from antiphon.errors import ProviderError
from antiphon.net.ws import closed_errors, connect


class Echo(FakeVendor):
    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/echo", self._echo)]

    async def _echo(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        while noted and (data := await self.receive(socket, noted)) is not None:
            await self.send(socket, noted, data)


async def test_headers_arrive_and_messages_go_both_ways() -> None:
    async with Echo() as echo:
        socket = await connect(
            echo.ws_url + "/echo?a=1", "someone", headers={"X-Key": "k"}, within_ms=2000
        )
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await socket.send(b"\x01")
        assert await socket.recv() == b"\x01"
        await socket.close()
        assert echo.last.headers["x-key"] == "k"
        assert echo.last.query == [("a", "1")]


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (404, False), (429, True)])
async def test_a_refused_handshake_says_why(status: int, retryable: bool) -> None:
    async with Echo() as echo:
        echo.faults.status = status
        with pytest.raises(ProviderError, match=f"someone: HTTP {status}: refused") as caught:
            await connect(echo.ws_url + "/echo?key=secret", "someone", within_ms=2000)
        assert (caught.value.retryable, caught.value.status) == (retryable, status)


@pytest.mark.parametrize(("code", "retryable"), [(1011, True), (1008, False), (4001, False)])
async def test_a_closed_socket_says_why(code: int, retryable: bool) -> None:
    async with Echo() as echo:
        echo.faults.close_after, echo.faults.close_code = 1, code
        echo.faults.close_reason = "no more"
        socket = await connect(echo.ws_url + "/echo", "someone", within_ms=2000)
        await socket.send("hello")
        with (
            pytest.raises(ProviderError, match=f"closed with {code}: no more") as caught,
            closed_errors("someone", frozenset({4001})),
        ):
            await socket.recv()
        assert caught.value.retryable is retryable


async def test_nobody_there_and_nobody_answering() -> None:
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await connect("ws://127.0.0.1:9/x?key=secret", "someone", within_ms=2000)
    assert caught.value.retryable
    assert "secret" not in str(caught.value)
    with sockets.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        with pytest.raises(ProviderError, match="does not answer") as caught:
            await connect(f"ws://127.0.0.1:{port}/", "someone", within_ms=100)
        assert caught.value.retryable
    with pytest.raises(ProviderError, match="is not an address") as caught:
        await connect("http://127.0.0.1/", "someone", within_ms=100)
    assert not caught.value.retryable
