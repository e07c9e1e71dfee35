"""One call's transcription over a vendor's streaming connection, whichever vendor it is.

The vendor's protocol is a `Wire`: pure functions from audio to frames and from frames to what was
told. `LiveStream` does what all of them need: it sends audio only while there is an utterance, its
pre-roll first; asks for the final text and waits for it no longer than it may; keeps the connection
alive; opens it again when it is lost and sends the utterance under way once more, so that nothing
of it is missing; and gives up when that does not help.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from antiphon.errors import ProviderError
from antiphon.net.ws import closed_error
from antiphon.providers.base import EndOfTurn, PartialText, SttEvent
from antiphon.providers.stt._utterance import Ask, Utterance
from antiphon.providers.stt.wire import (
    Flushed,
    Frame,
    Link,
    Piece,
    Pings,
    Signal,
    Told,
    Vendor,
    Wire,
)
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

BYTES_PER_MS = INPUT_RATE_HZ * 2 // 1000
PREROLL_MS = 3000
"""Audio before an utterance that is kept: onsets are found late."""
MAX_UTTERANCE_MS = 60_000
"""Longest utterance that is kept; the engine passes them on in shorter ones."""
TRIES = 3
"""Connections in a row that may fail, or be lost without having told anything."""
BACKOFF_MS = (0, 200)
LIVED_S = 5.0
"""A connection that was of use for so long did not fail at once."""
_CLOSE_S = 1.0
_SEND_S = 2.0
_MAX_EVENTS = 1000
_SLACK_MS = 100
"""Vendors cut audio into pieces of their own; what is left of the last one they may not count."""


class LiveStream:
    """An `SttStream`. See the module."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._ring: deque[bytes] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._utterance: Utterance | None = None
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(_MAX_EVENTS)
        self._more = asyncio.Event()
        self._sent_ms = 0  # on this connection
        self._read_ms = 0  # of these, when the vendor last said something
        self._unflushed = False  # audio was sent after the last flush
        self._asks: deque[Ask] = deque()
        self._drain = False  # the past has to be flushed before anything else is sent
        self._failures = 0
        self._closed = False
        self._now = asyncio.get_running_loop().time
        self._task = asyncio.create_task(self._serve(), name=f"stt-{vendor.name}")

    # ---- what the session asks for (SttStream) ---------------------------------------------

    def push(self, pcm: bytes) -> None:
        self._ring.append(pcm)
        utterance = self._utterance
        if utterance is None:
            return
        if len(utterance.audio) >= MAX_UTTERANCE_MS * BYTES_PER_MS:
            raise self._error("the utterance is longer than can be kept", False)
        utterance.audio += pcm
        self._more.set()

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self.end(-1)
        frames = -(-preroll_ms // FRAME_MS)
        before = list(self._ring)[-frames:] if frames else []
        self._utterance = Utterance(utterance_id, bytearray().join(before))
        self._more.set()

    def finalize(self, utterance_id: int, revision: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance.utterance_id == utterance_id:
            utterance.revision = revision
            self._more.set()

    def end(self, utterance_id: int) -> None:
        utterance = self._utterance
        if utterance is not None and utterance_id in (utterance.utterance_id, -1):
            self._utterance = None
            # What the vendor still has to say of it must not be taken for the next one's.
            self._drain = self._drain or self._unflushed
            for ask in self._asks:
                ask.revision = None
            self._more.set()

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._task.cancel()
            await asyncio.wait([self._task])
            self._tell(None)

    # ---- the connection --------------------------------------------------------------------

    async def _serve(self) -> None:
        """Connect, and connect again, until that is of no use."""
        while True:
            begun = self._now()
            try:
                link, wire = await self._vendor.connect()
                self._renew()
                try:
                    await self._use(link, wire)
                finally:
                    await self._leave(link, wire)
            except ProviderError as error:
                self._failures = 1 + (self._failures if self._now() - begun < LIVED_S else 0)
                if not error.retryable or self._failures >= TRIES:
                    self._tell(error)
                    return
                await asyncio.sleep(BACKOFF_MS[self._failures - 1] / 1000)

    def _renew(self) -> None:
        self._sent_ms = self._read_ms = 0
        self._unflushed = self._drain = False
        self._asks.clear()
        if self._utterance is not None:
            self._utterance.again()

    async def _use(self, link: Link, wire: Wire) -> None:
        """Send and read side by side; returns when the connection is to be replaced."""
        sending = asyncio.create_task(self._send_all(link, wire))
        reading = asyncio.create_task(self._read_all(link, wire))
        try:
            await asyncio.wait([sending, reading], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, reading):
                task.cancel()
            await asyncio.wait([sending, reading])
        for task in (reading, sending):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise self._meaning(error) from None

    def _meaning(self, error: BaseException) -> BaseException:
        if isinstance(error, ConnectionClosed):
            return closed_error(self._vendor.name, error, self._vendor.final_codes)
        if isinstance(error, OSError | EOFError):
            return self._error(f"the connection broke: {error}", True)
        return error

    async def _leave(self, link: Link, wire: Wire) -> None:
        try:
            with suppress(TimeoutError, OSError, EOFError, ConnectionClosed, ProviderError):
                async with asyncio.timeout(_CLOSE_S):
                    for frame in wire.close():
                        await link.send(frame)
                    await link.close()
        finally:
            # A goodbye that was cut short leaves a socket open.
            if (transport := getattr(link, "transport", None)) is not None:
                transport.abort()

    # ---- sending ---------------------------------------------------------------------------

    async def _send_all(self, link: Link, wire: Wire) -> None:
        opened = self._now()
        while True:
            self._more.clear()
            if self._drain:
                self._drain = False
                await self._flush(link, wire, None)
            utterance = self._utterance
            if utterance is not None:
                if not utterance.sent:
                    utterance.origin_ms = self._sent_ms
                await self._send_audio(link, wire, utterance)
                if self._utterance is utterance and utterance.revision is not None:
                    await self._ask(link, wire, utterance)
            elif self._is_old(opened):
                return
            await self._wait(link, wire)

    async def _send_audio(self, link: Link, wire: Wire, utterance: Utterance) -> None:
        """Send what is there of it, in whole chunks; before a flush, all."""
        chunk = self._vendor.chunk_ms * BYTES_PER_MS
        while self._utterance is utterance:
            waiting = len(utterance.audio) - utterance.sent
            if waiting <= 0 or (waiting < chunk and utterance.revision is None):
                return
            pcm = bytes(utterance.audio[utterance.sent : utterance.sent + chunk])
            utterance.sent += len(pcm)
            self._sent_ms += len(pcm) // BYTES_PER_MS
            self._unflushed = True
            await self._put(link, wire.audio(pcm))
            if self._vendor.speed and waiting > 2 * chunk:
                await asyncio.sleep(self._vendor.chunk_ms / 1000 / self._vendor.speed)

    async def _put(self, link: Link, frames: Sequence[Frame]) -> None:
        """Send; a peer that is gone takes nothing once the network's buffers are full."""
        try:
            async with asyncio.timeout(_SEND_S):
                for frame in frames:
                    await link.send(frame)
        except TimeoutError:
            raise self._error("the connection takes no more audio", True) from None

    async def _ask(self, link: Link, wire: Wire, utterance: Utterance) -> None:
        """Ask for the final text, once per revision."""
        revision = utterance.revision
        if all(ask.revision != revision for ask in self._asks):
            await self._flush(link, wire, revision)

    async def _flush(self, link: Link, wire: Wire, revision: int | None) -> None:
        frames = wire.flush() if self._unflushed else None
        self._unflushed = False
        if frames is not None:
            ask = Ask(revision, self._sent_ms, self._now())
            self._asks.append(ask)
            await self._put(link, frames)
            if self._vendor.quiet_ms and isinstance(link, Pings):
                ask.pong = await link.ping()
                if isinstance(ask.pong, asyncio.Future):
                    ask.pong.add_done_callback(lambda _: self._more.set())
        elif self._asks and self._asks[-1].revision is not None:
            self._asks[-1].revision = revision  # nothing was said since the last flush
        else:
            self._answer(revision)

    async def _wait(self, link: Link, wire: Wire) -> None:
        """Until there is more to do; keep the connection alive and the deadline meanwhile."""
        every_s = self._vendor.keep_alive_ms / 1000
        until = self._now() + every_s if every_s else None
        if self._asks:
            until = self._due()
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - self._now())):
                await self._more.wait()
        except TimeoutError:
            if self._asks:
                self._overdue()
            else:
                await self._put(link, wire.keep_alive())

    def _due(self) -> float:
        """When the newest flush is not waited for any longer."""
        wait_ms = self._vendor.final_ms
        ask, utterance = self._asks[-1], self._utterance
        if self._vendor.quiet_ms and ask.is_read():
            if ask.revision is None or utterance is None or utterance.settled():
                wait_ms = min(wait_ms, self._vendor.quiet_ms)
            elif not utterance.text():  # its first word may still be under way
                wait_ms = min(wait_ms, 2 * self._vendor.quiet_ms)
        return ask.at + wait_ms / 1000

    def _overdue(self) -> None:
        """The final text did not come in time: what is known has to do. A vendor that told nothing
        is asked once more over a new connection."""
        if self._now() < self._due():
            return  # it has begun to tell
        utterance = self._utterance
        if self._is_quiet(self._asks[-1]):
            revisions = [ask.revision for ask in self._asks]
            self._asks.clear()
            for revision in revisions:
                self._answer(revision)
            return
        if utterance is not None and utterance.revision is not None and utterance.text():
            self._answer(utterance.revision)
            self._failures = 0
        raise self._error(f"no final text within {self._vendor.final_ms} ms", True)

    def _is_quiet(self, ask: Ask) -> bool:
        """The vendor is there and has nothing to say; see `Vendor`."""
        vendor, utterance = self._vendor, self._utterance
        if ask.revision is not None and utterance is not None and utterance.interim is not None:
            return False
        lull = bool(vendor.lull_ms) and self._sent_ms - self._read_ms > vendor.lull_ms
        return bool(vendor.quiet_ms) and ask.is_read() and not lull

    def _is_old(self, opened: float) -> bool:
        limit_ms = self._vendor.max_session_ms
        return bool(limit_ms) and (self._now() - opened) * 1000 >= limit_ms

    # ---- reading ---------------------------------------------------------------------------

    async def _read_all(self, link: Link, wire: Wire) -> None:
        while True:
            frame = await link.recv()
            self._read_ms = self._sent_ms
            for told in self._read(wire, frame):
                # A vendor may tell the beginning again and again, and fail at the end.
                if self._utterance is None or not self._utterance.replayed:
                    self._failures = 0
                self._take(told)

    def _read(self, wire: Wire, frame: Frame) -> Sequence[Told]:
        try:
            return wire.read(frame)
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ):
            # Fields of other types than the vendor's pages say; no wire has to check each one.
            raise self._error("a message that is not what the protocol says", True) from None

    def _take(self, told: Told) -> None:
        if isinstance(told, Flushed):
            self._flushed(told)
            return
        utterance = self._utterance
        if utterance is None or self._drain or not utterance.sent:
            return
        if any(ask.revision is None for ask in self._asks):
            words = told.words if isinstance(told, Piece) else ()
            # Vendors' times are not exact: a word lies where its middle is.
            if not words or words[0].start_ms + words[0].end_ms < 2 * utterance.origin_ms:
                return
            # What is told now came after the past, which is then told, too.
            self._asks = deque(ask for ask in self._asks if ask.revision is not None)
        if isinstance(told, Signal):
            if utterance.told:  # else it is about what was said before
                self._tell(EndOfTurn(utterance.utterance_id, told.signal))
        elif told.end_ms is None or told.end_ms > utterance.origin_ms:
            self._hear(utterance, told)

    def _flushed(self, told: Flushed) -> None:
        reach_ms = None if told.end_ms is None else told.end_ms + _SLACK_MS
        while self._asks and (reach_ms is None or self._asks[0].sent_ms <= reach_ms):
            self._answer(self._asks.popleft().revision)
            if reach_ms is None:
                return

    def _hear(self, utterance: Utterance, piece: Piece) -> None:
        utterance.interim = None if piece.final or not piece.text.strip() else piece
        if piece.final and piece.text.strip():
            utterance.finals.append(piece)
        if self._asks:
            self._more.set()  # its deadline may be another one now
        text = utterance.text()
        if text and text != utterance.told:
            utterance.told = text
            self._tell(PartialText(utterance.utterance_id, text))

    def _answer(self, revision: int | None) -> None:
        """Everything up to a flush is told."""
        utterance = self._utterance
        if utterance is None or revision is None or revision != utterance.revision:
            return
        utterance.revision, utterance.replayed = None, False
        self._failures = 0
        self._tell(utterance.final(revision))

    def _tell(self, event: SttEvent | ProviderError | None) -> None:
        """When nobody reads, the oldest is dropped."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider=self._vendor.name, retryable=retryable)
