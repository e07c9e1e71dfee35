"""Streaming recognisers of this process, as connections of a `LiveStream`.

What a connection is to a vendor is here a recogniser's own state: its audio goes to a thread of the
shared pool in pieces, one at a time, and its findings come back in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from antiphon.providers import threads
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.wire import Flushed, Link, Told, Vendor, Wire

CHUNK_MS = 100
"""Audio that one visit to a thread takes: each costs as much as some milliseconds of decoding."""


class Decoder(Protocol):
    """One call's recogniser. Its methods block, and are called from one thread at a time."""

    def accept(self, pcm: bytes) -> Sequence[Told]:
        """Take 16 kHz mono s16 PCM, any length."""
        ...

    def finish(self) -> Sequence[Told]:
        """Tell all of the audio so far; what comes afterwards is a new beginning."""
        ...


def open_stream(name: str, make: Callable[[], Decoder], final_ms: int) -> LiveStream:
    """A call's stream.

    Args:
        name: the provider's.
        make: a new recogniser; called in a thread.
        final_ms: longest wait for a final text.
    """

    async def connect() -> tuple[Link, Wire]:
        return _Link(name, await threads.run(name, make)), _Wire()

    return LiveStream(Vendor(name, connect, chunk_ms=CHUNK_MS, final_ms=final_ms))


class _Link:
    """Sent: audio, or None for all of it to be told. Received: lists of what was told. What waits
    to be read is bounded by the audio of an utterance."""

    def __init__(self, name: str, decoder: Decoder) -> None:
        self._name, self._decoder = name, decoder
        self._told: asyncio.Queue[Sequence[Told]] = asyncio.Queue()

    async def send(self, frame: bytes | None) -> None:
        if frame is None:
            told = [*await threads.run(self._name, self._decoder.finish), Flushed()]
        else:
            told = [*await threads.run(self._name, self._decoder.accept, frame)]
        if told:
            self._told.put_nowait(told)

    async def recv(self) -> Sequence[Told]:
        return await self._told.get()

    async def close(self) -> None:
        """The decoder goes when its last piece of work is done."""


class _Wire:
    def audio(self, pcm: bytes) -> Sequence[bytes | None]:
        return (pcm,)

    def flush(self) -> Sequence[bytes | None]:
        return (None,)

    def keep_alive(self) -> Sequence[bytes | None]:
        return ()

    def close(self) -> Sequence[bytes | None]:
        return ()

    def read(self, frame: Any) -> Sequence[Told]:
        told: Sequence[Told] = frame
        return told
