"""Streams of Google's recogniser, one after the other on one channel. See `google.py`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from antiphon.providers._google_messages import speech
from antiphon.providers._google_rpc import ENDED, EOF, GoogleRpc
from antiphon.providers.stt.live import BYTES_PER_MS
from antiphon.providers.stt.wire import Flushed, Frame, Piece, Told
from antiphon.types import Word

METHOD = "/google.cloud.speech.v2.Speech/StreamingRecognize"
MAX_AUDIO_BYTES = 25_600
"""Of one message."""
END = object()
"""The end of a stream: of the requests when sent, of the answers when read."""


class GoogleLink:
    """Streams, one after the other: a request with a configuration begins one, END ends it. The
    answers of all are read in their order."""

    def __init__(self, rpc: GoogleRpc) -> None:
        self._rpc = rpc
        self._calls: asyncio.Queue[Any] = asyncio.Queue()
        self._writing: Any = None
        self._reading: Any = None

    async def send(self, frame: Any, /) -> None:
        if frame is not END and frame.recognizer:
            routing = f"recognizer={quote(frame.recognizer, safe='')}"
            call = self._rpc.call(METHOD, speech["StreamingRecognizeResponse"], routing)
            self._writing = call
            self._calls.put_nowait(call)
        call = self._writing
        try:
            if frame is END:
                self._writing = None
                await call.done_writing()
            else:
                await call.write(frame)
        except ENDED:
            raise await self._rpc.failure(call) from None

    async def recv(self) -> Any:
        if self._reading is None:
            self._reading = await self._calls.get()
        call = self._reading
        try:
            answer = await call.read()
        except ENDED:
            raise await self._rpc.failure(call) from None
        if answer is not EOF:
            return answer
        if call is self._writing:
            raise await self._rpc.failure(call)
        self._reading = None
        return END

    async def close(self) -> None:
        calls = [self._reading, self._writing]
        while not self._calls.empty():
            calls.append(self._calls.get_nowait())
        for call in calls:
            if call is not None:
                call.cancel()


class GoogleWire:
    """Streams on one connection, whose times each begin at 0."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._sent_ms = 0
        self._open = False
        self._begun_ms: deque[int] = deque()  # where the streams that are not over began

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        frames: list[Frame] = []
        if not self._open:
            self._open = True
            self._begun_ms.append(self._sent_ms)
            frames.append(self._config)
        self._sent_ms += len(pcm) // BYTES_PER_MS
        for at in range(0, len(pcm), MAX_AUDIO_BYTES):
            piece = pcm[at : at + MAX_AUDIO_BYTES]
            frames.append(speech["StreamingRecognizeRequest"](audio=piece))
        return frames

    def flush(self) -> Sequence[Frame] | None:
        if not self._open:
            return None
        self._open = False
        return [END]

    def keep_alive(self) -> Sequence[Frame]:
        return ()

    def close(self) -> Sequence[Frame]:
        return ()

    def read(self, frame: Frame) -> Sequence[Told]:
        if frame is END:
            self._begun_ms.popleft()
            return [Flushed()]
        begun_ms = self._begun_ms[0]
        results = [one for one in frame.results if one.alternatives]  # type: ignore[union-attr]
        told: list[Told] = [_piece(one, begun_ms) for one in results if one.is_final]
        # What is not final may be in two parts, the stable one first.
        interim = " ".join(
            one.alternatives[0].transcript.strip() for one in results if not one.is_final
        )
        return [*told, Piece(interim, False)] if interim else told


def _piece(result: Any, begun_ms: int) -> Piece:
    best = result.alternatives[0]
    end_ms = _ms(result.result_end_offset) + begun_ms
    words = tuple(
        Word(
            one.word,
            _ms(one.start_offset) + begun_ms,
            _ms(one.end_offset) + begun_ms,
            one.confidence or 1.0,
        )
        for one in best.words
    )
    # 0 says that there is no figure.
    return Piece(best.transcript, True, end_ms, words, best.confidence or 1.0, result.language_code)


def _ms(duration: Any) -> int:
    return int(duration.seconds) * 1000 + int(duration.nanos) // 1_000_000
