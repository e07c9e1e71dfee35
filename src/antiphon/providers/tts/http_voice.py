"""A voice behind HTTP: one request for each segment, its sound in the body of the response.

The request for the next segment is under way while the sound of the one before is read, so that no
gap is heard between them. What the server makes before it is read waits in the network: nothing is
kept here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import httpx

from antiphon.errors import ProviderError
from antiphon.net.http import open_client, read_body, send, status_error, transport_errors
from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.tts.options import speakable

_log = logging.getLogger("antiphon.tts")
_NOT_SOUND = ("application/json", "text/")

Build = Callable[[httpx.AsyncClient, str], httpx.Request]
"""Makes the request for a text."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Longest waits: for a connection, for the first sound of a segment, between two pieces."""

    connect_ms: int
    first_audio_ms: int
    idle_ms: int


class HttpVoice:
    """The connection of one provider. `start` and `aclose` may be repeated.

    Args:
        provider: its registry name.
        base_url: where requests with relative paths go.
        build: makes a request, on the client it is given, whose answer is raw mono s16 PCM.
        not_sound: how the content types begin that are no sound.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        limits: HttpLimits,
        build: Build,
        *,
        not_sound: tuple[str, ...] = _NOT_SOUND,
    ) -> None:
        self._provider, self._base_url, self._not_sound = provider, base_url, not_sound
        self._limits, self._build = limits, build
        self._client: httpx.AsyncClient | None = None

    async def start(self, headers: dict[str, str], *, warm_path: str | None = None) -> None:
        """Open the client, and a connection by a GET of `warm_path`, whatever it answers. A server
        that is not there yet is a warning."""
        await self.aclose()
        self._client = open_client(
            self._base_url, connect_ms=self._limits.connect_ms, headers=headers
        )
        if warm_path is None:
            return
        try:
            status = await self._get(self._client, warm_path)
        except ProviderError as error:
            _log.warning("tts not ready", extra={"provider": self._provider, "error": str(error)})
            return
        if status in (401, 403):
            _log.warning("tts refuses the key", extra={"provider": self._provider})

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times.

        Raises:
            ProviderError: the request for a segment failed, or its sound stopped coming.
        """
        asked = asyncio.create_task(self._ask(segments))
        try:
            while (answer := await asked) is not None:
                segment, response = answer
                asked = asyncio.create_task(self._ask(segments))
                if response is not None:
                    try:
                        async with aclosing(self._pcm(response)) as chunks:
                            async for pcm in chunks:
                                yield TtsAudio(segment.segment_id, pcm)
                    finally:
                        await response.aclose()
                yield TtsSegmentDone(segment.segment_id)
        finally:
            await self._drop(asked)

    async def _ask(
        self, segments: AsyncIterator[TtsSegment]
    ) -> tuple[TtsSegment, httpx.Response | None] | None:
        """Wait for the next segment and for the head of its response; None after the last."""
        segment = await anext(segments, None)
        if segment is None:
            return None
        if not speakable(segment.text):
            return segment, None
        if self._client is None:
            raise self._error("not started", False)
        request = self._build(self._client, segment.text)
        with transport_errors(self._provider, self._place):
            within_ms = self._limits.first_audio_ms
            response = await send(self._client, request, self._provider, within_ms=within_ms)
        kind = response.headers.get("content-type", "")
        if response.status_code == 200 and not kind.startswith(self._not_sound):
            return segment, response
        try:
            if response.status_code == 200:
                raise self._error(f"{self._place} sent no sound, but {kind}", False)
            raise await status_error(self._provider, response, within_ms=1000)
        finally:
            await response.aclose()

    async def _pcm(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body in whole samples, each piece within its time."""
        limits, rest, heard = self._limits, b"", False
        body = response.aiter_bytes()
        while True:
            within_ms = limits.idle_ms if heard else limits.first_audio_ms
            try:
                with transport_errors(self._provider, self._place):
                    async with asyncio.timeout(within_ms / 1000):
                        chunk = await anext(body, None)
            except TimeoutError:
                message = f"no sound within {within_ms / 1000:g} s"
                raise self._error(message, True) from None
            if chunk is None:
                break
            data = rest + chunk
            whole = len(data) - len(data) % 2
            rest = data[whole:]
            if whole:
                heard = True
                yield data[:whole]
        if not heard:
            raise self._error("no sound for a text", True)

    async def _drop(
        self, asked: asyncio.Task[tuple[TtsSegment, httpx.Response | None] | None]
    ) -> None:
        """Nobody waits for this any more: what it asked for is closed."""
        asked.cancel()
        await asyncio.wait([asked])
        if asked.cancelled() or asked.exception() is not None:
            return
        answer = asked.result()
        if answer is not None and answer[1] is not None:
            await answer[1].aclose()

    async def _get(self, client: httpx.AsyncClient, path: str) -> int:
        within_ms = self._limits.connect_ms
        request = client.build_request("GET", path)
        with transport_errors(self._provider, self._place):
            response = await send(client, request, self._provider, within_ms=within_ms)
            try:
                await read_body(response, self._provider, within_ms=within_ms)
            finally:
                await response.aclose()
        return response.status_code

    @property
    def _place(self) -> str:
        return f"the server at {self._base_url}"

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider=self._provider, retryable=retryable)
