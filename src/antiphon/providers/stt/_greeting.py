"""What adapters of vendors with a WebSocket share: connecting until it is ready, JSON, silence."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from antiphon.errors import ProviderError
from antiphon.net.ws import Socket, closed_errors
from antiphon.net.ws import connect as ws_connect
from antiphon.providers.stt.options import websocket_url
from antiphon.providers.stt.wire import Frame
from antiphon.types import INPUT_RATE_HZ

BYTES_PER_MS = INPUT_RATE_HZ * 2 // 1000
_MARKS = 64


async def connect_and_greet(
    url: str,
    name: str,
    *,
    headers: Mapping[str, str],
    within_ms: int,
    is_ready: Callable[[dict[str, Any]], bool],
    hello: str = "",
    final_codes: frozenset[int] = frozenset(),
) -> Socket:
    """Open a WebSocket, say `hello`, and read messages until one says that audio may come.

    Args:
        is_ready: whether a message says so; raises ProviderError for one that refuses.
        within_ms: longest wait for all of it.

    Raises:
        ProviderError: as `net.ws.connect`, or the vendor said no, or nothing.
    """
    begun = asyncio.get_running_loop().time()
    socket = await ws_connect(url, name, headers=headers, within_ms=within_ms)
    try:
        async with asyncio.timeout_at(begun + within_ms / 1000):
            with closed_errors(name, final_codes):
                if hello:
                    await socket.send(hello)
                while not is_ready(json_object(await socket.recv(), name)):
                    pass
    except TimeoutError:
        socket.transport.abort()
        raise ProviderError(
            f"it did not begin within {within_ms} ms", provider=name, retryable=True
        ) from None
    except BaseException:
        socket.transport.abort()
        raise
    return socket


def json_object(frame: Frame, name: str) -> dict[str, Any]:
    """The JSON object of a frame."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ProviderError("a message that is no JSON object", provider=name, retryable=True)
    return message


def address(
    base_url: str, path: str, query: Sequence[tuple[str, str]], extra: Mapping[str, str]
) -> str:
    """The address of a WebSocket; `extra` replaces what is in `query`."""
    pairs = [*((key, value) for key, value in query if key not in extra), *extra.items()]
    return f"{websocket_url(base_url)}{path}?{urlencode(pairs)}"


def flag(value: bool) -> str:
    """A boolean in a query."""
    return "true" if value else "false"


def in_ms(seconds: float) -> int:
    """Seconds of a vendor's clock."""
    return round(float(seconds) * 1000)


class Clock:
    """Positions in what a vendor was sent, where some of it was silence of the adapter's own."""

    def __init__(self) -> None:
        self.sent_ms = 0
        self._added_ms = 0
        self._silences: deque[tuple[int, int, int]] = deque(maxlen=_MARKS)

    def audio(self, pcm: bytes) -> None:
        self.sent_ms += len(pcm) // BYTES_PER_MS

    def silence(self, ms: int) -> bytes:
        """PCM to add."""
        begun_ms, self.sent_ms = self.sent_ms, self.sent_ms + ms
        self._added_ms += ms
        self._silences.append((begun_ms, self.sent_ms, self._added_ms))
        return bytes(ms * BYTES_PER_MS)

    def ours(self, position_ms: int) -> int:
        """Where a position of the vendor's lies in the caller's audio alone."""
        before_ms = 0  # silence that was added before it
        for begun_ms, ended_ms, added_ms in reversed(self._silences):
            before_ms = added_ms - (ended_ms - begun_ms)
            if position_ms >= ended_ms:
                return position_ms - added_ms
            if position_ms >= begun_ms:
                return begun_ms - before_ms
        return position_ms - before_ms
