"""One WebSocket connection of a call: sound in binary messages, events in text messages."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque

from antiphon.channels.client_events import Playout, TokenBucket, error_event
from antiphon.channels.phone.wire import NORMAL_CLOSURE, Message, Wire
from antiphon.channels.rtp.opus import CLEAR as CLEAR_OPUS
from antiphon.channels.rtp.receive import LineStats
from antiphon.channels.voice.base import Connection
from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.voice.calls import Ticket
from antiphon.channels.websocket.downlink import Downlink
from antiphon.channels.websocket.format import SocketFormats
from antiphon.channels.websocket.liveness import Liveness
from antiphon.channels.websocket.uplink import MOST_AT_ONCE_MS, BadSound, Uplink
from antiphon.types import FRAME_MS

log = logging.getLogger(__name__)

CARRIED_ON = 4001
"""Close code: the call goes on without this connection."""
CLOSE_TIMEOUT_S = 1.5
BUFFER_MS = 80
"""What a client keeps ahead, if it does not tell."""
OUTPUT_MS = 20
COMPLAINTS_PER_S = 0.2
STILL_THERE_S = 1.0
"""Nothing was sent for so long: the client is told that there is nothing, since pages cannot see
pings."""
CLEAR = '{"type":"antiphon.playout.clear"}'
ALIVE = '{"type":"antiphon.socket.alive"}'


class SocketConnection:
    """See the module. `run` lives as long as the connection.

    Raises:
        UserFacingError: Opus is asked for, and there is no libopus.
    """

    def __init__(
        self, call: VoiceCall, wire: Wire, formats: SocketFormats, bitrate: int = CLEAR_OPUS.bitrate
    ) -> None:
        self._call, self._wire, self._formats = call, wire, formats
        self._loop = asyncio.get_running_loop()
        now_s = self._loop.time()
        self._up = Uplink(formats.up, now_s)
        self._down = Downlink(formats.down, bitrate)
        self._alive = Liveness(now_s, pings=wire.ping(b""))
        self._held: deque[bytes] = deque(maxlen=MOST_AT_ONCE_MS // FRAME_MS)
        """Sound of a caller who does not take the agent's; of more the oldest is lost."""
        self._complaints = TokenBucket(COMPLAINTS_PER_S, 2.0)
        self._playout = Playout()
        self._stale = False
        """What the client got last is not to be heard any more."""
        self._sent_s = now_s
        self._taken = self._said = 0
        self._closing = False
        self._over = asyncio.Event()
        wire.ponged = self._on_pong

    def open(self, ticket: Ticket, *, resumed: bool) -> Connection | None:
        """Begin to carry the call. Returns the connection that this one replaces, to be closed."""
        opened = {
            "type": "antiphon.socket.opened",
            "session_id": ticket.session_id,
            "token": ticket.token,
            "resumed": resumed,
            **self._call.patience.told(),
            "up": self._formats.up.told(),
            "down": self._formats.down.told(),
        }
        self._wire.send(json.dumps(opened))
        return self._call.connected(self)

    async def run(self) -> None:
        """Until either side has closed."""
        try:
            await self._wire.run(self._take)
        finally:
            self._over.set()
            if self._wire.closed_with == NORMAL_CLOSURE and not self._closing:
                self._call.end("caller closed the connection")
            self._call.lost(self)

    # ---- what the call asks (Connection) -------------------------------------------------------

    def play(self, pcm: bytes | None) -> None:
        self._stale = self._stale or self._call.away
        message = self._down.message(pcm)
        if message is None:
            return
        if self._stale and pcm is not None:
            # What waited on the way while the network was away is said again.
            self._stale = False
            self.send(CLEAR)
        self._sent_s = self._loop.time()
        self._said += 1
        self._wire.send(message)

    def poll(self, now_s: float) -> None:
        ping = self._alive.ping(now_s)
        if ping is not None:
            self._wire.ping(ping)
        if self._alive.stuck(now_s):
            return
        if now_s - self._sent_s > STILL_THERE_S:
            self.send(ALIVE)
        while self._held:
            self._call.on_frame(self, self._held.popleft())
        if self._alive.silent(now_s):
            for pcm in self._up.poll(now_s):
                self._call.on_frame(self, pcm)

    def clear(self) -> float | None:
        self._down.cut()
        self.send(CLEAR)
        # What has left the client's buffer when this arrives there.
        return self._trip_ms / 2000 + self._output_ms / 1000

    def send(self, text: str) -> None:
        self._sent_s = self._loop.time()
        self._wire.send(text)

    @property
    def stats(self) -> LineStats:
        """Messages of sound, and the round trip by pings; TCP loses nothing that can be counted."""
        return LineStats(
            packets=self._taken,
            unknown=self._up.broken,
            sent=self._said,
            round_trip_ms=(self._alive.round_trip_s or 0.0) * 1000,
        )

    def on_playout(self, playout: Playout) -> None:
        self._playout = playout

    @property
    def delay_ms(self) -> int:
        told_ms = self._playout.jitter_buffer_ms
        buffer_ms = BUFFER_MS if told_ms is None else told_ms
        return int(buffer_ms + self._output_ms + self._trip_ms / 2)

    @property
    def _output_ms(self) -> float:
        told_ms = self._playout.output_ms
        return OUTPUT_MS if told_ms is None else told_ms

    @property
    def _trip_ms(self) -> float:
        trip_s = self._alive.round_trip_s
        return (self._playout.round_trip_ms or 0.0) if trip_s is None else trip_s * 1000

    def alive_s(self, now_s: float) -> float:
        return self._alive.alive_s(now_s)

    async def aclose(self) -> None:
        if not self._closing:
            self._closing = True
            if self._call.ended:
                self._wire.close(NORMAL_CLOSURE, "the call is over")
            else:
                self._wire.close(CARRIED_ON, "the call goes on without this connection")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._over.wait()
        except TimeoutError:
            log.warning("a connection did not close", extra={"call_id": self._call.call_id})

    # ---- what comes ----------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        now_s = self._loop.time()
        if isinstance(message, str):
            self._alive.came(now_s)
            self._call.on_message(self, message)
            return
        if not message or self._call.ended:
            return
        try:
            frames = self._up.push(message, now_s)
        except BadSound as error:
            self._alive.came(now_s)
            self._complain(error, now_s)
            return
        self._taken += 1
        self._alive.sound(now_s, self._up.chunk_ms)
        if self._held or self._alive.stuck(now_s):
            self._held.extend(frames)
            return
        for pcm in frames:
            self._call.on_frame(self, pcm)

    def _complain(self, error: BadSound, now_s: float) -> None:
        if error.hopeless:
            self._call.end("caller sent too much that is no sound")
        elif self._complaints.take(now_s):
            self._call.notify(error_event(str(error)))

    def _on_pong(self, payload: bytes) -> None:
        self._alive.pong(payload, self._loop.time())
