"""One connection to a Wyoming recogniser, for one transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.errors import ProviderError
from antiphon.net import wyoming
from antiphon.providers.stt.segmented import MAX_UTTERANCE_MS, Transcript
from antiphon.types import INPUT_RATE_HZ

_FORM = {"rate": INPUT_RATE_HZ, "width": 2, "channels": 1}
_CHUNK_BYTES = INPUT_RATE_HZ * 2 // 10


class Request:
    """Its `task` gives the transcript; cancelling it closes the connection.

    Args:
        request: the data of `transcribe`.
        audio: what there is already, 16 kHz mono s16 PCM.
        tell: takes what a server that streams has understood so far.
        limits_ms: longest connecting, and longest wait for the server to take or give something.
    """

    def __init__(
        self,
        url: str,
        request: Mapping[str, Any],
        audio: bytes,
        tell: Callable[[str], None],
        limits_ms: tuple[int, int],
    ) -> None:
        self._url, self._request, self._tell = url, request, tell
        self._connect_ms, self._final_ms = limits_ms
        self._audio, self._sent, self._whole = bytearray(audio), 0, False
        self._more = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name="stt-wyoming")

    def add(self, pcm: bytes) -> None:
        self._audio += pcm
        self._more.set()

    def finish(self, pcm: bytes) -> None:
        """That is all of it, what has been added already included."""
        self._audio[:] = pcm
        self._whole = True
        self._more.set()

    async def _run(self) -> Transcript:
        link = await wyoming.open(self._url, "wyoming", within_ms=self._connect_ms)
        sending = asyncio.create_task(self._send(link))
        try:
            return await self._read(link)
        finally:
            sending.cancel()
            await asyncio.wait([sending])
            await link.aclose()

    async def _send(self, link: wyoming.Connection) -> None:
        """A failure closes the connection, which its reader tells."""
        within_ms = self._final_ms
        try:
            await link.send("transcribe", self._request, within_ms=within_ms)
            await link.send("audio-start", _FORM, within_ms=within_ms)
            while not self._whole or self._sent < len(self._audio):
                chunk = bytes(self._audio[self._sent : self._sent + _CHUNK_BYTES])
                if self._whole or len(chunk) == _CHUNK_BYTES:
                    self._sent += len(chunk)
                    await link.send("audio-chunk", _FORM, chunk, within_ms=within_ms)
                else:
                    self._more.clear()
                    await self._more.wait()
            await link.send("audio-stop", within_ms=within_ms)
        except ProviderError:
            await link.aclose()

    async def _read(self, link: wyoming.Connection) -> Transcript:
        text = language = ""
        within_ms = MAX_UTTERANCE_MS + self._final_ms
        while True:
            event = await link.recv(within_ms=within_ms)
            language = _string(event.data, "language") or language
            if event.type == "transcript-chunk":
                text += _string(event.data, "text")
                self._tell(text)
            elif event.type == "transcript":
                return Transcript(_string(event.data, "text"), language=language)
            elif event.type == "transcript-stop":
                return Transcript(text, language=language)


def _string(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
