"""One WebRTC connection of a call, by aiortc: ICE, DTLS, a data channel, sound both ways."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from aiortc import RTCDataChannel, RTCRtpSender, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

from antiphon.channels.client_events import Playout
from antiphon.channels.pacer import MOST_AT_ONCE, STEP_S
from antiphon.channels.rtp.receive import LineStats
from antiphon.channels.rtp.reports import Reports
from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.webrtc.config import PLAIN, AudioConfig
from antiphon.channels.webrtc.ear import Ear
from antiphon.channels.webrtc.ice import ANY, IceRules, Peer
from antiphon.channels.webrtc.mouth import Mouth
from antiphon.channels.webrtc.offer import UNREADABLE, BadOffer
from antiphon.channels.webrtc.port import MediaPort
from antiphon.channels.webrtc.trickle import Trickle, Trickled
from antiphon.errors import CapacityError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 1.0
FLUSH_TIMEOUT_S = 0.25
MAX_UNSENT_BYTES = 1 << 20
MAX_UNSENT = 256
REPORT_EVERY_S = 1.0
"""Often, because the browser's redundancy follows what is reported as lost."""
ASK_AFTER_S = 0.4
"""Nothing came for so long: a caller without a microphone is asked whether they are there."""
SILENT_AFTER_S = 1.0
"""Nothing came for so long, no answer either: there is no silence to be heard from there."""
JITTER_BUFFER_MS, OUTPUT_MS = 60, 30
"""Of a browser that does not tell."""


class WebRtcConnection:
    """See the module.

    Args:
        call: whose connection it is.
        let_go: closes a connection that is not needed any more: the one that this one replaces,
            or itself when it does not come about or breaks.
        rules: which sockets it may open.
        audio: how the agent's voice is coded.
    """

    def __init__(
        self,
        call: VoiceCall,
        let_go: Callable[..., None],
        rules: IceRules = ANY,
        audio: AudioConfig = PLAIN,
    ) -> None:
        self._call, self._let_go, self._audio = call, let_go, audio
        self._loop = asyncio.get_running_loop()
        self._pc = Peer(rules)
        self._trickle: Trickle | None = None
        self._data: RTCDataChannel | None = None
        self._unsent: list[str] = []
        self._heard_s = self._loop.time()
        self._playout = Playout()
        self._line = self._pc.addTransceiver("audio", "sendrecv")
        self._port = MediaPort(self._line, self._on_rtp, self._on_rtcp)
        self._ear: Ear | None = None
        self._mouth: Mouth | None = None
        self._reports = Reports(LineStats())
        self._report_s = self._ask_s = self._began_s = 0.0
        self._frames = 0
        """That were played since `_began_s`."""
        self._giving_up: asyncio.TimerHandle | None = None
        self._closed = False
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._on_data_channel)

    # ---- making it ---------------------------------------------------------------------------

    async def accept(self, offer_sdp: str) -> None:
        """Apply a checked offer.

        Raises:
            BadOffer: aiortc cannot use it.
        """
        self._port.bundled()
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        self._line.setCodecPreferences([c for c in codecs if c.mimeType == "audio/opus"])
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
        except (InternalError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise BadOffer(f"The offer cannot be used: {error}.") from error
        except UNREADABLE as error:
            raise BadOffer("The offer cannot be used; send the browser's unchanged.") from error
        if self._line.receiver.track is None:
            raise BadOffer("The audio line must be sendrecv: a call is spoken both ways.")
        self._trickle = Trickle(offer_sdp)
        self._pc.be_dtls_server(offer_sdp)
        self._port.plain()
        self._ear = Ear(self._port.payload_type)
        self._mouth = Mouth(self._port.payload_type, self._port.ssrc, self._audio)
        self._reports = Reports(self._ear.stats)

    async def answer(self) -> str:
        """The SDP answer; from here on the connection is being made."""
        self._call.expect(self)
        self._giving_up = self._loop.call_later(CONNECT_TIMEOUT_S, self._lose)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        self._port.open_taps()
        sdp: str = self._pc.localDescription.sdp
        if "a=candidate:" not in sdp:
            raise CapacityError(self._pc.why_unreachable)
        return sdp

    async def add_candidates(self, told: Sequence[Trickled]) -> None:
        """Addresses of the caller's that came after the offer.

        Raises:
            BadOffer: one is of a line that the offer does not have.
        """
        if self._trickle is not None:
            for candidate in self._trickle.take(told):
                await self._pc.add_candidate(candidate)

    # ---- what the call asks (Connection) -------------------------------------------------------

    def play(self, pcm: bytes | None) -> None:
        if self._mouth is not None and self._ear is not None:
            self._frames += 1
            if self._port.send_rtp(self._mouth.frame(pcm)):
                self._ear.stats.sent += 1

    def poll(self, now_s: float) -> None:
        if self._ear is None or self._mouth is None or self._closed:
            return
        # Frames that the pacer leaves out after a halt have their time too.
        self._began_s = self._began_s or now_s
        left_out = int((now_s - self._began_s) / STEP_S) - self._frames - MOST_AT_ONCE
        if left_out > 0:
            self._mouth.skip(left_out)
            self._frames += left_out
        if self._port.answered():
            self._heard_s = now_s
        silent_s = now_s - self._heard_s
        for frame in self._ear.poll(now_s):
            if silent_s < SILENT_AFTER_S:
                self._call.on_frame(self, frame)
        if silent_s > ASK_AFTER_S and now_s - self._ask_s > ASK_AFTER_S:
            self._ask_s = now_s
            self._port.ask()
        if now_s >= self._report_s:
            self._report_s = now_s + REPORT_EVERY_S
            self._report(now_s)

    def clear(self) -> float | None:
        """What is in a browser's jitter buffer is heard."""
        return None

    def send(self, text: str) -> None:
        if self._data is None:
            if len(self._unsent) < MAX_UNSENT:
                self._unsent.append(text)
        elif self._data.readyState == "open":
            if self._data.bufferedAmount > MAX_UNSENT_BYTES:
                self._call.end("caller stopped reading events")
                return
            self._data.send(text)

    def on_playout(self, playout: Playout) -> None:
        self._playout = playout

    @property
    def delay_ms(self) -> int:
        told = self._playout
        round_trip_ms = self.stats.round_trip_ms or told.round_trip_ms or 0.0
        buffer_ms = JITTER_BUFFER_MS if told.jitter_buffer_ms is None else told.jitter_buffer_ms
        output_ms = OUTPUT_MS if told.output_ms is None else told.output_ms
        return int(round_trip_ms / 2 + buffer_ms + output_ms)

    @property
    def stats(self) -> LineStats:
        """What came and was sent so far."""
        return LineStats() if self._ear is None else self._ear.stats

    def alive_s(self, now_s: float) -> float:
        return self._heard_s

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stop_waiting()
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._flush()
        except TimeoutError:
            log.info("the last events may not have left", extra={"call_id": self._call.call_id})
        self._report(self._loop.time(), bye=True)
        self._port.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                # Half closed it would keep its sockets, so it goes on when this has waited enough.
                await asyncio.shield(self._pc.close())
        except TimeoutError:
            log.warning("a connection did not close", extra={"call_id": self._call.call_id})
            self._pc.drop()

    async def _flush(self) -> None:
        """Polled, because aiortc tells of an emptier buffer only when it crosses a threshold."""
        while self._data is not None and self._pc.connectionState == "connected":
            if not self._data.bufferedAmount:
                return
            await asyncio.sleep(0.01)

    # ---- called by aiortc and the port -----------------------------------------------------------

    def _on_rtp(self, datagram: bytes) -> None:
        if self._ear is None or self._closed:
            return
        now_s = self._loop.time()
        self._heard_s = now_s
        for frame in self._ear.push(datagram, now_s):
            self._call.on_frame(self, frame)

    def _on_rtcp(self, datagram: bytes) -> None:
        if self._mouth is None or self._closed:
            return
        self._heard_s = now_s = self._loop.time()
        _, about = self._reports.take(datagram, self._mouth.ssrc, now_s, time.time())
        if about is not None:
            self._mouth.lost(about.fraction_lost / 256)

    def _report(self, now_s: float, *, bye: bool = False) -> None:
        if self._ear is not None and self._mouth is not None:
            sent, received = self._mouth.report(time.time()), self._ear.report()
            self._port.send_rtcp(self._reports.make(sent, received, now_s, bye=bye))

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self._stop_waiting()
            self._heard_s = self._loop.time()
            self._report_s = self._heard_s + REPORT_EVERY_S / 2
            before = self._call.connected(self)
            if before is not None:
                self._let_go(before)
        elif state in ("failed", "closed"):
            self._lose()

    def _lose(self) -> None:
        self._call.lost(self)
        if not self._closed:
            self._let_go(self)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()

    def _on_data_channel(self, data: RTCDataChannel) -> None:
        if self._data is not None:
            data.close()
            return
        self._data = data
        data.on("message", lambda raw: self._call.on_message(self, raw))
        data.on("close", self._lose)
        for text in self._unsent:
            self.send(text)
        self._unsent.clear()
