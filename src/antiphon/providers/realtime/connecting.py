"""Opening a vendor's connection and shaking hands, within one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed

from antiphon.errors import ProviderError, UserFacingError
from antiphon.net.ws import Socket, closed_errors, connect
from antiphon.providers.realtime.sending import decoded
from antiphon.providers.realtime.wire import Wire

CLOSE_S = 0.5


def ws_address(url: str) -> str:
    """An address as a WebSocket's.

    Raises:
        UserFacingError: it is none.
    """
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise UserFacingError(f"`{url}` is not an address such as https://127.0.0.1:8080/v1")
    return parts._replace(scheme=scheme).geturl().rstrip("/")


async def opened(
    url: str,
    provider: str,
    greet: Callable[[Socket], Awaitable[Wire]],
    *,
    headers: Mapping[str, str],
    within_ms: int,
    final_codes: frozenset[int] = frozenset(),
) -> tuple[Socket, Wire]:
    """A connection on which `greet` has said and been told what is needed before a conversation.

    Raises:
        ProviderError: no connection, a refusal, or no answer in time.
    """
    begun = asyncio.get_running_loop().time()
    socket = await connect(url, provider, headers=headers, within_ms=within_ms)
    left_s = within_ms / 1000 - (asyncio.get_running_loop().time() - begun)
    done = False
    try:
        # The deadline's own error is an OSError, too.
        async with asyncio.timeout(max(0.01, left_s)):
            with closed_errors(provider, final_codes):
                wire = await greet(socket)
        done = True
        return socket, wire
    except TimeoutError:
        message = f"no session within {within_ms} ms"
        raise ProviderError(message, provider=provider, retryable=True) from None
    finally:
        if not done:
            await leave(socket)


async def leave(socket: Socket) -> None:
    """Say goodbye to a peer that may not answer it, and be gone in any case."""
    try:
        with suppress(TimeoutError, OSError, ConnectionClosed):
            async with asyncio.timeout(CLOSE_S):
                await socket.close()
    finally:
        socket.transport.abort()


async def message(socket: Socket, provider: str) -> dict[str, Any]:
    """The vendor's next message that is JSON; sound before the conversation is none of ours."""
    while isinstance(frame := await socket.recv(), bytes) and not frame.startswith(b"{"):
        pass
    return decoded(frame, provider)
