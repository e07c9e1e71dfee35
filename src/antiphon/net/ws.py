"""WebSockets for providers: connecting within a deadline, and errors as `ProviderError`."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)
from websockets.typing import Subprotocol

from antiphon.errors import ProviderError
from antiphon.net.http import error_message, is_loopback

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
PING_S = 5.0
"""A peer that answers no ping within two of these is gone, whatever the network says."""

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_FINAL_CODES = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
"""Closing codes that say that the request was wrong: the same one would be refused again."""

Socket = ClientConnection

_contexts: dict[tuple[str, str], ssl.SSLContext] = {}


async def connect(
    url: str,
    provider: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    within_ms: int,
    ping_s: float | None = PING_S,
) -> Socket:
    """Open a WebSocket. Reads are not bounded: the readers set their own deadlines.

    Args:
        ping_s: how often the peer is pinged; None for one that does not answer pings.

    Raises:
        ProviderError: `retryable` unless the server refuses the request itself (401, 403, 404).
    """
    try:
        async with asyncio.timeout(within_ms / 1000):
            return await ws_connect(
                url,
                additional_headers=dict(headers or {}),
                subprotocols=[Subprotocol(one) for one in subprotocols] or None,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                ping_interval=ping_s,
                ping_timeout=ping_s,
                close_timeout=1,
                open_timeout=None,
                proxy=None if is_loopback(url) else True,
                ssl=await _certificates() if url.startswith("wss:") else None,
            )
    except TimeoutError:
        raise _error(provider, f"{_place(url)} does not answer", True) from None
    except InvalidStatus as refusal:
        status, body = refusal.response.status_code, bytes(refusal.response.body or b"")
        text = error_message(body.decode("utf-8", "replace")) or refusal.response.reason_phrase
        retryable = status in _RETRYABLE_STATUS or status >= 500
        raise ProviderError(
            f"HTTP {status}: {text}", provider=provider, retryable=retryable, status=status
        ) from None
    except InvalidURI as error:
        raise _error(provider, f"{_place(url)} is not an address: {error}", False) from None
    except (OSError, InvalidMessage) as error:
        reason = str(error) or type(error).__name__
        raise _error(provider, f"{_place(url)} cannot be reached: {reason}", True) from None
    except (InvalidHandshake, WebSocketException) as error:
        raise _error(provider, f"{_place(url)} speaks no WebSocket: {error}", False) from None


@contextmanager
def closed_errors(provider: str, final_codes: frozenset[int] = frozenset()) -> Iterator[None]:
    """Turn the loss of a WebSocket into a ProviderError.

    Args:
        final_codes: the vendor's own closing codes after which trying again is of no use.
    """
    try:
        yield
    except ConnectionClosed as closed:
        raise closed_error(provider, closed, final_codes) from None
    except OSError as error:
        reason = str(error) or type(error).__name__
        raise _error(provider, f"the connection broke: {reason}", True) from None


def closed_error(
    provider: str, closed: ConnectionClosed, final_codes: frozenset[int] = frozenset()
) -> ProviderError:
    """What a closed WebSocket means."""
    frame = closed.rcvd or closed.sent
    if frame is None:
        return _error(provider, "the connection broke", True)
    reason = f": {frame.reason}" if frame.reason else ""
    final = frame.code in _FINAL_CODES or frame.code in final_codes
    return _error(provider, f"the connection was closed with {frame.code}{reason}", not final)


async def _certificates() -> ssl.SSLContext:
    """Who is trusted. Reading the certificates takes some 20 ms, so it is done once, elsewhere."""
    # A test's own authority is named by these.
    named = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    if named not in _contexts:
        _contexts.clear()
        _contexts[named] = await asyncio.to_thread(ssl.create_default_context)
    return _contexts[named]


def _place(url: str) -> str:
    """The server of a URL, without its query: keys may be in it."""
    parts = urlsplit(url)
    return f"the server at {parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _error(provider: str, message: str, retryable: bool) -> ProviderError:
    return ProviderError(message, provider=provider, retryable=retryable)
