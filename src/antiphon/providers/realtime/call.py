"""One call with a speech-to-speech model over one connection, whichever vendor's it is.

To the session it is a recogniser, a brain and a voice (`providers.base.RealtimeCall`). The vendor's
protocol is a `wire.Wire`. A connection that is lost is opened once more in the background, and told
the conversation so far; what was under way on it has failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from antiphon.errors import ProviderError
from antiphon.net.ws import Socket, closed_error
from antiphon.providers.base import LlmRequest, Usage
from antiphon.providers.realtime.answer import Answer, Pace
from antiphon.providers.realtime.connecting import leave
from antiphon.providers.realtime.ears import Ears
from antiphon.providers.realtime.ledger import Ledger
from antiphon.providers.realtime.mind import Mind
from antiphon.providers.realtime.mouth import Mouth
from antiphon.providers.realtime.sending import encoded
from antiphon.providers.realtime.wire import (
    Began,
    Counted,
    Frame,
    Heard,
    Piece,
    Refused,
    Reply,
    Said,
    Sounded,
    Told,
    TurnOver,
    Vendor,
    Wanted,
    Whole,
    Wire,
    Written,
)

log = logging.getLogger("antiphon.realtime")

MAX_FRAMES = 1500
"""Frames waiting to be sent: half a minute of sound. More means that nobody reads them."""
MAX_ANSWERS = 4
"""Answers whose sound may still be wanted: one with tools has several."""
TRIES = 2
"""Connections in a row that may fail before the vendor is given up."""
LIVED_S = 10.0
"""A connection that held for so long did not fail at once."""


class VendorCall:
    """A `RealtimeCall`. See the module."""

    def __init__(self, vendor: Vendor, request: LlmRequest, socket: Socket, wire: Wire) -> None:
        self.vendor, self._request = vendor, request
        self.rate_hz = wire.rate_hz
        self._socket: Socket | None = socket
        self._wire: Wire | None = wire
        self._outbox: deque[Frame] = deque()
        self._more = asyncio.Event()
        self._ledger, self._pace = Ledger(), Pace()
        self._asked: list[Answer] = []  # no answer to them has begun
        self._by_itself: list[Answer] = []  # began without being asked for
        self._open: dict[str, Answer] = {}  # by the vendor's name, until they are whole
        self._usage: list[Usage] = []
        self._asks = 0
        self._lately: deque[Answer] = deque()  # the brain's
        self._error: ProviderError | None = None
        self._lost = asyncio.Event()  # a connection was, once
        self._back = asyncio.Event()  # connected, or given up
        self._back.set()
        self._quiet: asyncio.TimerHandle | None = None
        self.stt = Ears(vendor, lambda: self._wire, self.send)
        self.llm = Mind(self)
        self.tts = Mouth(self)
        self._task = asyncio.create_task(self._serve(socket, wire), name=f"realtime-{vendor.name}")

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._quiet is not None:
            self._quiet.cancel()
        self._fail_all(self.error("the call is over", False))
        await self.stt.aclose()

    # ---- what the three of them ask for ----------------------------------------------------

    def owner(self, text: str) -> Answer | None:
        """The answer that goes on with this text."""
        return next((a for a in self._lately if not a.stopped and a.find(text) is not None), None)

    @property
    def busy(self) -> bool:
        """Whether the model owes something, or makes it."""
        return bool(self._asked or self._open)

    async def ask(self, request: LlmRequest) -> Answer:
        """Tell what is new and ask for an answer.

        Raises:
            ProviderError: there is no connection.
        """
        wire = await self._connected()
        self._clear_up()
        self._request = request
        messages = request.messages
        if messages and messages[0].role == "system":
            messages = messages[1:]
        news, answer = self._ledger.news(messages, self.stt.take()), None
        by_itself, self._by_itself = self._by_itself, []
        if self.vendor.decides and news.speech and not news.typed and by_itself:
            # The caller's turn was over for the vendor, which answers already.
            answer = by_itself.pop()
        for old in by_itself:
            self.stop(old)
        begun = answer is not None
        if answer is None:
            answer = self._new()
            self._asked.append(answer)
        frames = wire.answer(news, 0 if begun else answer.ask)
        self.send(frames)
        self._lately.append(answer)
        if len(self._lately) > MAX_ANSWERS:
            self._lately.popleft().stop()
        self._ledger.gave(answer)
        return answer

    def speak(self, text: str) -> Answer:
        """Have the model say exactly this.

        Raises:
            ProviderError: it cannot, or there is no connection.
        """
        if self._wire is None:
            raise self._error or self.error("the connection was lost", True)
        if not self.can_say():
            raise self.error("the model cannot be told what to say now", True)
        answer = self._new()
        answer.own_words = True
        self._asked.append(answer)
        self.send(self._wire.say(text, answer.ask))
        return answer

    def can_say(self) -> bool:
        """Whether the model can be made to say a sentence now."""
        vendor = self.vendor
        return vendor.says and self._wire is not None and (vendor.beside or not self.busy)

    def stop(self, answer: Answer) -> None:
        """Nobody wants the rest of it."""
        if answer.stopped or answer.whole:
            answer.stop()
            return
        answer.stop()
        if answer.key is not None and self._wire is not None:
            self.send(self._wire.cancel(answer.key))
        elif answer in self._asked and self.vendor.decides:
            self._asked.remove(answer)  # another vendor's answer to it still comes, and is counted

    def usage(self) -> list[Usage]:
        """What was counted since the last time."""
        counted, self._usage = self._usage, []
        return counted

    def send(self, frames: Sequence[Frame]) -> None:
        """Queue frames; without a connection they are for nothing."""
        if self._wire is None:
            return
        if len(self._outbox) + len(frames) > MAX_FRAMES:
            raise self.error("the connection takes nothing any more", True)
        self._outbox.extend(frames)
        self._more.set()

    def error(self, message: str, retryable: bool) -> ProviderError:
        """An error of this vendor."""
        return ProviderError(message, provider=self.vendor.name, retryable=retryable)

    def _clear_up(self) -> None:
        """There is one answer at a time; a request that was never answered is forgotten."""
        now = asyncio.get_running_loop().time()
        for one in [*self._asked, *self._open.values()]:
            if not (one.own_words or one.written or one in self._by_itself):
                self.stop(one)
            if one in self._asked and now - one.asked_at > self.vendor.first_ms / 1000:
                self._asked.remove(one)

    def _new(self) -> Answer:
        self._asks += 1
        return Answer(self.rate_hz, self._pace, self._asks)

    async def _connected(self) -> Wire:
        if self._wire is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.vendor.connect_ms / 1000):
                    await self._back.wait()
        if self._wire is None:
            raise self._error or self.error("the connection was lost", True)
        return self._wire

    # ---- the connection --------------------------------------------------------------------

    async def _serve(self, socket: Socket, wire: Wire) -> None:
        """Use the connection, and another one when it is lost."""
        now = asyncio.get_running_loop().time
        failures = 0
        while True:
            begun, lost = now(), self.error("the connection ended", True)
            try:
                await self._use(socket, wire)
            except ProviderError as error:
                lost = error
            failures = 1 if now() - begun >= LIVED_S else failures + 1
            self._lose(lost)
            while True:
                if not lost.retryable or failures >= TRIES:
                    self._give_up(lost)
                    return
                try:
                    request, known = self._request, self._ledger.known
                    socket, wire = await self.vendor.connect(request, known)
                    break
                except ProviderError as error:
                    lost, failures = error, failures + 1
            self._socket, self._wire = socket, wire
            self._back.set()
            self.stt.found(wire)

    async def _use(self, socket: Socket, wire: Wire) -> None:
        """Send and read side by side, until the connection is lost."""
        sending = asyncio.create_task(self._send_all(socket))
        reading = asyncio.create_task(self._read_all(socket, wire))
        try:
            await asyncio.wait([sending, reading], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, reading):
                task.cancel()
            await asyncio.wait([sending, reading])
            await leave(socket)
        for task in (reading, sending):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise self._meaning(error) from None

    def _meaning(self, error: BaseException) -> BaseException:
        if isinstance(error, ConnectionClosed):
            return closed_error(self.vendor.name, error, self.vendor.final_codes)
        if isinstance(error, OSError):
            return self.error(f"the connection broke: {error}", True)
        if isinstance(error, LookupError | TypeError | ValueError | AttributeError):
            # The message was JSON, and not of the shape that the vendor documents.
            return self.error(f"a message that makes no sense: {error!r}"[:200], True)
        return error

    async def _send_all(self, socket: Socket) -> None:
        while True:
            self._more.clear()
            while self._outbox:
                await socket.send(encoded(self._outbox.popleft()))
            await self._more.wait()

    async def _read_all(self, socket: Socket, wire: Wire) -> None:
        while True:
            for told in wire.read(await socket.recv()):
                self._take(told)

    def _lose(self, error: ProviderError) -> None:
        self._socket = self._wire = None
        self._back.clear()
        self._lost.set()
        self._outbox.clear()
        self._fail_all(error)
        self._ledger.forget()
        self.stt.lost()
        log.warning("realtime connection lost", extra={"error": str(error)})

    def _give_up(self, error: ProviderError) -> None:
        self._error = error
        self._back.set()
        self.stt.fail(error)

    def _fail_all(self, error: ProviderError) -> None:
        for answer in [*self._asked, *self._open.values()]:
            answer.fail(error)
        self._asked.clear()
        self._by_itself.clear()
        self._open.clear()

    # ---- what the vendor tells -------------------------------------------------------------

    def _take(self, told: Told) -> None:
        match told:
            case Heard():
                self.stt.heard(told)
            case TurnOver():
                for old in self._by_itself:
                    self.stop(old)
                self._by_itself.clear()
                self.stt.turn_over()
            case Began():
                self._begin(told)
            case Refused():
                self._refuse(told)
            case Counted():
                self._usage.append(told.usage)
            case Reply():
                self.send(told.frames)
            case _:
                self._fill(told)

    def _begin(self, told: Began) -> None:
        asked = self._asked
        answer = next((one for one in asked if told.ask in (0, one.ask)), None)
        if answer is not None:
            asked.remove(answer)
        else:
            answer = self._new()
            if self.vendor.decides:
                self._by_itself.append(answer)
            else:
                answer.stopped = True
        answer.key = told.key
        self._open[told.key] = answer
        answer.touch()
        if answer.stopped and self._wire is not None:
            self.send(self._wire.cancel(told.key))

    def _refuse(self, told: Refused) -> None:
        answer = next((one for one in self._asked if told.ask in (0, one.ask)), None)
        if answer is not None:
            self._asked.remove(answer)
            answer.fail(told.error)

    def _fill(self, told: Piece) -> None:
        answer = self._open.get(told.key)
        if answer is None:
            return
        match told:
            case Said():
                answer.say(told.text)
            case Sounded():
                answer.sound(told.pcm)
                self._listen(told.key)
            case Wanted():
                answer.tools.append(told.call)
                answer.touch()
            case Written():
                answer.written = True
                answer.touch()
            case Whole():
                del self._open[told.key]
                if told.error is not None:
                    answer.fail(told.error)
                elif told.cut:
                    answer.cut()
                else:
                    answer.end()

    def _listen(self, key: str) -> None:
        """Where the vendor does not tell the end of the sound, silence does."""
        if self.vendor.quiet_ms:
            if self._quiet is not None:
                self._quiet.cancel()
            loop = asyncio.get_running_loop()
            self._quiet = loop.call_later(self.vendor.quiet_ms / 1000, self._silent, key)

    def _silent(self, key: str) -> None:
        if self._wire is None or self._wire.over(key):
            self._fill(Whole(key))
