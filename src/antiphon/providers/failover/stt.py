"""Several recognisers as one: when the one that listens is lost, the next gets the same audio.

One that understands nothing of two utterances running may be lost without anybody saying so: the
next is asked about the second.

The audio of the utterance under way is kept; after a loss, or when a final text does not come in
time, the next recogniser is opened and given all of it, so that nothing that was said is missing.
The call stays with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.base import FinalText, Stt, SttEvent, SttStream
from antiphon.providers.failover.breaker import Breakers
from antiphon.types import FRAME_MS

PREROLL_MS = 3000
MAX_UTTERANCE_MS = 60_000
"""Longest utterance that is kept; the engine passes them on in shorter ones."""
OPEN_S = 3.0
"""Longest wait for a recogniser to be opened."""
SPEECH_MS = 1500
"""Audio of an utterance, the silence around it included, of which something is understood."""
NOTHING_LIMIT = 2
_CLOSE_S = 1.0
_MAX_EVENTS = 1000

Report = Callable[[int, ProviderError], None]


class FailoverStt:
    """An agent's recognisers, in the order in which they are asked.

    Args:
        stts: the recognisers.
        breakers: theirs.
        final_ms: longest wait for a final text.
        report: told which of them failed, and how.
        nothing_limit: utterances running of which nothing is understood, after which another one
            is asked; 0: never.
    """

    def __init__(
        self,
        stts: Sequence[Stt],
        breakers: Breakers,
        final_ms: int,
        report: Report,
        nothing_limit: int = NOTHING_LIMIT,
    ) -> None:
        self._stts, self.breakers, self.final_ms = tuple(stts), breakers, final_ms
        self._report, self.nothing_limit = report, nothing_limit

    @property
    def stts(self) -> tuple[Stt, ...]:
        """The recognisers, in order."""
        return self._stts

    async def start(self) -> None:
        for stt in self._stts:
            await stt.start()

    async def aclose(self) -> None:
        await self.breakers.aclose()
        for stt in self._stts:
            await stt.aclose()

    async def open(self) -> FailoverStream:
        """A stream of the best recogniser that can be opened.

        Raises:
            ProviderError: that of the last one, when none can.
        """
        number = self.breakers.best()
        for tries_left in reversed(range(len(self._stts))):
            try:
                return FailoverStream(self, number, await self.open_one(number))
            except ProviderError as error:
                self.failed(number, error)
                if not tries_left:
                    raise
                number = self.breakers.best(number)
        raise AssertionError("unreachable")

    async def open_one(self, number: int) -> SttStream:
        """A stream of one of them.

        Raises:
            ProviderError: it cannot be opened, or not in time.
        """
        try:
            async with asyncio.timeout(OPEN_S):
                return await self._stts[number].open()
        except TimeoutError:
            name = self.breakers[number].name
            raise ProviderError("does not open", provider=name, retryable=True) from None

    def failed(self, number: int, error: ProviderError) -> None:
        """One of them failed."""
        self.breakers[number].failed(error)
        self._report(number, error)

    @property
    def count(self) -> int:
        return len(self._stts)


class FailoverStream:
    """An `SttStream`. See the module. The number of the recogniser that listens is `number`."""

    def __init__(self, owner: FailoverStt, number: int, stream: SttStream) -> None:
        self._owner, self.number = owner, number
        self._stream: SttStream | None = stream
        self._ring: deque[bytes] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._utterance: int | None = None
        self._over_agent = False
        self._audio: list[bytes] = []
        self._wanted: int | None = None  # the revision that is owed
        self._losses = 0  # since the last final text
        self._nothing: list[int] = []  # the latest utterances of which nothing was understood
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(_MAX_EVENTS)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader = self._spawn(self._read(stream))

    # ---- what the session asks for (SttStream) ---------------------------------------------

    def push(self, pcm: bytes) -> None:
        self._ring.append(pcm)
        if self._utterance is not None:
            if len(self._audio) * FRAME_MS >= MAX_UTTERANCE_MS:
                raise self._error("the utterance is longer than can be kept", False)
            self._audio.append(pcm)
        self._try(lambda stream: stream.push(pcm))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        frames = -(-preroll_ms // FRAME_MS)
        self._audio = list(self._ring)[-frames:] if frames else []
        self._utterance, self._over_agent = utterance_id, over_agent
        self._not_waiting()
        self._try(lambda stream: stream.begin(utterance_id, preroll_ms, over_agent))

    def finalize(self, utterance_id: int, revision: int) -> None:
        if utterance_id == self._utterance:
            self._wanted = revision
            self._wait()
        self._try(lambda stream: stream.finalize(utterance_id, revision))

    def end(self, utterance_id: int) -> None:
        if utterance_id == self._utterance:
            self._utterance = None
            self._audio = []
            self._not_waiting()
        self._try(lambda stream: stream.end(utterance_id))

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._not_waiting()
        for task in self._tasks:
            task.cancel()
        if self._stream is not None:
            await self._stream.aclose()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tell(None)

    # ---- the one that listens --------------------------------------------------------------

    def _try(self, act: Callable[[SttStream], None]) -> None:
        if self._stream is not None:
            try:
                act(self._stream)
            except ProviderError as error:
                self._lost(error)

    async def _read(self, stream: SttStream) -> None:
        try:
            async for event in stream.events():
                self._take(event)
            error = self._error("the recogniser ended its stream", True)
        except ProviderError as failure:
            error = failure
        if stream is self._stream:
            self._lost(error)

    def _take(self, event: SttEvent) -> None:
        if isinstance(event, FinalText):
            if self._understands_nothing(event):
                self._nothing.clear()
                self._lost(self._error("nothing was understood twice running", True))
                return
            self._owner.breakers[self.number].succeeded()
            self._losses = 0
            if event.revision == self._wanted:
                self._not_waiting()
        self._tell(event)

    def _understands_nothing(self, final: FinalText) -> bool:
        if final.text:
            self._nothing.clear()
            return False
        long = len(self._audio) * FRAME_MS >= SPEECH_MS
        if long and self._wanted is not None and final.utterance_id not in self._nothing:
            self._nothing.append(final.utterance_id)
        return 0 < self._owner.nothing_limit <= len(self._nothing)

    def _lost(self, error: ProviderError) -> None:
        """Go on with the next one; when all were lost in a row, that was it."""
        stream, self._stream = self._stream, None
        if self._closed or stream is None:
            return
        self._owner.failed(self.number, error)
        self._losses += 1
        self._reader.cancel()
        self._spawn(_close(stream))
        if self._losses > self._owner.count:
            self._tell(error)
        else:
            self._spawn(self._replace())

    async def _replace(self) -> None:
        self.number = self._owner.breakers.best(self.number)
        try:
            stream = await self._owner.open_one(self.number)
        except ProviderError as error:
            self._owner.failed(self.number, error)
            self._losses += 1
            if self._losses > self._owner.count:
                self._tell(error)
            else:
                self._spawn(self._replace())
            return
        self._stream = stream
        self._reader = self._spawn(self._read(stream))
        self._repeat()

    def _repeat(self) -> None:
        """Give the utterance under way to a recogniser that has heard nothing of it."""
        utterance_id = self._utterance
        if utterance_id is None:
            for pcm in self._ring:
                self._try(partial(_push, pcm))
            return
        over_agent, wanted = self._over_agent, self._wanted
        self._try(lambda stream: stream.begin(utterance_id, 0, over_agent))
        for pcm in self._audio:
            self._try(partial(_push, pcm))
        if wanted is not None:
            self._try(lambda stream: stream.finalize(utterance_id, wanted))
            self._wait()

    # ---- the wait for a final text ---------------------------------------------------------

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._owner.final_ms / 1000, self._overdue)

    def _not_waiting(self) -> None:
        self._wanted = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._lost(self._error(f"no final text within {self._owner.final_ms} ms", True))

    # ---- small things ----------------------------------------------------------------------

    def _tell(self, event: SttEvent | ProviderError | None) -> None:
        """When nobody reads, the oldest is dropped."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _error(self, message: str, retryable: bool) -> ProviderError:
        name = self._owner.breakers[self.number].name
        return ProviderError(message, provider=name, retryable=retryable)


def _push(pcm: bytes, stream: SttStream) -> None:
    stream.push(pcm)


async def _close(stream: SttStream) -> None:
    """One that hangs is left behind."""
    with suppress(TimeoutError, ProviderError):
        async with asyncio.timeout(_CLOSE_S):
            await stream.aclose()
