"""What stands before a server in a container: each datagram to a published port goes on inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

Address = tuple[str, int]


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._received(data, (addr[0], addr[1]))


class _Port:
    """One published port; each caller has a socket of their own inside."""

    def __init__(self, inside: Address) -> None:
        self.inside = inside
        self.outside: asyncio.DatagramTransport | None = None
        self.ways: dict[Address, asyncio.Task[asyncio.DatagramTransport]] = {}
        self.passed = 0

    def received(self, data: bytes, caller: Address) -> None:
        self.passed += 1
        if caller not in self.ways:
            self.ways[caller] = asyncio.create_task(self._open(caller))
        self.ways[caller].add_done_callback(lambda way: way.result().sendto(data))

    async def _open(self, caller: Address) -> asyncio.DatagramTransport:
        def back(data: bytes, _: Address) -> None:
            cast(asyncio.DatagramTransport, self.outside).sendto(data, caller)

        loop = asyncio.get_running_loop()
        way, _ = await loop.create_datagram_endpoint(lambda: _Socket(back), remote_addr=self.inside)
        return way


@asynccontextmanager
async def published(outside: str, inside: str, low: int, high: int) -> AsyncIterator[list[_Port]]:
    """The UDP ports `low` to `high` of one address, led to the same ports of another."""
    ports = []
    loop = asyncio.get_running_loop()
    for number in range(low, high + 1):
        port = _Port((inside, number))
        port.outside, _ = await loop.create_datagram_endpoint(
            lambda port=port: _Socket(port.received),  # type: ignore[misc]
            local_addr=(outside, number),
        )
        ports.append(port)
    try:
        yield ports
    finally:
        for port in ports:
            cast(asyncio.DatagramTransport, port.outside).close()
            for way in port.ways.values():
                (await way).close()
