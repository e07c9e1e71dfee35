"""Calls by text, over a real WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.fake_host import FakeHost
from tests.support.live import serving
from tests.support.rtc_client import typed
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


async def test_a_conversation() -> None:
    host = FakeHost()
    async with serving(host) as url, connect(_text(url)) as socket:
        created = await until(socket, "session.created")
        assert created["session"]["channel"] == "text"
        await until(socket, "response.done")
        await socket.send(json.dumps(typed("two lattes")))
        answer = await until(socket, "response.output_audio_transcript.done")
        assert answer["transcript"] == "You wrote two lattes."
        await socket.send("rubbish")
        assert (await until(socket, "error"))["error"]["message"]
        await socket.send(json.dumps({"type": "antiphon.hang_up"}))
        assert (await until(socket, "antiphon.session.ended"))["reason"] == "caller hung up"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert host.active_calls == 0


async def test_a_closed_page_ends_the_call() -> None:
    host = FakeHost()
    async with serving(host) as url:
        async with connect(_text(url) + "?agent=Clinic") as socket:
            await until(socket, "session.created")
        async with asyncio.timeout(20):
            await host.sessions[0].wait_closed()
        assert host.sessions[0].agent == "Clinic"
        assert host.sessions[0].hung_up[0] == "caller closed the connection"


async def test_refusals_are_events() -> None:
    host = FakeHost(max_calls=0)
    async with serving(host) as url:
        async with connect(_text(url)) as socket:
            assert (await until(socket, "error"))["error"]["type"] == "capacity_error"
        async with connect(_text(url) + "?agent=Bank") as socket:
            error = (await until(socket, "error"))["error"]
            assert error["type"] == "invalid_request_error"
            assert "Bank" in error["message"]


async def test_pages_of_other_sites_get_no_conversation() -> None:
    host = FakeHost()
    async with serving(host) as url:
        with pytest.raises(InvalidStatus):
            async with connect(_text(url), origin="https://evil.example"):  # type: ignore[arg-type]
                pass
    assert not host.sessions


async def test_a_server_that_stops_ends_its_conversations() -> None:
    host = FakeHost()
    async with serving(host) as url, connect(_text(url)) as socket:
        await until(socket, "session.created")
        await host.drain(0)
        assert (await until(socket, "antiphon.session.ended"))["reason"] == "server stopped"


def _text(url: str) -> str:
    return url.replace("http", "ws") + "/api/text"
