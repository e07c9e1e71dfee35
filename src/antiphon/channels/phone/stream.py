"""A call over a telephone company's media stream.

The stream is one WebSocket at a time: while the caller is being passed to a person the company
closes it, and when nobody took the call a second one carries on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from antiphon.audio.tones import tones
from antiphon.channels.base import CallFacts, TelephoneIO, TransferResult, TransferTarget
from antiphon.channels.pacer import Pacer
from antiphon.channels.phone.ear import Ear
from antiphon.channels.phone.mouth import Mouth
from antiphon.channels.phone.vendor import (
    BadMessage,
    Dialect,
    Key,
    Marked,
    Sound,
    Stopped,
)
from antiphon.channels.phone.wire import POLICY_VIOLATION, Wire
from antiphon.errors import ProviderError

log = logging.getLogger(__name__)

DEAD_LINE_S = 20.0
"""A stream that brings no sound for so long is dead: companies send silence, too."""
RESUME_S = 10.0
"""How long the company may take to open another stream after a transfer came to nothing."""
TRANSFER_MARGIN_S = 20.0
"""What a transfer may take beyond the ringing."""
HANG_UP_S = 2.0
MAX_BROKEN = 20
"""Messages of a stream that may be broken before it is hung up."""


class Line(Protocol):
    """What can be asked of the call's company."""

    can_transfer: bool

    async def transfer(self, call: StreamCall, target: TransferTarget) -> None:
        """Begin to pass the caller on. Raises ProviderError."""
        ...

    async def hang_up(self, call: StreamCall, *, streaming: bool) -> None:
        """End the call. `streaming`: it had a stream, which is being closed.

        Raises:
            ProviderError: it may go on.
        """
        ...


class StreamCall:
    """One call. A stream is attached to it, and may be replaced.

    Args:
        channel: the company's name.
        facts: who calls whom.
        rate_hz: of the stream, both ways.
        line: what can be asked of the company.
        late: told how late each tick of 20 ms is, in seconds.
    """

    has_audio = True
    tells_heard = True

    def __init__(
        self,
        channel: str,
        facts: CallFacts,
        rate_hz: int,
        line: Line,
        late: Callable[[float], None] | None = None,
    ) -> None:
        self.channel, self.facts, self.output_rate_hz = channel, facts, rate_hz
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._io: TelephoneIO | None = None
        self._wire: Wire | None = None
        self._dialect: Dialect | None = None
        self._ear: Ear | None = None
        self._mouth = Mouth(rate_hz)
        self._pacer = Pacer(self._tick, late)
        self._heard = 0
        self._last_sound_s = 0.0
        self._broken = 0
        self._closed = False
        self._passed_on = self._caller_gone = False
        self.over = asyncio.Event()
        self._transfer: asyncio.Future[TransferResult] | None = None
        self._result: TransferResult | None = None
        self._waiting: asyncio.TimerHandle | None = None

    # ---- the session's side ----------------------------------------------------------------

    def notify(self, event: dict[str, Any]) -> None:
        """A telephone has no screen."""

    async def close(self, reason: str) -> None:
        if self._closed:
            return
        self._closed = True
        streaming = self._wire is not None
        self._pacer.stop()
        self._stop_waiting()
        self._settle(TransferResult("failed", "the call is over"))
        if self._wire is not None:
            self._wire.close()
        self.over.set()
        if self._passed_on or self._caller_gone:
            return
        try:
            async with asyncio.timeout(HANG_UP_S):
                await self._line.hang_up(self, streaming=streaming)
        except (ProviderError, TimeoutError):
            log.warning("a call could not be hung up", extra={"call_id": self.call_id})

    def clear(self) -> bool:
        send = None if self._wire is None else self._wire.send
        self._mouth.clear(self._dialect, send, self._loop.time())
        return True

    def press(self, digits: str) -> None:
        self._mouth.press(tones(digits, self.output_rate_hz))

    async def transfer(self, target: TransferTarget) -> TransferResult:
        if not self._line.can_transfer:
            return TransferResult("refused", "this company passes no calls on")
        if self._closed or self._transfer is not None:
            return TransferResult("failed", "the call is over, or being passed on already")
        result: asyncio.Future[TransferResult] = self._loop.create_future()
        self._transfer = result
        self._result = None
        try:
            async with asyncio.timeout(target.ring_s + TRANSFER_MARGIN_S):
                await self._line.transfer(self, target)
                return await result
        except ProviderError as error:
            return TransferResult("failed", str(error))
        except TimeoutError:
            return TransferResult("failed", "the company did not tell what became of it")
        finally:
            self._transfer = None
            if self._wire is None and not self._passed_on:
                self._wait_for_stream()

    # ---- the company's side ----------------------------------------------------------------

    @property
    def call_id(self) -> str:
        return "" if self._io is None else self._io.call_id

    @property
    def ended(self) -> bool:
        return self._closed

    def begin(self, io: TelephoneIO) -> None:
        """The session is there; attach a stream next."""
        self._io = io

    async def run(self, wire: Wire, dialect: Dialect) -> None:
        """Carry one stream whose `Started` has been read, until it ends."""
        if self._closed:
            wire.close()
            return
        self._stop_waiting()
        if self._wire is not None:
            self._wire.close()
        self._wire, self._dialect = wire, dialect
        self._ear = Ear(dialect.encoding, dialect.rate_hz)
        self._last_sound_s = self._loop.time()
        if self._result is not None:
            self._settle(self._result)
        self._pacer.start()
        try:
            await wire.run(lambda message: self._take(wire, message))
        finally:
            self._detach(wire)

    def transferred(self, result: TransferResult) -> None:
        """The company told what became of a transfer. Unless the caller has the person, the call
        goes on with the next stream."""
        if result.outcome == "connected":
            self._passed_on = self._transfer is not None
            self._settle(result)
            return
        self._result = result
        if self._wire is not None:
            self._settle(result)
        elif self._transfer is not None:
            self._wait_for_stream()

    def gone(self) -> None:
        """The company says that the call is over."""
        if not self._passed_on:
            self._caller_gone = True
            self._hang_up("caller hung up")

    # ---- inside ----------------------------------------------------------------------------

    def _take(self, wire: Wire, message: str | bytes) -> None:
        if wire is not self._wire or self._io is None or self._closed:
            return
        assert self._dialect is not None
        assert self._ear is not None
        try:
            event = self._dialect.read(message)
        except BadMessage:
            self._broken += 1
            if self._broken > MAX_BROKEN:
                wire.close(POLICY_VIOLATION, "too many broken messages")
                self._hang_up("the line sent too many broken messages")
            return
        if isinstance(event, Sound):
            now_s = self._last_sound_s = self._loop.time()
            if self._transfer is None:
                for frame in self._ear.push(event, now_s):
                    self._io.on_audio(frame)
        elif isinstance(event, Marked):
            self._mouth.clock.marked(event.name, self._loop.time())
        elif isinstance(event, Key):
            self._io.on_key(event.key)
        elif isinstance(event, Stopped):
            wire.close()
            self._detach(wire)

    def _tick(self, due: int) -> None:
        if self._wire is None or self._io is None or self._dialect is None:
            return
        now_s = self._loop.time()
        if self._transfer is None:
            self._mouth.speak(self._io.read_frame, self._dialect, self._wire.send, now_s)
            if now_s - self._last_sound_s > DEAD_LINE_S:
                self._wire.close()
                self._hang_up("the line is dead")
        self._tell_heard()

    def _tell_heard(self) -> None:
        heard = self._mouth.clock.heard(self._loop.time())
        if heard != self._heard and self._io is not None:
            self._heard = heard
            self._io.on_heard(heard)

    def _detach(self, wire: Wire) -> None:
        if wire is not self._wire:
            return
        self._wire = self._dialect = None
        self._pacer.stop()
        self._tell_heard()
        self._mouth.clear(None, None, self._loop.time())
        if self._closed or self._passed_on:
            return
        if self._transfer is None and self._result is None:
            self.gone()
        elif self._transfer is None:
            self._wait_for_stream()

    def _hang_up(self, reason: str) -> None:
        if self._io is not None:
            self._io.hang_up(reason)

    def _settle(self, result: TransferResult) -> None:
        self._result = None
        if self._transfer is not None and not self._transfer.done():
            self._transfer.set_result(result)

    def _wait_for_stream(self) -> None:
        self._stop_waiting()
        if not self._closed:
            handle = self._loop.call_later(RESUME_S, self._hang_up, "the line did not come back")
            self._waiting = handle

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
