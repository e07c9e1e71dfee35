"""HTTP for providers: a client, server-sent events, and errors as `ProviderError`.

Every wait is bounded: connecting by the client, each event of a stream by its reader.
"""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from antiphon.errors import ProviderError

MAX_EVENT_CHARS = 1024 * 1024
"""A server-sent event larger than this is not one."""
MAX_ERROR_BYTES = 16 * 1024

_RETRYABLE = frozenset({408, 409, 425, 429})


def open_client(base_url: str, *, connect_ms: int, headers: dict[str, str]) -> httpx.AsyncClient:
    """A client for one server. Reading has no time limit of its own: its readers set theirs.

    The proxies of the environment are not used for a server on this machine.
    """
    connect_s = connect_ms / 1000
    return httpx.AsyncClient(
        base_url=base_url.rstrip("/") + "/",
        headers=headers,
        timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
        limits=httpx.Limits(
            max_connections=200, max_keepalive_connections=20, keepalive_expiry=300
        ),
        trust_env=not is_loopback(base_url),
        # Reading the certificates takes 20 ms of the event loop; redirects are not followed, so a
        # plain address never needs them.
        verify=not base_url.startswith("http://"),
    )


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def transport_errors(provider: str, what: str) -> Iterator[None]:
    """Turn failures of the connection into a retryable ProviderError.

    Args:
        what: what is being talked to, such as `the server at http://127.0.0.1:8080/v1`.
    """
    try:
        yield
    except httpx.ConnectTimeout:
        raise ProviderError(f"{what} does not answer", provider=provider, retryable=True) from None
    except httpx.ConnectError as error:
        raise ProviderError(
            f"{what} cannot be reached: {error}", provider=provider, retryable=True
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ProviderError(
            f"{what} is not an address: {error}", provider=provider, retryable=False
        ) from None
    except (httpx.HTTPError, httpx.StreamError) as error:
        # A connection that breaks gives errors with no text more often than not.
        reason = str(error) or type(error).__name__
        raise ProviderError(
            f"the connection to {what} broke: {reason}", provider=provider, retryable=True
        ) from None


async def send(
    client: httpx.AsyncClient, request: httpx.Request, provider: str, *, within_ms: int
) -> httpx.Response:
    """Send a request and wait for the head of its response, whose body is then to be streamed.

    A kept connection that the server has closed meanwhile is replaced: nothing has been answered on
    it, so the request is made once more. Close the response.

    Raises:
        ProviderError: retryable, when the time is over.
        httpx.HTTPError: see `transport_errors`.
    """
    try:
        async with asyncio.timeout(within_ms / 1000):
            try:
                return await client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                return await client.send(request, stream=True)
    except TimeoutError:
        raise _too_late(provider, within_ms) from None


async def read_body(response: httpx.Response, provider: str, *, within_ms: int) -> bytes:
    """The whole body of a small response; raises like `send`, and when it is over 1 MB."""
    body = b""
    try:
        async with asyncio.timeout(within_ms / 1000):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_EVENT_CHARS:
                    message = "an answer of more than 1 MB"
                    raise ProviderError(message, provider=provider, retryable=False)
    except TimeoutError:
        raise _too_late(provider, within_ms) from None
    return body


def _too_late(provider: str, within_ms: int) -> ProviderError:
    message = f"no answer within {within_ms / 1000:g} s"
    return ProviderError(message, provider=provider, retryable=True)


async def status_error(provider: str, response: httpx.Response, *, within_ms: int) -> ProviderError:
    """A ProviderError of a response that is not a success, with what the server says of it."""
    text = await _body_start(response, within_ms)
    status = response.status_code
    after = response.headers.get("retry-after")
    message = f"HTTP {status}: {error_message(text) or response.reason_phrase}"
    retryable = status in _RETRYABLE or status >= 500
    if after and retryable:
        message += f" (retry-after: {after[:40]})"
    return ProviderError(message, provider=provider, retryable=retryable, status=status)


def error_message(body: str) -> str:
    """The sentence in an error's body: OpenAI's and its imitators' shapes, else its beginning."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return " ".join(body.split())[:200]
    for key in ("error", "detail", "message"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    return " ".join((value if isinstance(value, str) else json.dumps(value)).split())[:300]


async def sse_data(
    response: httpx.Response, provider: str, *, first_ms: int, idle_ms: int
) -> AsyncGenerator[str, None]:
    """The data of each server-sent event of a stream.

    Comments and events without data do not count as a sign of life: a proxy that keeps a dead
    stream warm is found out.

    Args:
        first_ms: longest wait for the first event.
        idle_ms: longest wait for each further one.

    Raises:
        ProviderError: retryable, when a wait is over.
    """
    limit_ms = first_ms
    async with aclosing(_events(response, provider)) as events:
        while True:
            try:
                async with asyncio.timeout(limit_ms / 1000):
                    data = await anext(events, None)
            except TimeoutError:
                raise _too_late(provider, limit_ms) from None
            if data is None:
                return
            limit_ms = idle_ms
            yield data


async def _events(response: httpx.Response, provider: str) -> AsyncGenerator[str, None]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html, the `data` field only."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest, data, size = "", list[str](), 0
    async for raw in response.aiter_bytes():
        *lines, rest = (rest + decoder.decode(raw)).split("\n")
        size += len(raw)
        for line in lines:
            line = line.removesuffix("\r")
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data, size = [], 0
        if size > MAX_EVENT_CHARS:
            raise ProviderError("an event without end", provider=provider, retryable=False)
    # Some servers leave out the empty line after the last event.
    if rest.startswith("data:"):
        data.append(rest[5:].strip())
    if data:
        yield "\n".join(data)


async def _body_start(response: httpx.Response, within_ms: int) -> str:
    body = b""
    try:
        async with asyncio.timeout(within_ms / 1000):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ERROR_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        # The status says enough when its explanation does not arrive.
        return ""
    return body.decode("utf-8", "replace")
