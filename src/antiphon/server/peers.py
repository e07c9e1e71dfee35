"""The workers of a server, as they reach each other: HTTP over sockets in a private folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

MOST_AT_ONCE = 100
"""Requests to one worker; more wait their turn."""
CONNECT_S = 2.0
TURN_S = 5.0
ASK_S = 60.0
"""For all of a request: the worker has deadlines of its own for what it does."""

Headers = Sequence[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1: these are about one connection, and the body is whole here.
_OWN = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"}
    | {b"upgrade", b"expect", b"content-length"}
)


class Absent(Exception):
    """The worker is not there."""


class Peers:
    """All workers of a server.

    Args:
        folder: of their sockets.
        me: this worker.
        count: of all.
    """

    def __init__(self, folder: Path, me: int, count: int) -> None:
        self._folder, self.me, self.count = folder, me, count
        self._transports: dict[int, httpx.AsyncHTTPTransport] = {}

    @property
    def others(self) -> tuple[int, ...]:
        return tuple(one for one in range(self.count) if one != self.me)

    def path(self, worker: int) -> Path:
        """A worker's socket."""
        return self._folder / f"w{worker}.sock"

    def door(self, worker: int) -> Path:
        """A worker's socket for connections that were handed to another one."""
        return self._folder / f"w{worker}.door"

    @asynccontextmanager
    async def ask(
        self, worker: int, method: str, target: bytes, headers: Headers, body: bytes = b""
    ) -> AsyncIterator[httpx.Response]:
        """A worker's answer, to be read as it comes; `target` is sent as it is.

        Raises:
            Absent: it is not there.
            httpx.HTTPError: it does not answer, or not to the end.
        """
        request = httpx.Request(
            method,
            "http://worker/",
            headers=[one for one in headers if one[0].lower() not in _OWN],
            content=body,
            # Signatures are made over the bytes of an address, which httpx might spell otherwise.
            extensions={
                "target": target,
                "timeout": {"connect": CONNECT_S, "pool": TURN_S, "read": ASK_S, "write": ASK_S},
            },
        )
        try:
            answer = await self._transport(worker).handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Absent from error
        try:
            yield answer
        finally:
            await answer.aclose()

    async def text(self, worker: int, path: str, timeout_s: float) -> str | None:
        """What a worker answers to a GET; None where it does not."""
        headers = ((b"host", b"127.0.0.1"),)
        try:
            async with asyncio.timeout(timeout_s):
                async with self.ask(worker, "GET", path.encode(), headers) as answer:
                    body = await answer.aread()
        except (Absent, httpx.HTTPError, TimeoutError):
            return None
        return body.decode() if answer.status_code == 200 else None

    async def aclose(self) -> None:
        """Close what is kept open."""
        for transport in self._transports.values():
            await transport.aclose()
        self._transports.clear()

    def _transport(self, worker: int) -> httpx.AsyncHTTPTransport:
        transport = self._transports.get(worker)
        if transport is None:
            limits = httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=8)
            transport = httpx.AsyncHTTPTransport(uds=str(self.path(worker)), limits=limits)
            self._transports[worker] = transport
        return transport
