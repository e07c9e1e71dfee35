"""A network between a client and a server on TCP, which can be away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class TcpProxy:
    """Carries bytes both ways while `works` is set; what comes meanwhile waits."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.works = asyncio.Event()
        self.works.set()
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                await self.works.wait()
                target.write(data)
                await target.drain()
        target.close()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def through(url: str) -> AsyncIterator[TcpProxy]:
    """A proxy before a server on 127.0.0.1; its `url` is to be used instead."""
    proxy = TcpProxy(urlsplit(url).port or 80)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        proxy.close()
        server.close()
