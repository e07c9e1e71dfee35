"""One WebRTC connection of a call, by aiortc: ICE, DTLS, a data channel, sound both ways.

aiortc asks no server for our address: without an empty list of ICE servers it would ask a public
one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCBundlePolicy

from antiphon.channels.client_events import Playout
from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.webrtc.media import Listener, PlaybackTrack
from antiphon.channels.webrtc.offer import UNREADABLE, BadOffer
from antiphon.errors import CapacityError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 1.0
FLUSH_TIMEOUT_S = 0.25
MAX_UNSENT_BYTES = 1 << 20
MAX_UNSENT = 256


class WebRtcConnection:
    """See the module.

    Args:
        call: whose connection it is.
        let_go: closes a connection that is not needed any more: the one that this one replaces,
            or itself when it does not come about.
    """

    def __init__(self, call: VoiceCall, let_go: Callable[..., None]) -> None:
        self._call, self._let_go = call, let_go
        self._loop = asyncio.get_running_loop()
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._data: RTCDataChannel | None = None
        self._unsent: list[str] = []
        self._heard_s = self._loop.time()
        self._playout = Playout()
        self._track = PlaybackTrack()
        self._listening: asyncio.Task[None] | None = None
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
        transceiver = self._pc.addTransceiver(self._track, "sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "audio/opus"])
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
        except (InternalError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise BadOffer(f"The offer cannot be used: {error}.") from error
        except UNREADABLE as error:
            raise BadOffer("The offer cannot be used; send the browser's unchanged.") from error
        if transceiver.receiver.track is None:
            raise BadOffer("The audio line must be sendrecv: a call is spoken both ways.")
        self._listening = asyncio.create_task(self._listen(transceiver.receiver.track))

    async def answer(self) -> str:
        """The SDP answer; from here on the connection is being made."""
        self._call.expect(self)
        self._giving_up = self._loop.call_later(CONNECT_TIMEOUT_S, self._give_up)
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        sdp: str = self._pc.localDescription.sdp
        if "a=candidate:" not in sdp:
            raise CapacityError(
                "This server has no network address that a voice connection could use; "
                "type instead, or connect it to a network."
            )
        return sdp

    # ---- what the call asks (Connection) -------------------------------------------------------

    def play(self, pcm: bytes | None) -> None:
        self._track.push(pcm)

    def poll(self, now_s: float) -> None:
        """aiortc brings frames by itself."""

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
        return int((told.jitter_buffer_ms or 60) + (told.output_ms or 30))

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
        if self._listening is not None:
            self._listening.cancel()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pc.close()
        except TimeoutError:
            log.warning("a connection did not close", extra={"call_id": self._call.call_id})

    async def _flush(self) -> None:
        """Polled, because aiortc tells of an emptier buffer only when it crosses a threshold."""
        while self._data is not None and self._pc.connectionState == "connected":
            if not self._data.bufferedAmount:
                return
            await asyncio.sleep(0.01)

    # ---- called by aiortc ----------------------------------------------------------------------

    async def _listen(self, remote: MediaStreamTrack) -> None:
        listener = Listener()
        try:
            while True:
                # No deadline here: the call watches over silence.
                frame = await remote.recv()
                assert isinstance(frame, av.AudioFrame)
                self._heard_s = self._loop.time()
                for pcm in listener.convert(frame):
                    self._call.on_frame(self, pcm)
        except MediaStreamError:
            pass

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self._stop_waiting()
            self._heard_s = self._loop.time()
            before = self._call.connected(self)
            if before is not None:
                self._let_go(before)
        elif state in ("failed", "closed"):
            self._call.lost(self)

    def _give_up(self) -> None:
        self._call.lost(self)
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
        data.on("close", lambda: self._call.lost(self))
        for text in self._unsent:
            self.send(text)
        self._unsent.clear()
