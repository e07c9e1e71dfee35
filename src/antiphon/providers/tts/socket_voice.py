"""Speaking one response over a lane of a pool of sockets.

What a vendor says in which words is a `Dialect`; the rest is the same for all: text is sent as it
is written, but never far ahead of what has been listened to; each wait has its end; a socket that
is lost before a segment is heard is replaced, and what was not heard yet is asked for again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.tts.options import CloudVoiceOptions, speakable
from antiphon.providers.tts.sockets import Lane, Message, Sockets

MAX_AHEAD = 1024 * 1024
"""Characters and bytes unread, some 15 s of sound, beyond which no more text is sent."""
MAX_OWED = 4
"""Segments sent and not done: what is never heard is paid for, too."""
TRIES = 3


class Dialect:
    """One lane's conversation with the vendor; a vendor's own differs from this."""

    ready = True
    """Whether another segment may be written now."""
    stale = False
    """Asked when nothing is owed: whether what comes next needs another lane."""
    over = True
    """Asked when nothing is owed: whether the vendor has nothing more for the lane."""

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        """What says a segment."""
        raise NotImplementedError

    def finish(self) -> list[dict[str, Any]]:
        """What says that no more text comes."""
        return []

    def take(self, message: Message) -> list[TtsEvent]:
        """What a message means: events of the segments written, in order.

        Raises:
            ProviderError: an error of the vendor's.
        """
        raise NotImplementedError

    def keep_alive(self) -> list[dict[str, Any]]:
        """What is sent now and then while there is nothing to say."""
        return []


class Samples:
    """Puts together samples that a vendor has cut in two."""

    def __init__(self) -> None:
        self._rest = b""

    def push(self, data: bytes) -> bytes:
        """Bytes as they come; the whole 16-bit samples among them."""
        data = self._rest + data
        whole = len(data) - len(data) % 2
        self._rest = data[whole:]
        return data[:whole]


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Longest waits: for the first sound of a segment, between two pieces of it; how often a
    silent lane is kept alive."""

    first_audio_ms: int
    idle_ms: int
    keep_alive_ms: int = 10_000

    @classmethod
    def of(cls, options: CloudVoiceOptions) -> SocketLimits:
        return cls(options.first_audio_ms, options.idle_ms)


class SocketVoice:
    """The responses of one provider.

    Args:
        dialect: makes the conversation for a lane.
    """

    def __init__(
        self,
        provider: str,
        sockets: Sockets,
        limits: SocketLimits,
        dialect: Callable[[Lane], Dialect],
    ) -> None:
        self.provider, self.sockets, self.limits, self.dialect = provider, sockets, limits, dialect

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`.

        Raises:
            ProviderError: it cannot be spoken, or not to its end.
        """
        response = _Response(self, segments)
        feeder = asyncio.create_task(response.feed(), name=f"tts-{self.provider}-text")
        try:
            while not response.ended:
                if feeder.done():
                    feeder.result()
                for event in await response.next():
                    yield event
        finally:
            feeder.cancel()
            await asyncio.wait([feeder])
            if not feeder.cancelled():
                feeder.exception()
            await response.leave()


class _Response:
    """One response under way: a feeder that sends text, and a reader."""

    def __init__(self, voice: SocketVoice, segments: AsyncIterator[TtsSegment]) -> None:
        self._voice, self._segments = voice, segments
        self._owed: deque[TtsSegment] = deque()  # written or silent, not done
        self._heard = False  # some of the first one owed
        self._text_over = False
        self._lane: Lane | None = None
        self._dialect: Dialect | None = None
        self._tries = 0
        self._since = 0.0  # when the wait for sound began
        self._changed = asyncio.Event()  # for the feeder: something was read
        self._fed = asyncio.Event()  # for the reader while there is no lane
        self._writing = asyncio.Lock()

    @property
    def ended(self) -> bool:
        return self._text_over and not self._owed

    @property
    def _asked(self) -> bool:
        """Whether the vendor owes sound."""
        return any(speakable(one.text) for one in self._owed)

    # ---- text -----------------------------------------------------------------------------

    async def feed(self) -> None:
        """Send the text of the response as it is written."""
        try:
            async for segment in self._segments:
                if speakable(segment.text):
                    await self._room()
                    async with self._writing:
                        await self._write(segment)
                else:
                    self._owed.append(segment)
                self._wake()
            async with self._writing:
                self._text_over = True
                if self._lane is not None and self._dialect is not None:
                    await self._send(self._lane, self._dialect.finish())
        finally:
            # The reader sees that this is over, and how.
            self._wake()

    async def _room(self) -> None:
        """Wait until another segment may be sent."""
        while self._lane is not None and self._dialect is not None and self._asked:
            few = len(self._owed) < MAX_OWED and self._lane.size < MAX_AHEAD
            if few and self._dialect.ready:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _write(self, segment: TtsSegment) -> None:
        if not self._asked:
            self._since = _now()
            if self._dialect is not None and self._dialect.stale:
                await self.leave()
        self._owed.append(segment)
        if self._lane is None:
            await self._open()
        else:
            assert self._dialect is not None
            await self._send(self._lane, self._dialect.write(segment))

    async def _open(self) -> None:
        """Take a lane, and ask on it for all that is owed."""
        lane = await self._voice.sockets.lane()
        dialect = self._voice.dialect(lane)
        self._lane, self._dialect = lane, dialect
        self._since = _now()
        for segment in self._owed:
            if speakable(segment.text):
                await self._send(lane, dialect.write(segment))
        if self._text_over:
            await self._send(lane, dialect.finish())

    async def _send(self, lane: Lane, messages: list[dict[str, Any]]) -> None:
        if messages:
            await lane.send(*messages, within_ms=self._voice.limits.idle_ms)

    def _wake(self) -> None:
        self._fed.set()
        if self._lane is not None:
            self._lane.wake()

    # ---- sound ----------------------------------------------------------------------------

    async def next(self) -> list[TtsEvent]:
        """Wait for something to happen; what has happened."""
        if silent := self._silent():
            return silent
        if self._lane is None or self._dialect is None:
            self._fed.clear()
            await self._fed.wait()
            return []
        lane, dialect = self._lane, self._dialect
        try:
            message = await lane.receive(self._until())
            if lane is not self._lane:
                return []
            if message is None:
                await self._on_silence(lane, dialect)
                return []
            events = self._note(self._understood(dialect, message))
        except ProviderError as error:
            if lane is self._lane:
                await self._on_loss(lane, error)
            return []
        self._changed.set()
        return events

    def _understood(self, dialect: Dialect, message: Message) -> list[TtsEvent]:
        try:
            return dialect.take(message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            text = f"a message that makes no sense: {type(error).__name__}"
            raise ProviderError(text, provider=self._voice.provider, retryable=True) from None

    def _silent(self) -> list[TtsEvent]:
        done: list[TtsEvent] = []
        while self._owed and not speakable(self._owed[0].text):
            done.append(TtsSegmentDone(self._owed.popleft().segment_id))
        return done

    def _note(self, events: list[TtsEvent]) -> list[TtsEvent]:
        """Keep account of what is owed; silent segments are done after those before them."""
        out: list[TtsEvent] = []
        for event in events:
            out.append(event)
            if isinstance(event, TtsAudio):
                self._heard, self._since, self._tries = True, _now(), 0
            elif isinstance(event, TtsSegmentDone):
                self._owed.popleft()
                self._heard, self._since = False, _now()
                out += self._silent()
        return out

    def _until(self) -> float:
        limits = self._voice.limits
        if not self._owed:
            return _now() + limits.keep_alive_ms / 1000
        return self._since + (limits.idle_ms if self._heard else limits.first_audio_ms) / 1000

    async def _on_silence(self, lane: Lane, dialect: Dialect) -> None:
        """Woken, or a wait is over."""
        if not self._owed:
            if not self._text_over:
                await self._send(lane, dialect.keep_alive())
        elif _now() >= self._until():
            lane.suspect()
            limits = self._voice.limits
            within_ms = limits.idle_ms if self._heard else limits.first_audio_ms
            message = f"no sound within {within_ms / 1000:g} s"
            raise _Late(message, provider=self._voice.provider, retryable=True)

    async def _on_loss(self, lane: Lane, error: ProviderError) -> None:
        """Go on with another socket where nothing of a segment has been heard; else raise."""
        self._tries += bool(self._owed)
        lost = lane.lost and not isinstance(error, _Late)
        if not lost or not error.retryable or self._heard or self._tries >= TRIES:
            raise error
        async with self._writing:
            await self.leave()
            if self._owed:
                await self._open()
        self._changed.set()

    async def leave(self) -> None:
        """Give the lane back; at the vendor it is cancelled, unless it is over."""
        lane, dialect = self._lane, self._dialect
        self._lane = self._dialect = None
        if lane is not None and dialect is not None:
            over = not self._owed and dialect.over
            await self._voice.sockets.leave(lane, over=over)
            lane.wake()


class _Late(ProviderError):
    """No sound in time: the engine has other voices, and has waited long enough."""


def _now() -> float:
    return asyncio.get_running_loop().time()
