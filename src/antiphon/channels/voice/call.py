"""A call by browser or device, which outlives its connections.

The session sees one call. Behind it a connection is lost, is silent, is replaced by another when
the caller changes networks or loads the page again; meanwhile the call is *away*: nothing is read
of the session, which keeps what was not heard and says it when the caller is back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from antiphon.channels.base import CallIO
from antiphon.channels.client_events import (
    ClientEventReader,
    Flooded,
    HangUp,
    KeyPressed,
    Playout,
    Rejected,
    TalkKey,
    Typed,
    error_event,
)
from antiphon.channels.pacer import Pacer
from antiphon.channels.voice.base import OUTPUT_RATE_HZ, PATIENT, Connection, Patience
from antiphon.channels.voice.tally import LineTally

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
AWAY_AFTER_S = 1.2
"""Nothing came for so long: the caller does not hear the agent either. A browser sends sound all
the time, muted or not; and a pause of speech is over long before."""
ALIVE_SLACK_S = 0.06
"""Sound reached the caller if anything came from there since, but for the jitter."""
LAST_WORDS_S = 0.3
"""Network, jitter buffer and sound card of a caller: 90 to 250 ms."""
RELEASE_TIMEOUT_S = 2.0
MOST_UNSENT = 256
"""Events that wait for a connection; of more the oldest are lost, and the screen is drawn anew."""


class VoiceCall:
    """See the module. `run` lives as long as the call.

    Args:
        channel: of its first connection, `webrtc` or `websocket`.
        late: told how late each tick of 20 ms is, in seconds.
        patience: how long it waits for a caller who is away.
    """

    output_rate_hz = OUTPUT_RATE_HZ
    has_audio = True
    tells_heard = True

    def __init__(
        self,
        channel: str,
        late: Callable[[float], None] | None = None,
        patience: Patience = PATIENT,
    ) -> None:
        self.channel = channel
        self.patience = patience
        self.away = True
        """Whether nothing reaches the caller at present."""
        self._loop = asyncio.get_running_loop()
        self.io: CallIO | None = None
        """The session; None before it is there."""
        self._connection: Connection | None = None
        self._expected: set[Connection] = set()
        self._tally = LineTally()
        self._left_s = 0.0
        self._pacer = Pacer(self._tick, late)
        self._reader = ClientEventReader()
        self._unsent: deque[str] = deque(maxlen=MOST_UNSENT)
        self._on_the_way: deque[tuple[int, float]] = deque()
        """Frames with sound: their number, and when they reach the caller's ear."""
        self._sent = self._heard = 0
        self._reason = ""
        self._ended = asyncio.Event()
        self._told = asyncio.Event()
        self._released = asyncio.Event()
        self._giving_up = self._loop.call_later(
            CONNECT_TIMEOUT_S, self.end, f"not connected within {CONNECT_TIMEOUT_S:.0f} s"
        )
        self._met = False
        """Whether the caller was ever there."""

    @property
    def call_id(self) -> str:
        return "" if self.io is None else self.io.call_id

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    # ---- what the session asks (Call) --------------------------------------------------------

    def notify(self, event: dict[str, Any]) -> None:
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        if self._connection is None:
            self._unsent.append(text)
        else:
            self._connection.send(text)

    def clear(self) -> bool:
        connection = self._connection
        if connection is None:
            return True
        within_s = connection.clear()
        if within_s is None:
            return False
        now_s = self._loop.time()
        sure_s = connection.alive_s(now_s) + ALIVE_SLACK_S
        self._tell_heard(now_s + within_s if now_s <= sure_s else sure_s)
        self._on_the_way.clear()
        return True

    def line_facts(self) -> dict[str, Any]:
        tally = self._tally
        return (tally if self._connection is None else tally.add(self._connection.stats)).facts()

    async def close(self, reason: str) -> None:
        if not self.ended and not self.away:
            # The caller is still there, and the agent's last words are on their way to the ear.
            await asyncio.sleep(LAST_WORDS_S)
        self.end(reason)
        self._told.set()
        # `run` closes the connection; whoever asked waits for it, but not for `run` itself, which
        # in turn waits for the session.
        async with asyncio.timeout(RELEASE_TIMEOUT_S + 0.5):
            await self._released.wait()

    # ---- its life ----------------------------------------------------------------------------

    def begin(self, io: CallIO) -> None:
        """The session is there."""
        self.io = io

    def end(self, reason: str) -> None:
        """Whatever comes first is the reason."""
        if not self.ended:
            self._reason = reason
            self._ended.set()

    async def run(self) -> None:
        """Until the call is over and its connection closed."""
        assert self.io is not None
        try:
            # No deadline here: `_giving_up` and the session have theirs.
            await self._ended.wait()
        finally:
            self.end("server stopped")
            self._pacer.stop()
            self._giving_up.cancel()
            self.io.hang_up(self._reason)
            await self._release()

    async def abandon(self, reason: str) -> None:
        """Close what was made of a call that did not come about."""
        self.end(reason)
        self._pacer.stop()
        self._giving_up.cancel()
        await self._release()

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                if self.io is not None:
                    await self._told.wait()
                if self._connection is not None:
                    self._expected.add(self._connection)
                await asyncio.gather(*(one.aclose() for one in self._expected))
        except TimeoutError:
            log.info("the last events may not have left", extra={"call_id": self.call_id})
        finally:
            self._let_go()
            self._released.set()

    # ---- what connections tell -----------------------------------------------------------------

    def expect(self, connection: Connection) -> None:
        """A connection is being made; it is closed with the call. It has a deadline of its own, and
        tells by `lost` that it did not come about."""
        self._expected.add(connection)

    def connected(self, connection: Connection) -> Connection | None:
        """The caller is reached by this connection from now on. Returns the one that it replaces,
        to be closed."""
        before = self._connection
        if self.ended or before is connection:
            return None
        self._expected.discard(connection)
        first, self._met = not self._met, True
        self._leave()
        self._let_go()
        self._tally.connections += 1
        self._connection = connection
        for text in self._unsent:
            connection.send(text)
        self._unsent.clear()
        if first:
            self.away = False
            self._giving_up.cancel()
            self._pacer.start()
        else:
            if self.io is not None:
                self.io.on_return()
            self._return()
        return before

    def lost(self, connection: Connection) -> None:
        """The connection does not work any more; the caller may come by another one."""
        self._expected.discard(connection)
        if connection is self._connection and not self.ended:
            self._leave()
            self._let_go()

    def leaving(self) -> Connection | None:
        """The page goes away; it may be loaded again. Returns the connection, to be closed."""
        connection = self._connection
        if connection is not None:
            self.lost(connection)
        if self._met and not self.ended:
            # It may have been away for a while, and is not waited for any longer than it was.
            waited_s = self._loop.time() - self._left_s
            left_s = min(self.patience.leave_s, self.patience.resume_s - waited_s)
            self._wait(left_s, "caller left the page")
        return connection

    def on_frame(self, connection: Connection, pcm: bytes) -> None:
        """20 ms from the caller: 16 kHz mono s16 PCM."""
        if connection is self._connection and self.io is not None and not self.ended:
            self._return()
            self.io.on_audio(pcm)

    def on_message(self, connection: Connection, raw: str | bytes) -> None:
        """An event from the caller's screen."""
        if self.io is None or self.ended or connection is not self._connection:
            return
        event = self._reader.read(raw, self._loop.time())
        match event:
            case Typed(text):
                self.io.on_text(text)
            case KeyPressed(key):
                self.io.on_key(key)
            case TalkKey(held):
                self.io.on_talk_key(held)
            case Playout():
                connection.on_playout(event)
            case HangUp():
                self.end("caller hung up")
            case Rejected(message) if message:
                self.notify(error_event(message))
            case Flooded():
                self.end("caller sent too many broken events")

    # ---- the clock -----------------------------------------------------------------------------

    def _tick(self, due: int) -> None:
        if self._connection is None or self.io is None or self.ended:
            return
        try:
            self._play(self._connection, self.io, due)
        except Exception:
            # The outermost frame of a call's clock, which would stand still for ever.
            log.exception("a call's clock failed", extra={"call_id": self.call_id})
            self.end("internal error")

    def _play(self, connection: Connection, io: CallIO, due: int) -> None:
        now_s = self._loop.time()
        connection.poll(now_s)
        alive_s = connection.alive_s(now_s)
        if now_s - alive_s > AWAY_AFTER_S:
            self._leave()
        for _ in range(due):
            pcm = None if self.away else io.read_frame()
            connection.play(pcm)
            if pcm is not None:
                self._sent += 1
                self._on_the_way.append((self._sent, now_s + connection.delay_ms / 1000))
        self._tell_heard(min(now_s, alive_s + ALIVE_SLACK_S))

    def _tell_heard(self, until_s: float) -> None:
        heard = self._heard
        while self._on_the_way and self._on_the_way[0][1] <= until_s:
            heard = self._on_the_way.popleft()[0]
        if heard != self._heard and self.io is not None:
            self._heard = heard
            self.io.on_heard(heard)

    # ---- away and back -------------------------------------------------------------------------

    def _leave(self) -> None:
        """Nothing more reaches the caller. What was on its way is lost, and not heard."""
        if self.away or self.ended:
            return
        self.away = True
        self._left_s = self._loop.time()
        self._tally.outages += 1
        self._on_the_way.clear()
        self._wait(self.patience.resume_s, "connection lost")
        if self.io is not None:
            self.io.on_hold(True)

    def _wait(self, wait_s: float, reason: str) -> None:
        """So long for the caller, and then no more."""
        self._giving_up.cancel()
        self._giving_up = self._loop.call_later(wait_s, self.end, reason)

    def _return(self) -> None:
        if not self.away or self.ended:
            return
        self.away = False
        self._tally.outage_ms += round((self._loop.time() - self._left_s) * 1000)
        self._giving_up.cancel()
        if self.io is not None:
            self.io.on_hold(False)

    def _let_go(self) -> None:
        """Of the connection; what it has counted stays."""
        if self._connection is not None:
            self._tally = self._tally.add(self._connection.stats)
            self._connection = None
