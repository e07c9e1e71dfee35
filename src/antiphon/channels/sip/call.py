"""A call over SIP, as a session sees it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from antiphon.channels.base import (
    CallFacts,
    TelephoneIO,
    TransferResult,
    TransferTarget,
)
from antiphon.channels.rtp.ends import LineEnd
from antiphon.channels.rtp.line import RtpLine
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.sdp import Agreed
from antiphon.errors import UserFacingError

log = logging.getLogger(__name__)

LAST_WORDS_S = 0.2
"""Network and jitter buffer of the other side."""
CLOSE_TIMEOUT_S = 1.0
RECORD_TIMEOUT_S = 10.0


class Transfers(Protocol):
    """Who passes callers on: the endpoint."""

    async def transfer(self, call: SipCall, target: TransferTarget) -> TransferResult: ...


class SipCall:
    """One of them. Runs two things: its signalling (`leg`) and its sound (`line`).

    Args:
        output_rate_hz: 8000 for G.711, 16000 for Opus.
        transfers: None: nobody can be passed on.
    """

    channel = "sip"
    has_audio = True
    tells_heard = False

    def __init__(
        self,
        line: RtpLine,
        facts: CallFacts,
        output_rate_hz: int,
        transfers: Transfers | None = None,
        trunk: str = "",
    ) -> None:
        self.line, self.facts, self.output_rate_hz = line, facts, output_rate_hz
        self.trunk = trunk
        self.leg: Leg | None = None
        self._transfers = transfers
        self._io: TelephoneIO | None = None
        self._end: LineEnd | None = None
        self._agreed: Agreed | None = None
        self._started = False
        self._held = False
        self._partner: SipCall | None = None
        self._reason = ""
        self._ended = asyncio.Event()
        self._released = asyncio.Event()

    # ---- what the session asks ---------------------------------------------------------------

    def notify(self, event: dict[str, Any]) -> None:
        """A telephone has no screen."""

    def clear(self) -> bool:
        """Nothing is buffered on the way but what the network holds."""
        return False

    def press(self, digits: str) -> None:
        self.line.press(digits)

    async def transfer(self, target: TransferTarget) -> TransferResult:
        if self._transfers is None or self._ended.is_set():
            return TransferResult("failed", "this line cannot pass anybody on")
        return await self._transfers.transfer(self, target)

    async def close(self, reason: str) -> None:
        if self._partner is not None:
            # The caller talks to a person now; only the session's part is over.
            return
        if not self._ended.is_set() and self._started and not self._held:
            await asyncio.sleep(LAST_WORDS_S)
        self.end(reason)
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await self._released.wait()

    # ---- its life ----------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        """Until it is over, but not until everything is closed."""
        # No deadline: whoever waits has one.
        await self._ended.wait()

    def attend(self, end: LineEnd) -> None:
        """Who is at our end of the line. The sound begins as soon as both sides have agreed."""
        self._end = end
        self._begin()

    def begin(self, io: TelephoneIO) -> None:
        """A session is at our end."""
        self._io = io
        self.attend(io)

    def end(self, reason: str) -> None:
        """Whatever comes first is the reason."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()

    def bridge(self, other: SipCall) -> None:
        """From now on the two callers talk to each other, until either hangs up."""
        self._partner, other._partner = other, self
        self.line.bridge(other.line)

    async def run(self) -> None:
        """Until the call is over and everything of it is closed."""
        try:
            # No deadline: the session has one, the line notices silence, and SIP's session timer
            # a peer that has vanished.
            await self._ended.wait()
        finally:
            self.end("server stopped")
            if self._io is not None:
                self._io.hang_up(self._reason)
            await self.release()
            if self._io is not None:
                async with asyncio.timeout(RECORD_TIMEOUT_S):
                    await self._io.wait_closed()

    async def release(self) -> None:
        """Hang up and free the ports. Idempotent."""
        self.end("server stopped")
        if self.leg is not None:
            self.leg.hang_up(self._reason)
        if self._partner is not None:
            self._partner.end("the other side hung up")
        await self.line.aclose()
        self._released.set()

    # ---- what the signalling tells -----------------------------------------------------------

    def on_up(self, agreed: Agreed) -> None:
        self._agreed = agreed
        self._begin()

    def on_changed(self, agreed: Agreed) -> None:
        self._agreed = agreed
        if self._started and not self._ended.is_set():
            self.line.change(
                remote=agreed.remote,
                codec=agreed.codec,
                accepts=agreed.accepts,
                keys_type=agreed.keys_type,
                sends=agreed.sends,
                # Who holds may play music or send nothing at all; the line must not be missed.
                receives=agreed.receives and not agreed.held,
            )
        if self._held != agreed.held:
            self._held = agreed.held
            if self._io is not None and self._partner is None:
                self._io.on_hold(agreed.held)

    def on_key(self, key: str) -> None:
        if self._end is not None:
            self._end.on_key(key)

    def on_over(self, reason: str) -> None:
        self.end(reason)

    def _begin(self) -> None:
        agreed, end = self._agreed, self._end
        if agreed is None or end is None or self._started or self._ended.is_set():
            return
        self._started = True
        try:
            self.line.start(
                end,
                remote=agreed.remote,
                codec=agreed.codec,
                accepts=agreed.accepts,
                keys_type=agreed.keys_type,
                sends=agreed.sends,
                receives=agreed.receives and not agreed.held,
                on_lost=self._on_lost,
            )
        except UserFacingError:
            log.warning("a codec was agreed on that cannot be used here")
            self.end("no codec")

    def _on_lost(self, reason: str) -> None:
        self.end("connection lost")
