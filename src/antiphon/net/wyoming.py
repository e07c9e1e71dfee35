"""Wyoming, the protocol of local voice services: events over TCP or a Unix socket.

An event is one line of JSON (`type`, `version`, and the lengths of what follows), then its data as
JSON, then raw bytes (https://github.com/OHF-Voice/wyoming). Older peers put the data into the line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from antiphon.errors import ProviderError

MAX_JSON_BYTES = 4 * 1024 * 1024
"""A line or data larger than this are not an event's. A server with all voices describes itself in
half a megabyte."""
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

_VERSION = "1.10.2"
_CLOSE_S = 1.0
# JSON of this size takes 2 ms to read, and is read on a thread.
_LARGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `type` may be one that the reader does not know, and is then to be ignored."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""


@dataclass(slots=True)
class _Partial:
    """An event of which not everything has arrived."""

    type: str
    data: dict[str, Any]
    data_bytes: int
    payload_bytes: int
    raw_data: bytes | None = None


async def open(uri: str, provider: str, *, within_ms: int) -> Connection:
    """Connect to a server.

    Args:
        uri: `tcp://HOST:PORT` or `unix:///PATH`.
        provider: the name that errors carry.

    Raises:
        ProviderError: retryable, unless the address is wrong.
    """
    try:
        parts = urlsplit(uri)
        opening = _opening(parts)
    except ValueError as error:
        message = f"{uri} is not an address (tcp://HOST:PORT or unix:///PATH): {error}"
        raise ProviderError(message, provider=provider, retryable=False) from None
    try:
        async with asyncio.timeout(within_ms / 1000):
            reader, writer = await opening
    except TimeoutError:
        message = f"the server at {uri} does not answer"
        raise ProviderError(message, provider=provider, retryable=True) from None
    except OSError as error:
        message = f"the server at {uri} cannot be reached: {error}"
        raise ProviderError(message, provider=provider, retryable=True) from None
    return Connection(reader, writer, provider)


def _opening(parts: SplitResult) -> Any:
    if parts.scheme == "unix" and parts.path:
        return asyncio.open_unix_connection(parts.path, limit=MAX_JSON_BYTES)
    if parts.scheme == "tcp" and parts.hostname and parts.port:
        return asyncio.open_connection(parts.hostname, parts.port, limit=MAX_JSON_BYTES)
    raise ValueError("there is something missing")


class Connection:
    """One connection. One task may send while another receives."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, provider: str
    ) -> None:
        self._reader, self._writer, self._provider = reader, writer, provider
        self._partial: _Partial | None = None

    @property
    def closed(self) -> bool:
        """Whether it was closed by either side, as far as is known."""
        return self._writer.is_closing() or self._reader.at_eof()

    async def send(
        self,
        kind: str,
        data: Mapping[str, Any] | None = None,
        payload: bytes = b"",
        *,
        within_ms: int,
    ) -> None:
        """Send an event, and wait while the peer takes none.

        Raises:
            ProviderError: retryable; the connection is of no more use.
        """
        with self._failures(within_ms):
            if self._writer.is_closing():
                raise ConnectionResetError("it was closed")
            self._writer.write(encode(kind, data, payload))
            async with asyncio.timeout(within_ms / 1000):
                await self._writer.drain()

    async def recv(self, *, within_ms: int) -> Event:
        """The next event. One that was cut short by a cancellation or by its time is gone on with
        by the next call.

        Raises:
            ProviderError: nothing came in time, the peer closed (retryable), reports an error
                (retryable), or does not speak Wyoming (not retryable).
        """
        with self._failures(within_ms):
            async with asyncio.timeout(within_ms / 1000):
                event = await self._read()
        if event.type == "error":
            text = " ".join(str(event.data.get("text") or event.data.get("code") or "").split())
            raise self._error(f"the server says: {text[:300]}", True)
        return event

    async def aclose(self) -> None:
        """Close; what has been sent is delivered where the peer takes it within a second."""
        if self._writer.is_closing():
            return
        self._writer.close()
        try:
            # What is cancelled or too late drops the rest at once.
            with suppress(OSError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._writer.wait_closed()
        finally:
            self._writer.transport.abort()

    async def _read(self) -> Event:
        if self._partial is None:
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise asyncio.IncompleteReadError(line, None)
            self._partial = _head(line)
        partial = self._partial
        # What has been taken from the reader is kept in `partial` before the next wait.
        if partial.raw_data is None:
            partial.raw_data = await self._reader.readexactly(partial.data_bytes)
        if partial.raw_data:
            partial.data |= await _parse(partial.raw_data)
            partial.raw_data = b""
        payload = await self._reader.readexactly(partial.payload_bytes)
        self._partial = None
        return Event(partial.type, partial.data, payload)

    @contextmanager
    def _failures(self, within_ms: int) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise self._error(f"no answer within {within_ms / 1000:g} s", True) from None
        except asyncio.IncompleteReadError:
            raise self._error("the server closed the connection", True) from None
        except OSError as error:
            reason = str(error) or type(error).__name__
            raise self._error(f"the connection broke: {reason}", True) from None
        except (ValueError, RecursionError) as error:
            raise self._error(f"the server does not speak Wyoming: {error}", False) from None

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider=self._provider, retryable=retryable)


def encode(kind: str, data: Mapping[str, Any] | None = None, payload: bytes = b"") -> bytes:
    """An event as it is on the wire."""
    head: dict[str, Any] = {"type": kind, "version": _VERSION}
    body = json.dumps(dict(data), ensure_ascii=False).encode() if data else b""
    if body:
        head["data_length"] = len(body)
    if payload:
        head["payload_length"] = len(payload)
    return json.dumps(head).encode() + b"\n" + body + payload


def _head(line: bytes) -> _Partial:
    head = json.loads(line)
    if not isinstance(head, dict) or not isinstance(head.get("type"), str):
        raise ValueError("a line without a type")
    data = head.get("data") or {}
    if not isinstance(data, dict):
        raise ValueError("data that is no object")
    return _Partial(
        head["type"],
        data,
        _length(head, "data_length", MAX_JSON_BYTES),
        _length(head, "payload_length", MAX_PAYLOAD_BYTES),
    )


def _length(head: dict[str, Any], key: str, most: int) -> int:
    value = head.get(key) or 0
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"a {key} of {str(value)[:20]}")
    return value


async def _parse(raw: bytes) -> dict[str, Any]:
    value = await asyncio.to_thread(json.loads, raw) if len(raw) > _LARGE_BYTES else json.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("data that is no object")
    return value
