"""A company's REST interface: one client, one deadline, errors as ProviderError."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx

from antiphon.errors import ProviderError
from antiphon.net.http import open_client, read_body, status_error, transport_errors

CONNECT_MS = 5_000
ANSWER_MS = 10_000


class Rest:
    """Requests are made once and never repeated: a repeated one could be a second call."""

    def __init__(self, provider: str, base_url: str, headers: dict[str, str] | None = None) -> None:
        self._provider, self._base_url = provider, base_url
        self._client = open_client(base_url, connect_ms=CONNECT_MS, headers=headers or {})

    async def call(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        form: Mapping[str, str | list[str]] | None = None,
        headers: dict[str, str] | None = None,
        fine: frozenset[int] = frozenset(),
    ) -> dict[str, Any]:
        """The JSON object that is answered; empty when there is none.

        Args:
            path: relative to the base URL, without a slash at its beginning.
            fine: statuses that are no error, besides 2xx; answered with an empty object.

        Raises:
            ProviderError: the company refused, or cannot be reached.
        """
        request = self._client.build_request(
            method, path, json=json_body, data=dict(form) if form else None, headers=headers
        )
        with transport_errors(self._provider, f"the server at {self._base_url}"):
            answer = await self._send(request)
            try:
                if answer.status_code in fine:
                    return {}
                if not answer.is_success:
                    raise await status_error(self._provider, answer, within_ms=ANSWER_MS)
                body = await read_body(answer, self._provider, within_ms=ANSWER_MS)
            finally:
                await answer.aclose()
        return _object(body)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            async with asyncio.timeout(ANSWER_MS / 1000):
                return await self._client.send(request, stream=True)
        except TimeoutError:
            message = f"no answer within {ANSWER_MS // 1000} s"
            raise ProviderError(message, provider=self._provider, retryable=True) from None

    async def aclose(self) -> None:
        await self._client.aclose()


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def found(value: Mapping[str, Any], provider: str, *keys: str) -> str:
    """The name of a call that was made: the first of these keys, here or under `data` or `Call`.

    Raises:
        ProviderError: there is none; the call may be under way all the same.
    """
    for place in (value, value.get("data"), value.get("Call")):
        if not isinstance(place, dict):
            continue
        for key in keys:
            if isinstance(name := place.get(key), str) and name:
                return name
    message = "the call was accepted, but its name was not told"
    raise ProviderError(message, provider=provider, retryable=False)
