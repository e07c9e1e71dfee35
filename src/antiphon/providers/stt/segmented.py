"""One call's transcription by a recogniser that takes whole recordings: utterance by utterance.

The final text of an utterance is that of all its audio so far; a newer `finalize` makes the request
under way worthless and closes it. With `interim_ms` the utterance is also transcribed while it goes
on, for partial texts, one request at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, PartialText, SttEvent
from antiphon.types import FRAME_BYTES, FRAME_MS, Word

PREROLL_MS = 3000
MAX_UTTERANCE_MS = 60_000
"""Longest utterance that is kept; the engine passes them on in shorter ones."""
TRIES = 2
_MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was understood of a recording. Times of `words` count from its beginning."""

    text: str
    confidence: float = 1.0
    words: tuple[Word, ...] = ()
    language: str = ""


Transcribe = Callable[[bytes], Awaitable[Transcript]]
"""16 kHz mono s16 PCM -> its transcript. Raises ProviderError; cancelling it stops the work."""


@dataclass(slots=True)
class _Utterance:
    utterance_id: int
    audio: bytearray
    heard: int = 0  # bytes that the newest partial text was made of
    told: str = ""


class SegmentedStream:
    """An `SttStream`. See the module.

    Args:
        name: the provider's, for errors.
        transcribe: asked for each final, and for partials.
        final_ms: longest wait for a final text.
        interim_ms: new audio after which a partial text is made; 0: none are.
    """

    def __init__(
        self, name: str, transcribe: Transcribe, *, final_ms: int, interim_ms: int = 0
    ) -> None:
        self._name, self._transcribe = name, transcribe
        self._final_ms, self._interim_bytes = final_ms, interim_ms // FRAME_MS * FRAME_BYTES
        self._ring: deque[bytes] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._utterance: _Utterance | None = None
        self._task: asyncio.Task[None] | None = None  # the newest, unless it was stopped
        self._tasks: set[asyncio.Task[None]] = set()
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(_MAX_EVENTS)
        self._closed = False

    # ---- what the session asks for (SttStream) ---------------------------------------------

    def push(self, pcm: bytes) -> None:
        self._ring.append(pcm)
        utterance = self._utterance
        if utterance is None:
            return
        if len(utterance.audio) >= MAX_UTTERANCE_MS // FRAME_MS * FRAME_BYTES:
            raise self._error("the utterance is longer than can be kept", False)
        utterance.audio += pcm
        fresh = len(utterance.audio) - utterance.heard
        if self._interim_bytes and self._task is None and fresh >= self._interim_bytes:
            utterance.heard = len(utterance.audio)
            self._start(partial(self._interim, utterance))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self._stop()
        frames = -(-preroll_ms // FRAME_MS)
        before = list(self._ring)[-frames:] if frames else []
        self._utterance = _Utterance(utterance_id, bytearray().join(before))

    def finalize(self, utterance_id: int, revision: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.utterance_id == utterance_id:
            self._stop()
            self._start(partial(self._finish, utterance, revision))

    def end(self, utterance_id: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.utterance_id == utterance_id:
            self._stop()
            self._utterance = None

    def tell_partial(self, text: str) -> None:
        """A partial text of the utterance under way, from a recogniser that has some of its own."""
        utterance, text = self._utterance, text.strip()
        if utterance is not None and text and text != utterance.told:
            utterance.told = text
            self._tell(PartialText(utterance.utterance_id, text))

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._utterance = None
            self._stop()
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._tell(None)

    # ---- the work --------------------------------------------------------------------------

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()
            except ProviderError as error:
                self._tell(error)
            finally:
                if self._task is task:
                    self._task = None

        task = self._task = asyncio.get_running_loop().create_task(run(), name=f"stt-{self._name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _interim(self, utterance: _Utterance) -> None:
        """A partial text that cannot be had is not missed."""
        try:
            async with asyncio.timeout(self._final_ms / 1000):
                transcript = await self._transcribe(bytes(utterance.audio))
        except (TimeoutError, ProviderError):
            return
        if self._utterance is utterance:
            self.tell_partial(transcript.text)

    async def _finish(self, utterance: _Utterance, revision: int) -> None:
        made = await self._insist(bytes(utterance.audio))
        self._tell(
            FinalText(
                utterance.utterance_id,
                revision,
                made.text.strip(),
                made.confidence,
                words=made.words,
                language=made.language,
            )
        )

    async def _insist(self, pcm: bytes) -> Transcript:
        for tries_left in reversed(range(TRIES)):
            try:
                async with asyncio.timeout(self._final_ms / 1000):
                    return await self._transcribe(pcm)
            except TimeoutError:
                error = self._error(f"no text within {self._final_ms} ms", True)
            except ProviderError as failure:
                error = failure
            if not error.retryable or not tries_left:
                raise error
        raise AssertionError("unreachable")

    def _tell(self, event: SttEvent | ProviderError | None) -> None:
        """When nobody reads, the oldest is dropped."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider=self._name, retryable=retryable)
