"""What the adapters of language models over HTTP share: a POST whose answer is streamed as
server-sent events, its deadlines, and what is said when the server refuses."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.net.http import (
    open_client,
    read_body,
    send,
    sse_data,
    status_error,
    transport_errors,
)
from antiphon.providers.base import ProviderOptions
from antiphon.providers.secret import Secret

DONE: Final = "[DONE]"
"""OpenAI's and its imitators' last event, which is no JSON."""
_QUIET = frozenset({"ping", "keepalive"})
_NEVER_MS = 2**31
_END_MS = 100

_log = logging.getLogger("antiphon.llm")


class RequestOptions(ProviderOptions):
    """What can be said of a request whichever server answers it."""

    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest answer in tokens, thoughts included."
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the request, sent as they are."
    )
    connect_ms: int = Field(default=2000, ge=10, le=60_000, description="Longest connecting.")
    first_token_ms: int = Field(
        default=8000, ge=10, le=600_000, description="Longest wait for the answer's beginning."
    )
    idle_ms: int = Field(
        default=5000, ge=10, le=600_000, description="Longest wait between two pieces of it."
    )


class GenerationOptions(RequestOptions):
    """Options of a request whose randomness can be set."""

    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the answers; the server's when absent."
    )


def an_address(value: str | None) -> str | None:
    """A validator of `base_url`."""
    if value is not None and not (
        value.startswith(("http://", "https://")) and urlsplit(value).hostname
    ):
        raise ValueError(f"`{value}` is not an address such as http://127.0.0.1:8080/v1")
    return value


class Endpoint:
    """A server, and the open connections to it.

    Args:
        provider: the adapter's registry name, for errors.
        variable: where a user of this server keeps its key, for advice.
    """

    def __init__(
        self, provider: str, base_url: str, options: RequestOptions, variable: str
    ) -> None:
        self.provider, self.base_url = provider, base_url
        self._options, self._variable = options, variable
        self._key: Secret | None = None
        self._client: httpx.AsyncClient | None = None

    async def open(self, key: Secret | None, headers: Mapping[str, str]) -> None:
        """Make the client. `key` is the one in the headers, and is never told."""
        await self.aclose()
        self._key = key
        self._client = open_client(
            self.base_url, connect_ms=self._options.connect_ms, headers=dict(headers)
        )

    async def warm(self, path: str) -> None:
        """Open a connection, so that the first answer does not wait for it. A server that is not
        there yet, or refuses, is a warning: it may be there when it is needed."""
        try:
            await self.get(path, within_ms=self._options.connect_ms)
        except ProviderError as error:
            _log.warning("llm not ready", extra={"base_url": self.base_url, "error": str(error)})

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def get(self, path: str, within_ms: int | None = None) -> bytes:
        """The body of a small answer; `first_token_ms` is the longest wait when none is said."""
        within_ms = within_ms or self._options.first_token_ms
        response = await self._send("GET", path, None, within_ms)
        try:
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response, "")
            with transport_errors(self.provider, self.place):
                return await read_body(response, self.provider, within_ms=within_ms)
        finally:
            await response.aclose()

    async def events(
        self, path: str, body: Any, model: str, last: Callable[[Any], bool] = lambda value: False
    ) -> AsyncGenerator[Any, None]:
        """POST, and the value of each event of the answer; `DONE` for the last of OpenAI's.

        `first_token_ms` counts from the request; events of the types `ping` and `keepalive` are
        not given and do not count as signs of life. After an event for which `last` is true there
        are no more. Closing it closes the HTTP stream, which is how servers are told to stop.

        Raises:
            ProviderError: `retryable` for 429, 5xx, broken connections, silence and garbage.
        """
        clock = asyncio.get_running_loop().time
        limit_ms, over = self._options.first_token_ms, False
        ends = clock() + limit_ms / 1000
        async with self._post(path, body, model) as response:
            with transport_errors(self.provider, self.place):
                stream = sse_data(response, self.provider, first_ms=_NEVER_MS, idle_ms=_NEVER_MS)
                async with aclosing(stream):
                    while True:
                        try:
                            async with asyncio.timeout(max(0.001, ends - clock())):
                                data = await anext(stream, None)
                        except TimeoutError:
                            if over:
                                return
                            raise self.error(f"no answer within {limit_ms / 1000:g} s") from None
                        if data is None:
                            return
                        value = (
                            DONE if data.strip() == DONE else None if over else self._value(data)
                        )
                        if over or (isinstance(value, dict) and value.get("type") in _QUIET):
                            continue
                        yield value
                        over = last(value)
                        # Only a stream that is read to its end leaves its connection open for the
                        # next request.
                        limit_ms = _END_MS if over else self._options.idle_ms
                        ends = clock() + limit_ms / 1000

    def error(
        self, message: str, retryable: bool = True, status: int | None = None
    ) -> ProviderError:
        return ProviderError(message, provider=self.provider, retryable=retryable, status=status)

    def withheld(self, message: str) -> ProviderError:
        """The answer exists and is not given: another model may give one."""
        return ProviderError(message, provider=self.provider, retryable=False, blame="request")

    @property
    def place(self) -> str:
        return f"the server at {self.base_url}"

    def _value(self, data: str) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self.error(f"not JSON in the stream: {data[:80]!r}") from None

    @asynccontextmanager
    async def _post(self, path: str, body: Any, model: str) -> AsyncIterator[httpx.Response]:
        """The response of a request whose status is a success."""
        response = await self._send("POST", path, body, self._options.first_token_ms)
        try:
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response, model)
            kind = response.headers.get("content-type", "")
            if not kind.startswith("text/event-stream"):
                raise self.error(f"{self.place} did not stream its answer ({kind})", False)
            yield response
        finally:
            await response.aclose()

    async def _send(self, method: str, path: str, body: Any, within_ms: int) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("start() has not been called")
        request = self._client.build_request(method, path, json=body)
        with transport_errors(self.provider, self.place):
            return await send(self._client, request, self.provider, within_ms=within_ms)

    async def _refusal(self, response: httpx.Response, model: str) -> ProviderError:
        error = await status_error(self.provider, response, within_ms=1000)
        advice = ""
        if response.status_code in (401, 403):
            advice = self._key_advice()
        elif response.status_code == httpx.codes.NOT_FOUND and model:
            advice = f"; is `{model}` a model of {self.place}?"
        if not advice:
            return error
        text = str(error).removeprefix(f"{self.provider}: ") + advice
        return self.error(text, False, error.status)

    def _key_advice(self) -> str:
        if self._key is None:
            return (
                f"; no key was sent: set {self._variable} and write api_key: ${{{self._variable}}}"
            )
        return f"; the key is that of {self._key.variable or 'api_key'}"
