"""Broken messages of media streams to the dialects of every company, and to calls on them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

from bench.fuzz_mutate import mutate, mutate_json

from antiphon.channels.base import CallFacts, TransferResult, TransferTarget
from antiphon.channels.phone.asterisk import AsteriskDialect
from antiphon.channels.phone.exotel import ExotelDialect
from antiphon.channels.phone.plivo import PlivoDialect
from antiphon.channels.phone.stream import StreamCall
from antiphon.channels.phone.telnyx import TelnyxDialect
from antiphon.channels.phone.twilio_stream import TwilioDialect
from antiphon.channels.phone.vendor import BadMessage, Dialect
from antiphon.channels.phone.vonage import VonageDialect
from antiphon.types import FRAME_BYTES, FRAME_MS

MOST_FRAMES = 300
"""Frames that one message may give: four seconds, and sixteen chunks that waited."""
_SOUND = base64.b64encode(bytes(range(160))).decode()
_STREAM = "MZ0123456789abcdef0123456789abcdef"

Make = Callable[[], Dialect]
DIALECTS: dict[str, tuple[Make, list[dict[str, Any]], bool]] = {
    "twilio": (
        TwilioDialect,
        [
            {"event": "connected", "protocol": "Call", "version": "1.0.0"},
            {
                "event": "start", "sequenceNumber": "1", "streamSid": _STREAM,
                "start": {
                    "streamSid": _STREAM, "accountSid": "AC1", "callSid": "CA1",
                    "tracks": ["inbound"], "customParameters": {"token": "t"},
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                },
            },
            {
                "event": "media", "sequenceNumber": "3", "streamSid": _STREAM,
                "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": _SOUND},
            },
            {"event": "mark", "sequenceNumber": "9", "streamSid": _STREAM, "mark": {"name": "a1"}},
            {
                "event": "dtmf", "sequenceNumber": "5", "streamSid": _STREAM,
                "dtmf": {"track": "inbound_track", "digit": "4"},
            },
            {"event": "stop", "streamSid": _STREAM, "stop": {"callSid": "CA1"}},
        ],
        False,
    ),
    "telnyx": (
        TelnyxDialect,
        [
            {
                "event": "start", "sequence_number": "1", "stream_id": "s1",
                "start": {
                    "call_control_id": "c1", "user_id": "u", "custom_parameters": {"token": "t"},
                    "from": "+15550100100", "to": "+15550100199",
                    "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
                },
            },
            {
                "event": "media", "sequence_number": "4", "stream_id": "s1",
                "media": {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": _SOUND},
            },
            {"event": "mark", "stream_id": "s1", "mark": {"name": "a1"}},
            {"event": "dtmf", "stream_id": "s1", "dtmf": {"digit": "1"}},
            {"event": "stop", "stream_id": "s1", "stop": {"call_control_id": "c1"}},
        ],
        False,
    ),
    "vonage": (
        lambda: VonageDialect(16_000),
        [
            {"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "token": "t"},
            {"event": "websocket:dtmf", "digit": "5", "duration": 260},
            {"event": "websocket:notify", "payload": {"name": "a1"}},
            {"event": "websocket:cleared"},
        ],
        True,
    ),
    "plivo": (
        PlivoDialect,
        [
            {
                "event": "start", "sequenceNumber": 0,
                "start": {
                    "callId": "c1", "streamId": "s1", "accountId": "1", "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000},
                },
                "extra_headers": "{token: t}",
            },
            {
                "event": "media", "sequenceNumber": 2, "streamId": "s1",
                "media": {"track": "inbound", "timestamp": "1", "chunk": 1, "payload": _SOUND},
                "extra_headers": "{}",
            },
            {"event": "playedStream", "streamId": "s1", "name": "a1", "sequenceNumber": 9},
            {"event": "clearedAudio", "streamId": "s1", "sequenceNumber": 5},
            {"event": "dtmf", "streamId": "s1", "dtmf": {"track": "inbound", "digit": "3"}},
        ],
        False,
    ),
    "exotel": (
        lambda: ExotelDialect(8000),
        [
            {"event": "connected"},
            {
                "event": "start", "sequence_number": 1, "stream_sid": "s1",
                "start": {
                    "stream_sid": "s1", "call_sid": "c1", "from": "098", "to": "0",
                    "custom_parameters": {"token": "t"},
                    "media_format": {"encoding": "base64", "sample_rate": "8000"},
                },
            },
            {
                "event": "media", "sequence_number": 3, "stream_sid": "s1",
                "media": {"chunk": 2, "timestamp": "10", "payload": _SOUND},
            },
            {"event": "mark", "stream_sid": "s1", "mark": {"name": "a1"}},
            {"event": "dtmf", "stream_sid": "s1", "dtmf": {"digit": "1", "duration": "100"}},
            {"event": "stop", "stream_sid": "s1", "stop": {"call_sid": "c1", "reason": "x"}},
        ],
        False,
    ),
    "asterisk": (
        lambda: AsteriskDialect("ulaw"),
        [
            {
                "event": "MEDIA_START", "connection_id": "c1", "channel_id": "1.2",
                "format": "ulaw", "optimal_frame_size": 160, "ptime": 20,
                "channel_variables": {"token": "t"},
            },
            {"event": "DTMF_END", "channel_id": "1.2", "digit": "4"},
            {"event": "MEDIA_MARK_PROCESSED", "channel_id": "1.2", "correlation_id": "a1"},
            {"event": "MEDIA_XOFF", "channel_id": "1.2"},
            {"event": "STATUS", "queue_length": 43, "bulk_media": False},
        ],
        True,
    ),
}  # fmt: skip


class _Line:
    """A company that passes nobody on."""

    can_transfer = True

    async def transfer(self, call: StreamCall, target: TransferTarget) -> None: ...

    async def hang_up(self, call: StreamCall, *, streaming: bool) -> None: ...


class _Session:
    """Speaks now and then, and counts what it is given."""

    call_id, output_rate_hz = "call_1", 8000

    def __init__(self, rng: random.Random, rate_hz: int) -> None:
        self._rng, self._frame = rng, bytes(rate_hz * FRAME_MS // 500)
        self.frames, self.heard = 0, 0
        self.ended = ""

    def on_audio(self, pcm: bytes) -> None:
        assert len(pcm) == FRAME_BYTES
        self.frames += 1

    def read_frame(self) -> bytes | None:
        return self._frame if self._rng.random() < 0.7 else None

    def on_heard(self, frames: int) -> None:
        assert frames >= self.heard, "what was heard is not unheard"
        self.heard = frames

    def on_key(self, key: str) -> None:
        assert key in set("0123456789*#")

    def hang_up(self, reason: str) -> None:
        self.ended = self.ended or reason

    def on_text(self, text: str) -> None: ...
    def on_talk_key(self, held: bool) -> None: ...
    def on_hold(self, held: bool) -> None: ...
    def on_return(self) -> None: ...
    def on_machine(self, message: str) -> None: ...
    async def wait_closed(self) -> None: ...


class _Wire:
    """A WebSocket of which the test is the other side."""

    def __init__(self) -> None:
        self.heard: Callable[[str | bytes], None] | None = None
        self._over = asyncio.Event()
        self.ponged: Callable[[bytes], None] | None = None
        self.closed_with: int | None = None

    def ping(self, payload: bytes) -> bool:
        return True

    def send(self, message: str | bytes) -> None:
        assert message

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._over.set()

    async def first(self) -> str | bytes | None:
        return None

    async def run(self, heard: Callable[[str | bytes], None]) -> None:
        self.heard = heard
        await self._over.wait()
        self.heard = None


class MediaTarget:
    """One episode: one company's stream."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.name = rng.choice(list(DIALECTS))
        make, self._messages, self._binary = DIALECTS[self.name]
        self._dialect, self._alone = make(), make()
        self._texts = [json.dumps(one).encode() for one in self._messages]
        self._running: asyncio.Task[None] | None = None
        self._connect()

    def _connect(self) -> None:
        call = StreamCall(self.name, CallFacts(), self._dialect.rate_hz, _Line())
        self._session = _Session(self._rng, self._dialect.rate_hz)
        call.begin(self._session)
        self._call, self._wire = call, _Wire()
        self._running = asyncio.ensure_future(call.run(self._wire, self._dialect))

    def step(self) -> bytes:
        rng = self._rng
        if self._binary and rng.random() < 0.5:
            return b"b" + rng.randbytes(rng.choice((320, 320, 640, 160, 0, 1, 999, 40_000)))
        whole = rng.choice(self._messages)
        roll = rng.random()
        if roll < 0.25:
            text = json.dumps(self._numbered(whole)).encode()
        elif roll < 0.7:
            text = mutate_json(rng, whole).encode("utf-8", "surrogatepass")
        else:
            text = mutate(rng, rng.choice(self._texts), self._texts)
        return (b"b" if rng.random() < 0.03 else b"t") + text

    def _numbered(self, message: dict[str, Any]) -> dict[str, Any]:
        """Other chunks and marks than always the same."""
        rng = self._rng
        if message.get("event") == "media":
            media = {**message["media"], "chunk": str(rng.randrange(40))}
            return {**message, "media": media}
        if "mark" in message:
            return {**message, "mark": {"name": f"a{rng.randrange(50)}"}}
        return message

    async def take(self, data: bytes) -> None:
        rng = self._rng
        # As a WebSocket library hands them over: bytes, or text that was valid UTF-8.
        body = data[1:]
        message = body if data[:1] == b"b" else body.decode("utf-8", "replace")
        with contextlib.suppress(BadMessage):
            self._alone.read(message)
        if self._running is None or self._running.done():
            await self._end_call()
            self._connect()
        if self._wire.heard is None:
            await asyncio.sleep(0)
        before = self._session.frames
        if self._wire.heard is not None:
            self._wire.heard(message)
        assert self._session.frames - before <= MOST_FRAMES
        if rng.random() < 0.2:
            await asyncio.sleep(rng.choice((0.02, 0.02, 0.1, 2.0)))
        if rng.random() < 0.02:
            rng.choice((
                self._call.clear,
                lambda: self._call.press("12#w*"),
                lambda: self._call.transferred(TransferResult("no_answer")),
            ))()  # fmt: skip

    async def _end_call(self) -> None:
        await self._call.close("done")
        if self._running is not None:
            await self._running

    async def finish(self) -> None:
        """The call ends, and its tasks with it."""
        await self._end_call()
