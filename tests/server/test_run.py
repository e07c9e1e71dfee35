"""Start, ports and the graceful end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import httpx
import pytest
from tests.support.fake_host import FakeHost

from antiphon.errors import UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.server.run import Stop, run, stop_signals
from antiphon.server.settings import ServerSettings


async def test_from_start_to_sigterm() -> None:
    host = FakeHost()
    ready: asyncio.Queue[ServerSettings] = asyncio.Queue()
    settings = ServerSettings(port=0, drain_s=3)
    task = asyncio.create_task(run(host, settings, ready.put_nowait, Metrics()))
    async with asyncio.timeout(20):
        opened = await ready.get()
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{opened.port}/readyz")
        assert answer.status_code == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await task
    assert host.drained == [3]
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{opened.port}/readyz")


async def test_a_second_signal_ends_at_once() -> None:
    class Stubborn(FakeHost):
        async def drain(self, timeout_s: float) -> None:
            await asyncio.Event().wait()

    ready: asyncio.Queue[ServerSettings] = asyncio.Queue()
    task = asyncio.create_task(run(Stubborn(), ServerSettings(port=0), ready.put_nowait, Metrics()))
    async with asyncio.timeout(20):
        await ready.get()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        assert not task.done()
        os.kill(os.getpid(), signal.SIGINT)
        await task


async def test_a_server_that_still_starts_is_stopped_at_once() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Slow(FakeHost):
        async def start(self) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    ready: asyncio.Queue[ServerSettings] = asyncio.Queue()
    task = asyncio.create_task(run(Slow(), ServerSettings(port=0), ready.put_nowait, Metrics()))
    async with asyncio.timeout(20):
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await task
    assert ended.is_set()
    assert ready.empty()


async def test_signals_where_the_loop_knows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise NotImplementedError

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", unknown)
    monkeypatch.setattr(loop, "remove_signal_handler", unknown)
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await stop.asked.wait()
        assert not stop.at_once.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(20):
            await stop.at_once.wait()
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_supervisor_that_cannot_start() -> None:
    class Broken(FakeHost):
        async def start(self) -> None:
            raise UserFacingError("no voice is installed")

    with pytest.raises(UserFacingError, match="no voice"):
        async with asyncio.timeout(20):
            await run(Broken(), ServerSettings(port=0), lambda _: None, Metrics())


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserFacingError, match=rf"Port {port} is taken.*--port {port + 1}"):
            await run(FakeHost(), ServerSettings(port=port), lambda _: None, Metrics())


async def test_an_address_that_is_not_ours() -> None:
    for host in ("203.0.113.7", "no.such.host.invalid"):
        with pytest.raises(UserFacingError):
            await run(FakeHost(), ServerSettings(host=host, port=0), lambda _: None, Metrics())
