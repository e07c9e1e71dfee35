"""Calls from a browser: WebRTC by aiortc.

`WebRtcChannel.answer` turns an SDP offer into a call. Per call aiortc runs its own tasks; ours are
two: one that listens and one that watches. aiortc's sender pulls what is played, so no task of ours
is needed for that.

aiortc's audio jitter buffer holds four frames (80 ms) and takes no setting.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import deque
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Protocol

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

from antiphon.channels.base import Call, CallIO
from antiphon.channels.client_events import (
    ClientEventReader,
    Flooded,
    HangUp,
    KeyPressed,
    Rejected,
    TalkKey,
    Typed,
    error_event,
)
from antiphon.channels.webrtc_media import OUTPUT_RATE_HZ, Listener, PlaybackTrack
from antiphon.channels.webrtc_offer import UNREADABLE, BadOffer, check_offer
from antiphon.errors import CapacityError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 15.0
NEGOTIATION_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
FLUSH_TIMEOUT_S = 0.25
LAST_WORDS_S = 0.3
"""Network, jitter buffer and sound card of a caller: 90 to 250 ms."""
RECORD_TIMEOUT_S = 10.0
QUIET_S = 2.0
DEAD_S = 10.0
"""Nothing at all received for so long: the peer is gone. ICE alone would notice after 30 s."""
MAX_EVENTS_BEFORE_OPEN = 256
MAX_UNSENT_BYTES = 1 << 20
NEGOTIATIONS_AT_ONCE = 4
MAX_WAITING = 64


class CallHost(Protocol):
    """Who takes calls: the supervisor."""

    def check(self, agent: str | None) -> str:
        """The agent's name; raises what the caller should be told."""
        ...

    async def start_call(self, call: Call, agent: str | None) -> CallIO: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """`token` proves later that a request about the call comes from who made it."""

    sdp: str
    session_id: str
    token: str


class WebRtcCall:
    """One browser. Made for an offer; `run` lives as long as the call."""

    channel = "webrtc"
    output_rate_hz = OUTPUT_RATE_HZ
    has_audio = True

    def __init__(self) -> None:
        # Without an empty list aiortc would ask a public STUN server for our address.
        self._pc = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self._io: CallIO | None = None
        self._remote: MediaStreamTrack | None = None
        self._data: RTCDataChannel | None = None
        self._unsent: deque[str] = deque(maxlen=MAX_EVENTS_BEFORE_OPEN)
        self._reader = ClientEventReader()
        self._connected = asyncio.Event()
        self._ended = asyncio.Event()
        self._told = asyncio.Event()
        self._released = asyncio.Event()
        self._reason = ""
        self._heard_at_s = 0.0
        self._packets = (-1, 0.0)
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._on_data_channel)

    # ---- making it ---------------------------------------------------------------------------

    async def accept(self, offer_sdp: str) -> None:
        """Apply a checked offer.

        Raises:
            BadOffer: aiortc cannot use it.
        """
        transceiver = self._pc.addTransceiver(PlaybackTrack(self._read_frame), "sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "audio/opus"])
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
        except (InternalError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise BadOffer(f"The offer cannot be used: {error}.") from error
        except UNREADABLE as error:
            raise BadOffer("The offer cannot be used; send the browser's unchanged.") from error
        self._remote = transceiver.receiver.track
        if self._remote is None:
            raise BadOffer("The audio line must be sendrecv: a call is spoken both ways.")

    async def answer(self, io: CallIO) -> str:
        """The SDP answer; from here on the connection is being made."""
        self._io = io
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        sdp: str = self._pc.localDescription.sdp
        if "a=candidate:" not in sdp:
            raise CapacityError(
                "This server has no network address that a voice connection could use; "
                "type instead, or connect it to a network."
            )
        return sdp

    async def abandon(self, reason: str) -> None:
        """Close what was made of a call that did not come about."""
        self.end(reason)
        await self._release()

    # ---- what the session asks ---------------------------------------------------------------

    def notify(self, event: dict[str, Any]) -> None:
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        if self._data is None:
            self._unsent.append(text)
        else:
            self._send(text)

    async def close(self, reason: str) -> None:
        if not self._ended.is_set() and self._pc.connectionState == "connected":
            # The caller is still there, and the agent's last words are on their way to the ear.
            await asyncio.sleep(LAST_WORDS_S)
        self.end(reason)
        self._told.set()
        # `run` closes the connection; whoever asked waits for it, but not for `run` itself, which
        # in turn waits for the session.
        async with asyncio.timeout(FLUSH_TIMEOUT_S + CLOSE_TIMEOUT_S + 0.5):
            await self._released.wait()

    # ---- its life ----------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """Whatever comes first is the reason."""
        if not self._ended.is_set():
            self._reason = reason
            self._ended.set()
            self._connected.set()

    async def run(self) -> None:
        """Until the call is over and everything of it is closed."""
        assert self._io is not None
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(), name="webrtc-listen")
                await self._watch()
                listening.cancel()
        except* Exception:
            log.exception("webrtc call failed", extra={"call_id": self._io.call_id})
            self.end("internal error")
        finally:
            self.end("server stopped")
            self._io.hang_up(self._reason)
            await self._release()
            async with asyncio.timeout(RECORD_TIMEOUT_S):
                await self._io.wait_closed()

    async def _listen(self) -> None:
        assert self._io is not None
        assert self._remote is not None
        listener = Listener()
        loop = asyncio.get_running_loop()
        try:
            while not self._ended.is_set():
                # No deadline here: `_watch` ends this task when the peer has gone quiet.
                frame = await self._remote.recv()
                assert isinstance(frame, av.AudioFrame)
                self._heard_at_s = loop.time()
                for pcm in listener.convert(frame):
                    self._io.on_audio(pcm)
        except MediaStreamError:
            self.end("connection closed")

    async def _watch(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connected.wait()
        except TimeoutError:
            self.end(f"not connected within {CONNECT_TIMEOUT_S:.0f} s")
        self._heard_at_s = asyncio.get_running_loop().time()
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(1.0):
                    await self._ended.wait()
            except TimeoutError:
                await self._check_alive()

    async def _check_alive(self) -> None:
        """A browser sends audio all the time, muted or not. When none comes, look whether anything
        else does: reports on what it hears, or data."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_at_s < QUIET_S:
            return
        stats = await self._pc.getTransceivers()[0].receiver.getStats()
        packets = sum(s.packetsReceived for s in stats.values() if s.type == "transport")
        known, since_s = self._packets
        if packets != known:
            self._packets = (packets, now_s)
        elif now_s - since_s >= DEAD_S - QUIET_S:
            self.end("connection lost")

    async def _release(self) -> None:
        """Close the connection."""
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._flush()
        except TimeoutError:
            log.info("the last events may not have left")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pc.close()
        except TimeoutError:
            log.warning("webrtc connection did not close in time")
        finally:
            self._released.set()

    async def _flush(self) -> None:
        """Until the session has said its last word and that has left, if anybody still listens.
        Polled, because aiortc tells of an emptier buffer only when it crosses a threshold."""
        while self._data is not None and self._pc.connectionState == "connected":
            if self._told.is_set() and not self._data.bufferedAmount:
                return
            await asyncio.sleep(0.01)

    # ---- called by aiortc --------------------------------------------------------------------

    def _read_frame(self) -> bytes | None:
        if self._io is None or self._ended.is_set():
            return None
        try:
            return self._io.read_frame()
        except Exception:
            # The outermost frame of ours in aiortc's sender, which would fall silent for ever.
            log.exception("reading a frame failed", extra={"call_id": self._io.call_id})
            self.end("internal error")
            return None

    def _on_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self.end("connection lost" if state == "failed" else "connection closed")

    def _on_data_channel(self, data: RTCDataChannel) -> None:
        if self._data is not None:
            data.close()
            return
        self._data = data
        data.on("message", self._on_message)
        data.on("close", lambda: self.end("caller closed the connection"))
        while self._unsent:
            self._send(self._unsent.popleft())

    def _on_message(self, raw: str | bytes) -> None:
        if self._io is None or self._ended.is_set():
            return
        event = self._reader.read(raw, asyncio.get_running_loop().time())
        match event:
            case Typed(text):
                self._io.on_text(text)
            case KeyPressed(key):
                self._io.on_key(key)
            case TalkKey(held):
                self._io.on_talk_key(held)
            case HangUp():
                self.end("caller hung up")
            case Rejected(message) if message:
                self.notify(error_event(message))
            case Flooded():
                self.end("caller sent too many broken events")

    def _send(self, text: str) -> None:
        assert self._data is not None
        if self._data.readyState != "open":
            return
        if self._data.bufferedAmount > MAX_UNSENT_BYTES:
            self.end("caller stopped reading events")
            return
        self._data.send(text)


class WebRtcChannel:
    """Answers offers, and owns the calls that come of them. One per process."""

    def __init__(self, host: CallHost) -> None:
        self._host = host
        self._negotiations = asyncio.Semaphore(NEGOTIATIONS_AT_ONCE)
        self._waiting = 0
        self._calls: dict[str, tuple[WebRtcCall, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, offer_sdp: str, agent: str | None) -> Answer:
        """Make a call of an offer.

        Raises:
            UserFacingError: the offer is not usable, or the agent unknown.
            CapacityError: no more calls at present.
        """
        # The cheap questions first: a flood of offers that cannot be served costs a parse each.
        self._host.check(agent)
        offer_sdp = check_offer(offer_sdp)
        if self._waiting >= MAX_WAITING:
            raise CapacityError("Too many people are calling at this moment; try again shortly.")
        self._waiting += 1
        try:
            async with asyncio.timeout(NEGOTIATION_TIMEOUT_S):
                async with self._negotiations:
                    return await self._negotiate(offer_sdp, self._host.check(agent))
        except TimeoutError:
            raise CapacityError("The server is too busy to take the call; try again.") from None
        finally:
            self._waiting -= 1

    async def _negotiate(self, offer_sdp: str, agent: str) -> Answer:
        call = WebRtcCall()
        io: CallIO | None = None
        try:
            await call.accept(offer_sdp)
            io = await self._host.start_call(call, agent)
            answer = Answer(await call.answer(io), io.call_id, secrets.token_urlsafe(24))
        except BaseException:
            await call.abandon("connection could not be made")
            if io is not None:
                io.hang_up("connection could not be made")
            raise
        task = asyncio.create_task(call.run(), name="webrtc-call")
        self._tasks.add(task)
        self._calls[io.call_id] = (call, answer.token)
        task.add_done_callback(lambda done: self._forget(answer.session_id, done))
        return answer

    def hang_up(self, session_id: str, token: str) -> bool:
        """The page is being closed. False when there is no such call or the token is not its."""
        call, expected = self._calls.get(session_id, (None, ""))
        if call is None or not compare_digest(expected.encode(), token.encode()):
            return False
        call.end("caller left the page")
        return True

    async def aclose(self) -> None:
        """End all calls."""
        for call, _ in list(self._calls.values()):
            call.end("server stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RECORD_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()

    def _forget(self, session_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._calls.pop(session_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webrtc call ended badly", exc_info=error, extra={"call_id": session_id})
